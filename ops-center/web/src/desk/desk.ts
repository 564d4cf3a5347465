import { createContext, useContext } from 'react';
import { Cell } from '../cell.ts';
import type { Key, Params } from '../i18n/index.ts';
import { type Alarm, isOpen, needsAcknowledge } from '../live/alarms.ts';
import type { Camera } from '../map/settings.ts';
import { scenesApi } from '../scenes/api.ts';
import type { Focus } from '../scenes/model.ts';
import type { Wall } from '../wall.ts';
import { type Drill, warnings } from '../warnings/api.ts';
import { Acts } from './acts.ts';
import { type ActName, type Details, type Duty, deskApi, Refused } from './api.ts';
import { type Keys, keysOf } from './keys.ts';
import { type Folds, heldByOther, holds, type Person, type Tab } from './model.ts';
import { Caller, Sound } from './sound.ts';

export type Dialog =
  | { kind: 'act'; act: ActName; alarms: readonly Alarm[] }
  | { kind: 'palette' }
  | { kind: 'help' }
  | { kind: 'shift' }
  | { kind: 'push'; focus: Focus; name: string; scene?: string };

/** Something said that is about no act. */
export interface Notice {
  key: Key;
  params?: Params;
  bad?: boolean;
  undo?: () => void;
  link?: { href: string; key: Key };
}

/** The permission an act asks for. */
export const NEEDS: Record<ActName, string> = {
  acknowledge: 'handle_alarms',
  claim: 'handle_alarms',
  release: 'handle_alarms',
  comment: 'handle_alarms',
  assign: 'handle_alarms',
  accept: 'handle_alarms',
  return: 'handle_alarms',
  false: 'handle_alarms',
  shelve: 'shelve_alarms',
  unshelve: 'shelve_alarms',
  'out-of-service': 'service_alarms',
  'return-to-service': 'service_alarms',
};

/** Acts that take words or choices along. */
const ASKS: ReadonlySet<ActName> = new Set([
  'comment',
  'assign',
  'return',
  'false',
  'shelve',
  'out-of-service',
]);

/** Whether an act means anything for an alarm as it is. */
export function fits(act: ActName, a: Alarm, me: Person, now: number): boolean {
  switch (act) {
    case 'acknowledge':
      return needsAcknowledge(a);
    case 'claim':
      return a.state !== 'normal' && !holds(a, me, now);
    case 'release':
      return holds(a, me, now);
    case 'comment':
      return true;
    case 'assign':
      return isOpen(a) || a.state === 'shelved';
    case 'accept':
      return a.assigned !== undefined && a.assigned.answer === undefined && a.state !== 'normal';
    case 'return':
      return a.assigned !== undefined && a.assigned.answer !== 'returned' && a.state !== 'normal';
    case 'false':
      return a.falseAlarm === undefined;
    case 'shelve':
      return isOpen(a);
    case 'unshelve':
      return a.state === 'shelved';
    case 'out-of-service':
      return isOpen(a) || a.state === 'shelved' || a.state === 'suppressed';
    case 'return-to-service':
      return a.state === 'out_of_service';
  }
}

const DRILLS_EVERY = 20_000;
const RENEW_EVERY = 60_000;

/** One operator's desk: what is chosen, what is asked, what sounds. */
export class Desk {
  readonly wall: Wall;
  readonly acts: Acts;
  readonly sound = new Sound();
  readonly caller = new Caller();
  readonly keys: Cell<Keys>;
  readonly me: Person;
  readonly permissions: ReadonlySet<string>;

  readonly tab = new Cell<Tab>('open');
  readonly grouped = new Cell(true);
  readonly folds = new Cell<Folds>(new Map());
  /** The chosen line of the queue: an alarm's id or a group's head. */
  readonly cursor = new Cell<string | undefined>(undefined);
  /** Alarms an act is for, when more than the chosen line's. */
  readonly marked = new Cell<ReadonlySet<string>>(new Set());
  /** The alarms of the chosen line. */
  readonly under = new Cell<readonly string[]>([]);
  readonly dialog = new Cell<Dialog | undefined>(undefined);
  readonly notice = new Cell<Notice | undefined>(undefined);
  readonly drills = new Cell<readonly Drill[]>([]);
  readonly onShift = new Cell<readonly Duty[]>([]);
  readonly calling = new Cell(false);
  /** What was last known of alarms that are on the page, the closed ones too. */
  readonly remembered = new Map<string, Alarm>();
  camera: Camera | undefined;

