import { beforeEach, describe, expect, test } from 'vitest';
import { City, Fresh, freshness } from '../src/live/city.ts';
import type { Dictionary } from '../src/live/dictionary.ts';
import { DT_OLDER, type PositionsFrame, type ValuesFrame } from '../src/live/frame.ts';

const T = 1_795_230_000_000;

function dictionary(change: Partial<Dictionary> = {}): Dictionary {
  return {
    dict: 1,
    hub: 'h1',
    quantities: ['pm25', 'battery', 'speed'].map((name) => ({
      name,
      kind: 'gauge' as const,
      unit: '',
      min: 0,
      max: 1,
      digits: 1,
      label: {},
      display: '',
    })),
    profiles: [
      { name: 'air-quality', label: {}, class: 'air', moving: false, main: 'pm25' },
      { name: 'bus', label: {}, class: 'bus', moving: true, main: 'speed' },
    ],
    devices: {
      id: ['AQ-1', 'AQ-2', 'BUS-1'],
      name: ['', '', ''],
      profile: [0, 0, 1],
      lon: [106.1, 106.2, null],
      lat: [20.4, 20.5, null],
      moving: [false, false, true],
      simulated: [false, true, false],
      interval: [60, 60, 5],
      hidden: [false, false, false],
    },
    // Not in order of devices, as after a device was given another quantity.
    channels: { device: [0, 1, 2, 0], quantity: [0, 0, 2, 1] },
    ...change,
  };
}

type Row = [channel: number, value: number, dt: number, severity?: number, quality?: number];

function frame(kind: 'snapshot' | 'delta', t0: number, rows: Row[]): ValuesFrame {
  return {
    kind,
    count: rows.length,
    dict: 1,
    seq: 1,
    t0,
    channel: Uint32Array.from(rows, (r) => r[0]),
    value: Float32Array.from(rows, (r) => r[1]),
    dt: Uint16Array.from(rows, (r) => r[2]),
    severity: Uint8Array.from(rows, (r) => r[3] ?? 0),
    quality: Uint8Array.from(rows, (r) => r[4] ?? 0),
  };
}

function positions(device: number, lon: number, lat: number): PositionsFrame {
  return {
    kind: 'positions',
    count: 1,
    dict: 1,
    seq: 1,
    t0: T,
    device: Uint32Array.of(device),
    lon: Int32Array.of(lon * 1e7),
    lat: Int32Array.of(lat * 1e7),
    dt: Uint16Array.of(0),
  };
}

let city: City;
beforeEach(() => {
  city = new City();
  city.load(dictionary());
});

describe('freshness', () => {
  test.each([
    [0, Fresh.Fresh],
    [120_000, Fresh.Fresh],
    [120_001, Fresh.Late],
    [240_000, Fresh.Late],
    [240_001, Fresh.Stale],
  ])('%d ms after a value expected each minute', (age, want) => {
    expect(freshness(age, 60_000)).toBe(want);
  });
});

