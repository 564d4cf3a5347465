import { describe, expect, test } from 'vitest';
import { type Alarm, AlarmBook, arrange, byUrgency } from '../src/live/alarms.ts';

function alarm(id: string, priority: 1 | 2 | 3 | 4, minute: number, change: Partial<Alarm> = {}): Alarm {
  return {
    id,
    rule: 'r',
    ruleName: {},
    entity: `d-${id}`,
    device: `d-${id}`,
    at: null,
    zones: [],
    priority,
    state: 'unacknowledged',
    raised: new Date(Date.UTC(2026, 10, 21, 3, minute)).toISOString(),
    message: {},
    response: {},
    ...change,
  };
}

describe('order', () => {
  test('worst first, then newest, then by id', () => {
    const list = [alarm('a', 3, 9), alarm('b', 1, 1), alarm('c', 1, 5), alarm('e', 3, 9), alarm('d', 3, 9)];
    expect(list.sort(byUrgency).map((a) => a.id)).toEqual(['c', 'b', 'a', 'd', 'e']);
  });

  test('rows keep their places while one is selected, new ones wait', () => {
    const before = arrange([], [alarm('a', 2, 1), alarm('b', 3, 1)], false);
    expect(before).toEqual({ rows: ['a', 'b'], pending: [] });
    const now = [alarm('a', 2, 1, { state: 'acknowledged' }), alarm('new', 1, 9), alarm('b', 1, 1)];
    expect(arrange(before.rows, now, true)).toEqual({ rows: ['a', 'b'], pending: ['new'] });
    expect(arrange(before.rows, now, false)).toEqual({ rows: ['new', 'b', 'a'], pending: [] });
  });

  test('a row whose alarm closed stays until the selection is let go', () => {
    expect(arrange(['a', 'b'], [alarm('b', 3, 1)], true).rows).toEqual(['a', 'b']);
    expect(arrange(['a', 'b'], [alarm('b', 3, 1)], false).rows).toEqual(['b']);
  });
});

describe('AlarmBook', () => {
  test('tells each device the priority of its worst alarm that holds; a returned one is listed only', () => {
    const told: [string, number][] = [];
    const book = new AlarmBook((device, severity) => told.push([device, severity]));
    book.put(alarm('a', 3, 1, { device: 'x' }));
    book.put(alarm('b', 1, 2, { device: 'x' }));
    book.put(alarm('b', 1, 2, { device: 'x', state: 'returned' }));
    book.put(alarm('b', 1, 2, { device: 'x', state: 'normal' }));
    book.put(alarm('a', 3, 1, { device: 'x', state: 'shelved' }));
    expect(told.map((t) => t[1])).toEqual([3, 1, 3, 3, 0]);
    expect([...book.alarms.get().keys()]).toEqual(['a']);
  });

  test('applies a batch in order and tells of the list once', () => {
    const told: [string, number][] = [];
    const book = new AlarmBook((device, severity) => told.push([device, severity]));
    let lists = 0;
    book.alarms.subscribe(() => lists++);
    book.putAll([
      alarm('a', 1, 1, { device: 'x' }),
      alarm('b', 2, 1, { device: 'y' }),
      alarm('a', 1, 1, { device: 'x', state: 'acknowledged' }),
      alarm('b', 2, 1, { device: 'y', state: 'normal' }),
    ]);
    expect([...book.alarms.get().values()].map((a) => [a.id, a.state])).toEqual([['a', 'acknowledged']]);
    expect(told).toEqual([
      ['x', 1],
      ['y', 0],
    ]);
    expect(lists).toBe(1);
  });

  test('a whole list clears the devices it no longer names', () => {
    const told = new Map<string, number>();
    const book = new AlarmBook((device, severity) => told.set(device, severity));
    book.put(alarm('a', 2, 1, { device: 'x' }));
    book.reset([alarm('b', 4, 1, { device: 'y' })]);
    expect([...told]).toEqual([
      ['x', 0],
      ['y', 4],
    ]);
  });
});
