import { afterEach, describe, expect, test, vi } from 'vitest';
import { Acts, type Pending, settled } from '../src/desk/acts.ts';
import { actionOf, type Keys, rebind } from '../src/desk/keys.ts';
import {
  between,
  heldByOther,
  hold,
  inTab,
  isMine,
  lines,
  type Person,
  shelfTimes,
  sorted,
} from '../src/desk/model.ts';
import { Caller, GROUP_QUIET, REPEAT } from '../src/desk/sound.ts';
import type { Alarm } from '../src/live/alarms.ts';

const T = Date.parse('2026-11-22T03:00:00Z');
const me: Person = { id: 'u-an', name: 'An', role: 'operator', department: '' };

function alarm(id: string, more: Partial<Alarm> = {}): Alarm {
  return {
    id,
    rule: 'r',
    ruleName: {},
    entity: id,
    device: id,
    at: null,
    zones: null,
    priority: 2,
    state: 'unacknowledged',
    raised: new Date(T).toISOString(),
    message: {},
    response: {},
    changes: 1,
    ...more,
  };
}

const keysOf = (rows: readonly { key: string }[]) => rows.map((r) => r.key);
const none = new Map<string, boolean>();

describe('the queue', () => {
  test('has the worst first, then the newest, and a drill below all that is real', () => {
    const later = new Date(T + 500).toISOString();
    // A date without a fraction stands before one with, as text it would not.
    const list = [
      alarm('old'),
      alarm('new', { raised: later }),
      alarm('drill', { priority: 1, exercise: 'd' }),
      alarm('worst', { priority: 1 }),
    ];
    expect(sorted(list).map((a) => a.id)).toEqual(['worst', 'new', 'old', 'drill']);
  });

  test('gathers a group under its head, open while it is small', () => {
    const small = ['a', 'b'].map((id) => alarm(id, { group: 'g' }));
    expect(keysOf(lines([...small, alarm('c', { group: 'other' })], true, none))).toEqual([
      'group g',
      'a',
      'b',
      'c',
    ]);
    const large = ['a', 'b', 'c', 'd'].map((id) => alarm(id, { group: 'g' }));
    expect(keysOf(lines(large, true, none))).toEqual(['group g']);
    expect(keysOf(lines(large, true, new Map([['g', false]])))).toHaveLength(5);
    expect(keysOf(lines(large, false, none))).toEqual(['a', 'b', 'c', 'd']);
  });

  test('never moves a row while one is chosen; new alarms wait', () => {
    const shown = lines([alarm('a'), alarm('b')], false, none);
    const fresh = lines([alarm('a'), alarm('x', { priority: 1 })], false, none);
    const held = hold(shown, fresh);
    expect(keysOf(held.rows)).toEqual(['a', 'b']);
    expect(held.pending).toEqual(['x']);
  });

  test('counts what joins a closed group in its head, and keeps back what joins an open one', () => {
    const many = (ids: string[]) => ids.map((id) => alarm(id, { group: 'g' }));
    const closed = hold(
      lines(many(['a', 'b', 'c', 'd']), true, none),
      lines(many(['a', 'b', 'c', 'd', 'e']), true, none),
    );
    expect(closed.rows[0].ids).toHaveLength(5);
    expect(closed.pending).toEqual([]);
    const open = hold(lines(many(['a', 'b']), true, none), lines(many(['a', 'b', 'c']), true, none));
    expect(open.pending).toEqual(['c']);
    expect(keysOf(open.rows)).toEqual(['group g', 'a', 'b']);
  });

  test('marks what lies between two rows, in either direction', () => {
    const rows = lines(
      ['a', 'b', 'c', 'd'].map((id) => alarm(id)),
      false,
      none,
    );
    expect(between(rows, 'c', 'b')).toEqual(['b', 'c']);
    expect(between(rows, 'b', 'gone')).toEqual([]);
  });

  test('is quick with ten thousand', () => {
    const list = Array.from({ length: 10_000 }, (_, i) =>
      alarm(`a${i}`, { priority: ((i % 4) + 1) as 1 | 2 | 3 | 4, group: `g${i % 900}` }),
    );
    const started = performance.now();
    expect(lines(list, true, none).length).toBeGreaterThan(800);
    expect(performance.now() - started).toBeLessThan(3000);
  });

  test('knows whose an alarm is', () => {
    const until = new Date(T + 60_000).toISOString();
    const at = new Date(T).toISOString();
    const claimed = (byId: string, by: string) => alarm('a', { claimed: { by, byId, at, until } });
    expect(isMine(claimed('u-an', 'An'), me, T)).toBe(true);
    expect(heldByOther(claimed('u-2', 'An'), me, T)).toBe(true); // the same name, another person
    expect(heldByOther(claimed('u-2', 'Bình'), me, T + 61_000)).toBe(false); // run out
    const given = alarm('a', { assigned: { department: 'Sở Xây dựng', by: 'x', at } });
    expect(isMine(given, { ...me, department: 'sở xây dựng' }, T)).toBe(true);
    expect(isMine(given, me, T)).toBe(false);
    expect(inTab(alarm('a', { state: 'out_of_service' }), 'hidden', me, T)).toBe(true);
  });

  test('offers to shelve for no longer than the priority allows', () => {
    expect(shelfTimes(1800)).toEqual([15, 30]);
    expect(shelfTimes(0)).toEqual([]);
    expect(shelfTimes(300)).toEqual([5]);
  });
});

