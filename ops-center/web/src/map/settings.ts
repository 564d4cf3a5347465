import { Cell } from '../cell.ts';

/** The layers over the base map, bottom first as they are drawn at first. */
export const OVERLAYS = ['heat', 'zones', 'flood', 'network', 'trails', 'clusters'] as const;
export type OverlayName = (typeof OVERLAYS)[number];

export type Stat = 'mean' | 'min' | 'max';

export interface Camera {
  center: [number, number];
  zoom: number;
}

/**
 * What one map shows; what is left out is as the operator has it. A scene gives
 * these to a screen, so they are plain JSON.
 */
export interface MapSettings {
  camera?: Camera;
  /** Base layers and overlays shown, by name. */
  layers?: readonly string[];
  /** Overlays from the bottom up; those not named lie on top in their usual order. */
  order?: readonly OverlayName[];
  /** From 0.1 to 1, by overlay. */
  opacity?: Readonly<Record<string, number>>;
  filters?: {
    /** Classes of devices that are not drawn. */
    hidden?: readonly string[];
    /** Draw only devices with an open alarm of this priority or worse. */
    priority?: 1 | 2 | 3 | 4;
  };
  /** A device that the map stays with. */
  follow?: string;
  zones?: { layer: string; quantity: string; stat: Stat; window: string };
  heat?: { quantity: string };
}

export const DEFAULTS: Required<Pick<MapSettings, 'opacity' | 'order' | 'zones' | 'heat'>> & {
  layers: readonly string[];
} = {
  // Clusters show themselves only where points would hide each other.
  layers: ['clusters'],
  order: OVERLAYS,
  opacity: { zones: 0.7, heat: 0.7 },
  zones: { layer: 'wards', quantity: 'pm25', stat: 'mean', window: '' },
  heat: { quantity: 'pm25' },
};

/** The overlays from the bottom up, each once, whatever the settings name. */
export function orderOf(order: readonly string[] | undefined): OverlayName[] {
  const named = (order ?? []).filter((n, i, all): n is OverlayName => {
    return (OVERLAYS as readonly string[]).includes(n) && all.indexOf(n) === i;
  });
  return [...named, ...OVERLAYS.filter((n) => !named.includes(n))];
}

const STORED = 'vonglau.map';

/** The operator's own settings of the map over the base, kept in the browser. */
export const ownSettings = new Cell<MapSettings>(load());

function load(): MapSettings {
  try {
    const text = localStorage.getItem(STORED);
    if (text) return check(JSON.parse(text));
  } catch {
    // Forbidden or damaged storage: start from the defaults.
  }
  return {};
}

ownSettings.subscribe(() => {
  try {
    localStorage.setItem(STORED, JSON.stringify(ownSettings.get()));
  } catch {
    // As above.
  }
});

/** Takes from stored or received JSON what it can use. */
export function check(raw: unknown): MapSettings {
  if (typeof raw !== 'object' || raw === null) return {};
  const from = raw as Record<string, unknown>;
  const out: MapSettings = {};
  const texts = (v: unknown): string[] | undefined =>
    Array.isArray(v) && v.every((x) => typeof x === 'string') ? v : undefined;
  const camera = from.camera as Camera | undefined;
  if (
    Array.isArray(camera?.center) &&
    camera.center.length === 2 &&
    camera.center.every(Number.isFinite) &&
    Math.abs(camera.center[0]) <= 180 &&
    Math.abs(camera.center[1]) <= 85 &&
    Number.isFinite(camera.zoom)
  ) {
    out.camera = {
      center: [camera.center[0], camera.center[1]],
      zoom: Math.min(20, Math.max(0, camera.zoom)),
    };
  }
  const layers = texts(from.layers);
  if (layers) out.layers = layers;
  if (texts(from.order)) out.order = orderOf(texts(from.order));
  if (typeof from.opacity === 'object' && from.opacity !== null) {
    out.opacity = Object.fromEntries(
      Object.entries(from.opacity)
        .filter((e): e is [string, number] => typeof e[1] === 'number' && Number.isFinite(e[1]))
        .map(([name, v]) => [name, Math.min(1, Math.max(0.1, v))]),
    );
  }
  const filters = from.filters as MapSettings['filters'];
  if (typeof filters === 'object' && filters !== null) {
    const hidden = texts(filters.hidden);
    const priority = [1, 2, 3, 4].find((p) => p === filters.priority) as 1 | 2 | 3 | 4 | undefined;
    out.filters = { ...(hidden ? { hidden } : {}), ...(priority ? { priority } : {}) };
  }
  if (typeof from.follow === 'string' && from.follow) out.follow = from.follow;
  const zones = from.zones as MapSettings['zones'];
  if (
    zones &&
    [zones.layer, zones.quantity, zones.window].every((v) => typeof v === 'string') &&
    ['mean', 'min', 'max'].includes(zones.stat)
  ) {
    out.zones = { layer: zones.layer, quantity: zones.quantity, stat: zones.stat, window: zones.window };
  }
  const heat = from.heat as MapSettings['heat'];
  if (typeof heat?.quantity === 'string') out.heat = { quantity: heat.quantity };
  return out;
}
