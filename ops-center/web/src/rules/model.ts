import type { ZoneSet } from '../fields/zones.tsx';
import type { Label } from '../live/dictionary.ts';
import { fold } from '../map/search.ts';
import type { Rule } from './api.ts';

/**
 * A rule as a form has it: numbers and durations as they are typed. The file
 * stays the rule's only form; a rule opens as a form when writing it back says
 * the same, and stays YAML when it does not.
 */
export interface Form {
  id: string;
  name: Both;
  priority: number;
  owner: string;
  head: string;
  basis: string;
  category: string;
  flow: string;
  message: Both;
  response: Both;
  /** A step a line. */
  procedure: Both;
  profiles: string[];
  devices: string[];
  zones: ZoneSet[];
  days: string[];
  hours: string;
  dates: string;
  months: string;
  kind: Kind;
  /** What the condition asks for, by the names of FIELDS. */
  when: Record<string, string>;
  /** What the form does not show and keeps as it is. */
  rest: Plain;
}

export interface Both {
  vi: string;
  en: string;
}

export type { ZoneSet };

type Plain = Record<string, unknown>;

export const KINDS = [
  'threshold',
  'aggregate',
  'cluster',
  'change',
  'silence',
  'flat',
  'neighbours',
] as const;
export type Kind = (typeof KINDS)[number];

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export const STATISTICS = ['mean', 'median', 'min', 'max', 'sum', 'count'] as const;

type Type = 'number' | 'whole' | 'duration' | 'word';
interface Field {
  /** The name in the file; those of another mapping have it before a full stop. */
  name: string;
  type: Type;
  need?: boolean;
  min?: number;
  max?: number;
}

const DELAY: Field[] = [
  { name: 'for', type: 'duration' },
  { name: 'clear_for', type: 'duration' },
];
const QUANTITY: Field = { name: 'quantity', type: 'word', need: true };
const WINDOW: Field = { name: 'window', type: 'duration', need: true };
const CLEAR: Field = { name: 'clear', type: 'number' };

/** What each kind has in the file. Which of above and below, or ref, is `side`. */
export const FIELDS: Record<Kind, readonly Field[]> = {
  threshold: [
    QUANTITY,
    { name: 'side', type: 'word', need: true },
    CLEAR,
    { name: 'clear_by', type: 'number', min: 0 },
    { name: 'rate', type: 'duration' },
    { name: 'wraps', type: 'number', min: 0 },
    ...DELAY,
  ],
  silence: [
    { name: 'after', type: 'duration' },
    { name: 'intervals', type: 'number', min: 0, max: 1e6 },
  ],
  change: [QUANTITY, WINDOW, { name: 'side', type: 'word', need: true }, CLEAR, ...DELAY],
  flat: [
    QUANTITY,
    { name: 'within', type: 'number', need: true, min: 0 },
    { name: 'for', type: 'duration', need: true },
  ],
  aggregate: [
    { name: 'of', type: 'word', need: true },
    QUANTITY,
    { name: 'layer', type: 'word', need: true },
    WINDOW,
    { name: 'devices', type: 'whole', min: 1 },
    { name: 'coverage', type: 'number', min: 0, max: 1 },
    { name: 'where.side', type: 'word' },
    { name: 'where.clear', type: 'number' },
    { name: 'side', type: 'word', need: true },
    CLEAR,
    ...DELAY,
  ],
  cluster: [
    QUANTITY,
    { name: 'where.side', type: 'word', need: true },
    { name: 'where.clear', type: 'number' },
    { name: 'count', type: 'whole', need: true, min: 2, max: 1000 },
    { name: 'within', type: 'number', need: true, min: 1, max: 50_000 },
    WINDOW,
  ],
  neighbours: [
    QUANTITY,
    { name: 'metres', type: 'number', need: true, min: 1, max: 50_000 },
    WINDOW,
    { name: 'min', type: 'whole', need: true, min: 2, max: 1000 },
    { name: 'off', type: 'number', need: true, min: 0 },
    CLEAR,
    ...DELAY,
  ],
};

