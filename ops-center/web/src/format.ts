import { type Key, type Language, LOCALE, phrase } from './i18n/index.ts';

/** Everyone in the center reads the city's time, wherever the browser thinks it is. */
const ZONE = 'Asia/Ho_Chi_Minh';

const numbers = new Map<string, Intl.NumberFormat>();
const dates = new Map<string, Intl.DateTimeFormat>();

/** A number with exactly `digits` decimals; a dash for none. */
export function number(lang: Language, value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const key = `${lang}${digits}`;
  let format = numbers.get(key);
  if (!format) {
    format = new Intl.NumberFormat(LOCALE[lang], {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    });
    numbers.set(key, format);
  }
  // -0.00 is a rounding, not a sign.
  const text = format.format(value);
  return /^-[0.,]*$/.test(text) ? text.slice(1) : text;
}

export function percent(lang: Language, ratio: number): string {
  return Number.isFinite(ratio) ? `${number(lang, ratio * 100, ratio < 1 ? 1 : 0)} %` : '–';
}

/** With a sign, for trends; the true minus sign. */
export function signed(lang: Language, value: number, digits: number): string {
  const text = number(lang, Math.abs(value), digits);
  if (/^[0.,]*$/.test(text)) return `±${text}`;
  return (value > 0 ? '+' : '−') + text;
}

const SHAPES = {
  time: { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
  minute: { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  day: { weekday: 'long', day: '2-digit', month: '2-digit', year: 'numeric' },
  full: {
    day: '2-digit',
    month: '2-digit',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  },
} as const satisfies Record<string, Intl.DateTimeFormatOptions>;

export function date(lang: Language, shape: keyof typeof SHAPES, ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  const key = `${lang}${shape}`;
  let format = dates.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat(LOCALE[lang], { ...SHAPES[shape], timeZone: ZONE });
    dates.set(key, format);
  }
  return format.format(ms);
}

/** How long ago, in the largest whole unit: people read "4 min", not "03:58". */
export function age(lang: Language, ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const of = (key: Key, n: number) => phrase(lang, key, { n: number(lang, n) });
  if (seconds < 90) return of('age.seconds', seconds);
  if (seconds < 90 * 60) return of('age.minutes', Math.floor(seconds / 60));
  if (seconds < 36 * 3600) return of('age.hours', Math.floor(seconds / 3600));
  return of('age.days', Math.floor(seconds / 86400));
}

/** Running time as a list of alarms shows it: 04:12, 1:04:12. */
export function elapsed(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number) => String(n).padStart(2, '0');
  const h = Math.floor(total / 3600);
  const rest = `${two(Math.floor(total / 60) % 60)}:${two(total % 60)}`;
  if (h >= 24) return `${Math.floor(h / 24)}d ${two(h % 24)}h`;
  return h > 0 ? `${h}:${rest}` : rest;
}
