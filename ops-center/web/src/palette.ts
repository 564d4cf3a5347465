/**
 * The four priorities, chosen so that the smallest pairwise CIEDE2000 stays
 * above 14 under all three colour vision deficiencies (test/palette.test.ts).
 * A fifth hue does not fit; what belongs to the system itself is grey.
 */
export const BACKGROUND = '#0b0f14';
export const PRIORITY = ['#93a4b4', '#f0325a', '#ff9f40', '#fff3a6', '#3f8fe0'] as const;

/** Ink on a priority's own colour: digits and chips. */
export const PRIORITY_INK = ['#0b0f14', '#ffffff', '#1c1206', '#1d1a05', '#ffffff'] as const;

/** A priority's colour as text or line on the page's own ground; theme.css has its values. */
export const PRIORITY_TEXT = [
  'var(--faint)',
  'var(--p1-text)',
  'var(--p2-text)',
  'var(--p3-text)',
  'var(--p4-text)',
] as const;

export type Priority = 1 | 2 | 3 | 4;

export const GREY = {
  text: '#e6edf3',
  soft: '#b4c2cf',
  faint: '#8b9aa8', // 6.1:1 on a panel: the faintest text allowed
  line: '#1f2a35',
  panel: '#10171f',
} as const;

/** Chart lines that carry no severity: light to dark, told apart by label too. */
export const SERIES = ['#e3eef8', '#86b3dd', '#7d8fa1', '#5b9aa0', '#a9b6c2', '#bcd0c6'] as const;

/** The same on a light ground: dark to light. */
export const SERIES_LIGHT = ['#16283a', '#2b6da0', '#6b7c8d', '#2c6e74', '#4f5f6f', '#4a6b5c'] as const;

/** rgb of '#rrggbb' as three numbers from 0 to 1. */
export function rgb(hex: string): [number, number, number] {
  const n = Number.parseInt(hex.slice(1), 16);
  return [((n >> 16) & 255) / 255, ((n >> 8) & 255) / 255, (n & 255) / 255];
}
