import type { Calm } from './model.ts';

/** The picture moves by this much at most, in pixels, this often. */
export const ORBIT = 4;
export const ORBIT_EVERY = 3 * 60_000;

const STEPS = [
  [0, 0],
  [1, 0],
  [1, 1],
  [0, 1],
  [-1, 1],
  [-1, 0],
  [-1, -1],
  [0, -1],
  [1, -1],
] as const;

/** Where the picture is on its orbit: the browsers of a wall move together. */
export function orbit(now: number): [number, number] {
  const [x, y] = STEPS[Math.floor(now / ORBIT_EVERY) % STEPS.length];
  return [x * ORBIT, y * ORBIT];
}

const zone = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
  timeZone: 'Asia/Ho_Chi_Minh',
});

/** Minutes of the city's day. */
export function minuteOf(now: number): number {
  const [h, m] = zone.format(now).split(':');
  return Number(h) * 60 + Number(m);
}

function parse(time: string | undefined): number | undefined {
  const found = /^(\d\d):(\d\d)$/.exec(time ?? '');
  return found ? Number(found[1]) * 60 + Number(found[2]) : undefined;
}

/** The share of light left, from 0 to 1. */
export function light(calm: Calm, now: number): number {
  const from = parse(calm.dimFrom);
  const to = parse(calm.dimTo);
  if (from === undefined || to === undefined || from === to || !calm.dim) return 1;
  const at = minuteOf(now);
  const night = from < to ? at >= from && at < to : at >= from || at < to;
  // Never so dark that an alarm is not seen.
  return night ? Math.max(0.2, Math.min(1, calm.dim / 100)) : 1;
}

/** Whether it is the half hour in which a display may start its page anew. */
export function reloadDue(calm: Calm, now: number, loaded: number): boolean {
  const at = parse(calm.reload);
  if (at === undefined || now - loaded < 3_600_000) return false;
  const past = (minuteOf(now) - at + 1440) % 1440;
  return past < 30;
}
