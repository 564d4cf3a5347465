import type { Key } from './i18n/index.ts';
import type { Alarm } from './live/alarms.ts';
import type { Dictionary, Label } from './live/dictionary.ts';
import { inPast, ofThatDay, ofThatTime } from './replay/past.ts';

/** An answer that was not what was asked for; RFC 9457 problem details where the server gave them. */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly status: number;
  readonly detail: string;

  constructor(status: number, title: string, detail: string) {
    super(detail || title);
    this.status = status;
    this.detail = detail || title;
  }
}

/** status of an ApiError when no answer came at all. */
export const NO_ANSWER = 0;
export const TIMED_OUT = -1;

const PATIENCE = 15_000;

export async function call(
  path: string,
  init: RequestInit = {},
  signal?: AbortSignal,
  patience = PATIENCE,
): Promise<Response> {
  const limit = AbortSignal.timeout(patience);
  let answer: Response;
  try {
    answer = await fetch(path, {
      ...init,
      credentials: 'same-origin',
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(limit.aborted ? TIMED_OUT : NO_ANSWER, String(error), '');
  }
  if (answer.ok || answer.status === 304) return answer;
  let title = answer.statusText;
  let detail = '';
  try {
    const problem = (await answer.json()) as { title?: string; detail?: string };
    title = problem.title ?? title;
    detail = problem.detail ?? '';
  } catch {
    // Not every error is a problem document: a proxy's is a page.
  }
  throw new ApiError(answer.status, title, detail);
}

const json = { Accept: 'application/json' };

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await call(path, { headers: json }, signal)).json() as Promise<T>;
}