describe('an act without an answer', () => {
  const p = (act: Pending['act'], note = ''): Pending => ({
    id: 'a',
    act,
    details: note ? { note } : {},
    at: T,
    state: 'unsure',
  });
  const at = new Date(T + 40).toISOString();
  const long = new Date(T - 60_000).toISOString();

  test('is found when the server had it, and only then', () => {
    const said = (text: string, by = 'An', when = at) => alarm('a', { comments: [{ by, at: when, text }] });
    expect(settled(p('comment', 'x'), said('x'), me)).toBe(true);
    expect(settled(p('comment', 'x'), said('x', 'Bình'), me)).toBe(false);
    expect(settled(p('comment', 'x'), said('x', 'An', long), me)).toBe(false); // the same words, long ago
    expect(settled(p('comment', 'x'), alarm('a'), me)).toBe(false);
    const seen = (byId: string) => alarm('a', { state: 'normal', acknowledged: { by: 'An', byId, at } });
    expect(settled(p('acknowledge'), seen('u-an'), me)).toBe(true);
    expect(settled(p('acknowledge'), seen('u-2'), me)).toBe(false);
    expect(settled(p('unshelve'), alarm('a', { state: 'shelved' }), me)).toBe(false);
  });
});

describe('keys', () => {
  const usual: Keys = { off: false, own: {} };
  test('are remapped, but not onto another or what lists need', () => {
    const next = rebind(usual, 'claim', 'D');
    expect(next && actionOf(next, 'd')).toBe('claim');
    expect(next && actionOf(next, 'c')).toBeUndefined();
    expect(rebind(usual, 'claim', 'a')).toBeUndefined();
    expect(rebind(usual, 'claim', 'ArrowUp')).toBeUndefined();
    expect(rebind(usual, 'claim', '1')).toBeUndefined();
    expect(next && rebind(next, 'claim', 'c')).toEqual(usual);
  });

  test('do nothing when they are off', () => {
    expect(actionOf({ ...usual, off: true }, 'a')).toBeUndefined();
    expect(actionOf(usual, 'A')).toBe('acknowledge');
  });
});

