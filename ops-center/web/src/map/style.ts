import latin400 from '@fontsource/be-vietnam-pro/files/be-vietnam-pro-latin-400-normal.woff2?url';
import latin600 from '@fontsource/be-vietnam-pro/files/be-vietnam-pro-latin-600-normal.woff2?url';
import latinExt400 from '@fontsource/be-vietnam-pro/files/be-vietnam-pro-latin-ext-400-normal.woff2?url';
import latinExt600 from '@fontsource/be-vietnam-pro/files/be-vietnam-pro-latin-ext-600-normal.woff2?url';
import vietnamese400 from '@fontsource/be-vietnam-pro/files/be-vietnam-pro-vietnamese-400-normal.woff2?url';
import vietnamese600 from '@fontsource/be-vietnam-pro/files/be-vietnam-pro-vietnamese-600-normal.woff2?url';
import type {
  ExpressionSpecification,
  FilterSpecification,
  LayerSpecification,
  StyleSpecification,
} from 'maplibre-gl';
import { ofThatDay } from '../replay/past.ts';
import type { Theme } from '../theme.ts';

/** The layers of the base map, bottom first; the names are the server's. */
export const BASE_LAYERS = [
  'fields',
  'parks',
  'water',
  'river',
  'flood_basins',
  'feeders',
  'buildings',
  'streets',
  'bus_routes',
  'bus_stops',
  'wards',
] as const;
export type BaseLayer = (typeof BASE_LAYERS)[number];

/** Shown when a wall is opened for the first time. */
export const SHOWN_AT_FIRST: readonly BaseLayer[] = [
  'parks',
  'water',
  'river',
  'buildings',
  'streets',
  'wards',
];

// unicode-range of the subsets, as @fontsource/be-vietnam-pro's own CSS has them.
const VIETNAMESE = [
  'U+0102-0103',
  'U+0110-0111',
  'U+0128-0129',
  'U+0168-0169',
  'U+01A0-01A1',
  'U+01AF-01B0',
  'U+0300-0301',
  'U+0303-0304',
  'U+0308-0309',
  'U+0323',
  'U+0329',
  'U+1EA0-1EF9',
  'U+20AB',
];
const LATIN = [
  'U+0000-00FF',
  'U+0131',
  'U+0152-0153',
  'U+2000-206F',
  'U+20AC',
  'U+2122',
  'U+2191-2193',
  'U+2212',
];
const LATIN_EXT = ['U+0100-02BA', 'U+1E00-1E9F', 'U+2C60-2C7F', 'U+A720-A7FF'];

export const REGULAR = 'Be Vietnam Pro Regular';
export const STRONG = 'Be Vietnam Pro SemiBold';

const FONTS: StyleSpecification['font-faces'] = {
  [REGULAR]: [
    { url: vietnamese400, 'unicode-range': VIETNAMESE },
    { url: latin400, 'unicode-range': LATIN },
    { url: latinExt400, 'unicode-range': LATIN_EXT },
  ],
  [STRONG]: [
    { url: vietnamese600, 'unicode-range': VIETNAMESE },
    { url: latin600, 'unicode-range': LATIN },
    { url: latinExt600, 'unicode-range': LATIN_EXT },
  ],
};

const polygon: FilterSpecification = ['==', ['geometry-type'], 'Polygon'];
const line: FilterSpecification = ['==', ['geometry-type'], 'LineString'];

