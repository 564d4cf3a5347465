// What drawing costs the main thread, on one page: our layer, and GeoJSON
// setData, which is how traccar-web and OpenRemote's manager draw points.
import type * as GeoJSON from 'geojson';
import { type GeoJSONSource, Map as MapLibre, setWorkerUrl } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import { City } from '../../../src/live/city.ts';
import type { ValuesFrame } from '../../../src/live/frame.ts';
import { SensorLayer } from '../../../src/map/sensors.ts';

setWorkerUrl(workerUrl);

/** 80,000 a second at four frames a second. */
const CHANGED = 20_000;
const EVERY = 250;

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

// The middle one: on a shared machine a mean tells of the others.
const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length >> 1] ?? 0;
const p95 = (list: number[]) => list.toSorted((a, b) => a - b)[Math.floor(list.length * 0.95)] ?? 0;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function layer(n: number, frames: number) {
  const map = await openMap();
  const city = new City();
  const sensors = new SensorLayer(city);
  city.onDirty((lo, hi) => sensors.refresh(lo, hi));
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
  let drawn: number[] = [];
  sensors.render = (gl, input) => {
    const started = performance.now();
    render(gl, input);
    drawn.push(performance.now() - started);
  };
  await pause(1500);
  const count = Math.min(CHANGED, n);
  const applied: number[] = [];
  let shown = 0;
  drawn = [];
  for (let f = 0; f < frames; f++) {
    const channel = new Uint32Array(count);
    for (let i = 0; i < count; i++) channel[i] = (f * 7919 + i * Math.max(1, Math.floor(n / count))) % n;
    const frame = {
      kind: 'delta',
      count,
      dict: 1,
      seq: BigInt(f),
      t0: Date.now(),
      channel,
      value: new Float32Array(count).fill(f),
      dt: new Uint16Array(count),
      // One in two hundred has an alarm, as a bad night would.
      severity: Uint8Array.from({ length: count }, (_, i) => (i % 200 === f % 200 ? 1 + (i % 4) : 0)),
      quality: new Uint8Array(count),
    } as unknown as ValuesFrame;
    const before = drawn.length;
    const started = performance.now();
    city.apply(frame, Date.now());
    applied.push(performance.now() - started);
    await pause(EVERY);
    if (drawn.length > before) shown++;
  }
  const total = applied.map((a, i) => a + (drawn[i] ?? 0));
  map.remove();
  return {
    call: median(applied),
    draw: median(drawn),
    median: median(total),
    p95: p95(total),
    shown,
    frames,
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
  map.addSource('points', { type: 'geojson', data: make(0) });
  map.addLayer({
    id: 'points',
    type: 'circle',
    source: 'points',
    paint: { 'circle-radius': 4, 'circle-color': ['match', ['get', 'severity'], 1, '#f0325a', '#93a4b4'] },
  });
  const source = map.getSource('points') as GeoJSONSource;
  await new Promise((resolve) => map.once('idle', resolve));
  const called: number[] = [];
  let shown = 0;
  map.on('sourcedata', (e) => {
    if (e.sourceId === 'points' && e.sourceDataType === 'content') shown++;
  });
  shown = 0;
  for (let f = 1; f <= frames; f++) {
    const started = performance.now();
    source.setData(make(f));
    called.push(performance.now() - started);
    await pause(EVERY);
  }
  map.remove();
  return {
    call: median(called),
    draw: 0,
    median: median(called),
    p95: p95(called),
    shown: Math.min(shown, frames),
    frames,
  };
}

Object.assign(window, { budget: { layer, geojson } });
