// What drawing costs the main thread, on one page: our layer, and GeoJSON
// setData, which is how traccar-web and OpenRemote's manager draw points.
import type * as GeoJSON from 'geojson';
import { type GeoJSONSource, Map as MapLibre, setWorkerUrl } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import { City } from '../../../src/live/city.ts';
import type { ValuesFrame } from '../../../src/live/frame.ts';
import { SensorLayer } from '../../../src/map/sensors.ts';

setWorkerUrl(workerUrl);

/** 80,000 a second at four frames a second; frames are made before the clock runs. */
const CHANGED = 20_000;
const EVERY = 250;
const WARM = 4;

function openMap(): Promise<MapLibre> {
  const map = new MapLibre({
    container: 'map',
    style: {
      version: 8,
      sources: {},
      layers: [{ id: 'land', type: 'background', paint: { 'background-color': '#0c1218' } }],
    },
    center: [106.17, 20.43],
    zoom: 12,
    // The work of the main thread stays; the software renderer's does not count.
    pixelRatio: 0.2,
    fadeDuration: 0,
    attributionControl: false,
  });
  return new Promise((resolve) => map.once('load', () => resolve(map)));
}

const at = (i: number, n: number): [number, number] => {
  const side = Math.ceil(Math.sqrt(n));
  return [106.08 + ((i % side) / side) * 0.18, 20.38 + (Math.floor(i / side) / side) * 0.1];
};

const sorted = (list: number[]) => list.toSorted((a, b) => a - b);
const summary = (list: number[]) => ({
  mean: list.reduce((a, b) => a + b, 0) / list.length,
  p50: sorted(list)[list.length >> 1] ?? 0,
  p95: sorted(list)[Math.floor(list.length * 0.95)] ?? 0,
});
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export interface Outcome {
  total: ReturnType<typeof summary>;
  apply: number;
  draw: number;
  shown: number;
}
let go: () => Promise<Outcome> = async () => Promise.reject(new Error('nothing is prepared'));

/** What the page costs without points: the base repainted at the same rate. */
async function floor(_n: number, frames: number) {
  const map = await openMap();
  go = async () => {
    let shown = 0;
    map.on('render', () => shown++);
    for (let f = 0; f < frames; f++) {
      map.triggerRepaint();
      await pause(EVERY);
    }
    return { total: summary([0]), apply: 0, draw: 0, shown };
  };
}

/**
 * Our layer. A night has an alarm at one point in two hundred; in the worst case
 * each of the changed points changes its looks: half of them come into alarm,
 * half go out of it.
 */
async function layer(n: number, frames: number, worst: boolean) {
  const map = await openMap();
  const city = new City();
  const sensors = new SensorLayer(city);
  city.onDirty((lo, hi, devices) => sensors.refresh(lo, hi, devices));
  const places = Array.from({ length: n }, (_, i) => at(i, n));
  const zero = () => new Array(n).fill(0);
  city.load({
    dict: 1,
    hub: 'b',
    quantities: [{ name: 'q', kind: 'gauge', unit: '', min: 0, max: 1, digits: 0, label: {}, display: '' }],
    profiles: [{ name: 'p', label: {}, class: 'air', moving: false, main: 'q' }],
    devices: {
      id: places.map((_, i) => `d${i}`),
      name: places.map(() => ''),
      profile: zero(),
      lon: places.map((p) => p[0]),
      lat: places.map((p) => p[1]),
      moving: zero(),
      simulated: zero(),
      interval: places.map(() => 60),
    },
    channels: { device: places.map((_, i) => i), quantity: zero() },
  });
  sensors.rebuild(new Set());
  map.addLayer(sensors);
  const render = sensors.render.bind(sensors);
  let drawing = 0;
  let draws = 0;
  sensors.render = (gl, input) => {
    const started = performance.now();
    render(gl, input);
    drawing += performance.now() - started;
    draws++;
  };
  const count = Math.min(CHANGED, n);
  const step = Math.max(1, Math.floor(n / count));
  const made = Array.from({ length: WARM + frames }, (_, f) => {
    const channel = new Uint32Array(count);
    for (let i = 0; i < count; i++) channel[i] = (worst ? i * step : f * 7919 + i * step) % n;
    const severity = Uint8Array.from({ length: count }, (_, i) =>
      worst ? ((i + f) % 2 === 0 ? 4 : 0) : i % 200 === f % 200 ? 1 + (i % 4) : 0,
    );
    return {
      kind: 'delta',
      count,
      dict: 1,
      seq: f,
      t0: Date.now() + f * EVERY,
      channel,
      value: new Float32Array(count).fill(f),
      dt: new Uint16Array(count),
      severity,
      quality: new Uint8Array(count),
    } satisfies ValuesFrame;
  });
  // A wall runs for months: its first second is not what is measured.
  for (const frame of made.splice(0, WARM)) {
    city.apply(frame, Date.now());
    await pause(EVERY);
  }
  go = async () => {
    const applied: number[] = [];
    const drawn: number[] = [];
    let shown = 0;
    for (const frame of made) {
      [drawing, draws] = [0, 0];
      const started = performance.now();
      city.apply(frame, Date.now());
      applied.push(performance.now() - started);
      await pause(EVERY);
      drawn.push(drawing);
      if (draws > 0) shown++;
    }
    return {
      total: summary(applied.map((a, i) => a + drawn[i])),
      apply: summary(applied).p50,
      draw: summary(drawn).p50,
      shown,
    };
  };
}

async function geojson(n: number, frames: number) {
  const map = await openMap();
  const make = (f: number): GeoJSON.FeatureCollection => ({
    type: 'FeatureCollection',
    features: Array.from({ length: n }, (_, i) => ({
      type: 'Feature' as const,
      properties: { severity: (i + f) % 200 === 0 ? 1 : 0 },
      geometry: { type: 'Point' as const, coordinates: at(i, n) },
    })),
  });
  // Made before the clock runs: a page may keep its features from update to update.
  const made = [make(0), make(1)];
  map.addSource('points', { type: 'geojson', data: made[0] });
  map.addLayer({
    id: 'points',
    type: 'circle',
    source: 'points',
    paint: { 'circle-radius': 4, 'circle-color': ['match', ['get', 'severity'], 1, '#f0325a', '#93a4b4'] },
  });
  const source = map.getSource('points') as GeoJSONSource;
  await new Promise((resolve) => map.once('idle', resolve));
  go = async () => {
    const called: number[] = [];
    let shown = 0;
    map.on('sourcedata', (e) => {
      if (e.sourceId === 'points' && e.sourceDataType === 'content') shown++;
    });
    for (let f = 1; f <= frames; f++) {
      const started = performance.now();
      source.setData(made[f % 2]);
      called.push(performance.now() - started);
      await pause(EVERY);
    }
    const inTime = Math.min(shown, frames);
    // The work it has put off belongs to it.
    await Promise.race([new Promise((resolve) => map.once('idle', resolve)), pause(10_000)]);
    return { total: summary(called), apply: summary(called).p50, draw: 0, shown: inTime };
  };
}

Object.assign(window, {
  budget: {
    floor,
    layer: (n: number, frames: number) => layer(n, frames, false),
    worst: (n: number, frames: number) => layer(n, frames, true),
    geojson,
    go: () => go(),
  },
});
