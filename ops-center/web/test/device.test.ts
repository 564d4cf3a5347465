import { describe, expect, test } from 'vitest';
import {
  differences,
  dump,
  gapFor,
  gapsOf,
  LEAST,
  marksOf,
  moved,
  nearest,
  pan,
  stepFor,
  zoom,
} from '../src/device/series.ts';
import { before, improves, meets } from '../src/figures/api.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe('steps', () => {
  test('few values are taken one by one, many as buckets', () => {
    expect(stepFor(HOUR, 60_000)).toBe(0);
    expect(stepFor(DAY, 60_000)).toBe(0); // 1440 of them
    expect(stepFor(7 * DAY, 60_000)).toBe(30 * 60_000);
    expect(stepFor(365 * DAY, 60_000)).toBe(DAY);
    expect(stepFor(365 * DAY, 6 * HOUR)).toBe(0);
    // Whatever the span, the server is not asked for more than it gives.
    for (const span of [HOUR, DAY, 30 * DAY, 5 * 365 * DAY]) {
      const step = stepFor(span, 1000);
      expect(step === 0 ? span / 1000 : span / step).toBeLessThanOrEqual(3600);
    }
  });

  test('a bucket stands in its middle, a value at its time with its qualities', () => {
    const bucket = { start: '2026-11-21T05:00:00Z', min: 1, mean: 2, max: 3, count: 4 };
    expect(marksOf({ points: [], buckets: [bucket] }, HOUR)[0]).toMatchObject({
      t: Date.parse('2026-11-21T05:30:00Z'),
      min: 1,
      max: 3,
      count: 4,
    });
    const point = { time: '2026-11-21T05:00:00Z', value: 7, qualities: ['late', 'corrected'] };
    expect(marksOf({ points: [point] }, 0)[0]).toMatchObject({ mean: 7, qualities: ['late', 'corrected'] });
  });
});

describe('gaps', () => {
  const at = (...minutes: number[]) => minutes.map((m) => ({ t: m * 60_000 }));
  test('are between values, before the first and after the last', () => {
    const gap = gapFor(0, 60_000);
    expect(gapsOf(at(10, 11, 12, 20, 21), gap, 0, 30 * 60_000)).toEqual([
      [0, 10 * 60_000],
      [12 * 60_000, 20 * 60_000],
      [21 * 60_000, 30 * 60_000],
    ]);
    expect(gapsOf(at(0, 1, 2), gap, 0, 3 * 60_000)).toEqual([]);
    expect(gapsOf([], gap, 0, HOUR)).toEqual([[0, HOUR]]);
  });
  test('one missed report is none', () => {
    expect(gapsOf(at(0, 2, 4), gapFor(0, 60_000), 0, 4 * 60_000)).toEqual([]);
  });
});

describe('the window', () => {
  const now = 100 * DAY;
  test('pans into the past, and follows the clock again at its end', () => {
    const back = pan({ span: DAY, to: undefined }, -0.5, now);
    expect(back).toEqual({ span: DAY, to: now - DAY / 2 });
    expect(pan(back, 0.5, now)).toEqual({ span: DAY, to: undefined });
  });
  test('zooms about its middle, within bounds', () => {
    expect(zoom({ span: DAY, to: now - DAY }, 0.5, now)).toEqual({ span: DAY / 2, to: now - 1.25 * DAY });
    expect(zoom({ span: LEAST, to: undefined }, 0.5, now).span).toBe(LEAST);
  });
  test('by keys', () => {
    const view = { span: DAY, to: now - 10 * DAY };
    expect(moved(view, 'ArrowLeft', false, now)?.to).toBe(now - 10.25 * DAY);
    expect(moved(view, 'ArrowRight', true, now)?.to).toBe(now - 9 * DAY);
    expect(moved(view, '+', false, now)?.span).toBe(DAY / 2);
    expect(moved(view, 'End', false, now)?.to).toBeUndefined();
    expect(moved(view, 'a', false, now)).toBeUndefined();
  });
  test('finds the value nearest to a time', () => {
    const mark = (t: number) => ({ t, mean: t, min: t, max: t, qualities: [] });
    expect(nearest([mark(1), mark(5), mark(9)], 6)?.t).toBe(5);
    expect(nearest([], 6)).toBeUndefined();
  });
});

test('bytes are shown as people read dumps', () => {
  expect(dump(btoa('{"pm25": 12}\n\u0000\u00ff~abc'))).toBe(
    '0000  7b 22 70 6d 32 35 22 3a 20 31 32 7d 0a 00 ff 7e  {"pm25": 12}...~\n' +
      `0010  61 62 63${' '.repeat(39)}  abc`,
  );
});

test('desired against reported, leaf by leaf', () => {
  expect(
    differences({ interval: 60, led: { on: true } }, { interval: 300, led: { on: true }, uptime: 9 }),
  ).toEqual([
    { path: 'interval', desired: 60, reported: 300, same: false },
    { path: 'led.on', desired: true, reported: true, same: true },
    { path: 'uptime', reported: 9, same: true },
  ]);
  expect(differences({ a: 1 }, {})).toEqual([{ path: 'a', desired: 1, same: false }]);
});

test('a figure against its target and the period before', () => {
  const f = (value: number | null, better: 'lower' | 'higher', target: number | null = null) => ({
    value,
    better,
    target,
  });
  expect([meets(f(1, 'lower', 1)), meets(f(1.1, 'lower', 1)), meets(f(0.9, 'higher', 0.95))]).toEqual([
    true,
    false,
    false,
  ]);
  expect([meets(f(null, 'lower', 1)), meets(f(1, 'lower'))]).toEqual([undefined, undefined]);
  expect([improves(f(10, 'lower'), 20), improves(f(10, 'higher'), 20)]).toEqual([true, false]);
  // Nothing happened, twice: that is neither better nor worse.
  expect([
    improves(f(0, 'lower'), 0),
    improves(f(100, 'higher'), 100.1),
    improves(f(1, 'lower'), null),
  ]).toEqual([undefined, undefined, undefined]);
  expect(before({ from: 100, to: 150 })).toEqual({ from: 50, to: 100 });
});
