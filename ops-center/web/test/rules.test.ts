import { describe, expect, test } from 'vitest';
import type { Rule } from '../src/rules/api.ts';
import {
  blank,
  durationOf,
  durationText,
  FIRST,
  type Form,
  fieldOf,
  idFrom,
  KINDS,
  ofKind,
  opened,
  plainOf,
  problems,
  written,
  yamlOf,
} from '../src/rules/model.ts';

const MINUTE = 60e9;
const rule = (when: Record<string, unknown>, more: Partial<Rule> & Record<string, unknown> = {}): Rule =>
  ({
    id: 'wet',
    name: { vi: 'Ngập: "đường"', en: 'Flood' },
    priority: 1,
    owner: 'Sở Xây dựng',
    head: 'Trần Thị Trực',
    message: { vi: '{name} {value}', en: '{name} {value}' },
    response: { vi: 'Rào', en: 'Close' },
    procedure: { vi: ['Rào', 'Báo'], en: ['Close', 'Tell'] },
    scope: { profiles: ['flooded-road'], zones: [{ layer: 'wards' }] },
    when,
    ...more,
  }) as unknown as Rule;

/** Each kind the form has, with every field it has. */
const WHOLE: Record<string, Record<string, unknown>> = {
  threshold: { quantity: 'q', above: 0.3, clear: 0.25, for: 5 * MINUTE, clearFor: 90e9 },
  silence: { intervals: 4 },
  change: { quantity: 'q', window: 60 * MINUTE, below: -0.5, clear: 0, for: MINUTE },
  flat: { quantity: 'q', within: 0, for: 360 * MINUTE },
  aggregate: {
    of: 'count',
    quantity: 'q',
    layer: 'wards',
    window: 10 * MINUTE,
    devices: 2,
    where: { above: 0.2 },
    above: 3,
  },
  cluster: { quantity: 'q', count: 3, within: 500, window: 10 * MINUTE, where: { above: 0.2 } },
  neighbours: { quantity: 'q', metres: 3000, window: 30 * MINUTE, min: 3, off: 60, clear: 30 },
};

describe('a rule opens as a form', () => {
  for (const kind of KINDS)
    test(`${kind}, and is written back as it was`, () => {
      const form = opened(rule({ [kind]: WHOLE[kind] }));
      expect(form?.kind).toBe(kind);
      expect(written(form as Form)).toEqual(plainOf(rule({ [kind]: WHOLE[kind] })));
    });
  test('with a level of the register and a rate', () => {
    const form = opened(
      rule({ threshold: { quantity: 'q', ref: 'river-bd', level: '2', clearBy: 0.2, rate: 60 * MINUTE } }),
    );
    expect(form?.when.value).toBe('river-bd|2');
    expect(written(form as Form).when).toEqual({
      threshold: { quantity: 'q', ref: 'river-bd', level: '2', clear_by: 0.2, rate: '1h' },
    });
  });
  test('keeping what it does not show', () => {
    const more = {
      inhibits: { rules: ['b'], layer: 'wards' },
      priorities: [{ priority: 2, while: { hours: ['22:00-05:00'] } }],
      valid: '2026-06-01..2026-10-31',
      simulated: true,
      schedule: { days: ['mon'], months: ['06-01..10-31'] },
    };
    const form = opened(rule({ silence: { after: 30 * MINUTE } }, more)) as Form;
    expect(written(form)).toMatchObject(more);
    expect(yamlOf(written(form))).toContain('inhibits: {rules: [b], layer: wards}');
  });
  test('or stays YAML when the form cannot say all of it', () => {
    expect(opened(rule({ expr: { if: 'pm25 > 5' } }))).toBeUndefined();
    expect(opened(rule({ composite: { all: ['a', 'b'] } }))).toBeUndefined();
    expect(opened(rule({ threshold: WHOLE.threshold, silence: { intervals: 4 } }))).toBeUndefined();
    // A key that a later server has and this page has never heard of.
    expect(opened(rule({ threshold: { ...WHOLE.threshold, smooth: 3 } }))).toBeUndefined();
    // A head that this person is not told would be written away.
    expect(opened(rule({ threshold: WHOLE.threshold }, { head: '' }))).toBeUndefined();
  });
});

