import { describe, expect, test } from 'vitest';
import { light, minuteOf, ORBIT, ORBIT_EVERY, orbit, reloadDue } from '../src/scenes/calm.ts';
import { partOf } from '../src/scenes/camera.ts';
import {
  add,
  around,
  COLUMNS,
  DEFAULT_SCENE,
  look,
  move,
  overlaps,
  type Panel,
  ROWS,
  rowTracks,
  type SceneMessage,
  within,
} from '../src/scenes/model.ts';

const panel = (id: string, x: number, y: number, w = 4, h = 3): Panel => ({
  id,
  kind: 'clock',
  x,
  y,
  w,
  h,
  settings: {},
});

describe('the grid', () => {
  test('the default scene fills it and nothing lies on anything', () => {
    const { panels } = DEFAULT_SCENE;
    for (const a of panels) for (const b of panels) if (a !== b) expect(overlaps(a, b)).toBe(false);
    expect(panels.reduce((n, p) => n + p.w * p.h, 0)).toBe(COLUMNS * ROWS);
  });

  test('a panel stays inside', () => {
    expect(within({ x: -3, y: 99, w: 4, h: 3 })).toEqual({ x: 0, y: ROWS - 3, w: 4, h: 3 });
    expect(within({ x: 2, y: 2, w: 99, h: 0 })).toEqual({ x: 0, y: 2, w: COLUMNS, h: 1 });
  });

  test('a panel moves into free cells, changes places with an equal one, and never covers another', () => {
    const list = [panel('a', 0, 0), panel('b', 4, 0), panel('wide', 0, 6, 12, 3)];
    expect(move(list, 'a', { x: 8, y: 0, w: 4, h: 3 })[0]).toMatchObject({ x: 8, y: 0 });
    const swapped = move(list, 'a', { x: 3, y: 0, w: 4, h: 3 });
    expect(swapped.map((p) => p.x)).toEqual([4, 0, 0]);
    expect(move(list, 'a', { x: 0, y: 5, w: 4, h: 3 })).toBe(list);
    expect(move(list, 'a', { x: 0, y: 0, w: 5, h: 3 })).toBe(list); // growing into b
    expect(move(list, 'none', { x: 0, y: 0, w: 1, h: 1 })).toBe(list);
  });

  test('a hundred random moves leave no panel on another', () => {
    let seed = 7;
    const random = (n: number) => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed % n;
    };
    let list: readonly Panel[] = DEFAULT_SCENE.panels;
    let moved = 0;
    for (let i = 0; i < 400; i++) {
      const p = list[random(list.length)];
      const next = move(list, p.id, { x: random(24), y: random(12), w: 1 + random(6), h: 1 + random(4) });
      if (next !== list) moved++;
      list = next;
      for (const a of list) for (const b of list) if (a !== b) expect(overlaps(a, b)).toBe(false);
    }
    expect(moved).toBeGreaterThan(20);
  });

  test('a new panel takes the largest room there is, and none when there is none', () => {
    expect(add(DEFAULT_SCENE.panels, 'clock')).toBeUndefined();
    const some = DEFAULT_SCENE.panels.filter((p) => p.id !== 'rain');
    const made = add(some, 'table');
    expect(made?.panels.at(-1)).toMatchObject({ id: 'table-1', x: 0, y: 5, w: 5, h: 4 });
    expect(add([], 'clock')?.id).toBe('clock-1');
  });

  test('only a row of nothing but figures is as high as they are', () => {
    expect(rowTracks(DEFAULT_SCENE.panels).startsWith('auto minmax')).toBe(true);
    expect(rowTracks([panel('a', 0, 0)])).not.toContain('auto');
    expect(around([panel('a', 2, 1), panel('b', 4, 5)])).toEqual({ x: 2, y: 1, w: 6, h: 7 });
    expect(around([])).toBeUndefined();
  });
});

