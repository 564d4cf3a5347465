/** A tipping bucket counts 0.2 mm a tip in 16 bits. */
const TIP = 0.2;
const WRAPS_AT = 65536 * TIP;
const HOUR = 3_600_000;
/** Two samples closer than this are one. */
const SPACING = 20_000;

interface Sample {
  t: number;
  total: number;
}

/** What fell between two readings of a counter that wraps and is reset. */
export function fallen(before: number, after: number): number {
  if (after >= before) return after - before;
  // Less than a tip backwards is one number in 64 bits and in 32.
  if (before - after < TIP) return 0;
  // Near the end of its range it wrapped; anywhere else the gauge was reset
  // and what it shows fell since then.
  if (before > WRAPS_AT * 0.9) return WRAPS_AT - before + after;
  return after;
}

/**
 * The last hour of one rain gauge's counter. A sum over an hour of which we saw
 * less says so: rain that nobody watched is not zero.
 */
export class RainGauge {
  #samples: Sample[] = [];

  add(t: number, total: number): void {
    const s = this.#samples;
    const last = s.at(-1);
    if (last && t <= last.t) return;
    // The newest sample moves until it stands far enough from the one before:
    // the sum is always up to the newest reading.
    if (s.length > 1 && t - s[s.length - 2].t < SPACING && total >= s[s.length - 1].total) s.pop();
    s.push({ t, total });
    while (s.length > 2 && s[1].t < t - HOUR) s.shift();
  }

  /** Takes history from before the page was opened; live samples stay. */
  seed(points: readonly { t: number; max: number }[]): void {
    const live = this.#samples;
    const first = live.length > 0 ? live[0].t : Number.POSITIVE_INFINITY;
    const old = points.filter((p) => p.t < first).map((p) => ({ t: p.t, total: p.max }));
    this.#samples = [...old, ...live];
  }

  /** Millimetres in the window up to now, and how many minutes of it were seen. */
  sum(now: number, window = HOUR): { mm: number; minutes: number; at: number } | undefined {
    const s = this.#samples;
    const start = now - window;
    let first = s.findIndex((x) => x.t >= start);
    if (first < 0) return undefined;
    if (first > 0) first--;
    let mm = 0;
    for (let i = first + 1; i < s.length; i++) mm += fallen(s[i - 1].total, s[i].total);
    const seen = s[s.length - 1].t - Math.max(start, s[first].t);
    return { mm, minutes: Math.max(0, Math.round(seen / 60_000)), at: s[s.length - 1].t };
  }

  /** mm/h over the last ten minutes; undefined before there are two of them. */
  rate(now: number): number | undefined {
    const last = this.sum(now, 600_000);
    if (!last || last.minutes < 2) return undefined;
    return (last.mm * 60) / last.minutes;
  }
}
