import { describe, expect, test } from 'vitest';
import { City } from '../src/live/city.ts';
import {
  alongStreet,
  areaOf,
  distance,
  lengthOf,
  metresPerPixel,
  reachOf,
  scaleBar,
} from '../src/map/geometry.ts';
import { NoLayer, readLayer } from '../src/map/layers/own.ts';
import type { Limit } from '../src/map/mapapi.ts';
import { fileName } from '../src/map/print.ts';
import { along, marksOf, nearest, type Station, standing } from '../src/map/profile.ts';
import { AQI, classOf, nice, scaleOf } from '../src/map/scales.ts';
import { DeviceSearch, fold } from '../src/map/search.ts';
import { check, OVERLAYS, orderOf } from '../src/map/settings.ts';
import { BASE_LAYERS, baseStyle, LIGHT, themed } from '../src/map/style.ts';

describe('the marks of a river gauge', () => {
  const limit = (level: string, value: number | null, more: Partial<Limit> = {}): Limit => ({
    level,
    name: { vi: level.toUpperCase() },
    value,
    basis: 'QĐ 05/2020/QĐ-TTg',
    authority: 'Thủ tướng Chính phủ',
    ...more,
  });
  const rules = [{ name: 'quy tắc', level: 9 }];
  const say = (name: { vi?: string }, otherwise: string) => name.vi ?? otherwise;

  test('are those decided for it, lowest first, with their basis', () => {
    expect(marksOf([limit('bd2', 3), limit('bd1', 2.5), limit('bd3', null)], rules, say)).toEqual({
      marks: [
        { name: 'BD1', level: 2.5 },
        { name: 'BD2', level: 3 },
      ],
      basis: ['QĐ 05/2020/QĐ-TTg, Thủ tướng Chính phủ'],
    });
  });

  test('are those of the rules when nothing that counts is decided', () => {
    const none = [limit('bd1', null), limit('h', 2, { average: '24h' }), limit('low', 0.4, { below: true })];
    expect(marksOf(none, rules, say)).toEqual({ marks: rules, basis: [] });
  });
});

describe('measuring', () => {
  test('a degree of latitude, a known square', () => {
    expect(distance([106, 20], [106, 21])).toBeCloseTo(111_195, -1);
    expect(
      lengthOf([
        [106, 20],
        [106, 21],
        [106, 20],
      ]),
    ).toBeCloseTo(222_390, -2);
    // 0.01° by 0.01° at 20.4°: 1,112 m by 1,042 m.
    const square: [number, number][] = [
      [106, 20.4],
      [106.01, 20.4],
      [106.01, 20.41],
      [106, 20.41],
    ];
    expect(areaOf(square) / 1e6).toBeCloseTo(1.1119 * 1.0421, 2);
    expect(areaOf(square.toReversed())).toBeCloseTo(areaOf(square), 3);
  });

  test('the scale bar is round, and never longer than it may be', () => {
    for (let zoom = 3; zoom < 20; zoom += 0.7) {
      const bar = scaleBar(20.4, zoom, 120);
      expect(bar.pixels).toBeLessThanOrEqual(120);
      expect(bar.pixels).toBeGreaterThan(40);
      expect(['1', '2', '5']).toContain(String(bar.metres)[0]);
      expect(bar.pixels * metresPerPixel(20.4, zoom)).toBeCloseTo(bar.metres, 6);
    }
  });

  test('only the street beside a sensor is flooded, and not all of it', () => {
    const street = {
      type: 'LineString' as const,
      coordinates: [
        [106.15, 20.4],
        [106.19, 20.4],
      ],
    };
    const next = {
      type: 'LineString' as const,
      coordinates: [
        [106.15, 20.401],
        [106.19, 20.401],
      ],
    };
    const found = alongStreet([street, next], [106.17, 20.40005], 120);
    expect(found).toHaveLength(1);
    expect(lengthOf(found[0])).toBeGreaterThan(200);
    expect(lengthOf(found[0])).toBeLessThan(250);
    expect(found[0].every(([, lat]) => lat === 20.4)).toBe(true);
  });
});

