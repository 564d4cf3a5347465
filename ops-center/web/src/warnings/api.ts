import { ApiError, call, get } from '../api.ts';

export interface Text {
  vi: string;
  en: string;
}
export interface Point {
  lat: number;
  lon: number;
}
export interface Zone {
  layer: string;
  code: string;
}
export interface Bulletin {
  level: number;
  number: string;
  issuer: string;
  time: string;
  area: string;
}

export interface Content {
  template?: string;
  categories: string[];
  responseTypes: string[];
  urgency: string;
  severity: string;
  certainty: string;
  event: Text;
  headline: Text;
  description: Text;
  instruction: Text;
  areaName: Text;
  onset?: string;
  expires: string;
  zones: Zone[];
  polygons: Point[][];
  bulletin?: Bulletin | undefined;
  note?: string;
  alarms: string[];
}

export interface Person {
  id: string;
  name: string;
  role: string;
}
export interface Stamp {
  by: Person;
  at: string;
  reason?: string;
}

export interface Draft {
  msgType: 'Alert' | 'Update' | 'Cancel';
  content: Content;
  area: Point[][];
  authors: Person[];
  submitted?: Stamp;
  returned?: Stamp;
}

export interface Message {
  identifier: string;
  msgType: 'Alert' | 'Update' | 'Cancel';
  sent: string;
  expires: string;
  content: Content;
  area: Point[][];
  authors: Person[];
  approvedBy: Person;
}

export type State = 'draft' | 'waiting' | 'in_force' | 'cancelled' | 'expired' | 'discarded';

/** One chain: what is drafted, what was sent. */
export interface Warning {
  id: string;
  version: number;
  state: State;
  exercise: boolean;
  drill?: string;
  created: Stamp;
  changed: string;
  draft?: Draft;
  messages: Message[];
  lapse?: Stamp;
}

export interface Problem {
  level: 'error' | 'warning';
  rule: string;
  path?: string;
  detail: string;
}

export interface Info {
  language: string;
  event: string;
  headline: string;
  description: string;
  instruction?: string;
  senderName: string;
  contact?: string;
  expires: string;
  severity: string;
  areas?: { description: string }[];
}

export interface Preview {
  alert: { status: string; msgType: string; infos: Info[] };
  problems: Problem[];
}

export interface Template {
  key: string;
  name: Text;
}

export interface Drill {
  id: string;
  name: string;
  started: string;
  ends: string;
  ended?: string;
  devices: string[];
  summary?: { alarms: number; acknowledged: number; messages: number };
}

const json = { 'Content-Type': 'application/json', Accept: 'application/json' };

async function send<T>(method: string, path: string, body: unknown): Promise<T> {
  return (await call(path, { method, headers: json, body: JSON.stringify(body) })).json() as Promise<T>;
}

const at = (id: string) => `/v1/warnings/${encodeURIComponent(id)}`;

/** Somebody else was first: what is shown is not so any more. */
export const overtaken = (error: unknown) => error instanceof ApiError && error.status === 409;

export const warnings = {
  list: (signal?: AbortSignal) => get<{ warnings: Warning[]; expiring: string[] }>('/v1/warnings', signal),
  templates: async () => (await get<{ templates: Template[] }>('/v1/warning-templates')).templates,
  preview: (id: string) => get<Preview>(`${at(id)}/preview`),
  draft: (body: {
    template?: string;
    zones?: Zone[];
    alarms?: string[];
    exercise?: boolean;
    drill?: string;
  }) => send<Warning>('POST', '/v1/warnings', body),
  edit: (w: Warning, content: Content) => send<Warning>('PATCH', at(w.id), { version: w.version, content }),
  act: (w: Warning, act: string, more: Record<string, unknown> = {}) =>
    send<Warning>('POST', `${at(w.id)}/${act}`, { version: w.version, ...more }),
  drills: async (signal?: AbortSignal) => (await get<{ drills: Drill[] }>('/v1/drills', signal)).drills,
  startDrill: (body: { name: string; ends: string; like: string[] }) =>
    send<Drill & { tokens: Record<string, string> }>('POST', '/v1/drills', body),
  endDrill: (id: string) => send<Drill>('POST', `/v1/drills/${encodeURIComponent(id)}/end`, {}),
};
