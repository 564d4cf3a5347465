import { call, get } from '../api.ts';
import type { Label } from '../live/dictionary.ts';

export type Life = 'announced' | 'quarantined' | 'active' | 'maintenance' | 'retired';
export type Presence = 'never' | 'online' | 'late' | 'silent';

export const LIVES: readonly Life[] = ['announced', 'quarantined', 'active', 'maintenance', 'retired'];
export const PRESENCES: readonly Presence[] = ['online', 'late', 'silent', 'never'];

/** One line of the register. */
export interface Entry {
  id: string;
  name: string;
  profile: string;
  at: [number, number] | null;
  state: Life;
  upstream?: string;
  owner?: string;
  site?: string;
  model?: string;
  firmware?: string;
  simulated: boolean;
  added: string;
  severity: number;
  presence: { state: Presence; since?: string; via?: string; from?: string };
}

/** One device with what follows from the register. */
export interface Dossier extends Entry {
  head?: string;
  next: Life[];
  deviations: { rule: string; detail: string }[];
}

export interface Page {
  devices: Entry[];
  total: number;
  states: Partial<Record<Life, number>>;
}

export interface Profile {
  name: string;
  label: Label;
  moving: boolean;
}

export interface Department {
  name: string;
  head?: string;
  contact?: string;
}

export interface Ward {
  code: string;
  name: string;
}

/** What is asked of the register; an empty text asks nothing. */
export interface Filter {
  q: string;
  profile: string;
  state: Life | '';
  presence: Presence | '';
  owner: string;
  ward: string;
  upstream: string;
  deviating: string;
}

export const NO_FILTER: Filter = {
  q: '',
  profile: '',
  state: '',
  presence: '',
  owner: '',
  ward: '',
  upstream: '',
  deviating: '',
};

export interface ImportReport {
  dryRun: boolean;
  good: number;
  refused: number;
  added: number;
  lines: ImportLine[];
}

export interface ImportLine {
  line: number;
  id?: string;
  result: 'added' | 'good' | 'refused' | 'left_out';
  token?: string;
  problem?: { column?: string; code: string; value?: string; message: string };
}

export type Change = Partial<Record<Field, string>> & {
  at?: [number, number] | null;
  state?: Life;
  simulated?: boolean;
};
export type Field = 'name' | 'profile' | 'owner' | 'site' | 'upstream' | 'model' | 'firmware';

export function query(filter: Filter): URLSearchParams {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(filter)) if (value) params.set(key, value);
  return params;
}

const path = (id: string) => `/v1/devices/${encodeURIComponent(id)}`;
const json = { 'Content-Type': 'application/json', Accept: 'application/json' };
/** A table of a hundred thousand lines takes a while. */
const LONG = 180_000;

export const register = {
  async page(filter: Filter, offset: number, limit: number, signal?: AbortSignal): Promise<Page> {
    const params = query(filter);
    params.set('offset', String(offset));
    params.set('limit', String(limit));
    return get<Page>(`/v1/devices?${params}`, signal);
  },

  async device(id: string, signal?: AbortSignal): Promise<{ device: Dossier; tag: string }> {
    const answer = await call(path(id), { headers: json }, signal);
    return { device: (await answer.json()) as Dossier, tag: answer.headers.get('ETag') ?? '' };
  },

  /** tag is of the entry the change was made to: somebody else's change in between is not overwritten. */
  async change(id: string, change: Change, tag?: string): Promise<{ device: Dossier; tag: string }> {
    const answer = await call(path(id), {
      method: 'PATCH',
      headers: {
        ...json,
        'Content-Type': 'application/merge-patch+json',
        ...(tag ? { 'If-Match': tag } : {}),
      },
      body: JSON.stringify(change),
    });
    return { device: (await answer.json()) as Dossier, tag: answer.headers.get('ETag') ?? '' };
  },

  async add(device: Change & { id: string; profile: string }): Promise<{ id: string; token: string }> {
    const answer = await call('/v1/devices', { method: 'POST', headers: json, body: JSON.stringify(device) });
    return (await answer.json()) as { id: string; token: string };
  },

  async import(table: Blob, dryRun: boolean): Promise<ImportReport> {
    const answer = await call(
      `/v1/devices/import?dry_run=${dryRun}&skip_bad=true`,
      { method: 'POST', headers: { 'Content-Type': 'text/csv' }, body: table },
      undefined,
      LONG,
    );
    return (await answer.json()) as ImportReport;
  },

  async profiles(): Promise<Profile[]> {
    return (await get<{ profiles: Profile[] }>('/v1/profiles')).profiles;
  },

  async departments(): Promise<Department[]> {
    return (await get<{ departments: Department[] }>('/v1/departments')).departments;
  },

  async nameHead(department: string, head: string, contact: string): Promise<void> {
    await call(`/v1/departments/${encodeURIComponent(department)}`, {
      method: 'PUT',
      headers: json,
      body: JSON.stringify({ head, contact }),
    });
  },

  async wards(): Promise<Ward[]> {
    return (await get<{ zones: Ward[] }>('/v1/layers/wards/zones')).zones;
  },

  async layers(): Promise<Set<string>> {
    const { layers } = await get<{ layers: { name: string }[] | null }>('/v1/layers');
    return new Set((layers ?? []).map((l) => l.name));
  },
};
