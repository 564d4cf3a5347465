import type * as GeoJSON from 'geojson';
import type { Map as MapLibre } from 'maplibre-gl';
import { Cell } from '../../cell.ts';

export interface OwnLayer {
  name: string;
  count: number;
  opacity: number;
  data: GeoJSON.FeatureCollection;
}

/** What a browser draws without effort; more belongs on the server, as tiles. */
export const MOST_BYTES = 20 << 20;
export const MOST_FEATURES = 50_000;
const MOST_LAYERS = 8;

const COLOURS = ['#d3a4ff', '#7fe0c9', '#ffb3c7', '#b6e07f'];

/** Why a file is no layer; the words are the catalogue's. */
export class NoLayer extends Error {
  readonly why: 'size' | 'json' | 'geojson' | 'empty' | 'features' | 'place' | 'many';
  constructor(why: NoLayer['why']) {
    super(why);
    this.why = why;
  }
}

/** Reads GeoJSON (RFC 7946) as a collection of features with true coordinates. */
export function readLayer(text: string): GeoJSON.FeatureCollection {
  if (text.length > MOST_BYTES) throw new NoLayer('size');
  let raw: unknown;
  try {
    raw = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    throw new NoLayer('json');
  }
  const root = raw as { type?: unknown; features?: unknown; coordinates?: unknown };
  if (typeof root !== 'object' || root === null || typeof root.type !== 'string')
    throw new NoLayer('geojson');
  let features: GeoJSON.Feature[];
  if (root.type === 'FeatureCollection' && Array.isArray(root.features)) features = root.features;
  else if (root.type === 'Feature') features = [root as GeoJSON.Feature];
  else if (GEOMETRIES.has(root.type)) {
    features = [{ type: 'Feature', properties: {}, geometry: root as unknown as GeoJSON.Geometry }];
  } else throw new NoLayer('geojson');
  if (features.length > MOST_FEATURES) throw new NoLayer('features');
  const kept: GeoJSON.Feature[] = [];
  for (const f of features) {
    if (typeof f !== 'object' || f === null || f.type !== 'Feature') throw new NoLayer('geojson');
    if (!f.geometry) continue; // RFC 7946 allows a feature without a place
    for (const [lon, lat] of positions(f.geometry)) {
      // Projected coordinates, VN-2000 among them, are far outside of degrees.
      if (!(Math.abs(lon) <= 180 && Math.abs(lat) <= 90)) throw new NoLayer('place');
    }
    kept.push({ type: 'Feature', properties: f.properties ?? {}, geometry: f.geometry });
  }
  if (kept.length === 0) throw new NoLayer('empty');
  return { type: 'FeatureCollection', features: kept };
}

const GEOMETRIES = new Set([
  'Point',
  'MultiPoint',
  'LineString',
  'MultiLineString',
  'Polygon',
  'MultiPolygon',
  'GeometryCollection',
]);

function* positions(g: GeoJSON.Geometry): Generator<number[]> {
  if (!GEOMETRIES.has(g?.type)) throw new NoLayer('geojson');
  if (g.type === 'GeometryCollection') {
    if (!Array.isArray(g.geometries)) throw new NoLayer('geojson');
    for (const part of g.geometries) yield* positions(part);
    return;
  }
  const stack: unknown[] = [g.coordinates];
  while (stack.length > 0) {
    const at = stack.pop();
    if (!Array.isArray(at)) throw new NoLayer('geojson');
    if (typeof at[0] === 'number') {
      if (at.length < 2 || !at.every((v) => typeof v === 'number')) throw new NoLayer('geojson');
      yield at as number[];
    } else stack.push(...at.slice(0, 1_000_000));
  }
}

/** Layers that the operator dropped on the map: of this page, told to nobody. */
export class OwnLayers {
  readonly list = new Cell<readonly OwnLayer[]>([]);

  add(map: MapLibre, name: string, data: GeoJSON.GeoJSON): void {
    const all = this.list.get();
    if (all.length >= MOST_LAYERS) throw new NoLayer('many');
    let free = name;
    for (let n = 2; all.some((l) => l.name === free); n++) free = `${name} ${n}`;
    const layer: OwnLayer = {
      name: free,
      data: data as GeoJSON.FeatureCollection,
      count: (data as GeoJSON.FeatureCollection).features.length,
      opacity: 0.9,
    };
    this.#draw(map, layer, all.length);
    this.list.set([...all, layer]);
  }

  remove(map: MapLibre, name: string): void {
    for (const id of idsOf(name)) if (map.getLayer(id)) map.removeLayer(id);
    if (map.getSource(`own ${name}`)) map.removeSource(`own ${name}`);
    this.list.set(this.list.get().filter((l) => l.name !== name));
  }

  fade(map: MapLibre, name: string, opacity: number): void {
    this.list.set(this.list.get().map((l) => (l.name === name ? { ...l, opacity } : l)));
    const [area, line, dot] = idsOf(name);
    if (!map.getLayer(area)) return;
    map.setPaintProperty(area, 'fill-opacity', opacity * 0.25);
    map.setPaintProperty(line, 'line-opacity', opacity);
    map.setPaintProperty(dot, 'circle-opacity', opacity);
  }

  /** After a lost context. */
  restore(map: MapLibre): void {
    this.list.get().forEach((layer, i) => {
      this.#draw(map, layer, i);
    });
  }

  boxOf(name: string): [number, number, number, number] | undefined {
    const layer = this.list.get().find((l) => l.name === name) ?? this.list.get().at(-1);
    if (!layer) return undefined;
    const box: [number, number, number, number] = [180, 90, -180, -90];
    for (const f of layer.data.features) {
      for (const [lon, lat] of positions(f.geometry)) {
        box[0] = Math.min(box[0], lon);
        box[1] = Math.min(box[1], lat);
        box[2] = Math.max(box[2], lon);
        box[3] = Math.max(box[3], lat);
      }
    }
    return box;
  }

  #draw(map: MapLibre, layer: OwnLayer, index: number): void {
    const source = `own ${layer.name}`;
    const colour = COLOURS[index % COLOURS.length];
    const [area, line, dot] = idsOf(layer.name);
    if (!map.getSource(source)) map.addSource(source, { type: 'geojson', data: layer.data });
    const before = map.getLayer('sensors') ? 'sensors' : undefined;
    const only = (kind: 'Polygon' | 'Point') => ['==', ['geometry-type'], kind] as never;
    if (!map.getLayer(area)) {
      map.addLayer(
        {
          id: area,
          type: 'fill',
          source,
          filter: only('Polygon'),
          paint: { 'fill-color': colour, 'fill-opacity': layer.opacity * 0.25 },
        },
        before,
      );
      map.addLayer(
        {
          id: line,
          type: 'line',
          source,
          filter: ['!=', ['geometry-type'], 'Point'] as never,
          paint: { 'line-color': colour, 'line-width': 2, 'line-opacity': layer.opacity },
        },
        before,
      );
      map.addLayer(
        {
          id: dot,
          type: 'circle',
          source,
          filter: only('Point'),
          paint: {
            'circle-color': colour,
            'circle-radius': 5,
            'circle-opacity': layer.opacity,
            'circle-stroke-width': 1,
            'circle-stroke-color': '#0b0f14',
          },
        },
        before,
      );
    }
  }
}

const idsOf = (name: string) => [`own ${name} area`, `own ${name} line`, `own ${name} dot`];
