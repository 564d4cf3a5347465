import { ApiError, api, type Session, type ThresholdRule } from './api.ts';
import { Cell } from './cell.ts';
import { language, phrase } from './i18n/index.ts';
import { type Alarm, AlarmBook, needsAcknowledge } from './live/alarms.ts';
import { City } from './live/city.ts';
import { Clock } from './live/clock.ts';
import { FigureBook, type Figures } from './live/figures.ts';
import type { Frame } from './live/frame.ts';
import { Close, type Heartbeat, type ServerMessage } from './live/protocol.ts';
import { type LiveHandlers, LiveSocket } from './live/socket.ts';
import { SHOWN_AT_FIRST } from './map/style.ts';
import { liveAddress } from './replay/address.ts';
import { giveUp, turn as timeOf } from './replay/follow.ts';
import type { Replay, ReplayState } from './replay/moment.ts';
import { showPast } from './replay/past.ts';
import type { SceneMessage } from './scenes/model.ts';

/** Up to this many devices a wall receives the whole city, so that its figures are the city's. */
const WHOLE_CITY = 20_000;
const SUBSCRIBE_AFTER = 400;
/** How often layers and rules are looked at again. */
const SETTINGS_EVERY = 60_000;
/** How often a display that found no room in the time machine looks again. */
const ROOM_EVERY = 65_000;
/** In a replay rules are asked for again after this much of the city's time. */
const RULES_EVERY = 10 * 60_000;

export interface Selection {
  device?: string;
  alarm?: string;
}

/** Progress of an acknowledgement, shown until the server has confirmed it. */
export interface AckState {
  alarm: string;
  state: 'sending' | 'failed';
  error?: unknown;
}

/**
 * Everything one screen knows, put together once at start. Live values stay in
 * typed arrays; the cells are what panels watch.
 */
export class Wall {
  readonly clock: Clock;
  /** The past that this screen shows instead of the present. */
  readonly replay: Replay | undefined;
  /** The push that put the past on this display; undefined for who looks at it by himself. */
  readonly follow: string | undefined;
  /** The page is about to go: nothing more is shown or said. */
  #leaving = false;
  readonly #turn: (address: string) => void;
  #retryPast: ReturnType<typeof setTimeout> | undefined;
  /** Public warnings in force, as a replay is told them. */
  readonly inForce = new Cell<readonly { id: string; exercise: boolean }[]>([]);
  readonly city = new City();
  readonly figureBook = new FigureBook(this.city);
  readonly alarmBook: AlarmBook;
  readonly socket: LiveSocket;

  /** Set once a second; undefined before the first snapshot. */
  readonly figures = new Cell<Figures | undefined>(undefined);
  readonly heartbeat = new Cell<Heartbeat | undefined>(undefined);
  readonly selection = new Cell<Selection>({});
  readonly ack = new Cell<AckState | undefined>(undefined);
  /** A priority-1 alarm whose acknowledgement waits for its note. */
  readonly noting = new Cell<Alarm | undefined>(undefined);
  /** Priority-1 alarm last raised while the wall was watching, for the assertive region. */
  readonly urgent = new Cell<Alarm | undefined>(undefined);
  readonly layers = new Cell<ReadonlySet<string> | undefined>(undefined);
  readonly shownLayers: Cell<ReadonlySet<string>>;
  readonly hiddenClasses: Cell<ReadonlySet<string>>;
  readonly thresholds = new Cell<readonly ThresholdRule[]>([]);
  readonly signedIn = new Cell<boolean | undefined>(undefined);
  /** Who this screen is, for what it may be offered; undefined until the server has said it. */
  readonly session = new Cell<Session | undefined>(undefined);
  /** Whether this person may put scenes on displays, also while nothing else may be done. */
  readonly mayPush = new Cell(false);
  /** River station the figures and the chart are about; undefined picks the first. */
  readonly riverStation = new Cell<string | undefined>(undefined);
  /** Only the map's view is received: figures are the view's. */
  readonly viewOnly = new Cell(false);
  /** The map flies to a device, or to a box of west, south, east and north. */
  readonly goTo = new Cell<
    { device?: string; box?: readonly [number, number, number, number]; n: number } | undefined
  >(undefined);
  /** Told which devices moved, with each positions frame. */
  readonly movedListeners = new Set<(devices: Uint32Array) => void>();