const NAME: ExpressionSpecification = ['coalesce', ['get', 'name'], ''];
// A street's rank by whatever its source calls it.
const KIND: ExpressionSpecification = [
  'coalesce',
  ['get', 'class'],
  ['get', 'kind'],
  ['get', 'highway'],
  'street',
];
const byKind = (major: number, middle: number, minor: number, least: number): ExpressionSpecification => [
  'match',
  KIND,
  ['highway', 'motorway', 'trunk', 'ring', 'ring_road'],
  major,
  ['avenue', 'primary', 'secondary', 'bridge'],
  middle,
  ['alley', 'service', 'path', 'residential', 'footway'],
  least,
  minor,
];
const width = (scale: number): ExpressionSpecification => [
  'interpolate',
  ['exponential', 1.5],
  ['zoom'],
  10,
  ['*', scale, byKind(1.6, 0.9, 0.4, 0.15)],
  13,
  ['*', scale, byKind(4.2, 2.7, 1.3, 0.6)],
  16,
  ['*', scale, byKind(15, 11, 6, 3)],
  19,
  ['*', scale, byKind(60, 46, 28, 14)],
];

const HALO = '#0b1016';

/** How each base layer is drawn. A layer the server does not have is left out. */
const DRAWN: Record<BaseLayer, LayerSpecification[]> = {
  fields: [
    {
      id: 'fields',
      type: 'fill',
      source: 'fields',
      'source-layer': 'fields',
      filter: polygon,
      paint: { 'fill-color': '#0f1a1a', 'fill-outline-color': '#152323' },
    },
  ],
  parks: [
    {
      id: 'parks',
      type: 'fill',
      source: 'parks',
      'source-layer': 'parks',
      filter: polygon,
      paint: { 'fill-color': '#10211c', 'fill-opacity': 0.9 },
    },
  ],
  water: [
    {
      id: 'water',
      type: 'fill',
      source: 'water',
      'source-layer': 'water',
      filter: polygon,
      paint: { 'fill-color': '#0d2a40', 'fill-outline-color': '#17405e' },
    },
  ],
  river: [
    {
      id: 'river',
      type: 'fill',
      source: 'river',
      'source-layer': 'river',
      filter: polygon,
      paint: { 'fill-color': '#0e2f49', 'fill-outline-color': '#1a4a6c' },
    },
    {
      id: 'river-line',
      type: 'line',
      source: 'river',
      'source-layer': 'river',
      filter: line,
      layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: {
        'line-color': '#0e2f49',
        'line-width': ['interpolate', ['exponential', 1.6], ['zoom'], 10, 1.5, 13, 4, 16, 14],
      },
    },
    {
      id: 'river-name',
      type: 'symbol',
      source: 'river',
      'source-layer': 'river',
      filter: line,
      minzoom: 11.5,
      layout: {
        'symbol-placement': 'line',
        'symbol-spacing': 420,
        'text-field': NAME,
        'text-font': [REGULAR],
        'text-size': ['interpolate', ['linear'], ['zoom'], 11.5, 12, 15, 15],
        'text-letter-spacing': 0.22,
      },
      paint: { 'text-color': '#5f93bb', 'text-halo-color': '#0c2234', 'text-halo-width': 1.4 },
    },
  ],
  flood_basins: [
    {
      id: 'flood_basins',
      type: 'fill',
      source: 'flood_basins',
      'source-layer': 'flood_basins',
      filter: polygon,
      paint: { 'fill-color': '#2c6ea6', 'fill-opacity': 0.13 },
    },
    {
      id: 'flood_basins-edge',
      type: 'line',
      source: 'flood_basins',
      'source-layer': 'flood_basins',
      paint: { 'line-color': '#5e9bcb', 'line-width': 1, 'line-dasharray': [4, 3], 'line-opacity': 0.65 },
    },
  ],
  feeders: [
    {
      id: 'feeders',
      type: 'line',
      source: 'feeders',
      'source-layer': 'feeders',
      paint: { 'line-color': '#6f6a8c', 'line-width': 1.2, 'line-dasharray': [1, 2.5], 'line-opacity': 0.9 },
    },
  ],
  buildings: [
    {
      id: 'buildings',
      type: 'fill',
      source: 'buildings',
      'source-layer': 'buildings',
      minzoom: 12,
      filter: polygon,
      paint: {
        'fill-color': '#1d2833',
        'fill-opacity': ['interpolate', ['linear'], ['zoom'], 12, 0.35, 13.2, 0.85, 15, 1],
      },
    },
    {
      id: 'buildings-edge',
      type: 'line',
      source: 'buildings',
      'source-layer': 'buildings',
      minzoom: 15.2,
      paint: { 'line-color': '#283645', 'line-width': 0.7 },
    },
  ],
  streets: [
    {
      id: 'streets-case',
      type: 'line',
      source: 'streets',
      'source-layer': 'streets',
      minzoom: 13,
      filter: line,
      layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: { 'line-color': '#0b1117', 'line-width': width(1.45) },
    },
    {
      id: 'streets',
      type: 'line',
      source: 'streets',
      'source-layer': 'streets',
      filter: line,
      layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: {
        'line-color': [
          'match',
          KIND,
          ['highway', 'motorway', 'trunk', 'ring', 'ring_road'],
          '#36485a',
          ['avenue', 'primary', 'secondary', 'bridge'],
          '#2b3a49',
          ['alley', 'service', 'path', 'footway'],
          '#1b2530',
          '#222f3b',
        ],
        'line-width': width(1),
      },
    },
    {
      id: 'streets-name',
      type: 'symbol',
      source: 'streets',
      'source-layer': 'streets',
      minzoom: 13.3,
      filter: line,
      layout: {
        'symbol-placement': 'line',
        'symbol-spacing': 380,
        'text-field': NAME,
        'text-font': [REGULAR],
        'text-size': ['interpolate', ['linear'], ['zoom'], 13.3, 10.5, 17, 13.5],
        'text-max-angle': 30,
        'text-padding': 14,
      },
      paint: { 'text-color': '#728494', 'text-halo-color': HALO, 'text-halo-width': 1.3 },
    },
  ],
  bus_routes: [
    {
      id: 'bus_routes',
      type: 'line',
      source: 'bus_routes',
      'source-layer': 'bus_routes',
      filter: line,
      layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: {
        'line-color': '#7c8fb0',
        'line-opacity': 0.55,
        'line-width': ['interpolate', ['linear'], ['zoom'], 11, 1, 16, 3],
      },
    },
  ],
  bus_stops: [
    {
      id: 'bus_stops',
      type: 'circle',
      source: 'bus_stops',
      'source-layer': 'bus_stops',
      minzoom: 13,
      paint: {
        'circle-radius': ['interpolate', ['linear'], ['zoom'], 13, 1.6, 17, 4],
        'circle-color': HALO,
        'circle-stroke-color': '#7c8fb0',
        'circle-stroke-width': 1.1,
      },
    },
  ],
  wards: [
    {
      id: 'wards-edge',
      type: 'line',
      source: 'wards',
      'source-layer': 'wards',
      filter: polygon,
      paint: {
        'line-color': '#61788f',
        'line-opacity': ['interpolate', ['linear'], ['zoom'], 10, 0.75, 15, 0.45],
        'line-width': ['interpolate', ['linear'], ['zoom'], 10, 0.8, 15, 1.6],
        'line-dasharray': [5, 2, 1, 2],
      },
    },
    {
      id: 'wards-name',
      type: 'symbol',
      source: 'wards',
      'source-layer': 'wards_label',
      layout: {
        'text-field': ['upcase', NAME],
        'text-font': [STRONG],
        'text-size': ['interpolate', ['linear'], ['zoom'], 10.5, 10.5, 13, 13, 15, 16],
        'text-letter-spacing': 0.12,
        'text-max-width': 7,
        'text-padding': 8,
      },
      paint: {
        'text-color': '#9fb1c1',
        'text-halo-color': HALO,
        'text-halo-width': 1.6,
        'text-opacity': 0.95,
      },
    },
  ],
};

