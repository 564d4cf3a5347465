import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { clockOf, dayOf, dayText, partsOf, timeOf } from '../src/fields/clock.ts';
import { addressOf } from '../src/links/linked.tsx';

describe('a moment of the city', () => {
  test('reads as it is written', () => {
    const ms = Date.parse('2026-11-22T14:05:30+07:00');
    expect(partsOf(ms)).toEqual({ day: '22/11/2026', time: '14:05' });
    expect(partsOf(ms, true)).toEqual({ day: '22/11/2026', time: '14:05:30' });
    expect(timeOf('22/11/2026', '14:05:30')).toBe(ms);
    expect(timeOf(' 22-11-2026 ', '14h05')).toBe(ms - 30_000);
    expect(partsOf(undefined)).toEqual({ day: '', time: '' });
  });
  test('is on the day of the city, whatever the zone of the browser', () => {
    expect(partsOf(Date.parse('2026-12-31T17:00:00Z'))).toEqual({ day: '01/01/2027', time: '00:00' });
    expect(timeOf('01/01/2027', '00:00')).toBe(Date.parse('2026-12-31T17:00:00Z'));
  });
  test('that is none is none', () => {
    for (const [day, time] of [
      ['31/02/2026', '10:00'],
      ['00/01/2026', '10:00'],
      ['11/22/2026', '10:00'],
      ['2026-11-22', '10:00'],
      ['22/11/26', '10:00'],
      ['22/11/2026', '24:00'],
      ['22/11/2026', '2:05 PM'],
      ['22/11/2026', '10:60'],
      ['22/11/2026', ''],
      ['', '10:00'],
    ] as const)
      expect([day, time, timeOf(day, time)]).toEqual([day, time, Number.NaN]);
    expect(timeOf('29/02/2028', '00:00')).toBe(Date.parse('2028-02-29T00:00:00+07:00'));
  });
});

test('a time of day is read as it is written, and only that', () => {
  for (const [text, want] of [
    ['22:00', '22:00'],
    [' 7:05 ', '07:05'],
    ['7h05', '07:05'],
    ['07.05', '07:05'],
    ['00:00', '00:00'],
    ['23:59', '23:59'],
  ])
    expect([text, clockOf(text)]).toEqual([text, want]);
  for (const text of ['24:00', '22:60', '10:00 PM', '22', '22:', '22:0', '2200', ':00', '-1:00', ''])
    expect([text, clockOf(text)]).toEqual([text, undefined]);
});

test('a day is read as it is written, and comes back so', () => {
  expect(dayOf('22/11/2026')).toBe('2026-11-22');
  expect(dayOf('1/1/2027')).toBe('2027-01-01');
  expect(dayText('2026-11-22')).toBe('22/11/2026');
  for (const day of ['2026-01-01', '2026-12-31', '2028-02-29']) expect(dayOf(dayText(day))).toBe(day);
  for (const text of ['11/22/2026', '31/02/2026', '29/02/2026', '2026-11-22', '22/11/26', '22/11', ''])
    expect([text, dayOf(text)]).toEqual([text, undefined]);
});

test('no page leaves the shape of a time or a day to the language of the browser', () => {
  const src = new URL('../src/', import.meta.url);
  const pages = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.tsx'));
  expect(pages.length).toBeGreaterThan(20);
  const left = pages.filter((f) =>
    /type=\{?["'](time|date|datetime-local|month|week)\b/.test(readFileSync(new URL(f, src), 'utf8')),
  );
  expect(left).toEqual([]);
});

test('the address names what is chosen, and keeps what else it asks for', () => {
  const here = 'http://[::1]:8080/desk?only=map&alarm=old#x';
  expect(addressOf(here, 'alarm', 'a&b')).toBe('/desk?only=map&alarm=a%26b#x');
  expect(addressOf(here, 'device', 'd-1')).toBe('/desk?only=map&device=d-1#x');
  expect(addressOf(here, 'alarm', undefined)).toBe('/desk?only=map#x');
});
