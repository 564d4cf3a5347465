import { Cell } from '../cell.ts';
import { Clock } from '../live/clock.ts';

/** Where a replay is, as its server tells it; ms of the city's time. */
export interface ReplayState {
  at: number;
  speed: number;
  playing: boolean;
  loading: boolean;
  failed: boolean;
  from: number;
  to: number;
  dictionary: string;
}

export const SPEEDS = [1, 2, 5, 10, 30, 60, 120, 300, 600] as const;

/** The city's days. */
const day = new Intl.DateTimeFormat('sv-SE', { timeZone: 'Asia/Ho_Chi_Minh' });
export const dayOf = (ms: number): string => day.format(ms);

/**
 * The clock of a replay: told once a second and at every change, and going on
 * by itself in between at the replay's speed.
 */
export class ReplayClock extends Clock {
  #at: number;
  #since = 0;
  #rate = 0;
  #most: number;

  constructor(at: number) {
    super();
    this.#at = at;
    this.#most = at;
  }

  tell(state: ReplayState): void {
    const before = this.now();
    this.#rate = state.playing && !state.loading ? state.speed : 0;
    // What the server says was so a moment ago: a clock that is a little ahead
    // of it waits rather than goes back.
    const ahead = before - state.at;
    this.#at = this.#rate > 0 && ahead > 0 && ahead < this.#rate * 1500 ? before : state.at;
    this.#since = Date.now();
    // No news for three seconds is no time going by.
    this.#most = state.at + this.#rate * 3000;
  }

  override observe(): void {
    // The heartbeat's time is the replay's own, which tell() has.
  }

  override now(): number {
    if (this.#rate === 0) return this.#at;
    return Math.min(this.#at + (Date.now() - this.#since) * this.#rate, Math.max(this.#at, this.#most));
  }
}

/** One replay as this page sees it: what the address asked for, then what the server says. */
export class Replay {
  readonly state: Cell<ReplayState>;
  readonly clock: ReplayClock;
  /** Rises when another moment was loaded: what was fetched for the one before is void. */
  readonly jump = new Cell(0);
  /** The day of the map's boundaries. */
  readonly day: Cell<string>;
  dictionary = '';

  #loading = true;

  constructor(at: number, speed: number, playing: boolean) {
    this.clock = new ReplayClock(at);
    this.day = new Cell(dayOf(at));
    this.state = new Cell({
      at,
      speed,
      playing,
      loading: true,
      failed: false,
      from: at - 86_400_000,
      to: Math.max(at, Date.now()),
      dictionary: '',
    });
  }

  /** The address of the socket that goes on from here, after a break as at first. */
  query(params: URLSearchParams): void {
    const { speed, playing } = this.state.get();
    params.set('at', String(Math.round(this.clock.now())));
    params.set('speed', String(speed));
    if (!playing) params.set('paused', '1');
  }

  take(state: ReplayState): void {
    this.clock.tell(state);
    this.state.set(state);
    this.dictionary = state.dictionary;
    const loaded = this.#loading && !state.loading;
    this.#loading = state.loading;
    const today = dayOf(state.at);
    if (loaded) this.jump.set(this.jump.get() + 1);
    this.day.set(today);
  }
}

/** What the page's address asks for: /?replay=TIME&speed=N&paused=1. */
export function replayAsked(search: string): Replay | undefined {
  const asked = new URLSearchParams(search);
  const text = asked.get('replay');
  if (text === null) return undefined;
  const at = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  const speed = Number(asked.get('speed') ?? 1);
  const known = SPEEDS.some((s) => s === speed);
  return new Replay(
    Number.isFinite(at) ? at : Date.now() - 600_000,
    known ? speed : 1,
    asked.get('paused') !== '1',
  );
}
