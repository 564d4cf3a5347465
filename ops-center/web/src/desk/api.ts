import { ApiError, call, get, NO_ANSWER, TIMED_OUT } from '../api.ts';
import type { Alarm } from '../live/alarms.ts';
import type { Label } from '../live/dictionary.ts';

export type ActName =
  | 'acknowledge'
  | 'claim'
  | 'release'
  | 'comment'
  | 'assign'
  | 'accept'
  | 'return'
  | 'false'
  | 'shelve'
  | 'unshelve'
  | 'out-of-service'
  | 'return-to-service';

/** What an act takes along; each takes what is its own. */
export interface Details {
  note?: string;
  for?: string;
  department?: string;
  person?: string;
  due?: string;
}

/** An act that the server refused. */
export class Refused extends ApiError {
  override name = 'Refused';
  /** The last part of urn:vonglau:problem:…, '' for none. */
  readonly code: string;
  /** The alarm as it is now, when somebody else was first. */
  readonly alarm: Alarm | undefined;

  constructor(status: number, title: string, detail: string, code: string, alarm: Alarm | undefined) {
    super(status, title, detail);
    this.code = code;
    this.alarm = alarm;
  }
}

/** No answer came: nobody knows whether it was done. */
export function unanswered(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    (error.status === NO_ANSWER || error.status === TIMED_OUT || error.status === 502 || error.status === 504)
  );
}

const json = { Accept: 'application/json', 'Content-Type': 'application/json' };
const PATIENCE = 10_000;

async function send<T>(path: string, body: unknown): Promise<T> {
  const limit = AbortSignal.timeout(PATIENCE);
  let answer: Response;
  try {
    answer = await fetch(path, {
      method: 'POST',
      headers: json,
      body: JSON.stringify(body),
      credentials: 'same-origin',
      signal: limit,
    });
  } catch (error) {
    throw new ApiError(limit.aborted ? TIMED_OUT : NO_ANSWER, String(error), '');
  }
  if (answer.ok) {
    try {
      return (await answer.json()) as T;
    } catch (error) {
      // The answer began and broke off: it was done or not, nobody knows.
      throw new ApiError(NO_ANSWER, String(error), '');
    }
  }
  let problem: { title?: string; detail?: string; type?: string; alarm?: Alarm } = {};
  try {
    problem = (await answer.json()) as typeof problem;
  } catch {
    // A proxy's answer is a page.
  }
  const code = problem.type?.startsWith('urn:vonglau:problem:') ? problem.type.slice(20) : '';
  throw new Refused(
    answer.status,
    problem.title ?? answer.statusText,
    problem.detail ?? '',
    code,
    problem.alarm,
  );
}

export interface Transition {
  n: number;
  event: string;
  from: string;
  to: string;
  at: string;
  recorded?: string;
  who: { name: string; role: string; for?: string };
  why?: string;
  alarm: Alarm;
}

export interface RuleInForce {
  id: string;
  name: Label;
  owner: string;
  head: string;
  basis?: string;
  procedure?: Record<string, string[]>;
  when: { threshold?: { ref?: string; level?: string } | null };
}

export interface Detail {
  alarm: Alarm;
  rule?: RuleInForce;
  transitions: Transition[];
  neighbours: { alarm: Alarm; metres: number | null; minutes: number }[];
  maxShelveSeconds: number;
  needsNote: boolean;
}

export interface BulkResult {
  id: string;
  status: number;
  detail?: string;
  alarm?: Alarm;
}

export interface LogEntry {
  n: number;
  kind: 'note' | 'correction' | 'shift_begin' | 'shift_end';
  at: string;
  by: { name: string; role: string; id?: string };
  text?: string;
  alarm?: string;
  device?: string;
  corrects?: number;
  correctedBy?: number;
  exercise?: string;
}

export interface Duty {
  name: string;
  role: string;
  id?: string;
  since: string;
}

const one = (id: string) => `/v1/alarms/${encodeURIComponent(id)}`;

export const deskApi = {
  act: (id: string, act: ActName, details: Details) => send<Alarm>(`${one(id)}/${act}`, details),
  bulk: (ids: readonly string[], act: ActName, details: Details) =>
    send<{ results: BulkResult[] }>('/v1/alarms/acts', { act, ids, ...details }),
  detail: (id: string, signal?: AbortSignal) => get<Detail>(one(id), signal),
  departments: async () => {
    const body = await get<{ departments?: { name: string }[] | null }>('/v1/departments');
    return (body.departments ?? []).map((d) => d.name).filter(Boolean);
  },
  shift: async (signal?: AbortSignal) => (await get<{ on: Duty[] }>('/v1/shift', signal)).on,
  begin: (text: string) => send<LogEntry>('/v1/shift/begin', { text }),
  end: (text: string) => send<LogEntry>('/v1/shift/end', { text }),
  log: async (query: Record<string, string>, signal?: AbortSignal) =>
    (await get<{ entries: LogEntry[] }>(`/v1/log?${new URLSearchParams(query)}`, signal)).entries,
  write: (entry: { text: string; alarm?: string; corrects?: number }) => send<LogEntry>('/v1/log', entry),
  draftWarning: async (alarm: Alarm) => {
    const body = { alarms: [alarm.id], ...(alarm.exercise ? { exercise: true, drill: alarm.exercise } : {}) };
    return (
      await call('/v1/warnings', { method: 'POST', headers: json, body: JSON.stringify(body) })
    ).json() as Promise<{ id: string }>;
  },
};
