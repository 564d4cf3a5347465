import { expect, test } from 'vitest';
import { Grid } from '../src/map/grid.ts';
import { mercatorX, mercatorY } from '../src/map/mercator.ts';

test('a search finds exactly the points a look at all of them finds', () => {
  const n = 2000;
  let seed = 1;
  const random = () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647;
  };
  const x = Float64Array.from({ length: n }, () => mercatorX(106 + random() * 0.4));
  const y = Float64Array.from({ length: n }, () => mercatorY(20.2 + random() * 0.4));
  const ids = Uint32Array.from({ length: n }, (_, i) => i).filter((i) => i % 3 !== 0);
  const grid = new Grid(ids, x, y);
  for (let k = 0; k < 300; k++) {
    const [cx, cy] = [mercatorX(105.9 + random() * 0.6), mercatorY(20.1 + random() * 0.6)];
    const r = random() * 1e-4;
    const within = (i: number) => Math.hypot(x[i] - cx, y[i] - cy) <= r;
    const got: number[] = [];
    grid.near(cx, cy, r, (i) => within(i) && got.push(i));
    const want = [...ids].filter(within);
    expect(got.sort((a, b) => a - b)).toEqual(want);
  }
});

test('one point, many in one place, and none', () => {
  const found = (g: Grid) => {
    const got: number[] = [];
    g.near(0.5, 0.5, 0.1, (i) => got.push(i));
    return got;
  };
  const same = new Float64Array(5).fill(0.5);
  expect(found(new Grid(Uint32Array.of(3), same, same))).toEqual([3]);
  expect(found(new Grid(Uint32Array.of(0, 1, 2, 3, 4), same, same))).toHaveLength(5);
  expect(found(new Grid(new Uint32Array(0), same, same))).toEqual([]);
});