test('texts are quoted wherever YAML could read something else', () => {
  const form = { ...blank(), id: 'on', name: { vi: 'a: b # c', en: 'yes' }, owner: 'null', head: '12' };
  const text = yamlOf(written({ ...form, when: { quantity: 'pm25', side: 'above', value: '1', for: '5m' } }));
  expect(text).toContain('id: "on"\n');
  expect(text).toContain('name: {vi: "a: b # c", en: "yes"}');
  expect(text).toContain('owner: "null"\nhead: "12"');
  expect(text).toContain('when: {threshold: {quantity: pm25, above: 1, for: 5m}}');
});

test('durations are those of the file', () => {
  expect([3600e9, 90e9, 5e9, 1.5e9, 86_400e9].map(durationText)).toEqual([
    '1h',
    '90s',
    '5s',
    '1500ms',
    '24h',
  ]);
  expect(['1h30m', '90s', '1.5h', '', '5', '5 m', 'm'].map(durationOf)).toEqual([
    5_400_000,
    90_000,
    5_400_000,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

describe('what is wrong is said at its field', () => {
  const whole: Form = {
    ...blank(),
    id: 'wet',
    name: { vi: 'Ngập', en: 'Flood' },
    when: { quantity: 'q', side: 'above', value: '1' },
  };
  const wrong = (part: Partial<Form>, counter = false) =>
    Object.fromEntries(problems({ ...whole, ...part }, ['road'], () => counter));
  test('a rule that is put away needs no owner, one that judges does', () => {
    expect(wrong({})).toEqual({});
    expect(wrong({ rest: {} })).toEqual({
      owner: 'missing',
      head: 'missing',
      'response.vi': 'missing',
      'response.en': 'missing',
      'procedure.vi': 'missing',
      'procedure.en': 'missing',
    });
  });
  test('ids, texts and schedules', () => {
    expect(wrong({ id: 'road' })).toEqual({ id: 'taken' });
    expect(wrong({ id: 'Ngập' })).toEqual({ id: 'id' });
    expect(wrong({ message: { vi: '{nmae}', en: 'x' } })).toEqual({ 'message.vi': 'template' });
    expect(wrong({ response: { vi: 'Rào', en: '' } })).toEqual({ 'response.en': 'both' });
    expect(wrong({ hours: '6-21', dates: '2026-10-31..2026-06-01', months: '13-01..10-31' })).toEqual({
      hours: 'hours',
      dates: 'dates',
      months: 'months',
    });
  });
  test('levels', () => {
    const when = (w: Record<string, string>, counter = false) =>
      wrong({ when: { ...whole.when, ...w } }, counter);
    expect(when({ value: '' })).toEqual({ 'when.value': 'missing' });
    expect(when({ value: 'cao' })).toEqual({ 'when.value': 'number' });
    expect(when({ clear: '2' })).toEqual({ 'when.clear': 'clear' });
    expect(when({ side: 'below', clear: '2' })).toEqual({});
    expect(when({ for: 'lâum' })).toEqual({ 'when.for': 'duration' });
    expect(when({}, true)).toEqual({ 'when.rate': 'counter' });
  });
  test('every kind begins with fields that a person can complete', () => {
    for (const kind of KINDS) {
      const f = ofKind(whole, kind);
      const left = Object.values(Object.fromEntries(problems(f, [], () => false)));
      expect([kind, left.filter((p) => p !== 'missing')]).toEqual([kind, []]);
      for (const key of Object.keys(FIRST[kind])) expect(f.when[key]).toBeTruthy();
    }
  });
  test('the server’s words find their field', () => {
    expect(fieldOf('rules: line 3: rule "wet": owner is missing; give one')).toBe('owner');
    expect(fieldOf('rules: line 9: rule "wet": threshold: quantity "x" is not in the catalogue')).toBe(
      'when.quantity',
    );
    expect(fieldOf('rules: rule "wet": message.vi: {x} is none')).toBe('message.vi');
    expect(fieldOf('rules: rule "wet" inhibits "b", which is no other rule')).toBe('');
  });
});

test('an id out of a name', () => {
  expect(idFrom('Ngập đường Trần Phú (cao)')).toBe('ngap-duong-tran-phu-cao');
});
