import type * as GeoJSON from 'geojson';
import { number } from '../../format.ts';
import { Fresh } from '../../live/city.ts';
import { alongStreet } from '../geometry.ts';
import { type Ground, Overlay } from '../overlay.ts';
import { STRONG } from '../style.ts';

const ROADS = 'ov-flood';
const LINES = 'ov-flood-lines';
const HALO = 'ov-flood-halo';
const TEXT = 'ov-flood-text';
/** Below this the road is wet. */
const FLOODED = 0.05;
/** A stretch of road this far to either side of a sensor is drawn as flooded, in metres. */
const STRETCH = 120;

// Deep is light on a dark map and dark on a light one; wide as well.
const DEPTHS = [0.05, 0.15, 0.3, 0.5];
const COLOURS = {
  dark: ['#2a648f', '#4791c4', '#86bde3', '#d3e8f8'],
  light: ['#9cc4e0', '#5a9bc9', '#2b6da0', '#123f66'],
};

/** Flooded roads: the street beside each sensor that stands in water, by its depth. */
export class FloodOverlay extends Overlay {
  readonly name = 'flood';
  readonly every = 3000;

  create(ground: Ground): void {
    const { map } = ground;
    this.empty(map, ROADS);
    this.layer(map, {
      id: LINES,
      type: 'line',
      source: ROADS,
      filter: ['==', ['geometry-type'], 'LineString'],
      layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: {
        'line-color': ['get', 'colour'],
        'line-width': ['interpolate', ['exponential', 1.5], ['zoom'], 11, 4, 15, 11, 18, 34],
        'line-opacity': 0.9,
      },
    });
    this.layer(map, {
      id: HALO,
      type: 'circle',
      source: ROADS,
      filter: ['==', ['geometry-type'], 'Point'],
      paint: {
        'circle-radius': ['interpolate', ['linear'], ['zoom'], 11, 9, 16, 22],
        'circle-color': ['get', 'colour'],
        'circle-opacity': 0.35,
        'circle-stroke-width': 1.5,
        'circle-stroke-color': ['get', 'colour'],
      },
    });
    this.layer(
      map,
      {
        id: TEXT,
        type: 'symbol',
        source: ROADS,
        filter: ['==', ['geometry-type'], 'Point'],
        layout: {
          'text-field': ['get', 'text'],
          'text-font': [STRONG],
          'text-size': 13,
          'text-offset': [0, -1.5],
          'text-anchor': 'bottom',
        },
        paint: { 'text-color': '#ffffff', 'text-halo-color': '#05080b', 'text-halo-width': 1.8 },
      },
      true,
    );
  }

  update(ground: Ground): void {
    const { map, wall, lang, t, theme } = ground;
    const { city } = wall;
    const streets = map.getSource('streets')
      ? map.querySourceFeatures('streets', { sourceLayer: 'streets' }).map((f) => f.geometry)
      : [];
    const features: GeoJSON.Feature[] = [];
    let flooded = 0;
    let old = 0;
    for (const c of city.of('water_depth')) {
      const d = city.deviceOf[c];
      if (!city.known[c] || !city.placed[d] || city.hidden[d] || !(city.value[c] >= FLOODED)) continue;
      if (city.fresh[d] === Fresh.Stale) {
        old++;
        continue;
      }
      flooded++;
      const depth = city.value[c];
      const at: [number, number] = [city.lon[d], city.lat[d]];
      const colour =
        COLOURS[theme][
          Math.max(
            0,
            DEPTHS.findLastIndex((x) => depth >= x),
          )
        ];
      for (const coordinates of alongStreet(streets, at, STRETCH)) {
        features.push({
          type: 'Feature',
          properties: { colour },
          geometry: { type: 'LineString', coordinates },
        });
      }
      features.push({
        type: 'Feature',
        properties: { colour, text: `${number(lang, depth * 100)} cm` },
        geometry: { type: 'Point', coordinates: at },
      });
    }
    this.fill(map, ROADS, features);
    if (map.getLayer(TEXT)) {
      map.setPaintProperty(TEXT, 'text-color', theme === 'dark' ? '#ffffff' : '#0b0f14');
      map.setPaintProperty(TEXT, 'text-halo-color', theme === 'dark' ? '#05080b' : '#ffffff');
    }
    this.legend.set({
      title: t('map.overlay.flood'),
      rows: DEPTHS.map((from, i) => ({
        kind: 'line',
        colour: COLOURS[theme][i],
        label:
          i + 1 < DEPTHS.length
            ? `${number(lang, from * 100)} – ${number(lang, DEPTHS[i + 1] * 100)} cm`
            : `≥ ${number(lang, from * 100)} cm`,
      })),
      note: `${t('map.flooded', { n: number(lang, flooded) })}${old > 0 ? ` · ${t('map.left', { n: number(lang, old) })}` : ''}`,
    });
  }
}
