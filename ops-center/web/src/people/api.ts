import { ApiError, call, get, NO_ANSWER } from '../api.ts';

export const ROLES = [
  'admin',
  'shift_leader',
  'operator',
  'officer',
  'executive',
  'data_steward',
  'soc_analyst',
  'auditor',
] as const;
export type Role = (typeof ROLES)[number];

export interface Account {
  id: string;
  name: string;
  role: Role;
  department?: string;
  wards?: string[];
  language?: 'vi' | 'en';
  disabled?: boolean;
  origin: 'local' | 'oidc';
  created: string;
  lastLogin?: string;
  totp: boolean;
  mustChange?: boolean;
}

export interface OwnSession {
  id: string;
  assurance: string;
  begun: string;
  used: string;
  from?: string;
  agent?: string;
  current?: boolean;
}

export interface Me {
  principal: { id?: string; name: string; role: string };
  account?: Account;
  permissions: string[];
  assurance: string;
  sessions?: OwnSession[];
}

export interface ApiToken {
  id: string;
  kind: 'person' | 'program' | 'display';
  name: string;
  purpose: string;
  owner?: string;
  role?: string;
  department?: string;
  scope?: string[];
  screen?: string;
  networks?: string[];
  perMinute: number;
  perDay: number;
  created: string;
  createdBy: string;
  expires: string;
  lastUsed?: string;
  revoked?: string;
}

export interface TokenRequest {
  name: string;
  purpose: string;
  kind?: 'program' | 'display';
  role?: string;
  department?: string;
  screen?: string;
  scope?: string[];
  networks?: string[];
  days?: number;
}

export interface AccessTable {
  permissions: string[];
  roles: { role: string; permissions: string[] }[];
  routes: { method: string; path: string; permission: string }[];
}

/** What a page has to know of a log-in that did not hold. */
export class LoginError extends Error {
  override name = 'LoginError';
  readonly reason: string;
  readonly retryAfter: number;

  constructor(reason: string, retryAfter: number) {
    super(reason);
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await call(path, {
    method,
    headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

const one = (path: string, id: string) => `${path}/${encodeURIComponent(id)}`;

export const people = {
  /** Opens a session by name and password; the answer tells whether the password must be changed. */
  async logIn(name: string, password: string, code: string): Promise<{ mustChange?: boolean }> {
    let answer: Response;
    try {
      answer = await fetch('/v1/session', {
        method: 'POST',
        credentials: 'same-origin',
        headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
        body: JSON.stringify({ name, password, code }),
        signal: AbortSignal.timeout(15_000),
      });
    } catch (error) {
      throw new ApiError(NO_ANSWER, String(error), '');
    }
    if (answer.ok) return (await answer.json()) as { mustChange?: boolean };
    const problem = (await answer.json().catch(() => ({}))) as { reason?: string; retryAfter?: number };
    throw new LoginError(problem.reason ?? '', problem.retryAfter ?? 0);
  },

  /** Ends the session, here and at the identity provider. */
  async logOut(): Promise<void> {
    const answer = await send<{ next?: string } | undefined>('DELETE', '/v1/session');
    location.assign(answer?.next ?? '/');
  },

  ways: () => get<{ oidc: boolean }>('/v1/session/ways'),
  me: () => get<Me>('/v1/me'),
  setPassword: (old: string, fresh: string) => send<void>('POST', '/v1/me/password', { old, new: fresh }),
  beginTOTP: (password: string) =>
    send<{ secret: string; link: string }>('POST', '/v1/me/totp', { password }),
  confirmTOTP: (code: string) => send<{ recovery: string[] }>('POST', '/v1/me/totp/confirm', { code }),
  removeTOTP: (password: string) => send<void>('POST', '/v1/me/totp/remove', { password }),
  endSession: (id: string) => send<void>('DELETE', one('/v1/me/sessions', id)),

  list: async () => (await get<{ people: Account[] | null }>('/v1/people')).people ?? [],
  add: (account: Partial<Account>) =>
    send<{ person: Account; password: string }>('POST', '/v1/people', account),
  change: (id: string, part: Partial<Account>) => send<Account>('PATCH', one('/v1/people', id), part),
  reset: (id: string, removeTOTP: boolean) =>
    send<{ password: string }>('POST', `${one('/v1/people', id)}/password`, { removeTOTP }),

  ownTokens: async () => (await get<{ tokens: ApiToken[] | null }>('/v1/me/tokens')).tokens ?? [],
  addOwnToken: (token: TokenRequest) =>
    send<{ token: ApiToken; secret: string }>('POST', '/v1/me/tokens', token),
  revokeOwnToken: (id: string) => send<ApiToken>('DELETE', one('/v1/me/tokens', id)),
  tokens: async () => (await get<{ tokens: ApiToken[] | null }>('/v1/tokens')).tokens ?? [],
  addToken: (token: TokenRequest) => send<{ token: ApiToken; secret: string }>('POST', '/v1/tokens', token),
  revokeToken: (id: string) => send<ApiToken>('DELETE', one('/v1/tokens', id)),

  table: () => get<AccessTable>('/v1/access/table'),
};
