import type * as GeoJSON from 'geojson';
import type { GeoJSONSource, Map as MapLibre } from 'maplibre-gl';
import { Cell } from '../../cell.ts';
import { areaOf, lengthOf } from '../geometry.ts';
import { type Ground, Overlay } from '../overlay.ts';

const MEASURE = 'ov-measure';
const POINTS = 'ov-measure-points';
const AREA = 'ov-measure-area';

export type MeasureMode = 'off' | 'distance' | 'area';

/** Distances and areas, by clicking; on the sphere, so good to half a percent. */
export class MeasureOverlay extends Overlay {
  readonly name = 'measure';
  readonly every = Number.POSITIVE_INFINITY;
  readonly mode = new Cell<MeasureMode>('off');
  /** Metres, or square metres; undefined before there is something to measure. */
  readonly result = new Cell<number | undefined>(undefined);
  #points: [number, number][] = [];

  start(ground: Ground, mode: MeasureMode): void {
    this.#points = [];
    this.result.set(undefined);
    this.mode.set(mode);
    if (mode === 'off') {
      this.dispose(ground.map);
      return;
    }
    this.create(ground);
    this.draw(ground.map);
  }

  create(ground: Ground): void {
    if (this.mode.get() === 'off') return;
    const { map } = ground;
    this.empty(map, MEASURE);
    this.layer(
      map,
      {
        id: AREA,
        type: 'fill',
        source: MEASURE,
        filter: ['==', ['geometry-type'], 'Polygon'],
        paint: { 'fill-color': '#86b3dd', 'fill-opacity': 0.22 },
      },
      true,
    );
    this.layer(
      map,
      { id: MEASURE, type: 'line', source: MEASURE, paint: { 'line-color': '#4791c4', 'line-width': 2.5 } },
      true,
    );
    this.layer(
      map,
      {
        id: POINTS,
        type: 'circle',
        source: MEASURE,
        filter: ['==', ['geometry-type'], 'Point'],
        paint: {
          'circle-radius': 5,
          'circle-color': '#ffffff',
          'circle-stroke-color': '#0b0f14',
          'circle-stroke-width': 2,
        },
      },
      true,
    );
  }

  /** A place was clicked; false when nothing is being measured. */
  click(map: MapLibre, at: [number, number]): boolean {
    if (this.mode.get() === 'off') return false;
    this.#points.push(at);
    this.draw(map);
    return true;
  }

  undo(map: MapLibre): void {
    this.#points.pop();
    this.draw(map);
  }

  update(ground: Ground): void {
    this.draw(ground.map);
  }

  draw(map: MapLibre): void {
    const area = this.mode.get() === 'area';
    const p = this.#points;
    const features: GeoJSON.Feature[] = p.map((at) => ({
      type: 'Feature',
      properties: {},
      geometry: { type: 'Point', coordinates: at },
    }));
    if (area && p.length > 2) {
      features.push({
        type: 'Feature',
        properties: {},
        geometry: { type: 'Polygon', coordinates: [[...p, p[0]]] },
      });
    } else if (p.length > 1) {
      features.push({ type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates: p } });
    }
    (map.getSource(MEASURE) as GeoJSONSource | undefined)?.setData({ type: 'FeatureCollection', features });
    if (area) this.result.set(p.length > 2 ? areaOf(p) : undefined);
    else this.result.set(p.length > 1 ? lengthOf(p) : undefined);
  }
}
