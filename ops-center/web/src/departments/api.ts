import { call, get } from '../api.ts';

export type Kind = 'webhook' | 'email' | 'stream' | 'atom';
export const KINDS: readonly Kind[] = ['webhook', 'email', 'stream', 'atom'];
export const PRIORITIES = [1, 2, 3, 4] as const;

export interface Filter {
  events?: string[];
  categories?: string[];
  priorities?: number[];
  zones?: { layer: string; code?: string }[];
  quantities?: string[];
  rules?: string[];
  owners?: string[];
  incidents?: string[];
  exercises?: boolean;
}

export type State = 'delivered' | 'retrying' | 'dead' | 'held' | 'put_away' | 'resending';

export interface Receipt {
  id: string;
  state: State;
  type: 'event' | 'digest' | 'test';
  events: number;
  kind?: string;
  priority?: number;
  title?: Record<string, string>;
  exercise?: boolean;
  due: string;
  at: string;
  next?: string;
  attempts: number;
  took: number;
  latency?: number;
  answer?: string;
  error?: string;
  resent?: boolean;
}

/** What people may set; what is left out is emptied. */
export interface Settings {
  name: string;
  filter: Filter;
  url?: string;
  format?: 'json' | 'cap';
  to?: string[];
  language?: 'vi' | 'en';
  paused: boolean;
  quiet?: { from: string; to: string };
  digest?: 'hour' | 'day';
  escalation?: { after: string; to: string; until: 'receipt' | 'acknowledged' };
}

export interface Subscription extends Settings {
  id: string;
  department: string;
  kind: Kind;
  state: 'well' | 'failing' | 'paused';
  waiting: number;
  dead: number;
  newest?: Receipt;
  stream?: string;
  feed?: string;
  created: string;
  createdBy: string;
}

export interface Credentials {
  secret?: string;
  token?: string;
}

export interface Listing {
  subscriptions: Subscription[];
  categories: string[];
  events: string[];
  mail: boolean;
}

export interface Preview {
  count: number;
  byDay: { day: string; count: number }[];
}

const headers = { 'Content-Type': 'application/json', Accept: 'application/json' };
const path = (id: string) => `/v1/subscriptions/${encodeURIComponent(id)}`;

async function send<T>(method: string, to: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { method, headers };
  if (body !== undefined) init.body = JSON.stringify(body);
  return (await (await call(to, init, signal)).json()) as T;
}

export const subscriptions = {
  list: (signal?: AbortSignal) => get<Listing>('/v1/subscriptions', signal),
  add: (department: string, kind: Kind, settings: Settings) =>
    send<Subscription & Credentials>('POST', '/v1/subscriptions', { department, kind, ...settings }),
  change: (id: string, settings: Settings) => send<Subscription>('PUT', path(id), settings),
  async remove(id: string): Promise<void> {
    await call(path(id), { method: 'DELETE', headers });
  },
  test: (id: string) => send<Receipt>('POST', `${path(id)}/test`, undefined),
  rotate: (id: string) => send<Credentials>('POST', `${path(id)}/rotate`, {}),
  deliveries: (id: string, signal?: AbortSignal) =>
    get<{ deliveries: Receipt[]; dead: Receipt[] }>(`${path(id)}/deliveries`, signal),
  resend: (id: string, delivery?: string) =>
    send<{ resent: number }>(
      'POST',
      delivery ? `${path(id)}/deliveries/${encodeURIComponent(delivery)}/resend` : `${path(id)}/resend`,
      undefined,
    ),
  preview: (filter: Filter, signal?: AbortSignal) =>
    send<Preview>('POST', '/v1/subscriptions/preview', { filter, days: 7 }, signal),
};