const TOP = [
  'id',
  'name',
  'priority',
  'owner',
  'head',
  'basis',
  'flow',
  'category',
  'message',
  'response',
  'procedure',
  'scope',
  'schedule',
  'priorities',
  'valid',
  'inhibits',
  'when',
  'simulated',
  'disabled',
];
/** Parts of a rule that the form keeps and does not show. */
export const KEPT = ['priorities', 'valid', 'inhibits', 'simulated', 'disabled'];

const DURATIONS = new Set(['for', 'clear_for', 'window', 'rate', 'after']);
const IN_FILE: Record<string, string> = { clearFor: 'clear_for', clearBy: 'clear_by', atLeast: 'at_least' };

/** Nanoseconds, as the API has durations, as the file does: 90s, 5m, 2h. */
export function durationText(ns: number): string {
  for (const [unit, size] of [
    ['h', 3600e9],
    ['m', 60e9],
    ['s', 1e9],
  ] as const)
    if (ns % size === 0) return `${ns / size}${unit}`;
  return `${ns / 1e6}ms`;
}

/** The milliseconds of 90s, 5m or 1h30m; undefined for what is no duration. */
export function durationOf(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, n, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g))
    ms += Number(n) * { h: 3_600_000, m: 60_000, s: 1000, ms: 1 }[unit as 'h' | 'm' | 's' | 'ms'];
  return ms;
}

function whenOf(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, v]) => {
      const name = IN_FILE[key] ?? key;
      if (v === null || v === undefined) return [];
      return [[name, DURATIONS.has(name) && typeof v === 'number' ? durationText(v) : whenOf(v)]];
    }),
  );
}

const empty = (v: unknown): boolean =>
  v === undefined ||
  v === null ||
  v === '' ||
  v === false ||
  (Array.isArray(v) && v.length === 0) ||
  (typeof v === 'object' && !Array.isArray(v) && Object.keys(v as object).length === 0);

/** A rule of the API with the names and durations of the file, without what is empty. */
export function plainOf(rule: Rule): Plain {
  const all: Plain = { ...rule, when: whenOf(rule.when) };
  return Object.fromEntries(TOP.filter((key) => !empty(all[key])).map((key) => [key, all[key]]));
}

const lines = (text: string) =>
  text
    .split('\n')
    .map((l) => l.trim())
    .filter(Boolean);
const words = (text: string) =>
  text
    .split(/[,;\n]/)
    .map((l) => l.trim())
    .filter(Boolean);
const both = (label: unknown): Both => ({
  vi: (label as Label | undefined)?.vi ?? '',
  en: (label as Label | undefined)?.en ?? '',
});

function sideOf(level: Plain): [side: string, value: string] {
  if (typeof level.above === 'number') return ['above', String(level.above)];
  if (typeof level.below === 'number') return ['below', String(level.below)];
  if (typeof level.ref === 'string') return ['ref', `${level.ref}|${level.level ?? ''}`];
  return ['', ''];
}

