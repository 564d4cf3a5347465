import { describe, expect, test, vi } from 'vitest';

// uPlot asks the page for its pixel ratio as soon as it is read.
vi.mock('uplot', () => ({ default: class {} }));
vi.mock('uplot/dist/uPlot.min.css', () => ({}));
const { columns, decimalsOf } = await import('../src/panels/chart.tsx');
const { asRate } = await import('../src/panels/history.ts');
const { fallen } = await import('../src/live/rain.ts');

const point = (t: number, mean: number) => ({ t, mean, min: mean - 1, max: mean + 1 });

describe('columns', () => {
  test('a hole in the data is a null in the line', () => {
    const got = columns([{ label: 'a', points: [point(0, 1), point(10, 2), point(100, 3)] }], 25, false);
    expect(got).toEqual([
      [0, 0.01, 0.055, 0.1],
      [1, 2, null, 3],
    ]);
  });

  test('lines with other times are aligned, and one bridges where only the other has a point', () => {
    const got = columns(
      [
        { label: 'a', points: [point(0, 1), point(20, 2)] },
        { label: 'b', points: [point(10, 7)] },
      ],
      25,
      false,
    );
    expect(got[0]).toEqual([0, 0.01, 0.02]);
    expect(got[1]).toEqual([1, undefined, 2]);
    expect(got[2]).toEqual([undefined, 7, undefined]);
  });

  test('a band carries highest, lowest and mean', () => {
    const got = columns([{ label: 'a', points: [point(0, 5)] }], 25, true);
    expect(got).toEqual([[0], [6], [4], [5]]);
  });

  test('nothing gives empty columns', () => {
    expect(columns([], 10, false)).toEqual([[]]);
  });
});

test('a tipping bucket becomes mm/h, over a wrap too', () => {
  const at = (minutes: number, max: number) => ({ t: minutes * 60_000, mean: max, min: max, max });
  const rates = asRate([at(0, 13106.8), at(5, 13107), at(10, 0.8)], fallen);
  expect(rates.map((r) => Math.round(r.mean * 10) / 10)).toEqual([2.4, 12]);
});

test.each([
  [50, 0],
  [1, 0],
  [0.5, 1],
  [0.25, 2],
  [0.1, 1],
  [0.005, 3],
])('ticks %d apart need %d decimals', (step, want) => {
  expect(decimalsOf(step)).toBe(want);
});
