import type * as GeoJSON from 'geojson';
import { mapApi } from '../mapapi.ts';
import { type Ground, Overlay } from '../overlay.ts';

const TRAILS = 'ov-trails';
const WHOLE = 'ov-trails-whole';
/** Of each vehicle; at a fix each two seconds these are four minutes. */
const KEEP = 120;
const HOURS = 1;

/**
 * Where vehicles came from: a short tail for each, out of the positions this
 * screen has seen, and the last hour for the chosen one, as the server has it.
 */
export class TrailsOverlay extends Overlay {
  readonly name = 'trails';
  readonly every = 1000;
  #tails = new Map<number, [number, number][]>();
  #asked: string | undefined;
  #whole: [number, number][] = [];

  /** Remembers where vehicles are; shown or not, so that tails are there when wanted. */
  moved(devices: Uint32Array, lon: Float64Array, lat: Float64Array): void {
    for (const i of devices) {
      let tail = this.#tails.get(i);
      if (!tail) {
        tail = [];
        this.#tails.set(i, tail);
      }
      const last = tail.at(-1);
      if (last && last[0] === lon[i] && last[1] === lat[i]) continue;
      tail.push([lon[i], lat[i]]);
      if (tail.length > KEEP) tail.shift();
    }
  }

  /** Indices mean other devices now. */
  forget(): void {
    this.#tails.clear();
    this.#asked = undefined;
    this.#whole = [];
  }

  create(ground: Ground): void {
    this.empty(ground.map, TRAILS);
    const line = { 'line-cap': 'round', 'line-join': 'round' } as const;
    this.layer(ground.map, {
      id: TRAILS,
      type: 'line',
      source: TRAILS,
      filter: ['==', ['get', 'whole'], false],
      layout: line,
      paint: { 'line-color': '#86b3dd', 'line-width': 2.2, 'line-opacity': 0.75 },
    });
    this.layer(ground.map, {
      id: WHOLE,
      type: 'line',
      source: TRAILS,
      filter: ['==', ['get', 'whole'], true],
      layout: line,
      paint: { 'line-color': '#4791c4', 'line-width': 4, 'line-opacity': 0.9 },
    });
  }

  async update(ground: Ground): Promise<void> {
    const { map, wall, t } = ground;
    const chosen = ground.settings.follow ?? ground.selected;
    const index = chosen === undefined ? undefined : wall.city.index(chosen);
    const moving = index !== undefined && wall.city.moving[index] === 1 ? chosen : undefined;
    if (moving !== this.#asked) {
      this.#asked = moving;
      this.#whole = [];
      if (moving) this.#whole = (await mapApi.track(moving, HOURS, ground.signal)).map((p) => p.at);
    }
    const features: GeoJSON.Feature[] = [];
    for (const [i, tail] of this.#tails) {
      if (tail.length < 2 || wall.city.hidden[i]) continue;
      features.push(lineOf(tail, false));
    }
    if (this.#whole.length > 1) {
      // What came in since goes on where the server's answer ended.
      const tail = index === undefined ? undefined : this.#tails.get(index);
      features.push(lineOf(tail ? [...this.#whole, ...tail.slice(-1)] : this.#whole, true));
    }
    this.fill(map, TRAILS, features);
    this.legend.set({
      title: t('map.overlay.trails'),
      rows: [
        { kind: 'line', colour: '#86b3dd', label: t('map.trailLive') },
        { kind: 'line', colour: '#4791c4', label: t('map.trailHour') },
      ],
    });
  }
}

function lineOf(coordinates: [number, number][], whole: boolean): GeoJSON.Feature {
  return { type: 'Feature', properties: { whole }, geometry: { type: 'LineString', coordinates } };
}