/** The form of a rule; undefined for a kind it has no fields for. */
export function formOf(p: Plain): Form | undefined {
  const when = (p.when ?? {}) as Record<string, Plain>;
  const kind = KINDS.find((k) => when[k] !== undefined);
  if (!kind || Object.keys(when).length !== 1) return undefined;
  const given = when[kind];
  const fields: Record<string, string> = {};
  for (const { name } of FIELDS[kind]) {
    if (name === 'side') [fields.side, fields.value] = sideOf(given);
    else if (name === 'where.side')
      [fields['where.side'], fields['where.value']] = sideOf((given.where ?? {}) as Plain);
    else if (name.startsWith('where.')) {
      const v = (given.where as Plain | undefined)?.[name.slice(6)];
      fields[name] = v === undefined ? '' : String(v);
    } else fields[name] = given[name] === undefined ? '' : String(given[name]);
  }
  const scope = (p.scope ?? {}) as { profiles?: string[]; devices?: string[]; zones?: Partial<ZoneSet>[] };
  const schedule = (p.schedule ?? {}) as Record<string, string[] | undefined>;
  const procedure = (p.procedure ?? {}) as Record<string, string[] | undefined>;
  return {
    id: String(p.id ?? ''),
    name: both(p.name),
    priority: Number(p.priority ?? 3),
    owner: String(p.owner ?? ''),
    head: String(p.head ?? ''),
    basis: String(p.basis ?? ''),
    category: String(p.category ?? ''),
    flow: String(p.flow ?? ''),
    message: both(p.message),
    response: both(p.response),
    procedure: { vi: (procedure.vi ?? []).join('\n'), en: (procedure.en ?? []).join('\n') },
    profiles: scope.profiles ?? [],
    devices: scope.devices ?? [],
    zones: (scope.zones ?? []).map((z) => ({ layer: z.layer ?? '', codes: z.codes ?? [] })),
    days: schedule.days ?? [],
    hours: (schedule.hours ?? []).join(', '),
    dates: (schedule.dates ?? []).join(', '),
    months: (schedule.months ?? []).join(', '),
    kind,
    when: fields,
    rest: Object.fromEntries(KEPT.filter((key) => p[key] !== undefined).map((key) => [key, p[key]])),
  };
}

/** Writes side and value as above, below, or ref and level. */
function put(into: Plain, side: string, value: string): void {
  if (side === 'ref') {
    const [ref, level] = value.split('|');
    if (ref) into.ref = ref;
    if (level) into.level = level;
  } else if (side && value !== '') into[side] = Number(value);
}

function conditionOf(f: Form): Plain {
  const out: Plain = {};
  const where: Plain = {};
  for (const { name, type } of FIELDS[f.kind]) {
    if (name.startsWith('where.') && f.kind === 'aggregate' && f.when.of !== 'count') continue;
    if (f.kind === 'threshold' && name === (f.when.side === 'ref' ? 'clear' : 'clear_by')) continue;
    const value = f.when[name] ?? '';
    if (name === 'side') put(out, value, f.when.value ?? '');
    else if (name === 'where.side') put(where, value, f.when['where.value'] ?? '');
    else if (value === '') continue;
    else {
      const [into, key] = name.startsWith('where.') ? [where, name.slice(6)] : [out, name];
      into[key] = type === 'number' || type === 'whole' ? Number(value) : value;
    }
  }
  if (Object.keys(where).length > 0) out.where = where;
  return out;
}

/** What the form says, as the file has it. */
export function written(f: Form): Plain {
  const text = (b: Both) => (b.vi || b.en ? { vi: b.vi.trim(), en: b.en.trim() } : undefined);
  const steps = { vi: lines(f.procedure.vi), en: lines(f.procedure.en) };
  const scope: Plain = {};
  if (f.profiles.length > 0) scope.profiles = f.profiles;
  if (f.devices.length > 0) scope.devices = f.devices;
  const zones = f.zones.filter((z) => z.layer);
  if (zones.length > 0)
    scope.zones = zones.map((z) =>
      z.codes.length > 0 ? { layer: z.layer, codes: z.codes } : { layer: z.layer },
    );
  const schedule: Plain = {};
  for (const [key, list] of [
    ['days', f.days],
    ['hours', words(f.hours)],
    ['dates', words(f.dates)],
    ['months', words(f.months)],
  ] as const)
    if (list.length > 0) schedule[key] = list;
  const all: Plain = {
    id: f.id.trim(),
    name: text(f.name),
    priority: f.priority,
    owner: f.owner.trim(),
    head: f.head.trim(),
    basis: f.basis.trim(),
    flow: f.flow.trim(),
    category: f.category,
    message: text(f.message),
    response: text(f.response),
    procedure: steps.vi.length + steps.en.length > 0 ? steps : undefined,
    scope,
    schedule,
    when: { [f.kind]: conditionOf(f) },
    ...f.rest,
  };
  return Object.fromEntries(TOP.filter((key) => !empty(all[key])).map((key) => [key, all[key]]));
}

