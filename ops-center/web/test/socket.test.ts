import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DEAD_AFTER, LiveSocket, SILENT_AFTER } from '../src/live/socket.ts';
import { bytes } from './bytes.ts';

/** A WebSocket whose other end is the test. */
class Wire {
  static made: Wire[] = [];
  url: URL;
  sent: string[] = [];
  binaryType = '';
  onmessage: ((e: { data: unknown }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;

  constructor(url: URL) {
    this.url = new URL(url);
    Wire.made.push(this);
  }
  send(text: string): void {
    this.sent.push(text);
  }
  close(): void {}

  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  greet(hub: string, resumed: boolean, seq = 0): void {
    this.say({ type: 'hello', hub, seq, dict: 1, now: 0, heartbeatMs: 1000, tickMs: 250, resumed });
  }
  frame(seq: number): void {
    const low = seq.toString(16).padStart(2, '0');
    this.onmessage?.({
      data: bytes(`56474c31 01010000 00000000 01000000 ${low}00000000000000 0000000000000000`),
    });
  }
}

let log: string[];
let prepared: () => Promise<void>;

function open(): LiveSocket {
  const socket = new LiveSocket('ws://wall.test/v1/live', {
    prepare: () => prepared(),
    hello: (hub) => log.push(`hello ${hub.id} ${hub.resumed}`),
    frame: (frame) => log.push(`${frame.kind} ${frame.seq}`),
    message: (message) => log.push(message.type),
    broken: () => log.push('broken'),
    unauthorised: () => log.push('unauthorised'),
  });
  socket.start();
  return socket;
}

const last = () => Wire.made[Wire.made.length - 1];
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', Wire);
  Wire.made = [];
  log = [];
  prepared = () => Promise.resolve();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('LiveSocket', () => {
  test('is live from the first message and stale soon after the last', async () => {
    const socket = open();
    await settle();
    expect(socket.link.get().state).toBe('connecting');
    last().greet('h', false);
    expect(socket.link.get().state).toBe('live');
    await vi.advanceTimersByTimeAsync(SILENT_AFTER - 500);
    last().say({ type: 'heartbeat', seq: 1, now: 0 });
    await vi.advanceTimersByTimeAsync(SILENT_AFTER - 500);
    expect(socket.link.get().state).toBe('live');
    await vi.advanceTimersByTimeAsync(1000);
    expect(socket.link.get().state).toBe('stale');
    last().say({ type: 'heartbeat', seq: 2, now: 0 });
    expect(socket.link.get().state).toBe('live');
    socket.stop();
  });

  test('says stale within three seconds of the last heartbeat', () => {
    expect(SILENT_AFTER + 250).toBeLessThan(3000);
  });

  test('a half-open connection is given up and resumed where it was', async () => {
    const socket = open();
    await settle();
    last().greet('h', false);
    last().frame(5);
    last().say({ type: 'alarms', seq: 5, reset: true, alarms: [] });
    last().say({ type: 'heartbeat', seq: 9, now: 0 });
    await vi.advanceTimersByTimeAsync(DEAD_AFTER + 1500);
    expect(Wire.made).toHaveLength(2);
    expect(last().url.searchParams.get('since')).toBe('9');
    expect(last().url.searchParams.get('epoch')).toBe('h');
    last().greet('h', true, 9);
    expect(socket.link.get()).toMatchObject({ state: 'live', attempt: 0 });
    socket.stop();
  });

  test('does not resume from what was never completely told', async () => {
    const socket = open();
    await settle();
    last().greet('h', false);
    last().frame(5);
    last().onclose?.({ code: 1006 });
    await vi.advanceTimersByTimeAsync(1000);
    expect(last().url.searchParams.has('since')).toBe(false);
    socket.stop();
  });

  test.each([4003, 4005])('comes back to a snapshot after close code %d', async (code) => {
    const socket = open();
    await settle();
    last().greet('h', false);
    last().say({ type: 'alarms', seq: 5, reset: true, alarms: [] });
    last().onclose?.({ code });
    await vi.advanceTimersByTimeAsync(1000);
    expect(Wire.made).toHaveLength(2);
    expect(last().url.searchParams.has('since')).toBe(false);
    socket.stop();
  });

  test('waits longer after each failure, never alike, and stops at the most', async () => {
    prepared = () => Promise.reject(new Error('no server'));
    const socket = open();
    const waits: number[] = [];
    for (let i = 0; i < 10; i++) {
      await settle();
      const wait = socket.link.get().retryAt - Date.now();
      waits.push(wait);
      await vi.advanceTimersByTimeAsync(wait + 1);
    }
    for (const [i, wait] of waits.entries()) {
      const most = Math.min(15_000, 500 * 2 ** i);
      expect(wait).toBeGreaterThanOrEqual(most / 2);
      expect(wait).toBeLessThanOrEqual(most);
    }
    expect(Wire.made).toHaveLength(0);
    socket.stop();
  });

  test('a person or the network coming back ends the wait', async () => {
    prepared = () => Promise.reject(new Error('no server'));
    const socket = open();
    await settle();
    prepared = () => Promise.resolve();
    socket.nudge();
    await settle();
    expect(Wire.made).toHaveLength(1);
    socket.stop();
  });

  test('stops when it is not authorised', async () => {
    const socket = open();
    await settle();
    last().greet('h', false);
    last().onclose?.({ code: 4001 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(log.at(-1)).toBe('unauthorised');
    expect(Wire.made).toHaveLength(1);
    socket.stop();
  });

  test('a frame it cannot read starts it anew from a snapshot', async () => {
    const socket = open();
    await settle();
    last().greet('h', false);
    last().say({ type: 'alarms', seq: 5, reset: true, alarms: [] });
    last().onmessage?.({ data: bytes('00 01 02') });
    expect(log.at(-1)).toBe('broken');
    await vi.advanceTimersByTimeAsync(1000);
    expect(last().url.searchParams.has('since')).toBe(false);
    socket.stop();
  });

  test('what arrives on a connection it gave up is not taken', async () => {
    const socket = open();
    await settle();
    const old = last();
    old.greet('h', false);
    old.onclose?.({ code: 1006 });
    await vi.advanceTimersByTimeAsync(1000);
    log = [];
    old.frame(7);
    expect(log).toEqual([]);
    socket.stop();
  });

  test('the subscription goes along with the connection and is told once', async () => {
    const socket = open();
    await settle();
    last().greet('h', false);
    const subscription = {
      view: [1, 2, 3, 4] as [number, number, number, number],
      quantities: null,
      alarms: { maxPriority: 4 },
    };
    socket.subscribe(subscription);
    socket.subscribe(subscription);
    expect(last().sent).toHaveLength(1);
    last().onclose?.({ code: 1006 });
    await vi.advanceTimersByTimeAsync(1000);
    expect(last().url.searchParams.get('view')).toBe('1,2,3,4');
    last().greet('h', false);
    expect(last().sent).toHaveLength(0);
    socket.stop();
  });
});
