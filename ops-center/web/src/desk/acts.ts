import { ApiError } from '../api.ts';
import { Cell } from '../cell.ts';
import type { Alarm } from '../live/alarms.ts';
import { type ActName, type Details, deskApi, Refused, unanswered } from './api.ts';
import { isMe, type Person } from './model.ts';

/** An act that the server has not answered yet. */
export interface Pending {
  id: string;
  act: ActName;
  details: Details;
  /** When it was first sent, by the server's clock. */
  at: number;
  /** unsure: no answer came; it is asked for when the connection is back. waiting: for the act before it. */
  state: 'sending' | 'unsure' | 'waiting';
}

/** An act that goes when the one before it, on the same alarm, has its answer. */
interface Waiting extends Pending {
  answered?: (done: boolean) => void;
}

/** What came of what somebody did, for the line under the queue. */
export type Outcome =
  | { kind: 'done'; act: ActName; alarms: readonly Alarm[]; undo?: ActName }
  | { kind: 'first'; act: ActName; alarm: Alarm }
  | { kind: 'refused'; act: ActName; error: unknown; again?: () => void }
  | { kind: 'some'; act: ActName; done: number; refused: readonly { id: string; detail: string }[] }
  | { kind: 'unsure'; act: ActName; count: number };

/** Acts that another takes back; what somebody has seen or said stays said. */
const UNDO: Partial<Record<ActName, ActName>> = {
  claim: 'release',
  release: 'claim',
  shelve: 'unshelve',
  'out-of-service': 'return-to-service',
};

/** As many as the server takes in one request. */
const MOST = 1000;
/** The server's clock and ours may differ by so much when it is asked whether an act of ours is there. */
const LEEWAY = 5000;
const STORED = 'vonglau.desk.unsure';

/**
 * Whether an act that was sent at a time is in an alarm already. An act without
 * an answer is looked for before it is sent again: so it is neither lost nor
 * done twice.
 */
export function settled(p: Pending, alarm: Alarm, me: Person): boolean {
  const mine = (id: string | undefined, by: string | undefined) => isMe(me, id, by);
  // Remarks have names only; an account's name is its own.
  const named = (by: string | undefined) => by === me.name;
  const since = (at: string | undefined) => at !== undefined && Date.parse(at) >= p.at - LEEWAY;
  const text = (p.details.note ?? '').trim();
  switch (p.act) {
    case 'acknowledge':
      return mine(alarm.acknowledged?.byId, alarm.acknowledged?.by) && since(alarm.acknowledged?.at);
    case 'claim':
      return alarm.claimed !== undefined && mine(alarm.claimed.byId, alarm.claimed.by);
    case 'release':
      return alarm.claimed === undefined || !mine(alarm.claimed.byId, alarm.claimed.by);
    case 'comment':
      return alarm.comments?.some((c) => named(c.by) && c.text === text && since(c.at)) ?? false;
    case 'assign': {
      const a = alarm.assigned;
      return a !== undefined && named(a.by) && a.department === p.details.department && since(a.at);
    }
    case 'accept':
      return alarm.assigned?.answer === 'accepted' && named(alarm.assigned.answeredBy);
    case 'return':
      return alarm.assigned?.answer === 'returned' && named(alarm.assigned.answeredBy);
    case 'false':
      return named(alarm.falseAlarm?.by) && since(alarm.falseAlarm?.at);
    case 'shelve':
      return named(alarm.shelved?.by) && since(alarm.shelved?.at);
    case 'unshelve':
      return alarm.state !== 'shelved';
    case 'out-of-service':
      return named(alarm.outOfService?.by) && since(alarm.outOfService?.at);
    case 'return-to-service':
      return alarm.state !== 'out_of_service';
  }
}

export interface Ground {
  me: () => Person;
  now: () => number;
  /** An alarm as the server has it after an act. */
  take: (alarm: Alarm) => void;
  live: () => boolean;
  signedOut: () => void;
}

/**
 * What people do to alarms, on its way to the server. An act shows as done when
 * the server has said so and not before. One whose answer was lost with the
 * connection is kept, over a reload of the page as well, and settled when the
 * connection is back.
 */
