import { call, get } from '../api.ts';
import type { Label } from '../live/dictionary.ts';

export interface Profile {
  name: string;
  label: Label;
  class: string;
  interval: number;
  main: string;
  moving: boolean;
  fields: { quantity: string }[] | null;
  commands?: { name: string; label?: Label; dangerous?: boolean }[];
  norm?: { models?: string[]; oldestFirmware?: string; newestFirmware?: string; credentials?: string[] };
}

export interface Quantity {
  name: string;
  label: Label;
  unit: string;
  digits: number;
  display: string;
}

export interface Latest {
  time: string;
  received: string;
  value: number;
  unit: string;
  at: [number, number] | null;
  zones: Record<string, { code: string }>;
  qualities?: string[];
}

export interface Point {
  time: string;
  received?: string;
  value: number;
  qualities?: string[];
}

export interface Bucket {
  start: string;
  min: number;
  mean: number;
  max: number;
  count: number;
}

export interface Limit {
  set: string;
  level: string;
  name: Label;
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
}

export interface Traffic {
  messages: number;
  values: number;
  bytes: number;
}

export interface Network {
  presence: 'never' | 'online' | 'late' | 'silent';
  family: string;
  site?: string;
  carrier?: string;
  isCloned: boolean;
  overBounds: number;
  roundTrip?: { lastMs: number; meanMs: number; sent: number; lost: number; at: string; method: string };
  upstream?: string;
  children: number;
  because?: string;
  first?: string;
  last?: string;
  via: string;
  total: Traffic;
  v6: Traffic;
  v4: Traffic;
  addresses: ({ address: string; first?: string; last?: string; via: string } & Traffic)[];
  older: number;
  refusals: Record<string, number> | null;
  link?: { state: string; at: string; reason?: string; connects: number; losses: number; wills: number };
}

export interface Message {
  received: string;
  via: string;
  from?: string;
  size?: number;
  observations: {
    time: string;
    deviceTime?: string;
    at: [number, number] | null;
    qualities?: string[];
    values: { quantity: string; value: number; sent?: string }[];
  }[];
}

export interface Refusal {
  at: string;
  reason: string;
  retry: boolean;
  via: string;
  from?: string;
  detail?: string;
  kept: boolean;
  /** base64 */
  payload?: string;
  text?: string;
}

export type CommandState =
  | 'proposed'
  | 'waiting'
  | 'delivered'
  | 'acknowledged'
  | 'done'
  | 'failed'
  | 'expired'
  | 'withdrawn';

export interface Command {
  id: string;
  name: string;
  args?: unknown;
  by: string;
  dangerous: boolean;
  approved?: string;
  asked: string;
  issued?: string;
  expires: string;
  state: CommandState;
  changed: string;
  result?: unknown;
}

export interface State {
  desired: Record<string, unknown>;
  desiredVersion: number;
  desiredAt?: string;
  by?: string;
  reported: Record<string, unknown>;
  reportedVersion: number;
  reportedAt?: string;
}

export interface Credential {
  id: string;
  kind: 'token' | 'psk' | 'x509';
  identity?: string;
  added: string;
  expires?: string;
}

export interface Secret {
  token?: string;
  psk?: { identity: string; key: string };
  x509?: { certificate: string; key?: string; ca: string };
}

export interface DeviceAlarm {
  id: string;
  rule: string;
  ruleName: Label;
  message: Label;
  priority: 1 | 2 | 3 | 4;
  state: string;
  raised: string;
  cleared?: string;
  acknowledged?: { by: string; at: string };
  exercise?: string;
}

export interface Air {
  hours: { end: string; index: AirIndex | null }[];
  daily: { end: string; index: AirIndex | null } | null;
  reference: boolean;
  label?: Label;
  method: Label;
  bands: { key: string; from: number; to: number; name: Label }[];
}

export interface AirIndex {
  value: number;
  main: string;
  parts: Record<string, number>;
  band: { key: string; name: Label; rgb: [number, number, number] };
}

