import { expect, test } from 'vitest';
import type { Alarm } from '../src/live/alarms.ts';
import { City } from '../src/live/city.ts';
import { CELLS, EMPTY_CELL, FigureBook, STALE_CELL } from '../src/live/figures.ts';

const T = 1_795_230_000_000;

/** A city of n air stations and one hidden one, all read at T except the last. */
function city(n: number): City {
  const all = Array.from({ length: n + 1 }, (_, i) => i);
  const made = new City();
  made.load({
    dict: 1,
    hub: 'h',
    quantities: [
      { name: 'pm25', kind: 'gauge', unit: '', min: 0, max: 1, digits: 1, label: {}, display: '' },
    ],
    profiles: [{ name: 'air-quality', label: {}, class: 'air', moving: false, main: 'pm25' }],
    devices: {
      id: all.map((i) => `AQ-${i}`),
      name: all.map(() => ''),
      profile: all.map(() => 0),
      lon: all.map(() => 106),
      lat: all.map(() => 20),
      moving: all.map(() => false),
      simulated: all.map(() => false),
      interval: all.map(() => 60),
      hidden: all.map((i) => i === n),
    },
    channels: { device: all, quantity: all.map(() => 0) },
  });
  const told = all.slice(0, n - 1);
  made.apply(
    {
      kind: 'snapshot',
      count: told.length,
      dict: 1,
      seq: 1,
      t0: T,
      channel: Uint32Array.from(told),
      value: Float32Array.from(told, (i) => 10 * (i + 1)),
      dt: new Uint16Array(told.length),
      severity: new Uint8Array(told.length),
      quality: new Uint8Array(told.length),
    },
    T,
  );
  return made;
}

const alarm = (priority: 1 | 2, state: Alarm['state'], ageMinutes: number): Alarm => ({
  id: `${priority}${state}`,
  rule: 'r',
  ruleName: {},
  entity: 'e',
  device: 'AQ-0',
  at: null,
  zones: null,
  priority,
  state,
  raised: new Date(T - ageMinutes * 60_000).toISOString(),
  message: {},
  response: {},
});

test('counts devices, alarms and what is measured', () => {
  const figures = new FigureBook(city(4)).compute(
    T + 1000,
    undefined,
    [alarm(1, 'unacknowledged', 2), alarm(2, 'acknowledged', 30), alarm(2, 'shelved', 5)],
    undefined,
  );
  expect(figures).toMatchObject({ total: 4, online: 3, never: 1, silent: 0 });
  expect(figures.alarms).toEqual([2, 1, 1, 0, 0]);
  expect([figures.unacknowledged, figures.rising]).toEqual([1, 2]);
  expect(figures.pm25).toMatchObject({ mean: 20, value: 30, count: 3, device: 2, stale: false });
  expect(figures.rain).toBeUndefined();
});

test('a figure nothing current stands behind keeps its value and says it is old', () => {
  const stale = city(4);
  const book = new FigureBook(stale);
  book.compute(T + 1000, undefined, [], undefined);
  stale.sweep(T + 241_000);
  const figures = book.compute(T + 241_000, undefined, [], undefined);
  expect(figures).toMatchObject({ online: 0, silent: 3, silentProfile: 0 });
  expect(figures.pm25).toMatchObject({ mean: 20, stale: true });
});

test('a cell shows the worst of its devices: an alarm before silence before nothing', () => {
  const n = CELLS * 2;
  const made = city(n);
  made.setSeverity(0, 3);
  made.setSeverity(1, 2);
  const figures = new FigureBook(made).compute(T + 1000, undefined, [], undefined);
  expect(figures.cellSize).toBe(2);
  const [row] = figures.fleet;
  expect([row.total, row.online, row.alarms]).toEqual([n, n - 1, 2]);
  expect([row.cells[0], row.cells[1], row.cells[CELLS - 1]]).toEqual([2, EMPTY_CELL, STALE_CELL]);
});
