import { describe, expect, test } from 'vitest';
import { fallen, RainGauge } from '../src/live/rain.ts';

const MIN = 60_000;

describe('fallen', () => {
  test.each([
    ['nothing', 10, 10, 0],
    ['three tips', 10, 10.6, 0.6],
    ['a wrap at 16 bits of tips', 13107, 0.4, 0.6],
    ['a reset', 400, 1.2, 1.2],
    ['a bucket that reaches past the reading after it', 13107, 13106.8, 0],
    ['a step back by a tip', 5, 4.8, 0],
    ['the same number in 32 bits', 552.6, Math.fround(552.6), 0],
  ])('%s', (_, before, after, want) => {
    expect(fallen(before, after)).toBeCloseTo(want, 6);
  });
});

describe('RainGauge', () => {
  test('sums an hour and says how much of it was seen', () => {
    const gauge = new RainGauge();
    expect(gauge.sum(0)).toBeUndefined();
    for (let m = 0; m <= 90; m++) gauge.add(m * MIN, m * 0.2);
    const sum = gauge.sum(90 * MIN);
    expect(sum?.minutes).toBe(60);
    expect(sum?.mm).toBeCloseTo(12, 6);
    expect(gauge.sum(90.5 * MIN)?.mm).toBeCloseTo(11.9, 6);
    expect(gauge.sum(200 * MIN)).toBeUndefined();
    const young = new RainGauge();
    for (let m = 0; m <= 12; m++) young.add(m * MIN, m);
    expect(young.sum(12 * MIN)).toMatchObject({ minutes: 12, mm: 12 });
  });

  test('history goes before what was seen live, and never twice', () => {
    const gauge = new RainGauge();
    gauge.add(60 * MIN, 30);
    gauge.seed([
      { t: 30 * MIN, max: 20 },
      { t: 59 * MIN, max: 29 },
      { t: 61 * MIN, max: 31 },
    ]);
    expect(gauge.sum(60 * MIN)?.mm).toBeCloseTo(10, 6);
  });

  test('late and repeated readings change nothing', () => {
    const gauge = new RainGauge();
    gauge.add(10 * MIN, 5);
    gauge.add(11 * MIN, 6);
    gauge.add(10.5 * MIN, 99);
    gauge.add(11 * MIN, 6);
    expect(gauge.sum(11 * MIN)?.mm).toBeCloseTo(1, 6);
  });

  test('readings a few seconds apart neither pile up nor lose rain', () => {
    const gauge = new RainGauge();
    for (let s = 0; s <= 3600; s += 2) gauge.add(s * 1000, s * 0.01);
    expect(gauge.sum(3600_000)?.mm).toBeCloseTo(36, 6);
  });
});
