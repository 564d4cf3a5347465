import { type Alarm, isActive, isOpen } from '../live/alarms.ts';

/** Who works at this desk. */
export interface Person {
  id: string;
  name: string;
  role: string;
  department: string;
}

export const TABS = ['open', 'mine', 'shelved', 'hidden', 'returned', 'exercise'] as const;
export type Tab = (typeof TABS)[number];

/** Names may be shared, ids are not; what has no id is told by its name. */
export function isMe(me: Person, id: string | undefined, name: string | undefined): boolean {
  return id || me.id ? id === me.id : name === me.name;
}

/** Whether somebody else works on an alarm now. */
export function heldByOther(alarm: Alarm, me: Person, now: number): boolean {
  const c = alarm.claimed;
  return c !== undefined && Date.parse(c.until) > now && !isMe(me, c.byId, c.by);
}

export function holds(alarm: Alarm, me: Person, now: number): boolean {
  const c = alarm.claimed;
  return c !== undefined && Date.parse(c.until) > now && isMe(me, c.byId, c.by);
}

/** Claimed, acknowledged, or given to this person or, for an officer, to the department. */
export function isMine(alarm: Alarm, me: Person, now: number): boolean {
  if (alarm.state === 'normal') return false;
  if (holds(alarm, me, now)) return true;
  const a = alarm.assigned;
  if (a && a.answer !== 'returned') {
    if (a.person === me.name) return true;
    if (me.department && a.department.toLowerCase() === me.department.toLowerCase()) return true;
  }
  const seen = alarm.acknowledged;
  return seen !== undefined && isOpen(alarm) && isMe(me, seen.byId, seen.by);
}

/** Whether an alarm is in a tab. */
export function inTab(alarm: Alarm, tab: Tab, me: Person, now: number): boolean {
  switch (tab) {
    case 'open':
      return isOpen(alarm);
    case 'mine':
      return isMine(alarm, me, now);
    case 'shelved':
      return alarm.state === 'shelved';
    case 'hidden':
      return alarm.state === 'suppressed' || alarm.state === 'out_of_service';
    case 'returned':
      return alarm.state === 'returned';
    case 'exercise':
      return alarm.exercise !== undefined && alarm.state !== 'normal';
  }
}

/** One line of the queue: an alarm, or the head of a group with the alarms under it. */
export interface Row {
  key: string;
  group?: string;
  /** The alarms this line stands for: one, or all of the group. */
  ids: readonly string[];
  /** Under an open group's head. */
  inside?: boolean;
}

/** From this many on a group is closed until somebody opens it. */
export const CLOSED_FROM = 4;

/** What people have opened and closed, against the usual. */
export type Folds = ReadonlyMap<string, boolean>;

export function isFolded(folds: Folds, group: string, size: number): boolean {
  return folds.get(group) ?? size >= CLOSED_FROM;
}

interface Sortable {
  alarm: Alarm;
  raised: number;
}

/**
 * Worst priority first, then the newest, as everywhere in the center. What a
 * drill makes up never stands before what is real.
 */
function before(a: Sortable, b: Sortable): number {
  return (
    Number(a.alarm.exercise !== undefined) - Number(b.alarm.exercise !== undefined) ||
    a.alarm.priority - b.alarm.priority ||
    b.raised - a.raised ||
    (a.alarm.id < b.alarm.id ? -1 : 1)
  );
}

/** Dates are read once a list, not once a comparison: ten thousand alarms are sorted at each change. */
export function sorted(alarms: readonly Alarm[]): Alarm[] {
  return alarms
    .map((alarm) => ({ alarm, raised: Date.parse(alarm.raised) }))
    .sort(before)
    .map((s) => s.alarm);
}

/** The lines of a tab; a group stands where its most urgent alarm would. */
export function lines(alarms: readonly Alarm[], grouped: boolean, folds: Folds): Row[] {
  const list = sorted(alarms);
  if (!grouped) return list.map((a) => ({ key: a.id, ids: [a.id] }));
  const groups = new Map<string, string[]>();
  for (const a of list) {
    const key = groupOf(a);
    const ids = groups.get(key);
    if (ids) ids.push(a.id);
    else groups.set(key, [a.id]);
  }
  const rows: Row[] = [];
  for (const [group, ids] of groups) {
    if (ids.length === 1) {
      rows.push({ key: ids[0], ids });
      continue;
    }
    rows.push({ key: `group ${group}`, group, ids });
    if (isFolded(folds, group, ids.length)) continue;
    for (const id of ids) rows.push({ key: id, ids: [id], inside: true });
  }
  return rows;
}

/** A drill's alarms are in groups of their own. */
export function groupOf(alarm: Alarm): string {
  return `${alarm.exercise ? 'exercise ' : ''}${alarm.group || alarm.id}`;
}

export interface Held {
  rows: readonly Row[];
  /** Alarms that wait behind the "n new" bar. */
  pending: readonly string[];
}

/**
 * The lines while one is chosen: they keep their places whatever happens to
 * their alarms, and new ones wait. What joins a closed group is counted in its
 * head, which does not move.
 */
export function hold(shown: readonly Row[], fresh: readonly Row[]): Held {
  const there = new Set(shown.map((r) => r.key));
  const heads = new Map(fresh.filter((r) => r.group !== undefined).map((r) => [r.key, r]));
  const covered = new Set(shown.flatMap((r) => (r.group === undefined ? r.ids : [])));
  const open = new Set(shown.filter((r) => r.inside).flatMap((r) => r.ids));
  const rows = shown.map((r) => {
    const now = heads.get(r.key);
    if (!now) return r;
    const isOpenGroup = r.ids.some((id) => open.has(id));
    if (!isOpenGroup) for (const id of now.ids) covered.add(id);
    return now;
  });
  const pending = fresh
    .filter((r) => !there.has(r.key))
    .flatMap((r) => r.ids)
    .filter((id, i, all) => !covered.has(id) && all.indexOf(id) === i);
  return { rows, pending };
}

/** The alarms between two lines, in either direction. */
export function between(rows: readonly Row[], from: string, to: string): string[] {
  const a = rows.findIndex((r) => r.key === from);
  const b = rows.findIndex((r) => r.key === to);
  if (a < 0 || b < 0) return [];
  const ids = rows.slice(Math.min(a, b), Math.max(a, b) + 1).flatMap((r) => r.ids);
  return [...new Set(ids)];
}

/** Open alarms by what explains them, the largest group first. */
export function biggestGroups(alarms: Iterable<Alarm>, most: number): { group: string; alarms: Alarm[] }[] {
  const groups = new Map<string, Alarm[]>();
  for (const a of alarms) {
    if (!isActive(a) || a.exercise) continue;
    const key = groupOf(a);
    const list = groups.get(key);
    if (list) list.push(a);
    else groups.set(key, [a]);
  }
  return [...groups]
    .map(([group, list]) => ({ group, alarms: list }))
    .sort((a, b) => b.alarms.length - a.alarms.length)
    .slice(0, most);
}

/** Choices of how long to put an alarm aside, in minutes, up to what its priority allows. */
export function shelfTimes(maxSeconds: number): number[] {
  const usual = [15, 30, 60, 120, 240, 480, 1440].filter((m) => m * 60 <= maxSeconds);
  const most = Math.floor(maxSeconds / 60);
  return usual.length > 0 || most < 1 ? usual : [most];
}
