import type { Key, Translate } from '../i18n/index.ts';
import { reason } from '../panels/context.ts';

/** What the server says of a receiver or a setting, by what it begins from; parts in the order of their groups. */
const SAID: readonly [RegExp, Key, ...string[]][] = [
  [/answered (\d{3})/, 'departments.reason.answered', 'code'],
  [/"([^"]+)" is not reached: (\S+) is /, 'departments.reason.inside', 'host', 'address'],
  [/"([^"]+)" is not reached/, 'departments.reason.barred', 'host'],
  [/connection refused/, 'departments.reason.refused'],
  [/connection reset|broken pipe|\bEOF\b/, 'departments.reason.cut'],
  [/no such host|has no address|^finding /, 'departments.reason.unknown'],
  [/certificate|x509|\btls\b/, 'departments.reason.certificate'],
  [/deadline exceeded|time-?out|timed out|no answer within/i, 'departments.reason.late'],
  [/no route to host|network is unreachable/, 'departments.reason.route'],
  [/redirected/, 'departments.reason.redirected'],
  [/write https:\/\/host|is no address|names no host|a webhook has an address/, 'departments.reason.url'],
  [/"([^"]+)" is no mail address/, 'departments.reason.mail', 'address'],
  [/write two different times/, 'departments.reason.quiet'],
  [/a duration of 1m to 24h/, 'departments.reason.after'],
  [/name the department/, 'departments.reason.department'],
  [/sends no mail/, 'departments.reason.noMail'],
];

/** It in the reader's language; what has no words of its own is as the server says it. */
export function inWords(t: Translate, text: string): string {
  for (const [shape, key, ...names] of SAID) {
    const found = shape.exec(text);
    if (found) return t(key, Object.fromEntries(names.map((name, i) => [name, found[i + 1] ?? ''])));
  }
  return text;
}

export function reasonOf(t: Translate, error: unknown): string {
  return inWords(t, reason(t, error));
}