export class Acts {
  /** The act under way of each alarm. */
  readonly pending = new Cell<ReadonlyMap<string, Pending>>(new Map());
  /** Acts on the same alarm go one after another, in the order of the keys. */
  #behind = new Map<string, readonly Waiting[]>();
  readonly outcome = new Cell<Outcome | undefined>(undefined);
  #ground: Ground;
  #settling = false;

  constructor(ground: Ground) {
    this.#ground = ground;
    const heads = new Map<string, Pending>();
    for (const p of recall()) {
      if (heads.has(p.id)) this.#wait({ ...p, state: 'waiting' });
      else heads.set(p.id, { ...p, state: 'unsure' });
    }
    this.pending.set(heads);
  }

  /**
   * Sends an act on one alarm or many. On an alarm that has one under way it
   * goes after that one: who is faster than the network loses nothing.
   */
  async run(alarms: readonly Alarm[], act: ActName, details: Details = {}): Promise<boolean> {
    const busy = this.pending.get();
    const free = alarms.filter((a) => !busy.has(a.id));
    const after = alarms.filter((a) => busy.has(a.id)).map((a) => this.#after(a.id, act, details));
    const now = free.length > 0 ? this.#now(free, act, details) : true;
    return (await Promise.all([now, ...after])).every((done) => done);
  }

  async #now(free: readonly Alarm[], act: ActName, details: Details): Promise<boolean> {
    const at = this.#ground.now();
    this.#mark(free.map((a) => ({ id: a.id, act, details, at, state: 'sending' as const })));
    if (free.length === 1) return this.#one(free[0].id, act, details);
    let done: Alarm[] = [];
    const refused: { id: string; detail: string }[] = [];
    for (let i = 0; i < free.length; i += MOST) {
      const part = free.slice(i, i + MOST);
      try {
        const { results } = await deskApi.bulk(
          part.map((a) => a.id),
          act,
          details,
        );
        for (const r of results) {
          if (r.alarm) this.#ground.take(r.alarm);
          if (r.status === 200 && r.alarm) done = [...done, r.alarm];
          else refused.push({ id: r.id, detail: r.detail ?? '' });
        }
        this.#drop(part.map((a) => a.id));
      } catch (error) {
        const rest = free.slice(i);
        if (unanswered(error)) {
          // The first part may be done; the others were not sent and go with it.
          this.#unsure(rest.map((a) => a.id));
          this.outcome.set({ kind: 'unsure', act, count: rest.length });
          return false;
        }
        this.#drop(rest.map((a) => a.id));
        return this.#refused(error, act, () => void this.run(rest, act, details));
      }
    }
    const undo = UNDO[act];
    this.outcome.set(
      refused.length > 0
        ? { kind: 'some', act, done: done.length, refused }
        : { kind: 'done', act, alarms: done, ...(undo ? { undo } : {}) },
    );
    return refused.length === 0;
  }

