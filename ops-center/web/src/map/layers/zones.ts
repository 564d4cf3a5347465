import type { ExpressionSpecification, FilterSpecification } from 'maplibre-gl';
import { number } from '../../format.ts';
import type { Key } from '../../i18n/index.ts';
import { labelOf } from '../../live/dictionary.ts';
import { ofThatDay } from '../../replay/past.ts';
import { mapApi, type ZoneFigure } from '../mapapi.ts';
import { type Ground, Overlay } from '../overlay.ts';
import { classOf, scaleOf } from '../scales.ts';
import { DEFAULTS } from '../settings.ts';
import { STRONG } from '../style.ts';

const FILL = 'ov-zones';
const NONE = 'ov-zones-none';
const EDGE = 'ov-zones-edge';
const TEXT = 'ov-zones-text';
export const HATCH = 'ov-hatch';

/**
 * Zones coloured by one figure each. The server counts (silent devices and
 * drills are not in it); a zone where nothing may be counted is hatched, and
 * every zone says of how many its figure is.
 */
export class ZonesOverlay extends Overlay {
  readonly name = 'zones';
  readonly every = 10_000;
  #layer = '';
  #figures: ZoneFigure[] = [];

  create(ground: Ground): void {
    const { map } = ground;
    const { layer } = ground.settings.zones ?? DEFAULTS.zones;
    this.#layer = layer;
    if (!map.hasImage(HATCH)) map.addImage(HATCH, hatch());
    this.source(map, FILL, {
      type: 'vector',
      tiles: [ofThatDay(`${location.origin}/v1/layers/${layer}/tiles/{z}/{x}/{y}.mvt`)],
      maxzoom: 16,
    });
    const nothing: FilterSpecification = ['==', ['get', 'code'], ''];
    const common = { source: FILL, 'source-layer': layer } as const;
    this.layer(map, { id: FILL, type: 'fill', ...common, filter: nothing, paint: { 'fill-opacity': 1 } });
    this.layer(map, {
      id: NONE,
      type: 'fill',
      ...common,
      filter: nothing,
      paint: { 'fill-pattern': HATCH, 'fill-opacity': 1 },
    });
    this.layer(map, {
      id: EDGE,
      type: 'line',
      ...common,
      paint: { 'line-color': '#8b9aa8', 'line-width': 1.2, 'line-opacity': 1 },
    });
    this.layer(
      map,
      {
        id: TEXT,
        type: 'symbol',
        source: FILL,
        'source-layer': `${layer}_label`,
        layout: {
          'text-font': [STRONG],
          'text-size': 13,
          'text-field': '',
          'text-offset': [0, 1.6],
          'text-anchor': 'top',
          'text-allow-overlap': true,
        },
        paint: { 'text-color': '#ffffff', 'text-halo-color': '#05080b', 'text-halo-width': 1.6 },
      },
      true,
    );
    if (this.#figures.length > 0) this.#paint(ground);
  }

  async update(ground: Ground): Promise<void> {
    const zones = ground.settings.zones ?? DEFAULTS.zones;
    if (zones.layer !== this.#layer) {
      this.#figures = [];
      this.dispose(ground.map);
      this.create(ground);
    }
    this.#figures = await mapApi.zones(zones.layer, zones.quantity, zones.stat, zones.window, ground.signal);
    this.#paint(ground);
  }

  #paint(ground: Ground): void {
    const { map, lang, t, theme, wall } = ground;
    if (!map.getLayer(FILL)) return;
    const zones = ground.settings.zones ?? DEFAULTS.zones;
    const counted = this.#figures.filter((z) => z.value !== null);
    const info = wall.city.quantities.find((q) => q.name === zones.quantity);
    const digits = Math.min(info?.digits ?? 1, 2);
    const unit = info?.display || info?.unit || '';
    const scale = scaleOf(
      zones.quantity,
      counted.map((z) => z.value as number),
      theme,
    );
    const codes = (list: ZoneFigure[]): FilterSpecification => [
      'in',
      ['get', 'code'],
      ['literal', list.map((z) => z.code)],
    ];
    map.setFilter(FILL, codes(counted));
    map.setFilter(NONE, ['!', codes(counted) as ExpressionSpecification] as FilterSpecification);
    if (counted.length > 0) {
      map.setPaintProperty(FILL, 'fill-color', [
        'match',
        ['get', 'code'],
        ...counted.flatMap((z) => [z.code, scale.colours[classOf(scale, z.value as number)]]),
        'rgba(0,0,0,0)',
      ] as unknown as ExpressionSpecification);
      map.setLayoutProperty(TEXT, 'text-field', [
        'match',
        ['get', 'code'],
        ...counted.flatMap((z) => [
          z.code,
          `${number(lang, z.value, digits)} ${unit}\n${t('map.n', { n: number(lang, z.n) })}`,
        ]),
        t('map.noData'),
      ] as unknown as ExpressionSpecification);
    } else {
      map.setLayoutProperty(TEXT, 'text-field', t('map.noData'));
    }
    const dark = theme === 'dark';
    map.setPaintProperty(TEXT, 'text-color', dark ? '#ffffff' : '#0b0f14');
    map.setPaintProperty(TEXT, 'text-halo-color', dark ? '#05080b' : '#ffffff');
    const at = (v: number) => number(lang, v, scale.breaks.every(Number.isInteger) ? 0 : digits);
    const rows = scale.colours.map((colour, i) => {
      const from = scale.breaks[i - 1];
      const to = scale.breaks[i];
      let label =
        from === undefined && to === undefined
          ? counted.length > 0
            ? at(counted[0].value as number)
            : '–'
          : from === undefined
            ? `< ${at(to)}`
            : to === undefined
              ? `≥ ${at(from)}`
              : `${at(from)} – ${at(to)}`;
      if (scale.aqi) label += ` · ${t(`map.aqi${i + 1}` as Key)}`;
      return { colour, kind: 'area' as const, label };
    });
    const left = this.#figures.reduce((n, z) => n + z.left, 0);
    const notes = [
      scale.aqi ? t('map.aqiNote') : '',
      left > 0 ? t('map.left', { n: number(lang, left) }) : '',
    ];
    this.legend.set({
      title: `${labelOf(info?.label, lang, zones.quantity)}, ${t(`map.stat.${zones.stat}`)} (${unit || '–'})`,
      rows: [...(counted.length > 0 ? rows : []), { kind: 'hatch' as const, label: t('map.noData') }],
      note: notes.filter(Boolean).join(' · '),
    });
  }
}

/** Slanting lines for "no data": neither a colour nor nothing. */
function hatch(): ImageData {
  const side = 16;
  const image = new ImageData(side, side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      if ((x + y) % 8 < 2) image.data.set([139, 154, 168, 190], (y * side + x) * 4);
    }
  }
  return image;
}