async function post(path: string, body: unknown): Promise<Response> {
  return call(path, {
    method: 'POST',
    headers: { ...json, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
}

export interface Session {
  name: string;
  role: string;
  permissions: string[];
}

export interface LayerInfo {
  name: string;
  join?: boolean;
}

export interface DeviceRecord {
  id: string;
  name?: string;
  profile: string;
  state?: string;
  owner?: string;
  upstream?: string;
  simulated?: boolean;
  presence?: { state?: string; since?: string; via?: string; from?: string };
}

export interface ZoneName {
  layer: string;
  code: string;
  name?: string;
}

/** One value or one bucket of a history; null values are gaps. */
export interface HistoryPoint {
  t: number;
  mean: number;
  min: number;
  max: number;
}

export interface ThresholdRule {
  id: string;
  name: Label;
  priority: 1 | 2 | 3 | 4;
  quantity: string;
  threshold: number;
  /** Whom it is for; undefined is everyone. */
  profiles?: string[];
  devices?: string[];
}

/** Whether a rule judges this quantity of this device. */
export function concerns(
  rule: ThresholdRule,
  quantity: string,
  device: string,
  profile: string | undefined,
): boolean {
  if (rule.quantity !== quantity) return false;
  if (rule.devices && !rule.devices.includes(device)) return false;
  return !rule.profiles || (profile !== undefined && rule.profiles.includes(profile));
}

interface ReadingsAnswer {
  points?: { time: string; value?: number; number?: number }[] | null;
  buckets?: { start: string; min: number; mean: number; max: number }[] | null;
}

/** The part of the HTTP API the wall reads. */
export const api = {
  /** Exchanges a token for this browser's session cookie. */
  async openSession(token: string): Promise<void> {
    await post('/v1/session', { token });
  },

  /** Who this browser's session is, and what it may do. */
  async session(): Promise<Session> {
    return get<Session>('/v1/session');
  },

  /** undefined when the dictionary with this ETag is still the newest. */
  async dictionary(
    etag: string,
    address = '/v1/live/dictionary',
  ): Promise<{ dictionary: Dictionary; etag: string } | undefined> {
    const headers: Record<string, string> = { ...json };
    if (etag) headers['If-None-Match'] = etag;
    // no-store: the conditional request is ours, the browser's cache must not answer 200 for a 304.
    const answer = await call(address, { headers, cache: 'no-store' });
    if (answer.status === 304) return undefined;
    return { dictionary: (await answer.json()) as Dictionary, etag: answer.headers.get('ETag') ?? '' };
  },

  async layers(): Promise<LayerInfo[]> {
    const body = await get<{ layers?: LayerInfo[] | null } | LayerInfo[]>('/v1/layers');
    return (Array.isArray(body) ? body : body.layers) ?? [];
  },

  /** All open alarms. */
  async alarms(): Promise<Alarm[]> {
    return (await get<{ alarms: Alarm[] }>('/v1/alarms')).alarms;
  },

  async acknowledge(id: string, note: string): Promise<void> {
    await post(`/v1/alarms/${encodeURIComponent(id)}/acknowledge`, { note });
  },

  async device(id: string, signal?: AbortSignal): Promise<DeviceRecord> {
    const record = await get<DeviceRecord>(`/v1/devices/${encodeURIComponent(id)}`, signal);
    // How it is connected now says nothing of then.
    if (inPast()) delete record.presence;
    return record;
  },

  async place(lon: number, lat: number, signal?: AbortSignal): Promise<ZoneName[]> {
    const body = await get<{ zones?: ZoneName[] | null }>(
      ofThatDay(`/v1/place?lon=${lon}&lat=${lat}`),
      signal,
    );
    return body.zones ?? [];
  },

  async refusals(device: string, signal?: AbortSignal): Promise<number> {
    const body = await get<{ refusals?: unknown[] | null; total?: number }>(
      `/v1/refusals?device=${encodeURIComponent(device)}&limit=1`,
      signal,
    );
    return body.total ?? body.refusals?.length ?? 0;
  },

  async readings(
    device: string,
    quantity: string,
    from: number,
    to: number,
    step: number,
    signal?: AbortSignal,
  ): Promise<HistoryPoint[]> {
    const query = new URLSearchParams({
      quantity,
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
    });
    if (step > 0) query.set('step', `${Math.round(step / 1000)}s`);
    const body = await get<ReadingsAnswer>(
      `/v1/devices/${encodeURIComponent(device)}/readings?${query}`,
      signal,
    );
    if (body.buckets) {
      return body.buckets.map((b) => ({ t: Date.parse(b.start), mean: b.mean, min: b.min, max: b.max }));
    }
    return (body.points ?? []).map((p) => {
      const value = p.value ?? p.number ?? Number.NaN;
      return { t: Date.parse(p.time), mean: value, min: value, max: value };
    });
  },

  /** Threshold rules, for the lines in charts: those in force at the moment shown. */
  async thresholds(): Promise<ThresholdRule[]> {
    type Rule = {
      id: string;
      name: Label;
      priority: 1 | 2 | 3 | 4;
      disabled?: boolean;
      scope?: { profiles?: string[]; devices?: string[] };
      when?: {
        threshold?: {
          quantity?: string;
          above?: number | null;
          below?: number | null;
          rate?: unknown;
        } | null;
      };
    };
    const query = ofThatTime(new URLSearchParams()).toString();
    const body = await get<{ rules?: Rule[] | null }>(`/v1/rules${query && `?${query}`}`);
    const found: ThresholdRule[] = [];
    for (const rule of body.rules ?? []) {
      const when = rule.when?.threshold;
      const threshold = when?.above ?? when?.below;
      if (!when?.quantity || typeof threshold !== 'number' || when.rate || rule.disabled) continue;
      found.push({
        id: rule.id,
        name: rule.name,
        priority: rule.priority,
        quantity: when.quantity,
        threshold,
        ...(rule.scope?.profiles?.length ? { profiles: rule.scope.profiles } : {}),
        ...(rule.scope?.devices?.length ? { devices: rule.scope.devices } : {}),
      });
    }
    return found;
  },
};

/** What went wrong, in the operator's language where the wall knows it. */
export function reasonKey(error: unknown): Key | undefined {
  if (!(error instanceof ApiError)) return undefined;
  if (error.status === NO_ANSWER) return 'error.network';
  if (error.status === TIMED_OUT) return 'error.timeout';
  if (error.status === 403) return 'error.forbidden';
  if (error.status === 409) return 'error.conflict';
  return undefined;
}