describe('City', () => {
  test('keeps value, time, severity and quality of each channel', () => {
    city.apply(frame('delta', T, [[0, 12.5, 3, 2, 8]]), T + 400);
    expect(city.value[0]).toBe(12.5);
    expect(city.time[0]).toBe(T + 300);
    expect(city.severity[0]).toBe(2);
    expect(city.quality[0]).toBe(8);
    expect(city.fresh[0]).toBe(Fresh.Fresh);
    expect(city.fresh[1]).toBe(Fresh.Never);
  });

  test('finds channels by device and by quantity', () => {
    expect([...city.channelsOf(0)]).toEqual([0, 3]);
    expect([...city.channelsOf(2)]).toEqual([2]);
    expect(city.channel(0, 'battery')).toBe(3);
    expect(city.channel(1, 'battery')).toBeUndefined();
    expect([...city.of('pm25')]).toEqual([0, 1]);
    expect(city.channelsOf(99)).toHaveLength(0);
  });

  test('a value grows late and stale by the device own interval', () => {
    city.apply(frame('delta', T, [[0, 1, 0]]), T);
    city.sweep(T + 121_000);
    expect(city.fresh[0]).toBe(Fresh.Late);
    city.sweep(T + 241_000);
    expect(city.fresh[0]).toBe(Fresh.Stale);
    city.apply(frame('delta', T + 250_000, [[0, 1, 0]]), T + 250_000);
    expect(city.fresh[0]).toBe(Fresh.Fresh);
  });

  test('a device whose clock is slow is not silent while it reports', () => {
    // Event time five minutes behind, reported now.
    city.apply(frame('delta', T - 300_000, [[0, 1, 0]]), T);
    city.sweep(T + 1000);
    expect(city.fresh[0]).toBe(Fresh.Fresh);
  });

  test('a delta that only repeats the event for a new severity is not a report', () => {
    city.apply(frame('snapshot', T - 300_000, [[0, 1, 57]]), T);
    expect(city.fresh[0]).toBe(Fresh.Stale);
    // The same event in another frame: up to a tenth of a second is rounding.
    city.apply(frame('delta', T - 300_040, [[0, 1, 57, 3, 0]]), T);
    expect(city.severity[0]).toBe(3);
    expect(city.fresh[0]).toBe(Fresh.Stale);
  });

  test('the server saying silent wins over a recent value', () => {
    city.apply(frame('delta', T, [[0, 1, 0, 0, 128]]), T);
    expect(city.fresh[0]).toBe(Fresh.Stale);
    city.apply(frame('delta', T + 1000, [[0, 1, 0, 0, 0]]), T + 1000);
    expect(city.fresh[0]).toBe(Fresh.Fresh);
  });

  test('a value too old to be dated is old, not new', () => {
    city.apply(frame('snapshot', T - 7_000_000, [[0, 1, DT_OLDER]]), T);
    expect(city.time[0]).toBe(0);
    expect(city.fresh[0]).toBe(Fresh.Stale);
  });

  test('a snapshot replaces what went before', () => {
    city.apply(
      frame('delta', T, [
        [0, 1, 0, 1],
        [1, 2, 0],
      ]),
      T,
    );
    city.apply(frame('snapshot', T, [[1, 3, 0]]), T);
    expect([city.known[0], city.severity[0], city.fresh[0]]).toEqual([0, 0, Fresh.Never]);
    expect(city.value[1]).toBe(3);
  });

  test('NaN is no value', () => {
    city.apply(frame('delta', T, [[0, 1, 0]]), T);
    city.apply(frame('delta', T, [[0, Number.NaN, DT_OLDER]]), T);
    expect(city.known[0]).toBe(0);
  });

  test('values that come before the dictionary get their meaning with it', () => {
    const late = new City();
    late.apply(frame('snapshot', T, [[3, 55, 0, 2]]), T);
    late.move(positions(2, 106.3, 20.6), T);
    expect(late.devices).toBe(0);
    late.load(dictionary());
    expect(late.value[3]).toBe(55);
    expect(late.severity[0]).toBe(2);
    expect(late.heard[0]).toBe(T);
    expect(late.lon[2]).toBeCloseTo(106.3, 6);
  });

  test('a moving device keeps the place a frame gave it when the dictionary comes again', () => {
    expect(city.placed[2]).toBe(0);
    city.move(positions(2, 106.3, 20.6), T);
    city.load(dictionary({ dict: 2 }));
    expect([city.placed[2], city.lon[2]]).toEqual([1, 106.3]);
  });

  test('an older dictionary of the same hub is ignored, one of another hub begins anew', () => {
    city.apply(frame('delta', T, [[0, 9, 0]]), T);
    city.load(dictionary({ dict: 0, channels: { device: [], quantity: [] } }));
    expect(city.channels).toBe(4);
    city.load(dictionary({ dict: 0, hub: 'h2' }));
    expect([city.hub, city.dict, city.known[0]]).toEqual(['h2', 0, 0]);
  });

  test('tells which devices look different', () => {
    const seen: [number, number][] = [];
    city.onDirty((lo, hi) => seen.push([lo, hi]));
    city.apply(
      frame('delta', T, [
        [1, 1, 0],
        [2, 1, 0],
      ]),
      T,
    );
    city.sweep(T + 500);
    expect(seen).toEqual([[1, 2]]);
  });

  test('lists each of them once, and none whose looks stay', () => {
    const seen: (number[] | undefined)[] = [];
    city.onDirty((_lo, _hi, devices) => seen.push(devices && [...devices]));
    // AQ-1 by both of its channels, into alarm.
    city.apply(
      frame('delta', T, [
        [0, 1, 0, 2],
        [3, 1, 0, 2],
      ]),
      T,
    );
    city.apply(frame('delta', T + 1000, [[0, 7, 0, 2]]), T + 1000);
    expect(city.value[0]).toBe(7);
    city.apply(frame('delta', T + 2000, [[0, 7, 0]]), T + 2000);
    // A minute's silence is late after two, and then silent; a snapshot is all of them.
    city.sweep(T + 2000 + 121_000);
    city.apply(frame('snapshot', T + 200_000, [[0, 7, 0]]), T + 200_000);
    expect(seen).toEqual([[0], [0], [0], undefined]);
  });

  test('refuses an index no city has', () => {
    expect(() => city.apply(frame('delta', T, [[4_000_000_000, 1, 0]]), T)).toThrow(RangeError);
    expect(() => city.move(positions(4_000_000_000, 1, 1), T)).toThrow(RangeError);
  });
});