  /** Waits for the act before. A key that was pressed twice is one act. */
  #after(id: string, act: ActName, details: Details): Promise<boolean> {
    const queue = this.#behind.get(id) ?? [];
    const last = queue.at(-1) ?? this.pending.get().get(id);
    if (last?.act === act && JSON.stringify(last.details) === JSON.stringify(details))
      return Promise.resolve(true);
    return new Promise((answered) => {
      this.#wait({ id, act, details, at: this.#ground.now(), state: 'waiting', answered });
      this.#store();
    });
  }

  #wait(p: Waiting): void {
    this.#behind.set(p.id, [...(this.#behind.get(p.id) ?? []), p]);
  }

  /** The act before has its answer. */
  #next(id: string): void {
    const [next, ...rest] = this.#behind.get(id) ?? [];
    if (!next) return;
    if (rest.length > 0) this.#behind.set(id, rest);
    else this.#behind.delete(id);
    const { answered, ...p } = next;
    this.#mark([{ ...p, at: this.#ground.now(), state: 'sending' }]);
    void this.#one(id, p.act, p.details).then((done) => answered?.(done));
  }

  /** Does quietly, and again each time, what keeps a claim alive. */
  async renew(alarm: Alarm): Promise<void> {
    if (this.pending.get().has(alarm.id)) return;
    try {
      this.#ground.take(await deskApi.act(alarm.id, 'claim', {}));
    } catch {
      // The claim runs out as the alarm shows; nothing was promised.
    }
  }

  /** Settles what was left without an answer; called when the connection is there. */
  async settle(): Promise<void> {
    if (this.#settling) return;
    this.#settling = true;
    try {
      for (const p of [...this.pending.get().values()]) {
        if (p.state !== 'unsure' || !this.#ground.live()) continue;
        try {
          const { alarm } = await deskApi.detail(p.id);
          if (settled(p, alarm, this.#ground.me())) {
            this.#ground.take(alarm);
            this.#drop([p.id]);
            this.outcome.set({ kind: 'done', act: p.act, alarms: [alarm] });
          } else await this.#one(p.id, p.act, p.details);
        } catch (error) {
          if (unanswered(error)) return; // once more when the connection is back
          this.#drop([p.id]);
          this.#refused(error, p.act);
        }
      }
    } finally {
      this.#settling = false;
    }
  }

  async #one(id: string, act: ActName, details: Details): Promise<boolean> {
    try {
      const now = await deskApi.act(id, act, details);
      this.#ground.take(now);
      const undo = UNDO[act];
      this.outcome.set({ kind: 'done', act, alarms: [now], ...(undo ? { undo } : {}) });
      this.#drop([id]);
      return true;
    } catch (error) {
      if (unanswered(error)) {
        this.#unsure([id]);
        this.outcome.set({ kind: 'unsure', act, count: 1 });
        return false;
      }
      this.#drop([id]);
      if (error instanceof Refused && error.alarm) {
        this.#ground.take(error.alarm);
        this.outcome.set({ kind: 'first', act, alarm: error.alarm });
        return false;
      }
      return this.#refused(error, act, () => {
        if (this.pending.get().has(id)) void this.#after(id, act, details);
        else {
          this.#mark([{ id, act, details, at: this.#ground.now(), state: 'sending' }]);
          void this.#one(id, act, details);
        }
      });
    }
  }

  #refused(error: unknown, act: ActName, again?: () => void): false {
    const status = error instanceof ApiError ? error.status : 0;
    if (status === 401) this.#ground.signedOut();
    // What the server may do later is worth another try; what is wrong is not.
    const worth = again !== undefined && (status === 429 || status >= 500);
    this.outcome.set({ kind: 'refused', act, error, ...(worth ? { again } : {}) });
    return false;
  }

  #mark(list: readonly Pending[]): void {
    const next = new Map(this.pending.get());
    for (const p of list) next.set(p.id, p);
    this.#set(next);
  }

  #unsure(ids: readonly string[]): void {
    const next = new Map(this.pending.get());
    for (const id of ids) {
      const p = next.get(id);
      if (p) next.set(id, { ...p, state: 'unsure' });
    }
    this.#set(next);
  }

  #drop(ids: readonly string[]): void {
    const next = new Map(this.pending.get());
    for (const id of ids) next.delete(id);
    this.#set(next);
    for (const id of ids) this.#next(id);
  }

  /** What is on its way is kept too: a page may be closed before the answer. */
  #set(next: ReadonlyMap<string, Pending>): void {
    this.pending.set(next);
    this.#store();
  }

  #store(): void {
    const waiting = [...this.#behind.values()].flat().map(({ answered: _, ...p }) => p);
    try {
      sessionStorage.setItem(STORED, JSON.stringify([...this.pending.get().values(), ...waiting]));
    } catch {
      // Forbidden storage: it is kept as long as the page is open.
    }
  }
}

function recall(): Pending[] {
  try {
    const list = JSON.parse(sessionStorage.getItem(STORED) ?? '[]') as unknown;
    if (!Array.isArray(list)) return [];
    return list.filter(
      (p): p is Pending =>
        typeof p?.id === 'string' && typeof p.act === 'string' && typeof p.at === 'number' && !!p.details,
    );
  } catch {
    return []; // forbidden or damaged storage
  }
}
