/** A tipping bucket counts 0.2 mm a tip in 16 bits. */
const WRAPS_AT = 65536 * 0.2;
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
  if (before > WRAPS_AT * 0.9 && after < WRAPS_AT * 0.1) return WRAPS_AT - before + after;
  // A gauge that was reset starts from nothing, and what it shows fell since.
  // A small step back is none: the same number in 32 bits and in 64, or a
  // bucket that reaches past the reading after it.
  return after < before / 2 ? after : 0;
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

  /** Millimetres in the last hour up to now, and how many minutes of it were seen. */
  sum(now: number): { mm: number; minutes: number; at: number } | undefined {
    const s = this.#samples;
    const start = now - HOUR;
    const last = s.at(-1);
    if (!last || last.t < start) return undefined;
    let mm = 0;
    for (let i = 1; i < s.length; i++) {
      const [a, b] = [s[i - 1], s[i]];
      if (b.t <= start) continue;
      // Of what fell across the window's edge, the part inside counts.
      const inside = a.t >= start ? 1 : (b.t - start) / (b.t - a.t);
      mm += fallen(a.total, b.total) * inside;
    }
    const seen = last.t - Math.max(start, s[0].t);
    return { mm, minutes: Math.round(seen / 60_000), at: last.t };
  }
}