/** The same, in whichever order it is. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((v, i) => same(v, b[i]));
  if (!a || !b || typeof a !== 'object' || typeof b !== 'object' || Array.isArray(a) !== Array.isArray(b))
    return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((k) => k in b && same((a as Plain)[k], (b as Plain)[k]))
  );
}

/** The form of a rule, when the form says all of it. */
export function opened(rule: Rule): Form | undefined {
  const plain = plainOf(rule);
  // A name that is kept from us would be lost by writing the rule anew.
  if (!rule.disabled && !rule.head) return undefined;
  const form = formOf(plain);
  return form && same(written(form), plain) ? form : undefined;
}

const BARE = /^[a-z][a-z0-9_-]*$/;
const RESERVED = /^(y|n|yes|no|on|off|true|false|null)$/;

function scalar(v: unknown): string {
  if (typeof v !== 'string') return String(v);
  if ((BARE.test(v) && !RESERVED.test(v)) || /^\d+(\.\d+)?(h|m|s|ms)$/.test(v)) return v;
  return JSON.stringify(v.normalize('NFC'));
}

function flow(v: unknown): string {
  if (Array.isArray(v)) return `[${v.map(flow).join(', ')}]`;
  if (v && typeof v === 'object')
    return `{${Object.entries(v)
      .map(([key, value]) => `${key}: ${flow(value)}`)
      .join(', ')}}`;
  return scalar(v);
}

/** A rule as YAML: a key a line, texts by language a line each. */
export function yamlOf(plain: Plain): string {
  const out: string[] = [];
  for (const [key, value] of Object.entries(plain)) {
    if (['message', 'response', 'procedure'].includes(key)) {
      out.push(`${key}:`);
      for (const [lang, text] of Object.entries(value as object)) out.push(`  ${lang}: ${flow(text)}`);
    } else out.push(`${key}: ${flow(value)}`);
  }
  return `${out.join('\n')}\n`;
}

/** An id out of a name: letters without their marks, digits and hyphens. */
export const idFrom = (name: string) =>
  fold(name)
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 64)
    .replace(/-$/, '');

const T = {
  over: {
    vi: '{name}: {value} {unit}, ngưỡng {threshold} {unit}',
    en: '{name}: {value} {unit}, limit {threshold} {unit}',
  },
  zone: {
    vi: '{zone}: {value} {unit} ({count} thiết bị), ngưỡng {threshold} {unit}',
    en: '{zone}: {value} {unit} ({count} devices), limit {threshold} {unit}',
  },
  cluster: { vi: '{zone}: {count} thiết bị cùng báo', en: '{zone}: {count} devices report it together' },
  silence: { vi: '{name}: không có tin', en: '{name}: silent' },
  flat: { vi: '{name}: đứng yên ở {value} {unit}', en: '{name}: stuck at {value} {unit}' },
  odd: {
    vi: '{name}: {value} {unit}, trung vị {count} trạm lân cận {threshold} {unit}',
    en: '{name}: {value} {unit}, median of {count} neighbours {threshold} {unit}',
  },
} as const;

/** What an alarm of a kind says until somebody writes something better. */
export const MESSAGE: Record<Kind, Both> = {
  threshold: T.over,
  aggregate: T.zone,
  cluster: T.cluster,
  change: T.over,
  silence: T.silence,
  flat: T.flat,
  neighbours: T.odd,
};

/** Fields that a kind begins with. */
export const FIRST: Record<Kind, Record<string, string>> = {
  threshold: { side: 'above', for: '5m', clear_for: '10m' },
  aggregate: { of: 'mean', layer: 'wards', window: '1h', side: 'above', clear_for: '30m' },
  cluster: { 'where.side': 'above', count: '3', within: '500', window: '10m' },
  change: { window: '1h', side: 'above' },
  silence: { intervals: '4' },
  flat: { within: '0', for: '6h' },
  neighbours: { metres: '3000', window: '30m', min: '3', for: '30m', clear_for: '30m' },
};