describe('where the map looks', () => {
  const message = (part: Partial<SceneMessage>): SceneMessage => ({
    type: 'scene',
    n: 1,
    display: null,
    scene: DEFAULT_SCENE,
    reason: 'default',
    ...part,
  });
  const home = { lon: 106, lat: 20, zoom: 11 };
  const span = { columns: 2, rows: 1, column: 0, row: 0 };
  const display = { id: 'w', name: { vi: 'w' }, scale: 1, calm: {} };
  test('a focus first, then the scene, and a wall of several screens always somewhere', () => {
    const none = () => undefined;
    expect(look(message({ home }), none)).toBeUndefined();
    expect(look(message({ home, display: { ...display, span } }), none)).toEqual({
      center: [106, 20],
      zoom: 11,
    });
    const scene = { ...DEFAULT_SCENE, camera: { lon: 1, lat: 2, zoom: 3 } };
    expect(look(message({ scene, home }), none)).toEqual({ center: [1, 2], zoom: 3 });
    expect(look(message({ scene, focus: { device: 'd' } }), () => [5, 6])?.center).toEqual([5, 6]);
    expect(
      look(message({ scene, focus: { device: 'd', view: { lon: 7, lat: 8, zoom: 9 } } }), () => [5, 6]),
    ).toEqual({
      center: [7, 8],
      zoom: 9,
    });
  });

  test('the parts of a spanned wall meet at their edges', () => {
    const camera = { center: [106.168, 20.434] as [number, number], zoom: 13 };
    const world = 512 * 2 ** 13;
    const x = (lon: number) => (world * (lon + 180)) / 360;
    const y = (lat: number) => {
      const s = Math.sin((lat * Math.PI) / 180);
      return world * (0.5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI));
    };
    const at = (column: number, row: number, bezel = 0) =>
      partOf(camera, { columns: 3, rows: 2, column, row, bezelX: bezel, bezelY: bezel }, 1920, 1080);
    const [left, middle, right] = [at(0, 0), at(1, 0), at(2, 0)];
    expect(x(middle.center[0]) - x(left.center[0])).toBeCloseTo(1920, 3);
    expect(x(right.center[0]) - x(middle.center[0])).toBeCloseTo(1920, 3);
    expect(y(at(0, 1).center[1]) - y(left.center[1])).toBeCloseTo(1080, 3);
    expect(middle.center[0]).toBeCloseTo(camera.center[0], 9);
    // A bezel hides what lies behind it.
    expect(x(at(1, 0, 40).center[0]) - x(at(0, 0, 40).center[0])).toBeCloseTo(1960, 3);
    expect(partOf(camera, undefined, 1920, 1080)).toBe(camera);
  });
});

describe('day and night', () => {
  const at = (time: string) => Date.parse(`2026-11-21T${time}:00+07:00`);
  test('the city’s time, wherever the browser is', () => {
    expect(minuteOf(at('23:30'))).toBe(23 * 60 + 30);
  });
  test.each([
    ['21:59', 1],
    ['22:00', 0.6],
    ['03:00', 0.6],
    ['05:30', 1],
  ])('light at %s', (time, want) => {
    expect(light({ dimFrom: '22:00', dimTo: '05:30', dim: 60 }, at(time))).toBe(want);
  });
  test('never so dark that an alarm is not seen, and full without a schedule', () => {
    expect(light({ dimFrom: '00:00', dimTo: '23:59', dim: 1 }, at('12:00'))).toBe(0.2);
    expect(light({ dim: 10 }, at('12:00'))).toBe(1);
  });
  test('the picture moves by a few pixels, three minutes apart, and comes back', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 9; i++) {
      const [x, y] = orbit(i * ORBIT_EVERY);
      expect(Math.abs(x)).toBeLessThanOrEqual(ORBIT);
      expect(Math.abs(y)).toBeLessThanOrEqual(ORBIT);
      expect(orbit(i * ORBIT_EVERY + ORBIT_EVERY - 1)).toEqual([x, y]);
      seen.add(`${x} ${y}`);
    }
    expect(seen.size).toBe(9);
    expect(orbit(9 * ORBIT_EVERY)).toEqual(orbit(0));
  });
  test('a reload at its half hour, and not twice', () => {
    const calm = { reload: '23:50' };
    expect(reloadDue(calm, at('23:49'), 0)).toBe(false);
    expect(reloadDue(calm, at('23:50'), 0)).toBe(true);
    expect(reloadDue(calm, at('23:50') + 20 * 60_000, 0)).toBe(true); // past midnight
    expect(reloadDue(calm, at('23:55'), at('23:51'))).toBe(false); // just loaded
    expect(reloadDue({}, at('23:50'), 0)).toBe(false);
  });
});
