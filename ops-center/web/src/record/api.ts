import { get } from '../api.ts';

export type Outcome = 'done' | 'refused' | 'failed';
export type ActorKind = 'person' | 'program' | 'machine' | 'stranger';

/** One line of the record; see ops-center/audit. */
export interface Entry {
  n: number;
  at: string;
  who: { id?: string; role?: string; kind: ActorKind };
  name?: string;
  from?: string;
  request?: string;
  act: string;
  object?: string;
  outcome: Outcome;
  status?: number;
  reason?: string;
  count?: number;
  before?: unknown;
  after?: unknown;
  prev: string;
}

export interface Filter {
  who: string;
  act: string;
  object: string;
  outcome: string;
  from: string;
  to: string;
}

export const NO_FILTER: Filter = { who: '', act: '', object: '', outcome: '', from: '', to: '' };

export type FaultKind = 'altered' | 'removed' | 'inserted' | 'reordered' | 'forged' | 'bad_checkpoint';

export interface Report {
  ok: boolean;
  records: number;
  signed: number;
  faults?: { kind: FaultKind; from: number; to?: number; detail: string }[];
}

export const SEVERITIES = ['alert', 'warning', 'notice'] as const;
export type Severity = (typeof SEVERITIES)[number];

export const KINDS = [
  'failed_login',
  'lockout',
  'break_glass',
  'token_refused',
  'cross_origin',
  'permission_denied',
  'foreign_host',
  'identity_clone',
  'foreign_prefix',
  'device_refused',
  'topic_violation',
  'flood',
  'malformed_burst',
  'clock_jump',
  'certificate',
  'audit_chain',
  'journal',
  'account',
] as const;
export type EventKind = (typeof KINDS)[number];

export interface SecurityEvent {
  n: number;
  at: string;
  until: string;
  kind: EventKind;
  severity: Severity;
  key?: string;
  from?: string;
  count: number;
  more?: boolean;
}

/** Days of the filter are the city's: the server reads a plain day so. */
export function query(filter: Filter, below?: number): string {
  const params = new URLSearchParams({ limit: '100' });
  for (const [key, value] of Object.entries(filter)) if (value) params.set(key, value);
  if (below) params.set('below', String(below));
  return params.toString();
}

export const record = {
  page: (filter: Filter, below?: number, signal?: AbortSignal) =>
    get<{ records: Entry[]; below?: number }>(`/v1/audit?${query(filter, below)}`, signal),
  verify: () => get<Report>('/v1/audit/verify'),
  events: (kind: string, severity: string, below?: number, signal?: AbortSignal) => {
    const params = new URLSearchParams({ limit: '100' });
    if (kind) params.set('kind', kind);
    if (severity) params.set('severity', severity);
    if (below) params.set('below', String(below));
    return get<{ events: SecurityEvent[]; below?: number }>(`/v1/security/events?${params}`, signal);
  },
};

/** One place where before and after differ. */
export interface Difference {
  path: string;
  before: string | undefined;
  after: string | undefined;
}

/** What differs between two values of JSON, by the path to it; all of one that has no counterpart. */
export function differences(before: unknown, after: unknown): Difference[] {
  const flat = (value: unknown, path: string, into: Map<string, string>): Map<string, string> => {
    if (value === null || typeof value !== 'object') {
      if (value !== undefined) into.set(path, typeof value === 'string' ? value : JSON.stringify(value));
      return into;
    }
    const entries = Object.entries(value);
    if (entries.length === 0) into.set(path, Array.isArray(value) ? '[]' : '{}');
    for (const [key, child] of entries) flat(child, path ? `${path}.${key}` : key, into);
    return into;
  };
  const old = flat(before, '', new Map());
  const now = flat(after, '', new Map());
  const out: Difference[] = [];
  for (const path of new Set([...old.keys(), ...now.keys()])) {
    const [b, a] = [old.get(path), now.get(path)];
    if (b !== a) out.push({ path, before: b, after: a });
  }
  return out;
}
