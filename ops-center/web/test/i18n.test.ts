import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { age, date, elapsed, number, percent, signed } from '../src/format.ts';
import { catalogues, type Key, phrase } from '../src/i18n/index.ts';

const { vi, en } = catalogues;

const holes = (text: string) => [...text.matchAll(/\{(\w+)(?::[^{}]+)?\}/g)].map((m) => m[1]).sort();

describe('catalogues', () => {
  test('hold the same keys', () => {
    expect(Object.keys(en).sort()).toEqual(Object.keys(vi).sort());
  });

  test('say each phrase in one file only', () => {
    const files = readdirSync('src/i18n').filter((f) => f.endsWith('vi.json'));
    const keys = files.flatMap((f) => Object.keys(JSON.parse(readFileSync(`src/i18n/${f}`, 'utf8'))));
    expect(keys.filter((key, i) => keys.indexOf(key) !== i)).toEqual([]);
  });

  test('ask for the same parameters, in whichever order', () => {
    for (const key of Object.keys(vi) as Key[]) {
      expect([key, holes(en[key])]).toEqual([key, holes(vi[key])]);
    }
  });

  test('are composed (NFC) and have no empty phrase', () => {
    for (const [key, text] of [...Object.entries(vi), ...Object.entries(en)]) {
      expect([key, text.normalize('NFC')]).toEqual([key, text]);
      expect([key, text.trim()]).toEqual([key, text]);
      expect(text).not.toBe('');
    }
  });

  test('have no phrase that nothing uses', () => {
    const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
      .filter((f) => /\.tsx?$/.test(f))
      .map((f) => readFileSync(`src/${f}`, 'utf8'))
      .join('\n');
    // t(`state.${…}`): the family is used.
    const families = [...sources.matchAll(/`(\w+\.[\w.]*)\$\{/g)].map((m) => m[1]);
    const unused = Object.keys(vi).filter((key) => {
      if (sources.includes(`'${key}'`) || sources.includes(`"${key}"`)) return false;
      return !families.some((family) => key.startsWith(family));
    });
    expect(unused).toEqual([]);
  });

  test('have words for every act that the record names', () => {
    const acts = readdirSync('..')
      .filter((f) => f.endsWith('.go') && !f.endsWith('_test.go'))
      .flatMap((f) => [...readFileSync(`../${f}`, 'utf8').matchAll(/\.(?:changed|own)\(ctx, "([^"]+)",/g)])
      .map((m) => m[1]);
    expect(acts.length).toBeGreaterThan(30);
    expect(acts.filter((act) => !(`record.acts.${act}` in vi))).toEqual([]);
  });

  test('count one and many where the language does', () => {
    expect(phrase('en', 'device.gaps', { count: '1' })).toBe('1 gap');
    expect(phrase('en', 'device.gaps', { count: '1,000' })).toBe('1,000 gaps');
    expect(phrase('vi', 'device.gaps', { count: 1 })).not.toContain('|');
  });

  test('parameters are filled in, unknown ones are left to be seen', () => {
    expect(phrase('vi', 'figure.alarmsNote', { count: 3 })).toBe('3 chưa xác nhận');
    expect(phrase('en', 'figure.alarmsNote', {})).toBe('{count} unacknowledged');
  });
});

describe('formats', () => {
  test('numbers by language', () => {
    expect(number('vi', 18402.5, 1)).toBe('18.402,5');
    expect(number('en', 18402.5, 1)).toBe('18,402.5');
    expect(number('vi', Number.NaN)).toBe('–');
    expect(number('vi', undefined)).toBe('–');
    expect(number('en', -0.001, 2)).toBe('0.00');
    expect(percent('vi', 0.9899)).toBe('99,0 %');
    expect(percent('en', 1)).toBe('100 %');
  });

  test('trends have a sign, and none when they round to nothing', () => {
    expect(signed('vi', 0.224, 2)).toBe('+0,22');
    expect(signed('en', -0.224, 2)).toBe('−0.22');
    expect(signed('vi', -0.001, 2)).toBe('±0,00');
  });

  test('times are the city time in both languages', () => {
    const t = Date.parse('2025-11-21T07:07:32Z');
    expect(date('vi', 'time', t)).toBe('14:07:32');
    expect(date('en', 'time', t)).toBe('14:07:32');
    expect(date('en', 'day', t)).toContain('21/11/2025');
    expect(date('vi', 'day', t)).toMatch(/Thứ Sáu.*21\/11\/2025/i);
    expect(date('vi', 'minute', Date.parse('2025-11-21T17:00:00Z'))).toBe('00:00');
    expect(date('vi', 'time', Number.NaN)).toBe('–');
  });

  test.each([
    [-500, '0 giây'],
    [89_000, '89 giây'],
    [90_000, '1 phút'],
    [89 * 60_000, '89 phút'],
    [5 * 3_600_000, '5 giờ'],
    [72 * 3_600_000, '3 ngày'],
  ])('an age of %d ms', (ms, want) => {
    expect(age('vi', ms)).toBe(want);
  });

  test.each([
    [48_000, '00:48'],
    [3_661_000, '1:01:01'],
    [90_000_000, '1d 01h'],
    [-1, '00:00'],
  ])('%d ms of running time', (ms, want) => {
    expect(elapsed(ms)).toBe(want);
  });
});
