import { beforeEach, describe, expect, test, vi } from 'vitest';
import { followAsked, turn } from '../src/replay/follow.ts';
import { Replay } from '../src/replay/moment.ts';

const night = Date.parse('2026-11-21T02:14:00+07:00');
const order = { push: 'p1', at: new Date(night).toISOString(), speed: 60 };
const at = (ms: number, speed = 60) => new Replay(ms, speed, true);

describe('a display that is told to show the past', () => {
  beforeEach(() => {
    vi.stubGlobal('location', { search: '?display=hall-1&replay=x&speed=5&paused=1&follow=p0' });
  });
  const barred = () => false;

  test('goes there from the present, with what the address says else', () => {
    const then = turn({ replay: order }, undefined, undefined, barred);
    const go = new URLSearchParams(then && 'go' in then ? then.go.slice(2) : '');
    expect(Object.fromEntries(go)).toEqual({
      display: 'hall-1',
      replay: order.at,
      speed: '60',
      follow: 'p1',
    });
  });

  test('stays in the present while the time machine has no room', () => {
    expect(turn({ replay: order }, undefined, undefined, () => true)).toBeUndefined();
  });

  test('returns when it is no longer told so', () => {
    expect(turn({}, 'p1', at(night), barred)).toEqual({ go: '/?display=hall-1' });
  });

  test('goes elsewhere for another push, or another speed', () => {
    expect(turn({ replay: { ...order, push: 'p2' } }, 'p1', at(night), barred)).toHaveProperty('go');
    expect(turn({ replay: { ...order, speed: 1 } }, 'p1', at(night), barred)).toHaveProperty('go');
  });

  test('looks for the moment when it is far from it, and only then', () => {
    expect(turn({ replay: order }, 'p1', at(night - 60_000), barred)).toBeUndefined();
    expect(turn({ replay: order }, 'p1', at(night - 3_600_000), barred)).toEqual({ seek: night });
    expect(turn({ replay: order }, 'p1', at(night + 3_600_000), barred)).toEqual({ seek: night });
  });

  test('what somebody looks at alone is left alone', () => {
    expect(turn({ replay: order }, undefined, at(night), barred)).toBeUndefined();
    expect(turn({}, undefined, at(night), barred)).toBeUndefined();
    expect(turn({}, undefined, undefined, barred)).toBeUndefined();
  });

  test('follow means nothing without a replay', () => {
    expect(followAsked('?follow=p1')).toBeUndefined();
    expect(followAsked('?replay=2026-11-21T02:14:00Z&follow=p1')).toBe('p1');
    expect(followAsked('?replay=2026-11-21T02:14:00Z')).toBeUndefined();
  });
});
