import { ApiError } from '../api.ts';
import type { Key, Translate } from '../i18n/index.ts';
import { reason } from '../panels/context.ts';
import type { Presence } from './api.ts';

export const PRESENCE: Record<Presence, Key> = {
  online: 'device.online',
  late: 'device.late',
  silent: 'device.stale',
  never: 'device.never',
};

const RULES: Record<string, Key> = {
  profile: 'rule.profile',
  model: 'rule.model',
  firmware: 'rule.firmware',
  place: 'rule.place',
  owner: 'rule.owner',
  head: 'rule.head',
  security: 'rule.security',
  upstream: 'rule.upstream',
};

/** In what a device differs from its norm; the server's words for a rule this page does not know. */
export function ruleText(t: Translate, rule: string, detail: string): string {
  const key = RULES[rule];
  return key ? t(key) : detail;
}

const LINES: Record<string, Key> = {
  columns: 'line.columns',
  csv: 'line.csv',
  id: 'line.id',
  exists: 'line.exists',
  twice: 'line.twice',
  profile: 'line.profile',
  place: 'line.place',
  state: 'line.state',
  token: 'line.token',
  flag: 'line.flag',
};

/** What is wrong with a line of a table. */
export function lineText(t: Translate, code: string, value: string, message: string): string {
  const key = LINES[code];
  return key ? t(key, { value }) : message;
}

/** Why the register did not take something. */
export function why(t: Translate, error: unknown): string {
  if (error instanceof ApiError && error.status === 412) return t('register.overtaken');
  if (error instanceof ApiError && (error.status === 409 || error.status === 422)) return error.detail;
  return reason(t, error);
}