/** What each colour of the dark map is on the light one. */
export const LIGHT: Record<string, string> = {
  '#05080b': '#ffffff',
  '#0b1016': '#f4f6f8',
  '#0b1117': '#cfd6dc',
  '#0c1218': '#eef1f4',
  '#0c2234': '#d4e4f0',
  '#0d2a40': '#bcd7ea',
  '#0e2f49': '#b3d2e8',
  '#0f1a1a': '#e9efe6',
  '#10211c': '#d6e6d6',
  '#152323': '#dbe4d8',
  '#17405e': '#93bbd8',
  '#1a4a6c': '#8ab4d3',
  '#1b2530': '#e6eaee',
  '#1d2833': '#dbe0e5',
  '#222f3b': '#fbfcfd',
  '#283645': '#c3cbd3',
  '#2b3a49': '#ffffff',
  '#2c6ea6': '#2c6ea6',
  '#36485a': '#f7e9c8',
  '#5e9bcb': '#2c6ea6',
  '#5f93bb': '#2b628d',
  '#61788f': '#5d7186',
  '#6f6a8c': '#77709c',
  '#728494': '#4b5a68',
  '#7c8fb0': '#566b92',
  '#9fb1c1': '#3a4958',
  '#ffffff': '#0b0f14',
};

/** Any value with the colours of a theme: names of layers and expressions hold no other '#rrggbb'. */
export function themed<T>(value: T, theme: Theme): T {
  if (theme === 'dark') return value;
  return JSON.parse(
    JSON.stringify(value).replace(/"(#[0-9a-f]{6})"/g, (whole, hex: string) =>
      hex in LIGHT ? `"${LIGHT[hex]}"` : whole,
    ),
  ) as T;
}

