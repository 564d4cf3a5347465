import { useEffect, useRef, useState } from 'react';
import { api, type HistoryPoint } from '../api.ts';
import { Cell, useCell } from '../cell.ts';
import { Fresh } from '../live/city.ts';
import type { ReplayState } from '../replay/moment.ts';
import type { Wall } from '../wall.ts';

export interface Series {
  device: string;
  label: string;
  points: HistoryPoint[];
}

export interface History {
  state: 'loading' | 'ready' | 'failed';
  error?: unknown;
  series: Series[];
}

/** Where nothing is replayed no moment is left for another. */
const PRESENT = new Cell(0);
const STILL = new Cell<ReplayState | undefined>(undefined);

const AGAIN = 5 * 60_000;
const RETRY = 20_000;

/** A replay goes through five minutes in a fifth or a six hundredth of them. */
const again = (wall: Wall): number => Math.max(3000, AGAIN / (wall.replay?.state.get().speed ?? 1));

/**
 * The history of one quantity of some devices: fetched, then continued with
 * what arrives live, and fetched anew every five minutes and after a break.
 */
export function useHistory(
  wall: Wall,
  wanted: readonly { device: string; label: string }[],
  quantity: string,
  hours: number,
  step: number,
): History {
  const [history, setHistory] = useState<History>({ state: 'loading', series: [] });
  const link = useCell(wall.socket.link);
  const live = link.state === 'live';
  const jump = useCell(wall.replay?.jump ?? PRESENT);
  const speed = useCell(wall.replay?.state ?? STILL)?.speed;
  const key = wanted.map((w) => w.device).join(' ');
  const wantedNow = useRef(wanted);
  wantedNow.current = wanted;

  useEffect(() => {
    void jump;
    void speed;
    if (!key || !live) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const load = async () => {
      const now = wall.clock.now();
      try {
        const series = await Promise.all(
          wantedNow.current.map(async (w) => ({
            ...w,
            points: await api.readings(w.device, quantity, now - hours * 3_600_000, now, step, abort.signal),
          })),
        );
        setHistory({ state: 'ready', series });
        timer = setTimeout(load, again(wall));
      } catch (error) {
        if (abort.signal.aborted) return;
        setHistory((h) => ({ state: 'failed', error, series: h.series }));
        timer = setTimeout(load, RETRY);
      }
    };
    setHistory((h) =>
      h.series.map((s) => s.device).join(' ') === key ? h : { state: 'loading', series: [] },
    );
    void load();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [wall, key, quantity, hours, step, live, jump, speed]);

  // The live end: one point a step, its range growing until the next begins.
  const figures = useCell(wall.figures);
  useEffect(() => {
    if (!figures) return;
    setHistory((h) => {
      if (h.state === 'loading') return h;
      let changed = false;
      const series = h.series.map((s) => {
        const point = latest(wall, s.device, quantity);
        const last = s.points.at(-1);
        if (!point || (last && point.t <= last.t)) return s;
        changed = true;
        const from = wall.clock.now() - hours * 3_600_000;
        const points = s.points[0]?.t < from - step ? s.points.slice(1) : [...s.points];
        const tail = points.at(-1);
        const slot = (t: number) => Math.floor(t / step);
        if (tail && slot(tail.t) === slot(point.t) && points.length > 1) {
          points[points.length - 1] = {
            t: point.t,
            mean: point.mean,
            min: Math.min(tail.min, point.min),
            max: Math.max(tail.max, point.max),
          };
        } else points.push(point);
        return { ...s, points };
      });
      return changed ? { ...h, series } : h;
    });
  }, [wall, figures, quantity, hours, step]);

  return history;
}

function latest(wall: Wall, device: string, quantity: string): HistoryPoint | undefined {
  const { city } = wall;
  const index = city.index(device);
  if (index === undefined || city.fresh[index] === Fresh.Stale) return undefined;
  const channel = city.channel(index, quantity);
  if (channel === undefined || !city.known[channel] || city.time[channel] === 0) return undefined;
  const value = city.value[channel];
  return { t: city.time[channel], mean: value, min: value, max: value };
}

/** Turns a tipping bucket's running total into mm/h from point to point. */
export function asRate(
  points: readonly HistoryPoint[],
  fallen: (a: number, b: number) => number,
): HistoryPoint[] {
  const rates: HistoryPoint[] = [];
  for (let i = 1; i < points.length; i++) {
    const hours = (points[i].t - points[i - 1].t) / 3_600_000;
    if (hours <= 0) continue;
    const rate = fallen(points[i - 1].max, points[i].max) / hours;
    rates.push({ t: points[i].t, mean: rate, min: rate, max: rate });
  }
  return rates;
}
