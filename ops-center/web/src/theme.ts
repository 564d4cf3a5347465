import { Cell } from './cell.ts';

export type Theme = 'dark' | 'light';

const STORED = 'vonglau.theme';

function initial(): Theme {
  try {
    if (localStorage.getItem(STORED) === 'light') return 'light';
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }
  return 'dark';
}

/** Dark for a dimmed room, light for one in daylight; the severities are the same in both. */
export const theme = new Cell<Theme>(initial());

const mark = () => {
  if (typeof document !== 'undefined') document.documentElement.dataset.theme = theme.get();
};
mark();
theme.subscribe(mark);

export function setTheme(next: Theme): void {
  try {
    localStorage.setItem(STORED, next);
  } catch {
    // See initial().
  }
  theme.set(next);
}