  #etag = '';
  #fetching: Promise<void> | undefined;
  #fetchAgain = false;
  #tick: ReturnType<typeof setInterval> | undefined;
  #view: [number, number, number, number] | null = null;
  #subscribing: ReturnType<typeof setTimeout> | undefined;
  #settingsAt = 0;
  /** The moment whose rules are known. */
  #rulesOf = 0;
  #seeded = new Set<string>();
  /** A snapshot of this hub was received. */
  #told = false;

  /** What this screen is to show; undefined until it was told, or when nobody tells it. */
  readonly scene: Cell<SceneMessage | undefined>;
  /** This screen is a display's own, by its token. */
  readonly own = new Cell(false);
  /** The wall's files that the server has. */
  readonly build = new Cell('');
  /** They are others than this page began with. */
  readonly upgraded = new Cell(false);

  /** Fetches the alarms that a snapshot had no room for: a desk lists them all. */
  readonly #everyAlarm: boolean;
  /** Alarms that closed while the list was fetched; undefined when none is. */
  #closedMeanwhile: Set<string> | undefined;

  /** display names the one whose scenes to show, '' the default scene; none are shown without it. */
  constructor({
    display,
    everyAlarm = false,
    replay,
    follow,
    turn = (address) => location.replace(address),
  }: {
    display?: string;
    everyAlarm?: boolean;
    replay?: Replay | undefined;
    follow?: string | undefined;
    /** Goes to another address of the wall, when the display is told to show another time. */
    turn?: (address: string) => void;
  } = {}) {
    this.replay = replay;
    this.follow = replay && follow;
    this.clock = replay?.clock ?? new Clock();
    showPast(replay);
    if (replay) document.documentElement.dataset.replay = '';
    else delete document.documentElement.dataset.replay;
    this.#turn = turn;
    this.#everyAlarm = everyAlarm;
    this.scene = new Cell(display === undefined ? undefined : lastScene());
    this.shownLayers = remembered('vonglau.layers', SHOWN_AT_FIRST);
    this.hiddenClasses = remembered('vonglau.hidden', []);
    this.alarmBook = new AlarmBook((device, severity) => {
      const index = this.city.index(device);
      if (index !== undefined) this.city.setSeverity(index, severity);
    });
    const base = new URL(replay ? '/v1/replay' : '/v1/live', location.href);
    base.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';
    base.hash = '';
    base.search = '';
    if (display !== undefined) base.searchParams.set('display', display);
    if (this.follow) base.searchParams.set('follow', '1');
    const handlers: LiveHandlers = {
      prepare: () => this.#prepare(),
      hello: (hub) => this.#hello(hub),
      frame: (frame) => this.#frame(frame),
      message: (message) => this.#message(message),
      broken: (error) => console.error('live connection: a frame could not be read; starting anew', error),
      unauthorised: () => this.signedIn.set(false),
    };
    this.socket = new LiveSocket(base.href, handlers, (params) => replay?.query(params));
    this.socket.link.subscribe(() => {
      this.#mark();
      const { code } = this.socket.link.get();
      const turnedAway = code === Close.TooManyScreens || code === Close.BadMessage;
      if (!this.follow || !turnedAway || this.#leaving) return;
      giveUp(this.follow);
      this.#leave(liveAddress());
    });
    this.alarmBook.alarms.subscribe(() => this.#mark());
  }

  start(): void {
    this.socket.start();
    this.#tick ??= setInterval(this.second, 1000);
    window.addEventListener('online', this.#nudge);
  }

  stop(): void {
    this.socket.stop();
    clearInterval(this.#tick);
    this.#tick = undefined;
    clearTimeout(this.#retryPast);
    window.removeEventListener('online', this.#nudge);
  }

  /** Once a second: what is late, what is stale, and the key figures. */
  readonly second = (): void => {
    // Only a live connection can say that a device fell silent: while we are
    // cut off it is us who are, and the page says so.
    if (this.socket.link.get().state === 'live') this.city.sweep(this.clock.now());
    // Before the first snapshot every device looks as if it had never reported.
    if (!this.#told || this.city.dict < 0) return;
    const figures = this.figureBook.compute(
      this.clock.now(),
      this.heartbeat.get(),
      this.alarmBook.alarms.get().values(),
      this.riverDevice(),
    );
    this.figures.set(figures);
    if (this.socket.link.get().state !== 'live') return;
    if (Date.now() - this.#settingsAt > SETTINGS_EVERY) {
      this.#fetchSettings().catch((error: unknown) => console.warn('map layers not fetched', error));
    }
    if (this.replay && Math.abs(this.clock.now() - this.#rulesOf) > RULES_EVERY) this.#fetchRules();
    if (figures.historyOk) this.#seed();
  };

  /** The station in the river figure: the chosen one, else the worst, else the first. */
  riverDevice(): number | undefined {
    const chosen = this.riverStation.get();
    if (chosen !== undefined) {
      const index = this.city.index(chosen);
      if (index !== undefined) return index;
    }
    let best: number | undefined;
    const rank = (device: number) => this.city.severity[device] || 9;
    for (const c of this.city.of('water_level')) {
      const device = this.city.deviceOf[c];
      if (this.city.profileOf(device)?.class !== 'water') continue;
      if (best === undefined || rank(device) < rank(best)) best = device;
    }
    return best;
  }

  select(selection: Selection): void {
    this.selection.set(selection);
  }

  showOnMap(device: string): void {
    this.goTo.set({ device, n: (this.goTo.get()?.n ?? 0) + 1 });
  }

  showBox(box: readonly [number, number, number, number]): void {
    this.goTo.set({ box, n: (this.goTo.get()?.n ?? 0) + 1 });
  }

  /** What the map shows; received alone when the city is too large to receive whole. */
  setView(view: [number, number, number, number]): void {
    this.#view = view;
    clearTimeout(this.#subscribing);
    this.#subscribing = setTimeout(this.#subscribe, SUBSCRIBE_AFTER);
  }

  /** An operator acknowledges: a priority-1 alarm asks for a note first. */
  askAcknowledge(alarm: Alarm): void {
    if (!needsAcknowledge(alarm)) return;
    // A wall screen has no hands.
    if (!this.session.get()?.permissions.includes('handle_alarms')) return;
    if (this.replay) {
      const error = new ApiError(423, phrase(language.get(), 'replay.refused'), '');
      this.ack.set({ alarm: alarm.id, state: 'failed', error });
      return;
    }
    if (alarm.priority === 1) this.noting.set(alarm);
    else void this.acknowledge(alarm, '');
  }

  /** Asks the server; the list shows it done when the server says so. */
  async acknowledge(alarm: Alarm, note: string): Promise<boolean> {
    if (!needsAcknowledge(alarm)) return true;
    if (this.replay) return false;
    this.ack.set({ alarm: alarm.id, state: 'sending' });
    try {
      await api.acknowledge(alarm.id, note);
      this.ack.set(undefined);
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.signedIn.set(false);
      this.ack.set({ alarm: alarm.id, state: 'failed', error });
      return false;
    }
  }

  deviceName(id: string): string {
    const index = this.city.index(id);
    return (index !== undefined && this.city.name[index]) || id;
  }

  async #prepare(): Promise<void> {
    try {
      // What the indices of a replay mean is told by the replay itself.
      if (this.replay) await this.#fetchSettings();
      else await this.#fetchDictionary();
      this.signedIn.set(true);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        this.socket.stop();
        this.signedIn.set(false);
      }
      throw error;
    }
    if (!this.replay) await this.#fetchSettings();
  }

  /** What changes a few times a year: map layers and rules. */
  async #fetchSettings(): Promise<void> {
    this.#settingsAt = Date.now();
    const names = (await api.layers()).map((l) => l.name).sort();
    const before = this.layers.get();
    // The map is made anew for another set of layers, and only then.
    if (!before || names.join(' ') !== [...before].join(' ')) this.layers.set(new Set(names));
    api.session().then(
      (session) => {
        this.mayPush.set(session.permissions.includes('push_scenes'));
        this.session.set(
          this.replay
            ? { ...session, permissions: session.permissions.filter((p) => p.startsWith('view')) }
            : session,
        );
      },
      () => undefined,
    );
    // Rules only draw lines in charts: without them a wall is still a wall.
    this.#fetchRules();
  }

  /** Only draws lines in charts: those of the rules in force at the moment shown. */
  #fetchRules(): void {
    this.#rulesOf = this.clock.now();
    const jump = this.replay?.jump.get();
    api.thresholds().then(
      (rules) => {
        // Of another moment meanwhile: its own answer is under way.
        if (this.replay?.jump.get() === jump) this.thresholds.set(rules);
      },
      () => {
        // A line of another moment is worse than none.
        if (this.replay) this.thresholds.set([]);
      },
    );
  }

  /** One fetch at a time; a change told of meanwhile is fetched after it. */
  #fetchDictionary(): Promise<void> {
    if (this.#fetching) {
      this.#fetchAgain = true;
      return this.#fetching;
    }
    const fetching = (async () => {
      do {
        this.#fetchAgain = false;
        const answer = await api.dictionary(this.#etag, this.replay?.dictionary);
        if (!answer) continue;
        this.#etag = answer.etag;
        if (answer.dictionary.hub !== this.city.hub) {
          this.figureBook.reset();
          this.#seeded.clear();
        }
        this.city.load(answer.dictionary);
        this.alarmBook.repeat();
      } while (this.#fetchAgain);
    })().finally(() => {
      this.#fetching = undefined;
    });
    this.#fetching = fetching;
    return fetching;
  }

  #hello(hub: { id: string; dict: number; build?: string; screen?: string; replay?: ReplayState }): void {
    if (hub.replay) this.#past(hub.replay);
    this.own.set(hub.screen !== undefined);
    if (hub.build) {
      const first = this.build.get();
      if (first && first !== hub.build) this.upgraded.set(true);
      this.build.set(hub.build);
    }
    if (hub.id !== this.city.hub) {
      // The hub started anew between the dictionary and the connection.
      this.#etag = '';
      this.#told = false;
      this.city.reset();
      this.#refetch();
    } else if (hub.dict > this.city.dict) this.#refetch();
  }

  #frame(frame: Frame): void {
    if (frame.dict > this.city.dict && this.city.dict >= 0) this.#refetch();
    if (frame.kind === 'positions') {
      const devices = this.city.move(frame, this.clock.now());
      for (const listener of this.movedListeners) listener(devices);
    } else this.city.apply(frame, this.clock.now());
    if (frame.kind === 'snapshot') {
      this.#told = true;
      this.second();
    }
  }

  #message(message: Exclude<ServerMessage, { type: 'hello' }>): void {
    switch (message.type) {
      case 'heartbeat':
        this.clock.observe(message.now);
        this.heartbeat.set(message);
        if (message.replay) this.#past(message.replay);
        break;
      case 'alarms':
        if (message.reset) {
          this.alarmBook.reset(message.alarms ?? []);
          if (this.#everyAlarm && (message.total ?? 0) > (message.alarms?.length ?? 0))
            void this.#fetchAlarms();
        } else this.#alarmsChanged(message.changed);
        break;
      case 'alarm':
        this.#alarmsChanged([message.alarm]);
        break;
      case 'scene':
        if (this.#turned(message)) break;
        this.scene.set(message);
        if (!this.replay) keepScene(message);
        break;
      case 'replay':
        this.#past(message);
        break;
      case 'warnings':
        this.inForce.set(message.warnings);
        break;
      case 'dictionary':
        if (message.dict > this.city.dict) this.#refetch();
        break;
      case 'gap':
        if (this.replay) break; // each connection is a replay of its own
        console.warn(`live connection: ${message.reason}: ${message.from} to ${message.to} not received`);
        break;
      case 'error':
        console.error(`live connection: the server says ${message.code}: ${message.message}`);
        break;
    }
  }

  /** Goes into the past or out of it, when that is what the display is told. */
  #turned(message: SceneMessage): boolean {
    clearTimeout(this.#retryPast);
    const then = timeOf(message, this.follow, this.replay);
    if (then && 'go' in then) this.#leave(then.go);
    else if (then) this.socket.say({ type: 'seek', at: then.seek });
    else if (message.replay && !this.replay) {
      this.#retryPast = setTimeout(() => this.#turned(message), ROOM_EVERY);
    }
    return this.#leaving;
  }

  #leave(address: string): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.stop();
    // Not from within a message of the connection that has just been ended.
    queueMicrotask(() => this.#turn(address));
  }

  /** Adds what a snapshot left out; what was told meanwhile is newer than what is fetched. */
  async #fetchAlarms(): Promise<void> {
    const closed = new Set<string>();
    this.#closedMeanwhile = closed;
    try {
      const all = await api.alarms();
      if (this.#closedMeanwhile !== closed) return; // a later snapshot asked again
      const known = this.alarmBook.alarms.get();
      this.alarmBook.putAll(
        all.filter((a) => !closed.has(a.id) && (a.changes ?? 0) > (known.get(a.id)?.changes ?? -1)),
      );
    } catch (error) {
      console.warn('the rest of the alarms was not fetched', error);
    } finally {
      if (this.#closedMeanwhile === closed) this.#closedMeanwhile = undefined;
    }
  }

  /** Takes where a replay is; what was gathered about another moment goes. */
  #past(state: ReplayState): void {
    const { replay } = this;
    if (!replay) return;
    const jump = replay.jump.get();
    replay.take(state);
    if (replay.jump.get() !== jump) {
      this.figureBook.reset();
      this.#seeded.clear();
      this.thresholds.set([]);
      this.#fetchRules();
    }
  }

  #alarmsChanged(changed: readonly Alarm[]): void {
    for (const a of changed) if (a.state === 'normal') this.#closedMeanwhile?.add(a.id);
    const before = this.alarmBook.alarms.get();
    const called = changed.findLast(
      (a) => a.priority === 1 && a.state === 'unacknowledged' && before.get(a.id)?.state !== 'unacknowledged',
    );
    this.alarmBook.putAll(changed);
    if (called) this.urgent.set(called);
  }

  #refetch(): void {
    this.#fetchDictionary().catch((error: unknown) => {
      // The next frame with a newer dictionary or the next connection asks again.
      console.warn('dictionary not fetched', error);
    });
  }

  #nudge = (): void => this.socket.nudge();

  #subscribe = (): void => {
    const viewOnly = this.city.devices > WHOLE_CITY;
    this.viewOnly.set(viewOnly);
    let view: [number, number, number, number] | null = null;
    if (viewOnly && this.#view) {
      // A margin of a quarter, so that a small pan shows values at once.
      const [w, s, e, n] = this.#view;
      const x = (e - w) / 4;
      const y = (n - s) / 4;
      view = [w - x, s - y, e + x, n + y];
    }
    this.socket.subscribe({ view, quantities: null, alarms: { maxPriority: 4 } });
  };

  /** Fetches, once per channel, the hour of rain and of the river from before this page. */
  #seed(): void {
    const city = this.city;
    const now = this.clock.now();
    const river = this.riverDevice();
    const wanted: { device: number; quantity: string; channel: number }[] = [];
    if (river !== undefined) {
      const channel = city.channel(river, 'water_level');
      if (channel !== undefined) wanted.push({ device: river, quantity: 'water_level', channel });
    }
    for (const channel of city.of('rain_total')) {
      wanted.push({ device: city.deviceOf[channel], quantity: 'rain_total', channel });
    }
    // A few at a time: a city has hundreds of gauges.
    let budget = 4;
    for (const w of wanted) {
      const key = `${city.id[w.device]}/${w.quantity}`;
      if (this.#seeded.has(key)) continue;
      if (budget-- === 0) break;
      this.#seeded.add(key);
      api.readings(city.id[w.device], w.quantity, now - 3_600_000, now, 60_000).then(
        (points) => {
          if (w.quantity === 'rain_total') this.figureBook.gauge(w.channel).seed(points);
          else this.figureBook.seedRiver(w.channel, points);
        },
        () => undefined, // the figure says how many minutes it stands on
      );
    }
  }

  /** What scripts read to tell a living wall from a dead one. */
  #mark(): void {
    const root = document.documentElement;
    const { state } = this.socket.link.get();
    root.dataset.state = this.replay && state === 'live' ? 'replay' : state;
  }
}