  #timers: ReturnType<typeof setInterval>[] = [];
  #off: (() => void)[] = [];

  constructor(wall: Wall, me: Person, permissions: readonly string[]) {
    this.wall = wall;
    this.me = me;
    this.permissions = new Set(permissions);
    this.keys = keysOf(me.id || me.name);
    this.acts = new Acts({
      me: () => me,
      now: () => wall.clock.now(),
      take: (alarm) => this.#take(alarm),
      live: () => wall.socket.link.get().state === 'live',
      signedOut: () => wall.signedIn.set(false),
    });
  }

  start(): void {
    this.sound.start();
    const settle = () => {
      if (this.wall.socket.link.get().state === 'live') void this.acts.settle();
    };
    this.#off.push(
      this.wall.socket.link.subscribe(settle),
      this.wall.alarmBook.alarms.subscribe(this.#listen),
      this.acts.outcome.subscribe(() => this.notice.set(undefined)),
    );
    settle();
    const every = (ms: number, what: () => void) => {
      what();
      this.#timers.push(setInterval(what, ms));
    };
    every(1000, this.#listen);
    every(DRILLS_EVERY, () => void this.refresh());
    every(5000, settle);
    every(RENEW_EVERY, this.#renew);
  }

  stop(): void {
    this.sound.stop();
    for (const timer of this.#timers) clearInterval(timer);
    for (const off of this.#off) off();
    this.#timers = [];
    this.#off = [];
  }

  may(act: ActName): boolean {
    return this.permissions.has(NEEDS[act]);
  }

  /** Who is on shift and which drills run; the old answer holds while none comes. */
  async refresh(): Promise<void> {
    const [drills, duty] = await Promise.allSettled([warnings.drills(), deskApi.shift()]);
    if (drills.status === 'fulfilled') this.drills.set(drills.value.filter((d) => !d.ended));
    if (duty.status === 'fulfilled') this.onShift.set(duty.value);
  }

  /** An alarm as last known, open or just closed. */
  alarm(id: string): Alarm | undefined {
    const now = this.wall.alarmBook.alarms.get().get(id);
    if (now) return now;
    const last = this.remembered.get(id);
    return last && { ...last, state: 'normal' };
  }

  /** What an act is for: what is marked, else the chosen line. */
  targets(): Alarm[] {
    const marked = this.marked.get();
    const ids = marked.size > 0 ? [...marked] : this.under.get();
    return ids.flatMap((id) => this.alarm(id) ?? []);
  }

  /** Somebody wants something done; words are asked for where the act needs them. */
  ask(act: ActName, alarms: readonly Alarm[] = this.targets()): void {
    const now = this.wall.clock.now();
    const meant = alarms.filter((a) => fits(act, a, this.me, now));
    let wrong: Notice | undefined;
    if (alarms.length === 0) wrong = { key: 'desk.nothingChosen' };
    else if (!this.may(act)) wrong = { key: 'desk.mayNot', bad: true };
    else if (this.wall.socket.link.get().state !== 'live') wrong = { key: 'desk.lostActs', bad: true };
    else if (meant.length === 0) wrong = { key: 'desk.doesNotFit' };
    if (wrong) {
      this.say(wrong);
      return;
    }
    const words = ASKS.has(act) || (act === 'acknowledge' && meant.some((a) => a.priority === 1));
    if (words) this.dialog.set({ kind: 'act', act, alarms: meant });
    else void this.#runOrAsk(meant, act);
  }

  /** Sends what a dialog has asked for. */
  async send(alarms: readonly Alarm[], act: ActName, details: Details): Promise<void> {
    await this.acts.run(alarms, act, details);
  }

  /** Acts at once; where the server wants a note after all, as a city may for other priorities, it is asked for. */
  async #runOrAsk(alarms: readonly Alarm[], act: ActName): Promise<void> {
    await this.acts.run(alarms, act);
    const o = this.acts.outcome.get();
    if (o?.kind === 'refused' && o.error instanceof Refused && o.error.code === 'note_missing')
      this.dialog.set({ kind: 'act', act, alarms });
  }

  choose(key: string | undefined, ids: readonly string[]): void {
    this.cursor.set(key);
    this.under.set(ids);
    const alarm = ids.length === 1 ? this.alarm(ids[0]) : undefined;
    this.wall.select(alarm ? { alarm: alarm.id, ...(alarm.device ? { device: alarm.device } : {}) } : {});
  }

  /** An alarm from elsewhere on the page: its tab is opened when the list at hand has it not. */
  open(alarm: Alarm): void {
    this.remembered.set(alarm.id, alarm);
    this.marked.set(new Set());
    this.choose(alarm.id, [alarm.id]);
  }

  say(notice: Notice): void {
    this.acts.outcome.set(undefined);
    this.notice.set(notice);
  }

  /** Shows on the wall what is chosen: the alarm, else the device, else the view of the map. */
  askPush(): void {
    if (!this.permissions.has('push_scenes')) {
      this.say({ key: 'desk.mayNot', bad: true });
      return;
    }
    const { alarm, device } = this.wall.selection.get();
    const known = alarm ? this.alarm(alarm) : undefined;
    if (known) {
      this.dialog.set({
        kind: 'push',
        focus: { alarm: known.id, ...(known.device ? { device: known.device } : {}) },
        name: this.wall.deviceName(known.device || known.entity),
      });
    } else if (device)
      this.dialog.set({ kind: 'push', focus: { device }, name: this.wall.deviceName(device) });
    else if (this.camera) {
      const [lon, lat] = this.camera.center;
      this.dialog.set({ kind: 'push', focus: { view: { lon, lat, zoom: this.camera.zoom } }, name: '' });
    } else this.dialog.set({ kind: 'push', focus: {}, name: '' });
  }

  /** Says on how many displays a push is, and how many an alarm still holds. */
  pushed(count: number, waiting: number, id: string): void {
    this.say({
      key: waiting > 0 ? 'desk.pushedBehind' : 'desk.pushed',
      params: { count: count - waiting, waiting },
      undo: () =>
        void scenesApi.undo(id).then(
          () => this.say({ key: 'desk.pushUndone' }),
          () => this.say({ key: 'desk.pushNotUndone', bad: true }),
        ),
    });
  }

  async draftWarning(alarm: Alarm): Promise<void> {
    if (!this.permissions.has('draft_warnings')) {
      this.say({ key: 'desk.mayNot', bad: true });
      return;
    }
    try {
      await deskApi.draftWarning(alarm);
      this.say({ key: 'desk.drafted', link: { href: '/warnings', key: 'desk.toWarnings' } });
    } catch (error) {
      this.acts.outcome.set({ kind: 'refused', act: 'comment', error });
    }
  }

  /** Takes the last thing back, when it is one that can be. */
  undo(): void {
    const notice = this.notice.get();
    const done = this.acts.outcome.get();
    if (notice?.undo) notice.undo();
    else if (done?.kind === 'done' && done.undo) void this.acts.run(done.alarms, done.undo);
    else this.say({ key: 'desk.nothingToUndo' });
  }

  silence(): void {
    this.caller.silence(this.wall.alarmBook.alarms.get().values());
    this.#listen();
    this.say({ key: 'desk.silenced' });
  }

  /** What the server has said of an alarm is older than what we know when it counts fewer changes. */
  #take(alarm: Alarm): void {
    const known = this.wall.alarmBook.alarms.get().get(alarm.id);
    this.remembered.set(alarm.id, alarm);
    if (!known && alarm.state === 'normal') return;
    if (!known || (alarm.changes ?? 0) >= (known.changes ?? 0)) this.wall.alarmBook.put(alarm);
  }

  #listen = (): void => {
    // While cut off nobody knows what is still so: what sounded goes on, and nothing new begins.
    const alarms = this.wall.alarmBook.alarms.get();
    const priority = this.caller.next(alarms.values(), Date.now());
    if (priority) this.sound.play(priority);
    this.calling.set(this.caller.calling(alarms.values()));
  };

  /** Who holds an alarm and looks at it goes on holding it. */
  #renew = (): void => {
    const id = this.wall.selection.get().alarm;
    const alarm = id ? this.wall.alarmBook.alarms.get().get(id) : undefined;
    const now = this.wall.clock.now();
    if (!alarm || heldByOther(alarm, this.me, now) || !holds(alarm, this.me, now)) return;
    if (this.wall.socket.link.get().state === 'live') void this.acts.renew(alarm);
  };
}

export const DeskContext = createContext<Desk | undefined>(undefined);

export function useDesk(): Desk {
  const desk = useContext(DeskContext);
  if (!desk) throw new Error('used outside of the desk');
  return desk;
}
