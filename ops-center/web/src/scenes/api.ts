import { call, get } from '../api.ts';
import type { Label } from '../live/dictionary.ts';
import type { ApiToken, TokenRequest } from '../people/api.ts';
import type { Calm, Focus, Panel, Reason, Scene, Span, View } from './model.ts';

export interface PlayItem {
  scene: string;
  seconds: number;
  from?: string;
  to?: string;
  days?: number[];
}

export interface DisplaySettings {
  name: Label;
  group?: string;
  width?: number;
  height?: number;
  seat?: { distance: number; pitch: number };
  span?: Span;
  calm: Calm;
  scene?: string;
  playlist?: PlayItem[];
  takeOver: { priority: number; scene?: string; hold?: number; linger?: number; exercise?: boolean };
  language?: 'vi' | 'en';
}

/** Where a replay begins, how fast it goes, and since when. */
export interface PushedReplay {
  at: string;
  speed: number;
  since?: string;
}

export interface Push {
  id: string;
  scene: string;
  displays: string[];
  replay?: PushedReplay;
  until?: string;
  lock?: boolean;
  by: string;
  at: string;
  /** Displays that something stronger holds: they show it afterwards. */
  waiting?: string[];
}

export interface Shown {
  display: string;
  at: string;
  dark?: boolean;
  scene?: string;
  version?: number;
  reason?: Reason;
  by?: string;
  alarm?: string;
  replay?: PushedReplay;
}

export interface DisplayState extends DisplaySettings {
  id: string;
  scale: number;
  condition: 'never' | 'alive' | 'stalled' | 'dead';
  health?: {
    n: number;
    frameAge: number;
    fps: number;
    width: number;
    height: number;
    ratio: number;
    build: string;
    errors: number;
    lastError?: string;
  };
  heard?: string;
  told: {
    seq: number;
    scene: string;
    version: number;
    reason: Reason;
    by?: string;
    replay?: PushedReplay;
    until?: string;
    at: string;
  };
  showing?: Shown;
  pushes: Push[];
  thumbnail?: string;
}

export interface Order {
  scene: string;
  version?: number;
  displays?: string[];
  group?: string;
  all?: boolean;
  focus?: Focus;
  replay?: PushedReplay;
  until?: string;
  lock?: boolean;
}

export interface SceneBody {
  base: number;
  name: Label;
  panels: readonly Panel[];
  camera?: View;
  layers?: string[];
  filters: Scene['filters'];
  bare?: boolean;
}

const send = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
  const answer = await call(path, {
    method,
    headers: {
      Accept: 'application/json',
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return (answer.status === 204 ? undefined : await answer.json()) as T;
};
const at = (kind: string, id: string) => `/v1/${kind}/${encodeURIComponent(id)}`;

/** The part of the HTTP API that is about displays and scenes. */
export const scenesApi = {
  scenes: async () => (await get<{ scenes: Scene[] }>('/v1/scenes')).scenes,
  versions: async (id: string) => (await get<{ scenes: Scene[] }>(`${at('scenes', id)}/versions`)).scenes,
  put: (id: string, body: SceneBody) => send<Scene>('PUT', at('scenes', id), body),
  restore: (id: string, version: number) => send<Scene>('POST', `${at('scenes', id)}/restore`, { version }),
  remove: (id: string) => send<void>('DELETE', at('scenes', id)),
  displays: async (signal?: AbortSignal) =>
    (await get<{ displays: DisplayState[] }>('/v1/displays', signal)).displays,
  putDisplay: (id: string, body: DisplaySettings) => send<DisplayState>('PUT', at('displays', id), body),
  removeDisplay: (id: string) => send<void>('DELETE', at('displays', id)),
  addToken: (id: string, token: TokenRequest) =>
    send<{ token: ApiToken; secret: string }>('POST', `${at('displays', id)}/token`, token),
  giveBack: (id: string) => send<DisplayState>('POST', `${at('displays', id)}/return`),
  shown: async (id: string) => (await get<{ shown: Shown[] }>(`${at('displays', id)}/shown`)).shown,
  push: (order: Order) => send<Push>('POST', '/v1/pushes', order),
  undo: (id: string) => send<void>('DELETE', at('pushes', id)),
  frames: async () => (await get<{ frames: string[] }>('/v1/wall')).frames,
};
