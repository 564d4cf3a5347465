import { Cell } from '../cell.ts';
import type { Label } from './dictionary.ts';

export type AlarmState =
  | 'unacknowledged'
  | 'acknowledged'
  | 'returned'
  | 'normal'
  | 'shelved'
  | 'suppressed'
  | 'out_of_service';

export interface Alarm {
  id: string;
  rule: string;
  ruleName: Label;
  entity: string;
  device: string;
  at: [number, number] | null;
  zones: { layer: string; code: string; name?: string; validFrom?: string }[] | null;
  priority: 1 | 2 | 3 | 4;
  state: AlarmState;
  raised: string;
  cleared?: string;
  acknowledged?: { by: string; byId?: string; at: string; note?: string };
  quantity?: string;
  value?: number | null;
  unit?: string;
  threshold?: number | null;
  message: Label;
  response: Label;
  simulated?: boolean;
  /** The condition holds, whatever the state. */
  active?: boolean;
  owner?: string;
  category?: string;
  /** The drill it belongs to. */
  exercise?: string;
  /** Shared by alarms that one cause, or one rule in one ward, explains. */
  group?: string;
  chattering?: boolean;
  unreachable?: number;
  because?: string;
  shelved?: { by: string; at: string; until: string; reason: string };
  suppressed?: { by: 'plan' | 'rule'; plan?: string; alarm?: string; until?: string; reason: string };
  outOfService?: Remark;
  claimed?: { by: string; byId?: string; at: string; until: string };
  assigned?: {
    department: string;
    person?: string;
    due?: string;
    by: string;
    at: string;
    note?: string;
    answer?: 'accepted' | 'returned';
    answeredBy?: string;
    answeredAt?: string;
    reason?: string;
  };
  falseAlarm?: Remark;
  comments?: Remark[];
  /** The newest act of a person. */
  last?: { event: string; by: string; at: string };
  changes?: number;
}

export interface Remark {
  by: string;
  at: string;
  text: string;
}

/** In the list until it is both over and seen, per ISA-18.2. */
export function isOpen(alarm: Alarm): boolean {
  return alarm.state === 'unacknowledged' || alarm.state === 'acknowledged' || alarm.state === 'returned';
}

/** The condition holds now; a returned alarm only waits to be seen. */
export function isActive(alarm: Alarm): boolean {
  return alarm.state === 'unacknowledged' || alarm.state === 'acknowledged';
}

export function needsAcknowledge(alarm: Alarm): boolean {
  return alarm.state === 'unacknowledged' || alarm.state === 'returned';
}

/** Worst priority first, then the newest; the id settles what is left. */
export function byUrgency(a: Alarm, b: Alarm): number {
  return a.priority - b.priority || Date.parse(b.raised) - Date.parse(a.raised) || (a.id < b.id ? -1 : 1);
}

export interface Arrangement {
  /** Ids in the order shown. */
  rows: string[];
  /** Alarms that would be in the list but wait behind the "n new" bar. */
  pending: string[];
}

/**
 * The order of the list. Free, it is by urgency. Held (someone has a row
 * selected), rows keep their places, whatever happens to their alarms, and new
 * ones wait: a row never moves under the hand that is about to acknowledge it.
 */
export function arrange(shown: readonly string[], alarms: readonly Alarm[], held: boolean): Arrangement {
  const sorted = [...alarms].sort(byUrgency).map((a) => a.id);
  if (!held || shown.length === 0) return { rows: sorted, pending: [] };
  const there = new Set(shown);
  return { rows: [...shown], pending: sorted.filter((id) => !there.has(id)) };
}

/** Every alarm the server told of, the last state of each. */
export class AlarmBook {
  readonly alarms = new Cell<ReadonlyMap<string, Alarm>>(new Map());
  #onSeverity: (device: string, severity: number) => void;

  /** onSeverity is told a device's worst active priority (0 none) when one of its alarms changed. */
  constructor(onSeverity: (device: string, severity: number) => void) {
    this.#onSeverity = onSeverity;
  }

  /** The whole list, after a snapshot. */
  reset(list: readonly Alarm[]): void {
    const before = this.alarms.get();
    this.alarms.set(new Map(list.map((a) => [a.id, a])));
    const devices = new Set<string>();
    for (const a of before.values()) devices.add(a.device);
    for (const a of list) devices.add(a.device);
    this.#tell(devices);
  }

  /** One changed. A closed alarm is dropped from the book. */
  put(alarm: Alarm): void {
    this.putAll([alarm]);
  }

  /** Several changed, in order; the last word about an alarm counts. The list is told of once. */
  putAll(changed: readonly Alarm[]): void {
    const next = new Map(this.alarms.get());
    const devices = new Set<string>();
    for (const alarm of changed) {
      if (alarm.state === 'normal') next.delete(alarm.id);
      else next.set(alarm.id, alarm);
      devices.add(alarm.device);
    }
    this.alarms.set(next);
    this.#tell(devices);
  }

  /** Says every device's severity again, after devices got other indices. */
  repeat(): void {
    this.#tell(new Set([...this.alarms.get().values()].map((a) => a.device)));
  }

  /** Looks at each alarm once, however many devices are told of. */
  #tell(devices: ReadonlySet<string>): void {
    const worst = new Map<string, number>();
    for (const a of this.alarms.get().values()) {
      if (!devices.has(a.device) || !isActive(a)) continue;
      worst.set(a.device, Math.min(a.priority, worst.get(a.device) ?? a.priority));
    }
    for (const device of devices) if (device) this.#onSeverity(device, worst.get(device) ?? 0);
  }
}
