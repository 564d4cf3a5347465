import { Cell, useCell } from '../cell.ts';
import en from './en.json' with { type: 'json' };
import vi from './vi.json' with { type: 'json' };

export type Language = 'vi' | 'en';
export type Key = keyof typeof vi;
export type Params = Record<string, string | number>;

// Both catalogues hold the same keys: the compiler says which one is missing,
// and in which of the two.
type Catalogue = Record<Key | keyof typeof en, string>;
const catalogues: Record<Language, Catalogue> = { vi, en };

export const LOCALE: Record<Language, string> = { vi: 'vi-VN', en: 'en-GB' };

const STORED = 'vonglau.language';

function initial(): Language {
  try {
    const stored = localStorage.getItem(STORED);
    if (stored === 'vi' || stored === 'en') return stored;
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }
  return 'vi';
}

export const language = new Cell<Language>(initial());

export function setLanguage(lang: Language): void {
  document.documentElement.lang = lang;
  try {
    localStorage.setItem(STORED, lang);
  } catch {
    // See initial().
  }
  language.set(lang);
}

/** One phrase. {name} is replaced by the parameter of that name. */
export function phrase(lang: Language, key: Key, params?: Params): string {
  const text = catalogues[lang][key];
  if (!params) return text;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => (name in params ? String(params[name]) : whole));
}

export type Translate = (key: Key, params?: Params) => string;

export function useLanguage(): { lang: Language; t: Translate } {
  const lang = useCell(language);
  return { lang, t: (key, params) => phrase(lang, key, params) };
}
