import { get } from '../api.ts';
import type { Label } from '../live/dictionary.ts';

export interface Figure {
  name: string;
  title: Label;
  value: number | null;
  unit: 's' | 'share' | 'alarms';
  better: 'lower' | 'higher';
  from: string;
  to: string;
  n: number;
  definition: Label;
  counting: Record<string, number>;
  counted: string;
  target: number | null;
  source: Label;
  owner: { department?: string; head?: string };
}

/** A rule and what its alarms are about, with today's names where there are any. */
export interface Subject {
  rule: string;
  entity: string;
  ruleName?: Label;
  name?: string;
  device?: string;
}

export interface Actor extends Subject {
  alarms: number;
  share: number;
}

export interface Performance {
  alarms: number;
  series: { start: string; alarms: number; operators: number; perOperator: number }[] | null;
  mean: number;
  peak: number;
  floods: { from: string; to: string }[] | null;
  floodShare: number;
  priorities: { priority: 1 | 2 | 3 | 4; alarms: number; share: number; target: number | null }[] | null;
  badActors: Actor[] | null;
  chattering: Actor[] | null;
  stale: (Subject & { id: string; priority: 1 | 2 | 3 | 4; raised: string })[] | null;
  records: number;
}

export interface Period {
  from: number;
  to: number;
}

const query = (p: Period) =>
  new URLSearchParams({ from: new Date(p.from).toISOString(), to: new Date(p.to).toISOString() });

export const figures = {
  list: async (p: Period, signal?: AbortSignal) =>
    (await get<{ figures: Figure[] }>(`/v1/figures?${query(p)}`, signal)).figures,
  recount: (name: string, p: Period, signal?: AbortSignal) =>
    get<Figure>(`/v1/figures/${encodeURIComponent(name)}?${query(p)}&recompute=1`, signal),
  performance: (p: Period, signal?: AbortSignal) =>
    get<Performance>(`/v1/alarms/performance?${query(p)}`, signal),
};

/** The period before, as long as this one. */
export const before = (p: Period): Period => ({ from: p.from - (p.to - p.from), to: p.from });

/** Whether a figure meets its target; undefined when either is not there. */
export function meets(f: Pick<Figure, 'value' | 'target' | 'better'>): boolean | undefined {
  if (f.value === null || f.target === null) return undefined;
  return f.better === 'lower' ? f.value <= f.target : f.value >= f.target;
}

/** Whether a change is for the better; undefined for none worth an arrow. */
export function improves(f: Pick<Figure, 'value' | 'better'>, was: number | null): boolean | undefined {
  if (f.value === null || was === null) return undefined;
  const change = f.value - was;
  if (Math.abs(change) <= Math.max(Math.abs(was), Math.abs(f.value)) * 0.005) return undefined;
  return f.better === 'lower' ? change < 0 : change > 0;
}
