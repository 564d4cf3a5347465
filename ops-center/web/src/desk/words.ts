import { ApiError } from '../api.ts';
import { date } from '../format.ts';
import type { Key, Language, Translate } from '../i18n/index.ts';
import type { Alarm } from '../live/alarms.ts';
import { labelOf } from '../live/dictionary.ts';
import { subject, title, zoneName } from '../panels/alarmlist.tsx';
import { reason } from '../panels/context.ts';
import type { Wall } from '../wall.ts';
import type { Outcome } from './acts.ts';
import { type ActName, Refused } from './api.ts';

export const ACT_KEY = {
  acknowledge: 'desk.act.acknowledge',
  claim: 'desk.act.claim',
  release: 'desk.act.release',
  comment: 'desk.act.comment',
  assign: 'desk.act.assign',
  accept: 'desk.act.accept',
  return: 'desk.act.return',
  false: 'desk.act.false',
  shelve: 'desk.act.shelve',
  unshelve: 'desk.act.unshelve',
  'out-of-service': 'desk.act.outOfService',
  'return-to-service': 'desk.act.returnToService',
} as const satisfies Record<ActName, Key>;

/** What happened to an alarm, as the log calls it. */
const EVENT: Record<string, Key> = {
  raise: 'desk.event.raise',
  clear: 'desk.event.clear',
  acknowledge: 'desk.event.acknowledge',
  shelve: 'desk.event.shelve',
  unshelve: 'desk.event.unshelve',
  suppress: 'desk.event.suppress',
  unsuppress: 'desk.event.unsuppress',
  remove_from_service: 'desk.event.remove_from_service',
  return_to_service: 'desk.event.return_to_service',
  claim: 'desk.event.claim',
  release: 'desk.event.release',
  comment: 'desk.event.comment',
  assign: 'desk.event.assign',
  accept: 'desk.event.accept',
  return: 'desk.event.return',
  mark_false: 'desk.event.mark_false',
};

export function eventWord(t: Translate, event: string): string {
  const key = EVENT[event];
  return key ? t(key) : event;
}

/** Refusals of acts by their code; the server's own words are English. */
const CODE: Record<string, Key> = {
  note_missing: 'desk.why.note_missing',
  reason_missing: 'desk.why.reason_missing',
  shelf_too_long: 'desk.why.shelf_too_long',
  never_shelved: 'desk.why.never_shelved',
  due_past: 'desk.why.due_past',
  department_missing: 'desk.why.department_missing',
  not_yours: 'desk.why.not_yours',
  too_long: 'desk.why.too_long',
  text_missing: 'desk.why.text_missing',
  corrected: 'desk.why.corrected',
};

export function why(t: Translate, error: unknown): string {
  if (error instanceof Refused && CODE[error.code]) return t(CODE[error.code]);
  if (error instanceof ApiError) {
    if (error.status === 404) return t('desk.why.gone');
    if (error.status === 429) return t('desk.why.busy');
    if (error.status >= 500) return t('desk.why.unavailable');
    if (error.status === 401) return t('desk.why.signedOut');
  }
  return reason(t, error);
}

/** Who was first, and with what. */
export function first(t: Translate, lang: Language, alarm: Alarm, now: number): string {
  const time = (at: string) => date(lang, 'time', Date.parse(at));
  const { claimed, last } = alarm;
  if (
    claimed &&
    Date.parse(claimed.until) > now &&
    (!last || last.by !== claimed.by || last.event === 'claim')
  ) {
    return t('desk.first.claimed', { name: claimed.by, time: time(claimed.until) });
  }
  if (last) {
    return t('desk.first.did', { name: last.by, what: eventWord(t, last.event), time: time(last.at) });
  }
  return t('desk.first.moved', { state: t(`state.${alarm.state}`) });
}

/** What came of an act, in a sentence. */
export function said(t: Translate, lang: Language, wall: Wall, o: Outcome): string {
  const act = t(ACT_KEY[o.act]);
  switch (o.kind) {
    case 'done':
      return o.alarms.length === 1
        ? t('desk.done.one', { act, name: headline(wall, o.alarms[0], lang) })
        : t('desk.done.many', { act, count: o.alarms.length });
    case 'first':
      return t('desk.done.first', {
        act,
        name: headline(wall, o.alarm, lang),
        who: first(t, lang, o.alarm, wall.clock.now()),
      });
    case 'refused':
      return t('desk.done.refused', { act, reason: why(t, o.error) });
    case 'some':
      return t('desk.done.some', { act, done: o.done, refused: o.refused.length });
    case 'unsure':
      return t('desk.done.unsure', { act, count: o.count });
  }
}

/** An alarm in few words: what and of whom. */
export function headline(wall: Wall, alarm: Alarm, lang: Language): string {
  return `${title(alarm, lang)} · ${subject(wall, alarm)}`;
}

/** What a group's alarms have in common. */
export function groupWord(t: Translate, lang: Language, wall: Wall, group: string, some: Alarm): string {
  const key = group.replace(/^exercise /, '');
  if (key.startsWith('cause:')) {
    const id = key.slice(6);
    return t('desk.group.cause', { name: wall.deviceName(id) });
  }
  const name = labelOf(some.ruleName, lang, some.rule);
  const zone = key.includes('@') ? zoneName(some) : '';
  return zone ? `${name} · ${zone}` : name;
}

/** What a key is called on a keyboard. */
export function keyWord(key: string): string {
  return key.length === 1 ? key.toUpperCase() : key;
}

export function roleWord(t: Translate, role: string): string {
  const known: Record<string, Key> = {
    admin: 'role.admin',
    shift_leader: 'role.shift_leader',
    operator: 'role.operator',
    officer: 'role.officer',
    executive: 'role.executive',
    soc_analyst: 'role.soc_analyst',
    auditor: 'role.auditor',
    data_steward: 'role.data_steward',
  };
  return known[role] ? t(known[role]) : role;
}
