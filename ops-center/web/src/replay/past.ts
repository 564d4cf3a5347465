import type { Replay } from './moment.ts';

/** The replay this page shows; one page shows one time. */
let shown: Replay | undefined;

export function showPast(replay: Replay): void {
  shown = replay;
}

/** Adds the day whose boundaries and thresholds count to an address, as ?at=; nothing in the present. */
export function ofThatDay(address: string): string {
  return shown ? `${address}${address.includes('?') ? '&' : '?'}at=${shown.day.get()}` : address;
}

/** Adds the time to a query for what was in force; nothing in the present. */
export function ofThatTime(query: URLSearchParams): URLSearchParams {
  if (shown) query.set('at', new Date(shown.clock.now()).toISOString());
  return query;
}

/** Adds the replay to a query about what devices say; nothing in the present. */
export function ofThatMoment(query: URLSearchParams): URLSearchParams {
  const hub = shown?.dictionary.split('/')[3];
  if (hub) query.set('replay', hub);
  return query;
}
