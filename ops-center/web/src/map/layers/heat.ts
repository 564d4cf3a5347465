import type { ExpressionSpecification } from 'maplibre-gl';
import { number } from '../../format.ts';
import { Fresh } from '../../live/city.ts';
import { labelOf } from '../../live/dictionary.ts';
import { type Ground, Overlay } from '../overlay.ts';
import { DEFAULTS } from '../settings.ts';

const HEAT = 'ov-heat';
/** More than the eye tells apart, and what a GeoJSON source takes without effort. */
const MOST = 8000;

// Lightness alone, as the zones have it.
const RAMP = {
  dark: ['rgba(28,61,87,0)', '#1c3d57', '#2a648f', '#4791c4', '#86bde3', '#d3e8f8'],
  light: ['rgba(214,230,242,0)', '#c3dbec', '#9cc4e0', '#5a9bc9', '#2b6da0', '#123f66'],
};

/** Where a quantity is high and measured densely. Silent devices warm nothing. */
export class HeatOverlay extends Overlay {
  readonly name = 'heat';
  readonly every = 5000;

  create(ground: Ground): void {
    this.empty(ground.map, HEAT);
    this.layer(ground.map, {
      id: HEAT,
      type: 'heatmap',
      source: HEAT,
      paint: {
        'heatmap-weight': ['get', 'w'],
        'heatmap-radius': ['interpolate', ['exponential', 2], ['zoom'], 9, 12, 12, 34, 16, 180],
        'heatmap-intensity': ['interpolate', ['linear'], ['zoom'], 9, 0.7, 14, 1.4],
        'heatmap-opacity': 1,
        'heatmap-color': ramp(ground),
      },
    });
  }

  update(ground: Ground): void {
    const { map, wall, lang, t } = ground;
    const { city } = wall;
    const { quantity } = ground.settings.heat ?? DEFAULTS.heat;
    const info = city.quantities.find((q) => q.name === quantity);
    const found: { lon: number; lat: number; v: number }[] = [];
    const b = map.getBounds();
    const x = (b.getEast() - b.getWest()) / 3;
    const y = (b.getNorth() - b.getSouth()) / 3;
    for (const c of city.of(quantity)) {
      const d = city.deviceOf[c];
      if (!city.known[c] || !city.placed[d] || city.hidden[d] || city.fresh[d] === Fresh.Stale) continue;
      const lon = city.lon[d];
      const lat = city.lat[d];
      if (
        lon < b.getWest() - x ||
        lon > b.getEast() + x ||
        lat < b.getSouth() - y ||
        lat > b.getNorth() + y
      ) {
        continue;
      }
      found.push({ lon, lat, v: city.value[c] });
      if (found.length >= MOST) break;
    }
    const sorted = found.map((f) => f.v).sort((p, q) => p - q);
    const lo = sorted[Math.floor(sorted.length * 0.02)] ?? 0;
    const hi = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.98))] ?? 1;
    const span = hi - lo || 1;
    this.fill(
      map,
      HEAT,
      found.map((f) => ({
        type: 'Feature',
        properties: { w: Math.min(1, Math.max(0, 0.08 + (0.92 * (f.v - lo)) / span)) },
        geometry: { type: 'Point', coordinates: [f.lon, f.lat] },
      })),
    );
    if (map.getLayer(HEAT)) map.setPaintProperty(HEAT, 'heatmap-color', ramp(ground));
    const colours = RAMP[ground.theme];
    const digits = Math.min(info?.digits ?? 1, 2);
    const unit = info?.display || info?.unit || '';
    this.legend.set({
      title: `${t('map.overlay.heat')}: ${labelOf(info?.label, lang, quantity)}`,
      rows:
        found.length === 0
          ? [{ kind: 'text', label: t('map.noData') }]
          : [
              {
                kind: 'area',
                colour: colours[1],
                label: `${t('map.low')} (${number(lang, lo, digits)} ${unit})`,
              },
              { kind: 'area', colour: colours[3], label: t('map.middle') },
              {
                kind: 'area',
                colour: colours[5],
                label: `${t('map.high')} (${number(lang, hi, digits)} ${unit})`,
              },
            ],
      note: t('map.heatNote', { n: number(lang, found.length) }),
    });
  }
}

function ramp(ground: Ground): ExpressionSpecification {
  return [
    'interpolate',
    ['linear'],
    ['heatmap-density'],
    ...RAMP[ground.theme].flatMap((c, i) => [i / 5, c]),
  ] as unknown as ExpressionSpecification;
}
