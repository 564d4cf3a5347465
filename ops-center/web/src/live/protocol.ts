import type { ReplayState } from '../replay/moment.ts';
import type { SceneMessage } from '../scenes/model.ts';
import type { Alarm } from './alarms.ts';

/** Text frames from the server. */
export type ServerMessage =
  | {
      type: 'hello';
      hub: string;
      seq: number;
      dict: number;
      now: number;
      heartbeatMs: number;
      tickMs: number;
      resumed: boolean;
      /** Names the wall's files the server has. */
      build?: string;
      /** The display that this screen's token is for. */
      screen?: string;
      /** This is the past. */
      replay?: ReplayState;
    }
  | Heartbeat
  | { type: 'alarms'; seq: number; reset: true; total?: number; alarms: Alarm[] | null }
  | { type: 'alarms'; seq: number; reset?: false; changed: Alarm[] }
  | { type: 'alarm'; seq: number; alarm: Alarm }
  | SceneMessage
  | ({ type: 'replay' } & ReplayState)
  | { type: 'warnings'; warnings: { id: string; exercise: boolean }[] }
  | { type: 'dictionary'; dict: number }
  | { type: 'gap'; from: number; to: number; reason: string }
  | { type: 'pong'; now: number }
  | { type: 'error'; code: string | number; message: string };

export interface Heartbeat {
  type: 'heartbeat';
  seq: number;
  now: number;
  /** Journal entries not yet shown. */
  lag?: number;
  ingest?: { perSecond?: number };
  journal?: { level?: 'ok' | 'degraded' | 'refusing'; reason?: string };
  series?: { ok?: boolean; backlog?: number };
  /** Where a replay is. */
  replay?: ReplayState;
  /** More alarms come than the people on shift can take in. */
  flood?: { on: boolean; since?: string; alarms: number; operators: number; total?: number };
}

/** What a screen wants to be told; null is everything. */
export interface Subscription {
  view: [number, number, number, number] | null;
  quantities: string[] | null;
  alarms: { maxPriority: number };
}

/** Why the server closed a wall's socket. */
export const Close = {
  ShuttingDown: 4000,
  NotAuthorised: 4001,
  BadMessage: 4002,
  TooSlow: 4003,
  TooManyScreens: 4004,
  ResumeImpossible: 4005,
} as const;
