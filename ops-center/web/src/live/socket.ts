import { Cell } from '../cell.ts';
import type { ReplayState } from '../replay/moment.ts';
import { decodeFrame, type Frame, PROTOCOL } from './frame.ts';
import { Close, type ServerMessage, type Subscription } from './protocol.ts';

/** Nothing heard for this long means what is shown is old. */
export const SILENT_AFTER = 2500;
/** Nothing heard for this long means the connection is half open: start anew. */
export const DEAD_AFTER = 8000;
/** An attempt that has not opened and said hello by then is given up. */
const OPEN_WITHIN = 10_000;
const BACKOFF_FIRST = 500;
const BACKOFF_MOST = 15_000;

export type LinkState = 'connecting' | 'live' | 'stale';

export interface Link {
  state: LinkState;
  /** Attempts since the last time it was live. */
  attempt: number;
  /** Local time of the last thing heard when the state changed; 0 for never. */
  heard: number;
  /** Local time of the next attempt, when one is waited for. */
  retryAt: number;
  /** The server's close code of the last connection, 0 for none. */
  code: number;
}

export interface LiveHandlers {
  /** Run before each attempt: fetches the dictionary. A thrown error counts as a failed attempt. */
  prepare(): Promise<void>;
  /** A connection begins. Another hub's id means other indices. */
  hello(hub: {
    id: string;
    resumed: boolean;
    dict: number;
    build?: string;
    screen?: string;
    replay?: ReplayState;
  }): void;
  frame(frame: Frame): void;
  message(message: Exclude<ServerMessage, { type: 'hello' }>): void;
  /** A frame that could not be read; the connection is started anew. */
  broken(error: unknown): void;
  /** Not authorised: no further attempt is made until start(). */
  unauthorised(): void;
}

/**
 * The live connection of one screen: keeps one socket open, resumes after a
 * break where it left off, and says within three seconds when what it gave is
 * no longer current. It is told by the server's heartbeats, not by the socket:
 * a half-open connection looks healthy for minutes.
 */
export class LiveSocket {
  readonly link = new Cell<Link>({ state: 'connecting', attempt: 0, heard: 0, retryAt: 0, code: 0 });

  #base: string;
  #ask: (params: URLSearchParams) => void;
  #handlers: LiveHandlers;
  #socket: WebSocket | undefined;
  #running = false;
  #generation = 0;
  #hub = '';
  #seq = 0;
  /** Whether what we have can be continued from #seq. */
  #resumable = false;
  #attempt = 0;
  #code = 0;
  #heard = 0;
  #opened = 0;
  #greeted = false;
  #watch: ReturnType<typeof setInterval> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #subscription: Subscription = { view: null, quantities: null, alarms: { maxPriority: 4 } };
  /** What the server was last told we want, as text. */
  #told = '';

  /** Local time of the last thing heard; 0 for never. */
  get heard(): number {
    return this.#heard;
  }

  /** base is the address of /v1/live with ws: or wss:; ask adds to its query, anew for each attempt. */
  constructor(base: string, handlers: LiveHandlers, ask: (params: URLSearchParams) => void = () => {}) {
    this.#ask = ask;
    this.#base = base;
    this.#handlers = handlers;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#attempt = 0;
    this.#watch = setInterval(this.#check, 250);
    void this.#connect();
  }

