import type { HistoryPoint } from '../api.ts';
import type { Bucket, Point } from './api.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What people look at: an hour to a year. */
export const SPANS = [HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 365 * DAY] as const;
export const LEAST = 5 * MINUTE;
export const MOST = 5 * 365 * DAY;

const STEPS = [
  10 * SECOND,
  30 * SECOND,
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  3 * HOUR,
  6 * HOUR,
  DAY,
  7 * DAY,
];
/** As many values are drawn one by one: each can then be marked for what it is. */
const SINGLE = 1500;
const BUCKETS = 400;

/**
 * How a span is asked for: 0 takes each stored value, else buckets of so many
 * ms, whose lowest and highest are drawn as a band.
 */
export function stepFor(span: number, interval: number): number {
  if (span / Math.max(interval, SECOND) <= SINGLE) return 0;
  return STEPS.find((step) => span / step <= BUCKETS) ?? 7 * DAY;
}

/** Two neighbours further apart than this have a gap between them. */
export function gapFor(step: number, interval: number): number {
  return Math.max(2.5 * interval, 1.5 * step);
}

export interface Mark extends HistoryPoint {
  qualities: readonly string[];
  received?: number;
  /** Of a bucket. */
  count?: number;
}

export function marksOf(answer: { points: Point[]; buckets?: Bucket[] }, step: number): Mark[] {
  if (step > 0) {
    return (answer.buckets ?? []).map((b) => ({
      t: Date.parse(b.start) + step / 2,
      mean: b.mean,
      min: b.min,
      max: b.max,
      count: b.count,
      qualities: [],
    }));
  }
  return answer.points.map((p) => ({
    t: Date.parse(p.time),
    mean: p.value,
    min: p.value,
    max: p.value,
    qualities: p.qualities ?? [],
    ...(p.received ? { received: Date.parse(p.received) } : {}),
  }));
}

/** The stretches of [from, to) without a value, those at the ends included. */
export function gapsOf(
  marks: readonly { t: number }[],
  gap: number,
  from: number,
  to: number,
): [number, number][] {
  const gaps: [number, number][] = [];
  let before = from;
  for (const { t } of marks) {
    if (t - before > gap) gaps.push([before, t]);
    before = t;
  }
  if (to - before > gap) gaps.push([before, to]);
  return gaps;
}

/** The window moved or zoomed about its middle; `to` undefined follows the clock. */
export interface View {
  span: number;
  to: number | undefined;
}

export function pan(view: View, share: number, now: number): View {
  const to = (view.to ?? now) + view.span * share;
  return { span: view.span, to: to >= now ? undefined : to };
}

export function zoom(view: View, factor: number, now: number): View {
  const span = Math.min(MOST, Math.max(LEAST, view.span * factor));
  if (view.to === undefined) return { span, to: undefined };
  const to = view.to + (span - view.span) / 2;
  return { span, to: to >= now ? undefined : to };
}

/** The window after a key; undefined for a key that does not move it. */
export function moved(view: View, key: string, far: boolean, now: number): View | undefined {
  switch (key) {
    case 'ArrowLeft':
      return pan(view, far ? -1 : -0.25, now);
    case 'ArrowRight':
      return pan(view, far ? 1 : 0.25, now);
    case '+':
    case '=':
      return zoom(view, 0.5, now);
    case '-':
      return zoom(view, 2, now);
    case 'End':
      return { span: view.span, to: undefined };
  }
  return undefined;
}

/** Which mark is nearest to a time; undefined when there is none. */
export function nearest(marks: readonly Mark[], t: number): Mark | undefined {
  let best: Mark | undefined;
  for (const m of marks) if (!best || Math.abs(m.t - t) < Math.abs(best.t - t)) best = m;
  return best;
}

/** Two texts of hex and letters, sixteen bytes a line, as people read dumps. */
export function dump(base64: string): string {
  const raw = atob(base64);
  const lines: string[] = [];
  for (let at = 0; at < raw.length; at += 16) {
    const part = raw.slice(at, at + 16);
    const hex = [...part].map((c) => c.charCodeAt(0).toString(16).padStart(2, '0')).join(' ');
    const text = [...part].map((c) => (c >= ' ' && c <= '~' ? c : '.')).join('');
    lines.push(`${at.toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join('\n');
}

export interface Difference {
  path: string;
  desired?: unknown;
  reported?: unknown;
  same: boolean;
}

/** Desired against reported, leaf by leaf. What nobody desires is never a difference. */
export function differences(desired: unknown, reported: unknown): Difference[] {
  const flat = (value: unknown, path: string, into: Map<string, unknown>) => {
    if (value && typeof value === 'object' && !Array.isArray(value)) {
      for (const [key, v] of Object.entries(value)) flat(v, path ? `${path}.${key}` : key, into);
    } else if (path) into.set(path, value);
    return into;
  };
  const [want, have] = [flat(desired, '', new Map()), flat(reported, '', new Map())];
  return [...new Set([...want.keys(), ...have.keys()])].sort().map((path) => ({
    path,
    ...(want.has(path) ? { desired: want.get(path) } : {}),
    ...(have.has(path) ? { reported: have.get(path) } : {}),
    same: !want.has(path) || JSON.stringify(want.get(path)) === JSON.stringify(have.get(path)),
  }));
}
