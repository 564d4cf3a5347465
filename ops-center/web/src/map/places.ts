import { type Map as MapLibre, Marker } from 'maplibre-gl';
import { PRIORITY, PRIORITY_INK } from '../palette.ts';

/** An alarm that is of a place and of no one device: a zone, or where several devices are. */
export interface PlaceAlarm {
  id: string;
  lon: number;
  lat: number;
  priority: 1 | 2 | 3 | 4;
  name: string;
}

/** Paths in a box of 24, by priority less one. */
export const SHAPES = [
  'M12 1 23 12 12 23 1 12Z',
  'M12 2 23 21.5H1Z',
  'M2.5 2.5h19v19h-19Z',
  'M12 1.5a10.5 10.5 0 1 0 .01 0Z',
];
const SVG = 'http://www.w3.org/2000/svg';

/**
 * The symbols of such alarms. The layer of the sensors draws devices; these are
 * few, since each stands for many, and are elements of the page: they outlive a
 * lost WebGL context and can be reached by keyboard.
 */
export class PlaceAlarms {
  #markers = new Map<string, { marker: Marker; key: string; priority: 1 | 2 | 3 | 4 }>();

  constructor(readonly chosen: (id: string) => void) {}

  set(map: MapLibre, list: readonly PlaceAlarm[]): void {
    const ids = new Set(list.map((a) => a.id));
    for (const [id, m] of this.#markers) {
      if (ids.has(id)) continue;
      m.marker.remove();
      this.#markers.delete(id);
    }
    for (const a of list) {
      const key = `${a.lon} ${a.lat} ${a.priority} ${a.name}`;
      const old = this.#markers.get(a.id);
      if (old?.key === key) continue;
      old?.marker.remove();
      const marker = new Marker({ element: this.#symbol(a) }).setLngLat([a.lon, a.lat]).addTo(map);
      this.#markers.set(a.id, { marker, key, priority: a.priority });
    }
  }

  /** Draws them on a picture of the map, which has no elements; ratio is its pixels per pixel of the page. */
  draw(c: CanvasRenderingContext2D, map: MapLibre, ratio: number): void {
    const worstLast = [...this.#markers.values()].sort((a, b) => b.priority - a.priority);
    for (const { marker, priority } of worstLast) {
      const { x, y } = map.project(marker.getLngLat());
      drawSymbol(c, priority, x * ratio, y * ratio, 27 * ratio);
    }
  }

  remove(): void {
    for (const m of this.#markers.values()) m.marker.remove();
    this.#markers.clear();
  }

  #symbol(a: PlaceAlarm): HTMLElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'place-alarm';
    button.title = a.name;
    button.setAttribute('aria-label', `${a.priority} · ${a.name}`); // begins with what is read on it
    button.addEventListener('click', (e) => {
      e.stopPropagation();
      this.chosen(a.id);
    });
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', '0 0 24 24');
    svg.setAttribute('aria-hidden', 'true');
    const shape = document.createElementNS(SVG, 'path');
    shape.setAttribute('d', SHAPES[a.priority - 1]);
    shape.setAttribute('fill', PRIORITY[a.priority]);
    const digit = document.createElementNS(SVG, 'text');
    digit.setAttribute('x', '12');
    digit.setAttribute('y', a.priority === 2 ? '18.4' : '16.4');
    digit.setAttribute('text-anchor', 'middle');
    digit.setAttribute('font-size', '12');
    digit.setAttribute('font-weight', '700');
    digit.setAttribute('fill', PRIORITY_INK[a.priority]);
    digit.textContent = String(a.priority);
    svg.append(shape, digit);
    button.append(svg);
    return button;
  }
}

/** Draws a priority's symbol around a point, so many pixels wide. */
export function drawSymbol(
  c: CanvasRenderingContext2D,
  priority: 1 | 2 | 3 | 4,
  x: number,
  y: number,
  size: number,
): void {
  const shape = new Path2D(SHAPES[priority - 1]);
  c.save();
  c.translate(x - size / 2, y - size / 2);
  c.scale(size / 24, size / 24);
  c.fillStyle = PRIORITY[priority];
  c.fill(shape);
  // Pale yellow on white has no edge of its own.
  c.strokeStyle = '#26323d';
  c.lineWidth = 0.8;
  c.stroke(shape);
  c.fillStyle = PRIORITY_INK[priority];
  c.font = '700 12px "Be Vietnam Pro", sans-serif';
  c.textAlign = 'center';
  c.textBaseline = 'alphabetic';
  c.fillText(String(priority), 12, priority === 2 ? 18.4 : 16.4);
  c.restore();
}
