import type { MapLayerMouseEvent, Map as MapLibre } from 'maplibre-gl';
import { number } from '../../format.ts';
import { GREY, PRIORITY, PRIORITY_INK } from '../../palette.ts';
import { type ClusterCell, mapApi } from '../mapapi.ts';
import { type Ground, Overlay } from '../overlay.ts';
import { STRONG } from '../style.ts';

const CELLS = 'ov-clusters';
const ICONS = 'ov-clusters-icon';
const COUNTS = 'ov-clusters-count';

/** With more devices than this in view, and from further than this, clusters stand for them. */
export const CROWD = 3000;
export const CROWD_ZOOM = 13.5;

/**
 * What lies where, when single devices would hide each other: the server's
 * cells, with their number, the shape and colour of the worst alarm and a
 * broken ring where devices are silent. A click shows what a cell holds.
 */
export class ClustersOverlay extends Overlay {
  readonly name = 'clusters';
  readonly every = 1500;
  #active = false;
  #cells: ClusterCell[] = [];
  #told: (active: boolean) => void;

  constructor(told: (active: boolean) => void) {
    super();
    this.#told = told;
  }

  create(ground: Ground): void {
    const { map } = ground;
    for (let worst = 0; worst <= 4; worst++) {
      for (const silent of [false, true]) {
        const id = iconOf(worst, silent);
        if (!map.hasImage(id)) map.addImage(id, draw(worst, silent), { pixelRatio: 2 });
      }
    }
    this.empty(map, CELLS);
    this.layer(
      map,
      {
        id: ICONS,
        type: 'symbol',
        source: CELLS,
        layout: {
          'icon-image': ['get', 'icon'],
          'icon-size': ['interpolate', ['linear'], ['get', 'size'], 0, 0.72, 5, 1.35],
          'icon-allow-overlap': true,
          'symbol-sort-key': ['get', 'sort'],
        },
      },
      true,
    );
    this.layer(
      map,
      {
        id: COUNTS,
        type: 'symbol',
        source: CELLS,
        layout: {
          'text-field': ['get', 'text'],
          'text-font': [STRONG],
          'text-size': 12,
          'text-allow-overlap': true,
          'text-ignore-placement': true,
          'symbol-sort-key': ['get', 'sort'],
        },
        paint: { 'text-color': ['get', 'ink'] },
      },
      true,
    );
    map.off('click', ICONS, this.#open);
    map.on('click', ICONS, this.#open);
    this.#draw(ground);
  }

  override dispose(map: MapLibre): void {
    map.off('click', ICONS, this.#open);
    this.#set(false);
    super.dispose(map);
  }

  get active(): boolean {
    return this.#active;
  }

  async update(ground: Ground): Promise<void> {
    const { map, sensors } = ground;
    const b = map.getBounds();
    const view: [number, number, number, number] = [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()];
    const zoom = map.getZoom();
    let crowd = 0;
    if (zoom < CROWD_ZOOM) sensors.within(view, () => crowd++);
    if (crowd <= CROWD) {
      this.#cells = [];
      this.#set(false);
      this.fill(map, CELLS, []);
      this.legend.set(undefined);
      return;
    }
    const hidden = ground.settings.filters?.hidden ?? [...ground.wall.hiddenClasses.get()];
    const cells = await mapApi.clusters(view, Math.max(0, Math.floor(zoom)), hidden, ground.signal);
    this.#cells = cells;
    this.#set(true);
    this.#draw(ground);
    this.legend.set({
      title: ground.t('map.overlay.clusters'),
      rows: [{ kind: 'text', label: ground.t('map.clusterShape') }],
      note: ground.t('map.clusterNote', {
        n: number(
          ground.lang,
          cells.reduce((sum, c) => sum + c.n, 0),
        ),
      }),
    });
  }

  #set(active: boolean): void {
    if (active === this.#active) return;
    this.#active = active;
    this.#told(active);
  }

  #draw(ground: Ground): void {
    this.fill(
      ground.map,
      CELLS,
      this.#cells.map((c) => ({
        type: 'Feature',
        properties: {
          icon: iconOf(c.worst, c.silent * 2 > c.n),
          text: c.n < 10_000 ? number(ground.lang, c.n) : `${number(ground.lang, c.n / 1000)}k`,
          ink: c.worst > 0 ? PRIORITY_INK[c.worst] : GREY.text,
          size: Math.log10(c.n + 1),
          sort: c.worst === 0 ? 0 : 5 - c.worst,
          box: JSON.stringify(c.box),
        },
        geometry: { type: 'Point', coordinates: c.at },
      })),
    );
  }

  #open = (e: MapLayerMouseEvent): void => {
    const box = e.features?.[0]?.properties?.box as string | undefined;
    if (!box) return;
    const [w, s, east, n] = JSON.parse(box) as [number, number, number, number];
    const map = e.target;
    map.fitBounds(
      [
        [w, s],
        [east, n],
      ],
      { padding: 60, maxZoom: Math.max(CROWD_ZOOM + 0.3, map.getZoom() + 2), duration: 300 },
    );
  };
}

const iconOf = (worst: number, silent: boolean) => `ov-cluster-${worst}${silent ? '-silent' : ''}`;

/** The shape of a severity, as single devices have it, large enough for a number. */
function draw(worst: number, silent: boolean): ImageData {
  const side = 96;
  const canvas = new OffscreenCanvas(side, side);
  const c = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
  const m = side / 2;
  const r = m - 9;
  c.lineJoin = 'round';
  c.beginPath();
  if (worst === 1) {
    c.moveTo(m, m - r - 4);
    c.lineTo(m + r + 4, m);
    c.lineTo(m, m + r + 4);
    c.lineTo(m - r - 4, m);
    c.closePath();
  } else if (worst === 2) {
    c.moveTo(m, m - r - 4);
    c.lineTo(m + r + 3, m + r * 0.72);
    c.lineTo(m - r - 3, m + r * 0.72);
    c.closePath();
  } else if (worst === 3) c.rect(m - r * 0.86, m - r * 0.86, r * 1.72, r * 1.72);
  else c.arc(m, m, r, 0, Math.PI * 2);
  c.fillStyle = worst > 0 ? PRIORITY[worst] : '#33424f';
  c.fill();
  c.lineWidth = 3;
  c.strokeStyle = worst > 0 ? '#0b0f14' : '#93a4b4';
  c.stroke();
  if (silent) {
    // Most of them are not heard: the broken ring of a silent device.
    c.beginPath();
    c.arc(m, m, m - 3, 0, Math.PI * 2);
    c.setLineDash([14, 11]);
    c.lineWidth = 4;
    c.strokeStyle = '#c3ced8';
    c.stroke();
  }
  return c.getImageData(0, 0, side, side);
}