describe('scales', () => {
  test('air has the classes of VN_AQI, not those of another country', () => {
    const scale = scaleOf('pm25', [3, 20], 'dark');
    expect(scale).toMatchObject({ aqi: true, breaks: [25, 50, 80, 150, 250] });
    const colour = (v: number) => scale.colours[classOf(scale, v)];
    expect([0, 24.9, 25, 79, 149.9, 200, 400].map(colour)).toEqual([
      AQI[0],
      AQI[0],
      AQI[1],
      AQI[2],
      AQI[3],
      AQI[4],
      AQI[5],
    ]);
  });

  test.each([[[0.1, 0.42]], [[2, 2.4, 9]], [[-3, 40]], [[1e5, 3e5]], [[17, 17.0001]]])(
    'all else has even, round steps over %j',
    (values) => {
      const { breaks, colours, aqi } = scaleOf('water_depth', values, 'light');
      expect(aqi).toBe(false);
      expect(colours).toHaveLength(breaks.length + 1);
      expect(breaks.length).toBeGreaterThan(0);
      const steps = breaks.slice(1).map((b, i) => b - breaks[i]);
      for (const s of steps) expect(s).toBeCloseTo(steps[0], 6);
      expect(new Set(colours).size).toBe(colours.length);
    },
  );

  test('one value, or none, is one class', () => {
    expect(scaleOf('noise', [5, 5], 'dark').breaks).toEqual([]);
    expect(scaleOf('noise', [], 'dark').breaks).toEqual([]);
    expect([0.7, 1.4, 2.2, 4, 8].map(nice)).toEqual([0.5, 1, 2, 5, 10]);
  });
});

describe('settings', () => {
  test('what cannot be used is left out', () => {
    expect(check(null)).toEqual({});
    expect(
      check({
        camera: { center: [106, Number.NaN], zoom: 3 },
        layers: [1],
        opacity: { zones: 7, heat: 'x' },
        filters: { hidden: ['air'], priority: 9 },
        zones: { layer: 'wards', quantity: 'pm25', stat: 'sum', window: '' },
        heat: {},
      }),
    ).toEqual({ opacity: { zones: 1 }, filters: { hidden: ['air'] } });
    const good = {
      camera: { center: [106.1, 20.4] as [number, number], zoom: 12 },
      layers: ['zones'],
      filters: { priority: 2 as const },
      follow: 'bus-1',
      zones: { layer: 'wards', quantity: 'noise', stat: 'max' as const, window: '1h' },
    };
    expect(check(JSON.parse(JSON.stringify(good)))).toEqual(good);
  });

  test('an order names each overlay once', () => {
    expect(orderOf(['network', 'x', 'network'])[0]).toBe('network');
    expect(orderOf(['clusters']).toSorted()).toEqual([...OVERLAYS].toSorted());
  });
});

describe('layers of one’s own', () => {
  const why = (text: string) => {
    try {
      readLayer(text);
      return 'taken';
    } catch (error) {
      if (error instanceof NoLayer) return error.why;
      throw error;
    }
  };
  test.each([
    ['{"type":"Point","coordinates":[106.1,20.4]}', 'taken'],
    ['\uFEFF{"type":"Point","coordinates":[106.1,20.4]}', 'taken'],
    ['{"type":"Feature","properties":null,"geometry":{"type":"Point","coordinates":[106,20,3]}}', 'taken'],
    ['{"type":"Point","coordinates":[583321.4,2259817.2]}', 'place'],
    ['not json', 'json'],
    ['[]', 'geojson'],
    ['null', 'geojson'],
    ['{"type":"FeatureCollection","features":[]}', 'empty'],
    ['{"type":"FeatureCollection","features":[null]}', 'geojson'],
    ['{"type":"FeatureCollection","features":[{"type":"Feature","geometry":null}]}', 'empty'],
    ['{"type":"Point","coordinates":["a","b"]}', 'geojson'],
    ['{"type":"Point","coordinates":[106]}', 'geojson'],
    ['{"type":"GeometryCollection"}', 'geojson'],
    ['{"type":"Topology","objects":{}}', 'geojson'],
  ])('%s: %s', (text, want) => {
    expect(why(text)).toBe(want);
  });
});

