import { ApiError, call, get } from '../api.ts';
import type { Label } from '../live/dictionary.ts';

export interface Rule {
  id: string;
  name: Label;
  disabled?: boolean;
  priority: number;
  owner: string;
  head: string;
  flow?: string;
  when: Record<string, unknown>;
}

export interface Standing {
  rule: string;
  idle?: string;
  devices: number;
  open: number;
}

export interface Mix {
  share: [number, number, number];
  warn: boolean;
}

export interface Book {
  rules: Rule[];
  standings: Standing[];
  mix: Mix;
  version: number;
}

export interface Version {
  n: number;
  at: string;
  by: string;
  note?: string;
  entries: number;
}

export interface Limit {
  set: string;
  level: string;
  name: Label;
  subject: string;
  quantity: string;
  value: number | null;
  to?: number | null;
  /** The value itself is not yet in the level. */
  over?: boolean;
  unit: string;
  average?: string;
  hours?: string;
  basis: string;
  authority: string;
  doubt?: string;
  validFrom: string;
  validTo?: string;
}

export interface TrialAlarm {
  rule: string;
  entity: string;
  device?: string;
  priority: number;
  raised: string;
  cleared?: string;
  message: Label;
  /** The rule, or the node that is down, for which it would not have been shown. */
  explained?: string;
}

export interface Trial {
  from: string;
  to: string;
  readings: number;
  devices: number;
  total: number;
  /** Of the total, those that would have been shown, and those expected for another alarm. */
  shown: number;
  explained: number;
  alarms: TrialAlarm[];
  rules: { rule: string; count: number; days?: Record<string, number> }[];
  busiest: { entity: string; count: number }[] | null;
  notes: string[];
}

const yaml = { 'Content-Type': 'application/yaml', Accept: 'application/json' };
const at = (id: string) => `/v1/rules/${encodeURIComponent(id)}`;

export const rules = {
  book: (signal?: AbortSignal) => get<Book>('/v1/rules', signal),
  one: (id: string, signal?: AbortSignal) => get<{ rule: Rule; source: string }>(at(id), signal),
  /** How a rule reads, before it is put in force; comments are what a form would lose. */
  check: async (id: string, source: string, signal?: AbortSignal) =>
    (await (
      await call(`${at(id)}/check`, { method: 'POST', headers: yaml, body: source }, signal)
    ).json()) as { rule: Rule; comments: boolean },
  put: (id: string, source: string) => call(at(id), { method: 'PUT', headers: yaml, body: source }),
  enable: (id: string, on: boolean) => call(`${at(id)}/${on ? 'enable' : 'disable'}`, { method: 'POST' }),
  versions: (signal?: AbortSignal) => get<{ versions: Version[] }>('/v1/rules/versions', signal),
  restore: (n: number) => call(`/v1/rules/versions/${n}/restore`, { method: 'POST' }),
  thresholds: (signal?: AbortSignal) => get<{ limits: Limit[] }>('/v1/thresholds', signal),
};

/** Tries one rule on stored history, with those it names; progress is told from 0 to 1. */
export async function tryRule(
  id: string,
  source: string,
  from: string,
  to: string,
  progress: (done: number) => void,
  signal: AbortSignal,
): Promise<Trial> {
  const answer = await call(
    `/v1/rules/test?${new URLSearchParams({ rule: id, from, to })}`,
    { method: 'POST', headers: yaml, body: source },
    signal,
    30 * 60_000,
  );
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const part = await reader?.read();
    if (!part || part.done) throw new ApiError(answer.status, 'the dry run ended without a result', '');
    rest += part.value;
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const said = JSON.parse(line) as { progress?: number; result?: Trial; error?: string };
      if (said.error) throw new ApiError(answer.status, said.error, '');
      if (said.result) return said.result;
      progress(said.progress ?? 0);
    }
  }
}