describe('sounds', () => {
  const p1 = alarm('one', { priority: 1 });

  test('a priority 1 sounds until it is seen; silence is not seeing', () => {
    const c = new Caller();
    expect(c.next([p1], T)).toBe(1);
    expect(c.next([p1], T + 1000)).toBeUndefined();
    expect(c.next([p1], T + REPEAT)).toBe(1);
    c.silence([p1]);
    expect(c.next([p1], T + 3 * REPEAT)).toBeUndefined();
    const other = alarm('two', { priority: 1 });
    expect(c.next([p1, other], T + 4 * REPEAT)).toBe(1); // the next one sounds
    expect(c.next([{ ...other, state: 'acknowledged' }], T + 9 * REPEAT)).toBeUndefined();
  });

  test('a group sounds once in a while, and what was there at the start does not', () => {
    const c = new Caller();
    expect(c.next([alarm('a', { group: 'g' })], T)).toBeUndefined();
    const more = [alarm('b', { group: 'h', priority: 3 })];
    expect(c.next(more, T + 1000)).toBe(3);
    more.push(alarm('c', { group: 'h', priority: 3 }));
    expect(c.next(more, T + 2000)).toBeUndefined();
    more.push(alarm('d', { group: 'h', priority: 3 }));
    expect(c.next(more, T + 2000 + GROUP_QUIET)).toBe(3);
  });
});

describe('acts on one alarm', () => {
  afterEach(() => vi.unstubAllGlobals());

  /** A server that answers when it is told to. */
  function slow() {
    const asked: string[] = [];
    const answers: ((r: Response | Error) => void)[] = [];
    vi.stubGlobal('fetch', (path: string) => {
      asked.push(path.split('/').slice(-2).join('/'));
      return new Promise<Response>((resolve, reject) => {
        answers.push((r) => (r instanceof Error ? reject(r) : resolve(r)));
      });
    });
    const answer = async (r: Response | Error) => {
      answers.shift()?.(r);
      await new Promise((done) => setTimeout(done, 0));
    };
    const ok = (id: string) => Response.json(alarm(id));
    return { asked, answer, ok };
  }
  const ground = {
    me: () => me,
    now: () => T,
    take: () => undefined,
    live: () => true,
    signedOut: () => undefined,
  };

  test('go one after another, none is lost, a double key is one', async () => {
    const { asked, answer, ok } = slow();
    const acts = new Acts(ground);
    const a = alarm('a');
    const first = acts.run([a], 'claim');
    const second = acts.run([a], 'comment', { note: 'x' });
    void acts.run([a], 'comment', { note: 'x' });
    void acts.run([a, alarm('b')], 'assign', { department: 'd' });
    expect(asked).toEqual(['a/claim', 'b/assign']); // another alarm does not wait
    await answer(ok('a'));
    expect(await first).toBe(true);
    expect(asked).toEqual(['a/claim', 'b/assign', 'a/comment']);
    await answer(ok('b'));
    await answer(ok('a'));
    expect(await second).toBe(true);
    expect(asked).toEqual(['a/claim', 'b/assign', 'a/comment', 'a/assign']);
    await answer(ok('a'));
    expect(acts.pending.get().size).toBe(0);
  });

  test('that wait go on when the one before was refused, and wait when nobody knows', async () => {
    const { asked, answer, ok } = slow();
    const acts = new Acts(ground);
    const a = alarm('a');
    void acts.run([a], 'claim');
    void acts.run([a], 'shelve', { note: 'x', for: '15m' });
    void acts.run([a], 'unshelve');
    await answer(new Response('{}', { status: 409 }));
    expect(asked).toEqual(['a/claim', 'a/shelve']);
    await answer(new Error('cut'));
    expect(acts.pending.get().get('a')?.state).toBe('unsure');
    expect(asked).toHaveLength(2);
    void acts.settle();
    await answer(
      Response.json({
        alarm: alarm('a', { shelved: { by: 'An', at: new Date(T).toISOString(), until: '', reason: 'x' } }),
      }),
    );
    expect(asked).toEqual(['a/claim', 'a/shelve', 'alarms/a', 'a/unshelve']);
    await answer(ok('a'));
    expect(acts.pending.get().size).toBe(0);
  });
});
