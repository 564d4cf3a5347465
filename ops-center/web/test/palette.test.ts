import { describe, expect, test } from 'vitest';
import { BACKGROUND, GREY, PRIORITY, PRIORITY_INK, rgb } from '../src/palette.ts';

// Machado, Oliveira, Fernandes 2009, severity 1.0, in linear RGB.
const DEFICIENCY: Record<string, number[][]> = {
  normal: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

const linear = (c: number) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);

function lab(hex: string, matrix: number[][]): [number, number, number] {
  const from = rgb(hex).map(linear);
  const [r, g, b] = matrix.map((row) =>
    Math.min(1, Math.max(0, row[0] * from[0] + row[1] * from[1] + row[2] * from[2])),
  );
  const f = (t: number) => (t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27) * (t / 116) + 16 / 116);
  const x = f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
  const y = f(0.2126729 * r + 0.7151522 * g + 0.072175 * b);
  const z = f((0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** CIEDE2000 after Sharma, Wu, Dalal 2005. */
function difference([l1, a1, b1]: number[], [l2, a2, b2]: number[]): number {
  const deg = Math.PI / 180;
  const c = (Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2;
  const g = 0.5 * (1 - Math.sqrt(c ** 7 / (c ** 7 + 25 ** 7)));
  const [p1, p2] = [a1 * (1 + g), a2 * (1 + g)];
  const [c1, c2] = [Math.hypot(p1, b1), Math.hypot(p2, b2)];
  const hue = (a: number, b: number) => (a === 0 && b === 0 ? 0 : (Math.atan2(b, a) / deg + 360) % 360);
  const [h1, h2] = [hue(p1, b1), hue(p2, b2)];
  let dh = h2 - h1;
  if (c1 * c2 === 0) dh = 0;
  else if (dh > 180) dh -= 360;
  else if (dh < -180) dh += 360;
  const dH = 2 * Math.sqrt(c1 * c2) * Math.sin((dh / 2) * deg);
  let h = h1 + h2;
  if (c1 * c2 !== 0) {
    if (Math.abs(h1 - h2) <= 180) h /= 2;
    else h = h < 360 ? (h + 360) / 2 : (h - 360) / 2;
  }
  const cm = (c1 + c2) / 2;
  const lm = (l1 + l2) / 2;
  const t =
    1 -
    0.17 * Math.cos((h - 30) * deg) +
    0.24 * Math.cos(2 * h * deg) +
    0.32 * Math.cos((3 * h + 6) * deg) -
    0.2 * Math.cos((4 * h - 63) * deg);
  const sl = 1 + (0.015 * (lm - 50) ** 2) / Math.sqrt(20 + (lm - 50) ** 2);
  const sc = 1 + 0.045 * cm;
  const sh = 1 + 0.015 * cm * t;
  const rt =
    -2 * Math.sqrt(cm ** 7 / (cm ** 7 + 25 ** 7)) * Math.sin(60 * Math.exp(-(((h - 275) / 25) ** 2)) * deg);
  const [dl, dc] = [l2 - l1, c2 - c1];
  return Math.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dH / sh) ** 2 + rt * (dc / sc) * (dH / sh));
}

function contrast(a: string, b: string): number {
  const y = (hex: string) => {
    const [r, g, bl] = rgb(hex).map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * bl;
  };
  const [hi, lo] = [y(a), y(b)].sort((p, q) => q - p);
  return (hi + 0.05) / (lo + 0.05);
}

test('CIEDE2000 agrees with published pairs', () => {
  // Sharma, Wu, Dalal 2005, table 1, pairs 1, 7 and 17.
  expect(difference([50, 2.6772, -79.7751], [50, 0, -82.7485])).toBeCloseTo(2.0425, 4);
  expect(difference([50, 0, 0], [50, -1, 2])).toBeCloseTo(2.3669, 4);
  expect(difference([50, 2.5, 0], [73, 25, -18])).toBeCloseTo(27.1492, 4);
});

describe('priorities', () => {
  const colours = PRIORITY.slice(1);
  test.each(Object.keys(DEFICIENCY))('can be told apart with %s vision', (name) => {
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < colours.length; i++) {
      for (let j = i + 1; j < colours.length; j++) {
        const d = difference(lab(colours[i], DEFICIENCY[name]), lab(colours[j], DEFICIENCY[name]));
        least = Math.min(least, d);
      }
    }
    expect(least).toBeGreaterThanOrEqual(14);
  });

  test('stand out from the map, and their digits from them', () => {
    for (let p = 1; p <= 4; p++) {
      expect(contrast(PRIORITY[p], BACKGROUND)).toBeGreaterThanOrEqual(4.5);
      expect(contrast(PRIORITY[p], PRIORITY_INK[p])).toBeGreaterThanOrEqual(3);
    }
  });

  test('the faintest text can be read on a panel', () => {
    expect(contrast(GREY.faint, GREY.panel)).toBeGreaterThanOrEqual(4.5);
  });
});
