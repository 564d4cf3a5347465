import { describe, expect, test } from 'vitest';
import { decodeFrame, eventTime, FrameError, Quality } from '../src/live/frame.ts';
import { bytes } from './bytes.ts';

// The two frames written by hand in ops-center/live/PROTOCOL.md.
const DELTA = `
  56 47 4c 31  01 02 00 00  02 00 00 00  03 00 00 00
  29 01 00 00  00 00 00 00  80 e3 0b fc  a1 01 00 00
  07 00 00 00  04 01 00 00
  00 00 48 41  00 00 c0 7f
  03 00 ff ff
  00 02
  08 88`;
const POSITIONS = `
  56 47 4c 31  01 03 00 00  01 00 00 00  03 00 00 00
  28 01 00 00  00 00 00 00  80 e3 0b fc  a1 01 00 00
  05 00 00 00
  80 f3 47 3f
  20 fb 2d 0c
  05 00`;

describe('decodeFrame', () => {
  test('reads the delta of the protocol document', () => {
    const frame = decodeFrame(bytes(DELTA));
    if (frame.kind !== 'delta') throw new Error(`kind: got ${frame.kind}`);
    expect([frame.count, frame.dict, frame.seq, frame.t0]).toEqual([2, 3, 297, 1795230000000]);
    expect([...frame.channel]).toEqual([7, 260]);
    expect(frame.value[0]).toBe(12.5);
    expect(frame.value[1]).toBeNaN();
    expect([...frame.severity]).toEqual([0, 2]);
    expect(frame.quality[1]).toBe(Quality.Simulated | Quality.Silent);
    expect(eventTime(frame, 0)).toBe(Date.parse('2026-11-21T03:00:00.3Z'));
    expect(eventTime(frame, 1)).toBe(0);
  });

  test('reads the positions of the protocol document', () => {
    const frame = decodeFrame(bytes(POSITIONS));
    if (frame.kind !== 'positions') throw new Error(`kind: got ${frame.kind}`);
    expect([frame.device[0], frame.lon[0], frame.lat[0]]).toEqual([5, 1061680000, 204340000]);
    expect(eventTime(frame, 0)).toBe(1795230000500);
  });

  test('takes padding to four bytes and an empty frame', () => {
    expect(decodeFrame(bytes(`${POSITIONS} 00 00`)).count).toBe(1);
    expect(decodeFrame(bytes(DELTA.slice(0, 0) + emptySnapshot)).count).toBe(0);
  });

  const wrong: [string, string, RegExp][] = [
    ['nothing', '', /no whole header/],
    ['half a header', DELTA.trim().slice(0, 60), /no whole header/],
    ['another magic', DELTA.replace('56', '57'), /VGL1/],
    ['another version', DELTA.replace('01 02', '02 02'), /version 2/],
    ['an unknown kind', DELTA.replace('01 02', '01 09'), /kind 9/],
    ['a missing byte', DELTA.trim().slice(0, -3), /claims 2 rows/],
    ['a hostile count', DELTA.replace('02 00 00 00  03', 'ff ff ff ff  03'), /claims 4294967295 rows/],
    ['bytes too many', `${DELTA} 00 00 00 00`, /claims 2 rows/],
  ];
  test.each(wrong)('refuses %s', (_, hex, message) => {
    expect(() => decodeFrame(bytes(hex))).toThrow(FrameError);
    expect(() => decodeFrame(bytes(hex))).toThrow(message);
  });

  test('never reads outside of what it was given', () => {
    // Every prefix, and every byte of the header changed, is refused or read whole.
    const whole = new Uint8Array(bytes(DELTA));
    for (let n = 0; n < whole.length; n++) {
      expect(() => decodeFrame(whole.slice(0, n).buffer)).toThrow(FrameError);
    }
    for (let i = 0; i < 32; i++) {
      for (const x of [0, 1, 0x7f, 0xff]) {
        const changed = whole.slice();
        changed[i] = x;
        try {
          const frame = decodeFrame(changed.buffer);
          expect(frame.count).toBeLessThanOrEqual(2);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }
    }
  });
});

const emptySnapshot = `
  56 47 4c 31  01 01 00 00  00 00 00 00  03 00 00 00
  29 01 00 00  00 00 00 00  00 00 00 00  00 00 00 00`;