  stop(): void {
    this.#running = false;
    this.#generation++;
    clearInterval(this.#watch);
    clearTimeout(this.#retry);
    this.#socket?.close(1000);
    this.#socket = undefined;
  }

  /** Attempts at once instead of after the wait: the network came back or a person asked. */
  nudge(): void {
    if (!this.#running || this.#socket) return;
    clearTimeout(this.#retry);
    void this.#connect();
  }

  /** What to be sent, kept over reconnects. */
  subscribe(subscription: Subscription): void {
    this.#subscription = subscription;
    this.#tell();
  }

  /** Says something to the server, when there is one to hear it. */
  say(message: { type: string; [field: string]: unknown }): void {
    if (this.#greeted) this.#socket?.send(JSON.stringify(message));
  }

  #tell(): void {
    const text = JSON.stringify({ type: 'subscribe', ...this.#subscription });
    if (!this.#greeted || text === this.#told) return;
    this.#told = text;
    this.#socket?.send(text);
  }

  async #connect(): Promise<void> {
    const generation = ++this.#generation;
    this.#greeted = false;
    this.#publish(0);
    try {
      await this.#handlers.prepare();
    } catch {
      if (generation === this.#generation) this.#again();
      return;
    }
    if (generation !== this.#generation || !this.#running) return;
    const url = new URL(this.#base);
    this.#ask(url.searchParams);
    if (this.#resumable) {
      url.searchParams.set('since', String(this.#seq));
      url.searchParams.set('epoch', this.#hub);
    }
    // The subscription goes along: one sent later is answered by a second snapshot.
    const { view, quantities } = this.#subscription;
    if (view) url.searchParams.set('view', view.join(','));
    if (quantities) url.searchParams.set('quantities', quantities.join(','));
    this.#told = JSON.stringify({ type: 'subscribe', ...this.#subscription });
    const socket = new WebSocket(url, [PROTOCOL]);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#opened = Date.now();
    socket.onmessage = (event) => {
      if (socket === this.#socket) this.#receive(event.data);
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#closed(event.code);
    };
  }

  #receive(data: unknown): void {
    this.#heard = Date.now();
    try {
      if (data instanceof ArrayBuffer) {
        const frame = decodeFrame(data);
        this.#handlers.frame(frame);
        this.#reach(frame.seq);
      } else if (typeof data === 'string') {
        const message = JSON.parse(data) as ServerMessage;
        if (message.type === 'hello') this.#hello(message);
        else {
          this.#handlers.message(message);
          if ('seq' in message) this.#reach(message.seq);
          // The list of alarms ends what a new connection is given: from here
          // on there is something to go on from.
          if (message.type === 'alarms') this.#resumable = true;
        }
      }
    } catch (error) {
      // What follows a frame we could not read would be applied to a state we
      // do not have: start from a snapshot.
      this.#handlers.broken(error);
      this.#resumable = false;
      this.#drop(Close.BadMessage);
      return;
    }
    if (this.#greeted && this.link.get().state !== 'live') this.#publish(0);
  }

  #hello(message: Extract<ServerMessage, { type: 'hello' }>): void {
    if (!message.resumed) this.#seq = 0;
    this.#hub = message.hub;
    this.#resumable = message.resumed;
    this.#greeted = true;
    this.#attempt = 0;
    const { build, screen, replay } = message;
    this.#handlers.hello({
      id: message.hub,
      resumed: message.resumed,
      dict: message.dict,
      ...(build ? { build } : {}),
      ...(screen ? { screen } : {}),
      ...(replay ? { replay } : {}),
    });
    this.#tell();
  }

  #reach(seq: number): void {
    if (seq > this.#seq) this.#seq = seq;
  }

  #closed(code: number): void {
    this.#socket = undefined;
    this.#code = code;
    this.#greeted = false;
    if (code === Close.NotAuthorised) {
      this.stop();
      this.#publish(0);
      this.#handlers.unauthorised();
      return;
    }
    if (code === Close.ResumeImpossible || code === Close.TooSlow) this.#resumable = false;
    this.#again();
  }

  /** Ends a connection that is of no use without waiting for the other side's close. */
  #drop(code: number): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#closed(code);
  }

  #again(): void {
    if (!this.#running) return;
    // Half of the wait is random: a hundred screens must not come back at once.
    const most = this.#code === Close.TooManyScreens ? BACKOFF_MOST : BACKOFF_FIRST * 2 ** this.#attempt;
    const wait = Math.min(BACKOFF_MOST, most) * (0.5 + Math.random() / 2);
    this.#attempt++;
    this.#publish(Date.now() + wait);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#connect(), wait);
  }

  #check = (): void => {
    const now = Date.now();
    const { state } = this.link.get();
    if (state === 'live' && now - this.#heard > SILENT_AFTER) this.#publish(this.link.get().retryAt);
    if (!this.#socket) return;
    if (this.#greeted && now - this.#heard > DEAD_AFTER) this.#drop(0);
    else if (!this.#greeted && now - this.#opened > OPEN_WITHIN) this.#drop(0);
  };

  #publish(retryAt: number): void {
    const current = this.#greeted && Date.now() - this.#heard <= SILENT_AFTER;
    const before = this.link.get().state;
    let state: LinkState = 'live';
    if (!current) state = before === 'connecting' ? 'connecting' : 'stale';
    this.link.set({ state, attempt: this.#attempt, heard: this.#heard, retryAt, code: this.#code });
  }
}