/** A set kept in the browser, so that a screen that restarts shows the same. */
function remembered(key: string, first: readonly string[]): Cell<ReadonlySet<string>> {
  let value: ReadonlySet<string> = new Set(first);
  try {
    const stored = localStorage.getItem(key);
    if (stored !== null) value = new Set(JSON.parse(stored) as string[]);
  } catch {
    // Forbidden or damaged storage: start from the default.
  }
  const cell = new Cell(value);
  cell.subscribe(() => {
    try {
      localStorage.setItem(key, JSON.stringify([...cell.get()]));
    } catch {
      // As above.
    }
  });
  return cell;
}

const SCENE_KEPT = 'vonglau.scene';

/** What was shown last: a screen that starts while the server is away shows it again. */
function lastScene(): SceneMessage | undefined {
  try {
    const stored = localStorage.getItem(SCENE_KEPT);
    if (!stored) return undefined;
    const message = JSON.parse(stored) as SceneMessage;
    // A focus and a push are of then; the layout holds.
    return Array.isArray(message.scene?.panels) ? { ...message, n: 0 } : undefined;
  } catch {
    return undefined; // forbidden or damaged storage
  }
}

function keepScene(message: SceneMessage): void {
  try {
    const { focus: _, ...rest } = message;
    localStorage.setItem(SCENE_KEPT, JSON.stringify(rest));
  } catch {
    // See lastScene().
  }
}