/** A rule that is not there yet. It judges nothing until somebody enables it. */
export function blank(): Form {
  return {
    id: '',
    name: { vi: '', en: '' },
    priority: 3,
    owner: '',
    head: '',
    basis: '',
    category: '',
    flow: '',
    message: { ...MESSAGE.threshold },
    response: { vi: '', en: '' },
    procedure: { vi: '', en: '' },
    profiles: [],
    devices: [],
    zones: [],
    days: [],
    hours: '',
    dates: '',
    months: '',
    kind: 'threshold',
    when: { ...FIRST.threshold },
    rest: { disabled: true },
  };
}

/** Another condition; what both kinds have is kept. */
export function ofKind(f: Form, kind: Kind): Form {
  const names = new Set(FIELDS[kind].map((x) => x.name));
  if (names.has('side')) names.add('value');
  if (names.has('where.side')) names.add('where.value');
  const kept = Object.fromEntries(Object.entries(f.when).filter(([k, v]) => names.has(k) && v !== ''));
  if (kind !== 'threshold' && kept.side === 'ref') {
    delete kept.side;
    delete kept.value;
  }
  const message = same(f.message, MESSAGE[f.kind]) ? { ...MESSAGE[kind] } : f.message;
  return { ...f, kind, message, when: { ...FIRST[kind], ...kept } };
}

export type Problem =
  | 'missing'
  | 'both'
  | 'id'
  | 'taken'
  | 'number'
  | 'whole'
  | 'duration'
  | 'range'
  | 'clear'
  | 'one'
  | 'counter'
  | 'template'
  | 'steps'
  | 'hours'
  | 'dates'
  | 'months'
  | 'window';

const HOLES = new Set(['device', 'name', 'value', 'unit', 'threshold', 'zone', 'count']);
const HOURS = /^([01]?\d|2[0-4]):[0-5]\d-([01]?\d|2[0-4]):[0-5]\d$/;
const DATE = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/;
const MONTH = /^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/;
const span = (text: string, part: RegExp, ordered: boolean) => {
  const [from = '', to = '', more] = text.split('..');
  return more === undefined && part.test(from) && part.test(to) && (!ordered || from <= to);
};

