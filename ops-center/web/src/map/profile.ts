import type { Label } from '../live/dictionary.ts';
import type { Limit } from './mapapi.ts';

/** A river station with what it stands at and the levels that are set for it. */
export interface Station {
  device: string;
  name: string;
  lon: number;
  lat: number;
  level: number | undefined;
  stale: boolean;
  /** Alarm levels, lowest first; one that is not set is not here. */
  marks: Mark[];
}

export interface Mark {
  name: string;
  level: number;
}

/**
 * The marks of a station: what was decided for it, else what the alarm rules
 * say. A level nobody has told yet, one of an average and one that low water
 * crosses are no marks of a river's rise. Basis names who decided by what.
 */
export function marksOf(
  limits: readonly Limit[],
  rules: readonly Mark[],
  say: (name: Label, otherwise: string) => string,
): { marks: Mark[]; basis: string[] } {
  const decided = limits.filter((l) => l.value !== null && !l.average && !l.below);
  const from =
    decided.length > 0
      ? decided.map((l) => ({ name: say(l.name, l.level), level: l.value as number }))
      : [...rules];
  const seen = new Set<number>();
  return {
    marks: from
      .sort((a, b) => a.level - b.level)
      .filter((m) => !seen.has(m.level) && seen.add(m.level) !== undefined),
    basis: [...new Set(decided.map((l) => [l.basis, l.authority].filter(Boolean).join(', ')))],
  };
}

/**
 * Stations along their river: by their place on the line through the two that
 * are farthest apart, from its northern end. A river bends, but two stations
 * seldom lie so near that a bend would turn their order.
 */
export function along(stations: readonly Station[]): Station[] {
  if (stations.length < 3) return [...stations].sort((a, b) => b.lat - a.lat);
  const k = Math.cos((stations[0].lat * Math.PI) / 180);
  let [from, to] = [stations[0], stations[1]];
  let far = -1;
  for (const a of stations) {
    for (const b of stations) {
      const d = Math.hypot((a.lon - b.lon) * k, a.lat - b.lat);
      if (d > far) [from, to, far] = [a, b, d];
    }
  }
  if (from.lat < to.lat) [from, to] = [to, from];
  const dx = (to.lon - from.lon) * k;
  const dy = to.lat - from.lat;
  const on = (s: Station) => (s.lon - from.lon) * k * dx + (s.lat - from.lat) * dy;
  return [...stations].sort((a, b) => on(a) - on(b));
}

/**
 * Where a level lies between its station's own lowest mark (0) and highest (1).
 * Stages are over each station's datum: in metres two stations have no common
 * axis, but how near each is to its own alarm levels can be compared.
 */
export function standing(station: Station): number | undefined {
  const { level, marks } = station;
  if (level === undefined || marks.length < 2) return undefined;
  const lo = marks[0].level;
  const hi = (marks.at(-1) as { level: number }).level;
  return hi > lo ? (level - lo) / (hi - lo) : undefined;
}

/** The highest mark reached, and by how much the level is over it or under the lowest. */
export function nearest(station: Station): { name: string; by: number } | undefined {
  const { level, marks } = station;
  if (level === undefined || marks.length === 0) return undefined;
  const reached = marks.findLast((m) => level >= m.level) ?? marks[0];
  return { name: reached.name, by: level - reached.level };
}
