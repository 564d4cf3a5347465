/** The city's clock is seven hours before UTC's all year. */
const AHEAD = 7 * 3_600_000;
const two = (n: number) => String(n).padStart(2, '0');

/** A moment as its day and time in the city; empty for none. */
export function partsOf(ms: number | undefined, seconds = false): { day: string; time: string } {
  if (ms === undefined || !Number.isFinite(ms)) return { day: '', time: '' };
  const d = new Date(ms + AHEAD);
  const time = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
  return {
    day: `${two(d.getUTCDate())}/${two(d.getUTCMonth() + 1)}/${d.getUTCFullYear()}`,
    time: seconds ? `${time}:${two(d.getUTCSeconds())}` : time,
  };
}

/** The moment of 22/11/2026 and 14:05 or 14:05:30 in the city; NaN for what is none, 31/02 among it. */
export function timeOf(day: string, time: string): number {
  const d = /^\s*(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})\s*$/.exec(day);
  const h = /^\s*(\d{1,2})[:h](\d{2})(?::(\d{2}))?\s*$/.exec(time);
  if (!d || !h) return Number.NaN;
  const [date, month, year] = [Number(d[1]), Number(d[2]), Number(d[3])];
  const [hour, minute, second] = [Number(h[1]), Number(h[2]), Number(h[3] ?? 0)];
  if (hour > 23 || minute > 59 || second > 59) return Number.NaN;
  const ms = Date.UTC(year, month - 1, date, hour, minute, second);
  const back = new Date(ms);
  if (back.getUTCDate() !== date || back.getUTCMonth() !== month - 1) return Number.NaN;
  return ms - AHEAD;
}

/** The time of day that a text means, as HH:mm: 7:05, 07.05 and 7h05 alike; nothing for what is none. */
export function clockOf(text: string): string | undefined {
  const h = /^\s*(\d{1,2})[:.h](\d{2})\s*$/i.exec(text);
  if (!h || Number(h[1]) > 23 || Number(h[2]) > 59) return undefined;
  return `${two(Number(h[1]))}:${h[2]}`;
}

/** The day that 22/11/2026 means, as 2026-11-22; nothing for what is none. */
export function dayOf(text: string): string | undefined {
  const ms = timeOf(text, '00:00');
  if (Number.isNaN(ms)) return undefined;
  return new Date(ms + AHEAD).toISOString().slice(0, 10);
}

/** A day as 2026-11-22 the way people write it; what is no such day as it is. */
export function dayText(day: string): string {
  const d = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day);
  return d ? `${d[3]}/${d[2]}/${d[1]}` : day;
}