/** What is wrong, by field; the server looks at it again. */
export function problems(
  f: Form,
  taken: readonly string[],
  counter: (quantity: string) => boolean,
): Map<string, Problem> {
  const out = new Map<string, Problem>();
  const enabled = !f.rest.disabled;
  if (!f.id) out.set('id', 'missing');
  else if (!/^[a-z0-9-]{1,64}$/.test(f.id) || ['source', 'versions', 'test', 'check'].includes(f.id))
    out.set('id', 'id');
  else if (taken.includes(f.id)) out.set('id', 'taken');
  const pair = (key: 'name' | 'message' | 'response', need: boolean) => {
    const b = f[key];
    if (need && !b.vi.trim()) out.set(`${key}.vi`, 'missing');
    if (need && !b.en.trim()) out.set(`${key}.en`, 'missing');
    if (!need && Boolean(b.vi.trim()) !== Boolean(b.en.trim()))
      out.set(`${key}.${b.vi.trim() ? 'en' : 'vi'}`, 'both');
  };
  pair('name', true);
  pair('message', true);
  pair('response', enabled);
  for (const lang of ['vi', 'en'] as const)
    for (const [, hole] of f.message[lang].matchAll(/\{([^}]*)\}/g))
      if (!HOLES.has(hole)) out.set(`message.${lang}`, 'template');
  const steps = { vi: lines(f.procedure.vi).length, en: lines(f.procedure.en).length };
  for (const lang of ['vi', 'en'] as const) {
    if (steps[lang] > 50) out.set(`procedure.${lang}`, 'steps');
    else if (steps[lang] === 0 && (enabled || steps.vi + steps.en > 0))
      out.set(`procedure.${lang}`, enabled ? 'missing' : 'both');
  }
  if (enabled && !f.owner.trim()) out.set('owner', 'missing');
  if (enabled && !f.head.trim()) out.set('head', 'missing');
  for (const h of words(f.hours)) if (!HOURS.test(h)) out.set('hours', 'hours');
  for (const d of words(f.dates)) if (!span(d, DATE, true)) out.set('dates', 'dates');
  for (const m of words(f.months)) if (!span(m, MONTH, false)) out.set('months', 'months');

  const w = f.when;
  for (const field of FIELDS[f.kind]) {
    const { name, type } = field;
    if (name.startsWith('where.') && f.kind === 'aggregate' && w.of !== 'count') continue;
    if (f.kind === 'threshold' && name === (w.side === 'ref' ? 'clear' : 'clear_by')) continue;
    const value = w[name] ?? '';
    if (value === '') {
      if (field.need || (name === 'where.side' && w.of === 'count')) out.set(`when.${name}`, 'missing');
      continue;
    }
    if (type === 'duration') {
      const ms = durationOf(value);
      if (ms === undefined) out.set(`when.${name}`, 'duration');
      else if (name === 'window' && (ms < 1000 || ms > 48 * 3_600_000)) out.set(`when.${name}`, 'window');
    } else if (type !== 'word') {
      const n = Number(value);
      if (value.trim() === '' || !Number.isFinite(n)) out.set(`when.${name}`, 'number');
      else if (type === 'whole' && !Number.isInteger(n)) out.set(`when.${name}`, 'whole');
      else if (n < (field.min ?? Number.NEGATIVE_INFINITY) || n > (field.max ?? Number.POSITIVE_INFINITY))
        out.set(`when.${name}`, 'range');
    }
  }
  for (const at of ['', 'where.'] as const) {
    if (!FIELDS[f.kind].some((x) => x.name === `${at}side`)) continue;
    if (at && f.kind === 'aggregate' && w.of !== 'count') continue;
    const [side, value, clear] = [w[`${at}side`], w[`${at}value`] ?? '', w[`${at}clear`] ?? ''];
    const key = `when.${at}value`;
    if (value === '' || value === '|') out.set(key, 'missing');
    else if (side !== 'ref' && !Number.isFinite(Number(value))) out.set(key, 'number');
    else if (side !== 'ref' && clear !== '' && Number.isFinite(Number(clear))) {
      const [limit, over] = [Number(value), Number(clear)];
      if (side === 'above' ? over > limit : over < limit) out.set(`when.${at}clear`, 'clear');
    }
  }
  if (f.kind === 'silence' && (w.after ?? '') === '' && (w.intervals ?? '') === '')
    out.set('when.after', 'missing');
  if (f.kind === 'silence' && w.after && w.intervals) out.set('when.after', 'one');
  if (f.kind === 'neighbours' && w.clear && Number(w.clear) > Number(w.off)) out.set('when.clear', 'clear');
  if (w.quantity && counter(w.quantity) && (f.kind !== 'threshold' || !w.rate))
    out.set(f.kind === 'threshold' ? 'when.rate' : 'when.quantity', 'counter');
  return out;
}

/** The field that the server's words are about, by the names in them; '' for none. */
export function fieldOf(message: string): string {
  const text = message
    .replace(/^rules: /, '')
    .replace(/^line \d+: /, '')
    .replace(/^rule "[^"]*": /, '');
  const head = /^(name|message|response|procedure)\.(vi|en)\b/.exec(text);
  if (head) return head[0];
  const top = /^(owner|head|response|procedure|scope|schedule|priority|category)\b/.exec(text)?.[1];
  if (top === 'response' || top === 'procedure') return `${top}.vi`;
  if (top) return top;
  const kind = KINDS.find((k) => text.startsWith(`${k}: `));
  if (!kind) return '';
  const rest = text.slice(kind.length + 2);
  const name = FIELDS[kind].find((x) => rest.startsWith(`${x.name}`))?.name;
  return name ? `when.${name}` : 'when.value';
}