describe('search', () => {
  test('folds as the server does', () => {
    expect(fold('Đường NGUYỄN Ố')).toBe('duong nguyen o');
    expect(fold('Đường Nguyễn'.normalize('NFD'))).toBe('duong nguyen');
  });

  test('finds by name and by id, beginnings first, hidden ones never', () => {
    const city = new City();
    const names = ['Trạm Đông Thành', 'Cầu Đông', 'Xadong', 'Đông lạnh'];
    city.load({
      dict: 1,
      hub: 'h',
      quantities: [],
      profiles: [],
      devices: {
        id: ['a-1', 'a-2', 'a-3', 'a-4'],
        name: names,
        profile: [-1, -1, -1, -1],
        lon: [1, 1, 1, 1],
        lat: [1, 1, 1, 1],
        moving: [0, 0, 0, 0],
        simulated: [0, 0, 0, 0],
        interval: [1, 1, 1, 1],
        hidden: [false, false, false, true],
      },
      channels: { device: [], quantity: [] },
    });
    const search = new DeviceSearch(city);
    expect(search.find('dong', 9)).toEqual([0, 1, 2]);
    expect(search.find('A-2', 9)).toEqual([1]);
    expect(search.find('  ', 9)).toEqual([]);
    expect(search.find('dong', 1)).toEqual([0]);
  });
});

describe('river', () => {
  const station = (lat: number, lon: number, level?: number, marks = [3.2, 3.8, 4.3]): Station => ({
    device: `${lat}`,
    name: '',
    lat,
    lon,
    level,
    stale: false,
    marks: marks.map((l, i) => ({ name: `BĐ${i + 1}`, level: l })),
  });
  test('stations in their order from the north', () => {
    const list = [station(20.3, 106.1), station(20.5, 106.3), station(20.4, 106.35), station(20.35, 106.2)];
    expect(along(list).map((s) => s.lat)).toEqual([20.5, 20.4, 20.35, 20.3]);
  });

  test('each by its own marks; an unknown mark is not guessed', () => {
    expect(standing(station(20, 106, 3.75))).toBeCloseTo(0.5, 9);
    expect(standing(station(20, 106, 3.75, [3.2]))).toBeUndefined();
    expect(standing(station(20, 106))).toBeUndefined();
    expect(nearest(station(20, 106, 5.04))).toEqual({ name: 'BĐ3', by: expect.closeTo(0.74, 6) });
    expect(nearest(station(20, 106, 2.72))).toEqual({ name: 'BĐ1', by: expect.closeTo(-0.48, 6) });
  });
});

describe('themes', () => {
  test('every colour of the base has one for daylight, and the shapes stay', () => {
    const all = new Set<string>(BASE_LAYERS);
    const dark = baseStyle(all, all, 'http://[::1]');
    const used = new Set(JSON.stringify(dark.layers).match(/#[0-9a-f]{6}/g));
    expect([...used].filter((c) => !(c in LIGHT))).toEqual([]);
    const light = baseStyle(all, all, 'http://[::1]', 'light');
    expect(light.layers.map((l) => l.id)).toEqual(dark.layers.map((l) => l.id));
    expect(themed({ a: ['#0c1218', 1] }, 'light')).toEqual({ a: ['#eef1f4', 1] });
  });
});

test('a picture has a name that any file system takes', () => {
  expect(fileName('Vọng lâu · Bản đồ điều hành', new Date('2026-11-22T02:03:04Z'))).toBe(
    'vong-lau-ban-do-dieu-hanh-2026-11-22-02-03-04.png',
  );
});

describe('the view of the whole city', () => {
  const city = Array.from({ length: 500 }, (_, i) => 106 + i / 5000);

  test('reaches to a gauge up the river, not to a place that was typed wrongly', () => {
    expect(reachOf([...city, 106.13].sort())).toEqual([106, 106.13]);
    expect(reachOf([0, ...city])).toEqual([106, city.at(-1)]);
    expect(reachOf([106.2])).toEqual([106.2, 106.2]);
  });
});
