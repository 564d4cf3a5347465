import type { Label } from '../live/dictionary.ts';
import type { ReplayOrder } from '../replay/follow.ts';
import type { Camera } from './camera.ts';

export const COLUMNS = 24;
export const ROWS = 12;

export const KINDS = [
  'map',
  'alarms',
  'figures',
  'chart',
  'table',
  'camera',
  'web',
  'clock',
  'text',
] as const;
export type Kind = (typeof KINDS)[number];

export interface Settings {
  title?: Label;
  of?: string;
  channels?: { device: string; quantity: string }[];
  hours?: number;
  class?: string;
  quantity?: string;
  maxPriority?: number;
  url?: string;
  refresh?: number;
  text?: Label;
  size?: 'small' | 'medium' | 'large';
}

export interface Rect {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Panel extends Rect {
  id: string;
  kind: Kind;
  settings: Settings;
}

export interface View {
  lon: number;
  lat: number;
  zoom: number;
}

export interface Scene {
  id: string;
  version: number;
  name: Label;
  panels: Panel[];
  camera?: View;
  layers?: string[];
  filters: { maxPriority?: number; hidden?: string[] };
  bare?: boolean;
  at: string;
  by: string;
}

export interface Span {
  columns: number;
  rows: number;
  column: number;
  row: number;
  bezelX?: number;
  bezelY?: number;
}

export interface Calm {
  theme?: 'dark' | 'light';
  orbit?: boolean;
  dimFrom?: string;
  dimTo?: string;
  dim?: number;
  reload?: string;
}

export interface Focus {
  alarm?: string;
  device?: string;
  view?: View;
}

export type Reason = 'locked' | 'take_over' | 'pushed' | 'playlist' | 'base' | 'default';

/** What a screen is told to show. */
export interface SceneMessage {
  type: 'scene';
  n: number;
  display: { id: string; name: Label; scale: number; span?: Span; calm: Calm; language?: 'vi' | 'en' } | null;
  scene: Scene;
  reason: Reason;
  by?: string;
  focus?: Focus;
  home?: View;
  until?: string;
  /** The past is to be shown. */
  replay?: ReplayOrder;
}

/** What a system shows that nobody made a scene for; the server has the same. */
export const DEFAULT_SCENE: Scene = {
  id: 'default',
  version: 0,
  name: { vi: 'Toàn cảnh thành phố', en: 'The whole city' },
  panels: [
    { id: 'figures', kind: 'figures', x: 0, y: 0, w: 24, h: 1, settings: {} },
    { id: 'river', kind: 'chart', x: 0, y: 1, w: 5, h: 4, settings: { of: 'river' } },
    { id: 'rain', kind: 'chart', x: 0, y: 5, w: 5, h: 4, settings: { of: 'rain' } },
    { id: 'fleet', kind: 'chart', x: 0, y: 9, w: 5, h: 3, settings: { of: 'fleet' } },
    { id: 'map', kind: 'map', x: 5, y: 1, w: 13, h: 11, settings: {} },
    { id: 'alarms', kind: 'alarms', x: 18, y: 1, w: 6, h: 11, settings: {} },
  ],
  filters: {},
  at: '',
  by: '',
};

export function overlaps(a: Rect, b: Rect): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

/** A rectangle brought inside the grid, its size kept where there is room for it. */
export function within(r: Rect): Rect {
  const w = Math.max(1, Math.min(COLUMNS, Math.round(r.w)));
  const h = Math.max(1, Math.min(ROWS, Math.round(r.h)));
  return {
    w,
    h,
    x: Math.max(0, Math.min(COLUMNS - w, Math.round(r.x))),
    y: Math.max(0, Math.min(ROWS - h, Math.round(r.y))),
  };
}

/** The panels that would lie under one at its new place. */
export function inTheWay(panels: readonly Panel[], id: string, to: Rect): Panel[] {
  return panels.filter((p) => p.id !== id && overlaps(p, to));
}

/**
 * Puts a panel elsewhere. Panels never lie on each other: one that is in the way
 * and of the same size changes places with it, any other makes the move
 * impossible, and the list comes back as it was.
 */
export function move(panels: readonly Panel[], id: string, to: Rect): readonly Panel[] {
  const panel = panels.find((p) => p.id === id);
  if (!panel) return panels;
  const target = within(to);
  const way = inTheWay(panels, id, target);
  if (way.length === 0) return panels.map((p) => (p.id === id ? { ...p, ...target } : p));
  const [other] = way;
  const sameSize = way.length === 1 && other.w === panel.w && other.h === panel.h;
  if (!sameSize || target.w !== panel.w || target.h !== panel.h) return panels;
  return panels.map((p) => {
    if (p.id === id) return { ...p, x: other.x, y: other.y };
    if (p.id === other.id) return { ...p, x: panel.x, y: panel.y };
    return p;
  });
}

/** The largest free rectangle up to a wished size; undefined when every cell is taken. */
export function room(panels: readonly Panel[], w: number, h: number): Rect | undefined {
  let best: Rect | undefined;
  for (let hh = h; hh >= 1; hh--) {
    for (let ww = w; ww >= 1; ww--) {
      if (best && best.w * best.h >= ww * hh) continue;
      for (let y = 0; y + hh <= ROWS; y++) {
        for (let x = 0; x + ww <= COLUMNS; x++) {
          const r = { x, y, w: ww, h: hh };
          if (panels.some((p) => overlaps(p, r))) continue;
          if (!best || best.w * best.h < ww * hh) best = r;
        }
      }
    }
  }
  return best;
}

/** The size a new panel would like to have, and what it shows at first. */
export const FIRST: Record<Kind, { w: number; h: number; settings: Settings }> = {
  map: { w: 12, h: 8, settings: {} },
  alarms: { w: 6, h: 8, settings: {} },
  figures: { w: 24, h: 1, settings: {} },
  chart: { w: 6, h: 4, settings: { of: 'river' } },
  table: { w: 8, h: 5, settings: { of: 'alarms' } },
  camera: { w: 6, h: 4, settings: { url: '' } },
  web: { w: 8, h: 6, settings: { url: '' } },
  clock: { w: 4, h: 2, settings: {} },
  text: { w: 6, h: 2, settings: { text: { vi: '', en: '' }, size: 'medium' } },
};

export function add(
  panels: readonly Panel[],
  kind: Kind,
): { panels: readonly Panel[]; id: string } | undefined {
  const wish = FIRST[kind];
  const place = room(panels, wish.w, wish.h);
  if (!place) return undefined;
  let n = 1;
  while (panels.some((p) => p.id === `${kind}-${n}`)) n++;
  const id = `${kind}-${n}`;
  return { panels: [...panels, { id, kind, ...place, settings: structuredClone(wish.settings) }], id };
}

/** The rows of the grid: one that has nothing but key figures is as high as they are. */
export function rowTracks(panels: readonly Panel[]): string {
  return Array.from({ length: ROWS }, (_, y) => {
    const here = panels.filter((p) => p.y <= y && y < p.y + p.h);
    const low = here.length > 0 && here.every((p) => p.kind === 'figures' && p.h === 1);
    return low ? 'auto' : 'minmax(0, 1fr)';
  }).join(' ');
}

/** The rectangle around all of some panels; where a chosen device is shown. */
export function around(panels: readonly Rect[]): Rect | undefined {
  if (panels.length === 0) return undefined;
  const x = Math.min(...panels.map((p) => p.x));
  const y = Math.min(...panels.map((p) => p.y));
  return {
    x,
    y,
    w: Math.max(...panels.map((p) => p.x + p.w)) - x,
    h: Math.max(...panels.map((p) => p.y + p.h)) - y,
  };
}

/** Where a scene's map looks; undefined leaves it to the map. */
export function look(
  message: SceneMessage,
  placeOf: (device: string) => [number, number] | undefined,
): Camera | undefined {
  const { focus, scene, display, home } = message;
  const view = focus?.view;
  if (view) return { center: [view.lon, view.lat], zoom: view.zoom };
  const at = focus?.device ? placeOf(focus.device) : undefined;
  if (at) return { center: at, zoom: 15 };
  // The browsers of one wall need one view of all.
  const fixed = scene.camera ?? (display?.span ? home : undefined);
  return fixed && { center: [fixed.lon, fixed.lat], zoom: fixed.zoom };
}