export interface Image {
  name: string;
  version: string;
  profile: string;
  size: number;
  sha256: string;
  added?: string;
}

export type Progress =
  | 'pending'
  | 'told'
  | 'downloading'
  | 'installing'
  | 'installed'
  | 'rolled_back'
  | 'failed'
  | 'unreachable';

export interface CampaignDevice {
  id: string;
  ring: number;
  state: Progress;
  attempts?: number;
  from?: string;
  version?: string;
  cause?: string;
  changed: string;
}

export interface Campaign {
  id: string;
  image: string;
  rings: { percent?: number; devices?: string[] }[];
  maxFailures: number;
  soak: string;
  patience: string;
  parallel: number;
  state: 'draft' | 'running' | 'paused' | 'stopped' | 'aborted' | 'completed';
  reason?: string;
  by: string;
  ring: number;
  counts: Partial<Record<Progress, number>>[];
  created: string;
  changed: string;
  devices?: CampaignDevice[];
}

const one = (id: string) => `/v1/devices/${encodeURIComponent(id)}`;
const json = { 'Content-Type': 'application/json', Accept: 'application/json' };

async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await call(path, {
    method,
    headers: json,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

const span = (from: number, to: number) => ({
  from: new Date(from).toISOString(),
  to: new Date(to).toISOString(),
});

/** What the page of one device asks and does. */
export const device = {
  catalogue: (signal?: AbortSignal) =>
    get<{ profiles: Profile[]; quantities: Quantity[] }>('/v1/profiles', signal),

  latest: async (id: string, signal?: AbortSignal) =>
    (await get<{ quantities: Record<string, Latest> }>(`${one(id)}/latest`, signal)).quantities,

  readings: (id: string, quantity: string, from: number, to: number, step: number, signal?: AbortSignal) =>
    get<{ unit: string; points: Point[]; buckets?: Bucket[]; next?: string }>(
      `${one(id)}/readings?${new URLSearchParams({
        quantity,
        ...span(from, to),
        ...(step > 0 ? { step: `${step / 1000}s` } : {}),
      })}`,
      signal,
    ),

  table: (id: string, quantity: string, from: number, to: number) =>
    `${one(id)}/readings.csv?${new URLSearchParams({ quantity, ...span(from, to) })}`,

  limits: (id: string, quantity: string, signal?: AbortSignal) =>
    get<{ limits: Limit[]; station?: string }>(
      `/v1/thresholds?${new URLSearchParams({ device: id, quantity })}`,
      signal,
    ),

  open: async (id: string, signal?: AbortSignal) =>
    (await get<{ alarms: DeviceAlarm[] }>(`/v1/alarms?${new URLSearchParams({ device: id })}`, signal))
      .alarms,

  past: (id: string, signal?: AbortSignal) =>
    get<{ alarms: DeviceAlarm[]; more: boolean }>(
      `/v1/alarms/history?${new URLSearchParams({ device: id, from: '-30d', limit: '100' })}`,
      signal,
    ),

  network: (id: string, signal?: AbortSignal) => get<Network>(`${one(id)}/network`, signal),

  messages: async (id: string, signal?: AbortSignal) =>
    (await get<{ messages: Message[] }>(`${one(id)}/messages`, signal)).messages,

  refusals: (id: string, signal?: AbortSignal) =>
    get<{ refusals: Refusal[]; total: number }>(
      `/v1/refusals?${new URLSearchParams({ device: id, limit: '50' })}`,
      signal,
    ),

  air: (id: string, signal?: AbortSignal) =>
    get<Air>(`/v1/air-quality?${new URLSearchParams({ device: id })}`, signal),

  commands: async (id: string, signal?: AbortSignal) =>
    (await get<{ commands: Command[] }>(`${one(id)}/commands`, signal)).commands,
  send: (id: string, name: string, args: unknown, ttl: string) =>
    send<Command>('POST', `${one(id)}/commands`, { name, ttl, ...(args === undefined ? {} : { args }) }),
  approve: (id: string, command: string) =>
    send<Command>('POST', `${one(id)}/commands/${encodeURIComponent(command)}/approve`),
  withdraw: (id: string, command: string) =>
    send<Command>('DELETE', `${one(id)}/commands/${encodeURIComponent(command)}`),

  state: (id: string, signal?: AbortSignal) => get<State>(`${one(id)}/state`, signal),
  desire: async (id: string, patch: unknown) =>
    (await (
      await call(`${one(id)}/state/desired`, {
        method: 'PATCH',
        headers: { ...json, 'Content-Type': 'application/merge-patch+json' },
        body: JSON.stringify(patch),
      })
    ).json()) as State,

  credentials: (id: string, signal?: AbortSignal) =>
    get<{ credentials: Credential[]; revoked?: string }>(`${one(id)}/credentials`, signal),
  give: (id: string, kind: string, overlap: string) =>
    send<Secret & { credential: Credential }>('POST', `${one(id)}/credentials`, {
      kind,
      ...(overlap ? { overlap } : {}),
    }),
  revoke: (id: string, credential: string) =>
    send<void>('DELETE', `${one(id)}/credentials${credential ? `/${encodeURIComponent(credential)}` : ''}`),
  claim: (id: string) => send<{ claim: string; claimExpires: string }>('POST', `${one(id)}/claim`, {}),
};

export const firmware = {
  images: async (signal?: AbortSignal) => (await get<{ firmware: Image[] }>('/v1/firmware', signal)).firmware,
  upload: async (file: Blob, profile: string, version: string) =>
    (await (
      await call(
        `/v1/firmware?${new URLSearchParams({ profile, version })}`,
        { method: 'POST', headers: { 'Content-Type': 'application/octet-stream' }, body: file },
        undefined,
        10 * 60_000,
      )
    ).json()) as Image,
  campaigns: async (device = '', signal?: AbortSignal) =>
    (
      await get<{ campaigns: Campaign[] }>(
        `/v1/campaigns${device ? `?${new URLSearchParams({ device })}` : ''}`,
        signal,
      )
    ).campaigns,
  campaign: (id: string, signal?: AbortSignal) =>
    get<Campaign>(`/v1/campaigns/${encodeURIComponent(id)}`, signal),
  create: (c: {
    image: string;
    rings: { percent: number }[];
    maxFailures: number;
    soak: string;
    patience: string;
    parallel: number;
    start: boolean;
  }) => send<Campaign>('POST', '/v1/campaigns', c),
  act: (id: string, action: 'start' | 'pause' | 'resume' | 'abort', reason = '') =>
    send<Campaign>('POST', `/v1/campaigns/${encodeURIComponent(id)}/${action}`, reason ? { reason } : {}),
};

export interface Group {
  name: string;
  profile: string;
  prefix: string;
  site?: string;
  owner?: string;
  max: number;
  enrolled: number;
  until: string;
  added: string;
  state: 'open' | 'full' | 'over' | 'revoked';
}

export const enrolment = {
  groups: async (signal?: AbortSignal) =>
    (await get<{ groups: Group[] }>('/v1/enrolment-groups', signal)).groups,
  add: (g: { name: string; profile: string; site?: string; owner?: string; max: number; until: string }) =>
    send<Group & { secret: string }>('POST', '/v1/enrolment-groups', g),
  revoke: (name: string) => send<Group>('DELETE', `/v1/enrolment-groups/${encodeURIComponent(name)}`),
  expiring: async (signal?: AbortSignal) =>
    (
      await get<{ credentials: { device: string; credential: Credential }[] }>(
        '/v1/credentials/expiring?within=720h',
        signal,
      )
    ).credentials,
  announce: (d: { id: string; profile: string; name?: string; claimTTL: string }) =>
    send<{ id: string; claim: string; claimExpires: string }>('POST', '/v1/devices', d),
};