/** Ids of the style layers that make up a base layer. */
export function styleLayersOf(name: BaseLayer): string[] {
  return DRAWN[name].map((layer) => layer.id);
}

/** The sensors are drawn below this layer, so that names stay readable. */
export const SENSORS_BELOW = 'alarm-names';

/** The base map out of what the server has. origin is the page's own. */
export function baseStyle(
  has: ReadonlySet<string>,
  shown: ReadonlySet<string>,
  origin: string,
  theme: Theme = 'dark',
): StyleSpecification {
  const present = BASE_LAYERS.filter((name) => has.has(name));
  const sources: StyleSpecification['sources'] = {
    'alarm-names': { type: 'geojson', data: { type: 'FeatureCollection', features: [] } },
  };
  for (const name of present) {
    sources[name] = {
      type: 'vector',
      tiles: [ofThatDay(`${origin}/v1/layers/${name}/tiles/{z}/{x}/{y}.mvt`)],
      minzoom: name === 'buildings' ? 12 : 0,
      maxzoom: 16,
    };
  }
  // Names go above every line and area, whichever layer they belong to.
  const layers = present.flatMap((name) =>
    DRAWN[name].map(
      (layer) =>
        ({
          ...layer,
          layout: { ...layer.layout, visibility: shown.has(name) ? 'visible' : 'none' },
        }) as LayerSpecification,
    ),
  );
  const isName = (layer: LayerSpecification) => layer.type === 'symbol';
  return {
    version: 8,
    'font-faces': FONTS,
    sources,
    layers: themed(
      [
        { id: 'land', type: 'background', paint: { 'background-color': '#0c1218' } },
        ...layers.filter((l) => !isName(l)),
        ...layers.filter(isName),
        {
          id: SENSORS_BELOW,
          type: 'symbol',
          source: 'alarm-names',
          minzoom: 10,
          layout: {
            'text-field': ['get', 'text'],
            'text-font': [STRONG],
            'text-size': 13.5,
            'text-variable-anchor': ['top', 'bottom', 'left', 'right'],
            'text-radial-offset': ['get', 'away'],
            'text-justify': 'auto',
            'symbol-sort-key': ['get', 'order'],
            'text-padding': 3,
          },
          paint: { 'text-color': '#ffffff', 'text-halo-color': '#05080b', 'text-halo-width': 1.8 },
        },
      ],
      theme,
    ),
    transition: { duration: 0, delay: 0 },
  } as StyleSpecification;
}
