import type { Replay } from './moment.ts';

/**
 * What a page of the past adds to what it asks, so that no answer is about the
 * present. A question that cannot be asked of the past is not asked: it fails
 * here, and who asked says so.
 */

/** The replay this page shows; a page shows one time. */
let shown: Replay | undefined;

/** Says which time this page shows from now on; undefined is the present. */
export function showPast(replay: Replay | undefined): void {
  shown = replay;
}

/** Whether this page shows the past. */
export const inPast = (): boolean => shown !== undefined;

/** Adds the day whose boundaries count to an address, as ?at=; nothing in the present. */
export function ofThatDay(address: string): string {
  return shown ? `${address}${address.includes('?') ? '&' : '?'}at=${shown.day.get()}` : address;
}

/** Adds the time to a query for what was in force; nothing in the present. */
export function ofThatTime(query: URLSearchParams): URLSearchParams {
  if (shown) query.set('at', new Date(shown.clock.now()).toISOString());
  return query;
}

/** Adds the time at which a register stood as it is asked for; nothing in the present. */
export function asKnownThen(query: URLSearchParams): URLSearchParams {
  if (shown) query.set('known', new Date(shown.clock.now()).toISOString());
  return ofThatTime(query);
}

/** Adds the replay to a query about what devices say; nothing in the present. */
export function ofThatMoment(query: URLSearchParams): URLSearchParams {
  if (!shown) return query;
  const hub = shown.dictionary.split('/')[3];
  // Without a replay the server would answer for the present.
  if (!hub) throw new Error('the replay is not connected yet');
  query.set('replay', hub);
  return query;
}

/** Adds the last hours up to the moment shown; up to now in the present. */
export function upToThen(query: URLSearchParams, hours: number): URLSearchParams {
  if (!shown) {
    query.set('from', `-${hours}h`);
    return query;
  }
  const to = shown.clock.now();
  query.set('from', new Date(to - hours * 3_600_000).toISOString());
  query.set('to', new Date(to).toISOString());
  return query;
}
