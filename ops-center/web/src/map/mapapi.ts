import { get } from '../api.ts';
import type { Label } from '../live/dictionary.ts';
import { asKnownThen, ofThatDay, ofThatMoment, upToThen } from '../replay/past.ts';
import type { Stat } from './settings.ts';

/** The part of the HTTP API that only maps read. */
export interface ZoneFigure {
  code: string;
  name: string;
  value: number | null;
  n: number;
  left: number;
}

export interface ClusterCell {
  at: [number, number];
  box: [number, number, number, number];
  n: number;
  worst: number;
  by: number[];
  silent: number;
  device?: string;
}

export interface NodeInfo {
  id: string;
  name: string;
  at: [number, number] | null;
  presence: 'never' | 'online' | 'late' | 'silent';
  children: number;
  behind: number;
  because?: string;
}

export interface Links {
  nodes: NodeInfo[];
  device: string[];
  node: number[];
}

export interface PlaceFound {
  layer: string;
  code: string;
  name: string;
  at: [number, number];
  box: [number, number, number, number];
}

/** A level that somebody with the right to do so has set. */
export interface Limit {
  level: string;
  name: Label;
  value: number | null;
  to?: number | null;
  average?: string;
  below?: boolean;
  basis: string;
  authority: string;
}

export interface TrackPoint {
  time: string;
  at: [number, number];
}

export const mapApi = {
  async zones(
    layer: string,
    quantity: string,
    stat: Stat,
    window: string,
    signal?: AbortSignal,
  ): Promise<ZoneFigure[]> {
    const query = new URLSearchParams({ layer, quantity, stat });
    if (window) query.set('window', window);
    return (await get<{ zones: ZoneFigure[] }>(`/v1/zones/aggregate?${ofThatMoment(query)}`, signal)).zones;
  },

  async clusters(
    view: readonly number[],
    zoom: number,
    hide: readonly string[],
    signal?: AbortSignal,
  ): Promise<ClusterCell[]> {
    const query = new URLSearchParams({
      view: view.map((v) => v.toFixed(6)).join(),
      zoom: String(zoom),
    });
    if (hide.length > 0) query.set('hide', hide.join());
    return (await get<{ cells: ClusterCell[] }>(`/v1/live/clusters?${ofThatMoment(query)}`, signal)).cells;
  },

  async links(signal?: AbortSignal): Promise<Links> {
    return get<Links>(`/v1/network/links?${ofThatMoment(new URLSearchParams())}`, signal);
  },

  async places(q: string, signal?: AbortSignal): Promise<PlaceFound[]> {
    const query = new URLSearchParams({ q, limit: '8' });
    return (await get<{ places: PlaceFound[] }>(ofThatDay(`/v1/places?${query}`), signal)).places;
  },

  /** What binds a device at a moment; the nearest of each level. */
  async limits(device: string, quantity: string, at: number, signal?: AbortSignal): Promise<Limit[]> {
    const query = new URLSearchParams({ device, quantity, at: new Date(at).toISOString() });
    return (
      (await get<{ limits: Limit[] | null }>(`/v1/thresholds?${asKnownThen(query)}`, signal)).limits ?? []
    );
  },

  async track(device: string, hours: number, signal?: AbortSignal): Promise<TrackPoint[]> {
    const query = upToThen(new URLSearchParams({ limit: '5000' }), hours);
    const path = `/v1/devices/${encodeURIComponent(device)}/track?${query}`;
    return (await get<{ points: TrackPoint[] | null }>(path, signal)).points ?? [];
  },
};
