import { Cell, useCell } from '../cell.ts';
import departmentsEn from './departments.en.json' with { type: 'json' };
import departmentsVi from './departments.vi.json' with { type: 'json' };
import deskEn from './desk.en.json' with { type: 'json' };
import deskVi from './desk.vi.json' with { type: 'json' };
import deviceEn from './device.en.json' with { type: 'json' };
import deviceVi from './device.vi.json' with { type: 'json' };
import wallEn from './en.json' with { type: 'json' };
import fieldsEn from './fields.en.json' with { type: 'json' };
import fieldsVi from './fields.vi.json' with { type: 'json' };
import figuresEn from './figures.en.json' with { type: 'json' };
import figuresVi from './figures.vi.json' with { type: 'json' };
import firstEn from './first.en.json' with { type: 'json' };
import firstVi from './first.vi.json' with { type: 'json' };
import mapEn from './map.en.json' with { type: 'json' };
import mapVi from './map.vi.json' with { type: 'json' };
import peopleEn from './people.en.json' with { type: 'json' };
import peopleVi from './people.vi.json' with { type: 'json' };
import recordEn from './record.en.json' with { type: 'json' };
import recordVi from './record.vi.json' with { type: 'json' };
import replayEn from './replay.en.json' with { type: 'json' };
import replayVi from './replay.vi.json' with { type: 'json' };
import rulesEn from './rules.en.json' with { type: 'json' };
import rulesVi from './rules.vi.json' with { type: 'json' };
import scenesEn from './scenes.en.json' with { type: 'json' };
import scenesVi from './scenes.vi.json' with { type: 'json' };
import shellEn from './shell.en.json' with { type: 'json' };
import shellVi from './shell.vi.json' with { type: 'json' };
import wallVi from './vi.json' with { type: 'json' };
import warningsEn from './warnings.en.json' with { type: 'json' };
import warningsVi from './warnings.vi.json' with { type: 'json' };

// One catalogue, in a file for each part of the program.
const en = {
  ...wallEn,
  ...departmentsEn,
  ...deskEn,
  ...deviceEn,
  ...fieldsEn,
  ...figuresEn,
  ...firstEn,
  ...mapEn,
  ...peopleEn,
  ...recordEn,
  ...replayEn,
  ...rulesEn,
  ...scenesEn,
  ...shellEn,
  ...warningsEn,
};
const vi = {
  ...wallVi,
  ...departmentsVi,
  ...deskVi,
  ...deviceVi,
  ...fieldsVi,
  ...figuresVi,
  ...firstVi,
  ...mapVi,
  ...peopleVi,
  ...recordVi,
  ...replayVi,
  ...rulesVi,
  ...scenesVi,
  ...shellVi,
  ...warningsVi,
};

export type Language = 'vi' | 'en';
export type Key = keyof typeof vi;
export type Params = Record<string, string | number>;

// Both catalogues hold the same keys: the compiler says which one is missing,
// and in which of the two.
type Catalogue = Record<Key | keyof typeof en, string>;
export const catalogues: Record<Language, Catalogue> = { vi, en };

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

/**
 * One phrase. {name} is replaced by the parameter of that name, {name:gap|gaps}
 * by it and the word for one or for many: Vietnamese has no plural, English does.
 */
export function phrase(lang: Language, key: Key, params?: Params): string {
  const text = catalogues[lang][key];
  if (!params) return text;
  return text.replace(HOLE, (whole, name: string, one?: string, many?: string) => {
    if (!(name in params)) return whole;
    const value = String(params[name]);
    if (one === undefined) return value;
    return `${value} ${value === '1' ? one : many}`;
  });
}

const HOLE = /\{(\w+)(?::([^|{}]+)\|([^|{}]+))?\}/g;

export type Translate = (key: Key, params?: Params) => string;

export function useLanguage(): { lang: Language; t: Translate } {
  const lang = useCell(language);
  return { lang, t: (key, params) => phrase(lang, key, params) };
}
