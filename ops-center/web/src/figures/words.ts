import { number, percent } from '../format.ts';
import type { Language, Translate } from '../i18n/index.ts';
import type { Figure } from './api.ts';

/** A figure's value in its unit. */
export function shown(t: Translate, lang: Language, f: Pick<Figure, 'unit'>, value: number | null): string {
  if (value === null) return '–';
  if (f.unit === 'share') return percent(lang, value);
  if (f.unit === 'alarms') return number(lang, value, 2);
  if (value < 120) return t('figures.seconds', { n: number(lang, value, value < 10 ? 1 : 0) });
  if (value < 7200) return t('figures.minutes', { n: number(lang, value / 60, 1) });
  return t('figures.hours', { n: number(lang, value / 3600, 1) });
}

/** A figure's target in words. */
export function aim(t: Translate, lang: Language, f: Figure): string {
  if (f.target === null) return t('figures.noTarget');
  return t(f.better === 'lower' ? 'figures.atMost' : 'figures.atLeast', {
    target: shown(t, lang, f, f.target),
  });
}
