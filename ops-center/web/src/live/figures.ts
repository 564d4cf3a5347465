import { type Alarm, isOpen, needsAcknowledge } from './alarms.ts';
import { type City, Fresh } from './city.ts';
import type { Heartbeat } from './protocol.ts';
import { RainGauge } from './rain.ts';

/** One measured figure: its value and how old the youngest reading behind it is. */
export interface Measured {
  value: number;
  at: number;
  /** Index of the device it is about. */
  device: number;
  /** Nothing current stands behind it. */
  stale: boolean;
}

export interface FleetRow {
  profile: number;
  total: number;
  online: number;
  alarms: number;
  /** One cell per group of devices: worst severity of the group, 0..4, or STALE_CELL or EMPTY_CELL. */
  cells: Uint8Array;
}

export const STALE_CELL = 5;
export const EMPTY_CELL = 6;

export interface Figures {
  at: number;
  total: number;
  online: number;
  late: number;
  silent: number;
  never: number;
  /** Profile with the most silent devices, -1 for none. */
  silentProfile: number;
  simulated: boolean;
  perSecond: number | undefined;
  backlog: number;
  journal: 'ok' | 'degraded' | 'refusing';
  historyOk: boolean;
  alarms: [number, number, number, number, number]; // by priority; [0] is all
  unacknowledged: number;
  rising: number; // raised in the last ten minutes
  river: Measured | undefined;
  /** m/h over the last half hour, when that much was seen. */
  riverTrend: number | undefined;
  rain: (Measured & { minutes: number }) | undefined;
  pm25: (Measured & { mean: number; count: number }) | undefined;
  flood: (Measured & { count: number }) | undefined;
  fleet: FleetRow[];
  /** Devices a cell of the fleet matrix stands for. */
  cellSize: number;
}

/** Cells in a row of the fleet matrix. */
export const CELLS = 40;
/** A road is flooded from this depth, in metres. */
const FLOODED = 0.05;
const TREND_WINDOW = 30 * 60_000;
const TREND_LEAST = 3 * 60_000;
const SAMPLES = 120;

/**
 * The key figures, once a second, from the typed arrays. A figure takes only
 * current readings; when none is left it keeps its last value and says stale.
 */
export class FigureBook {
  #city: City;
  #gauges = new Map<number, RainGauge>(); // by channel
  #river: { t: number; v: number }[] = [];
  #riverChannel = -1;
  #traces = new Map<string, number[]>();
  #last: Figures | undefined;

  constructor(city: City) {
    this.#city = city;
  }

  gauge(channel: number): RainGauge {
    let gauge = this.#gauges.get(channel);
    if (!gauge) {
      gauge = new RainGauge();
      this.#gauges.set(channel, gauge);
    }
    return gauge;
  }

  /** History of the river station from before the page was opened. */
  seedRiver(channel: number, points: readonly { t: number; mean: number }[]): void {
    if (channel !== this.#riverChannel) return;
    const first = this.#river[0]?.t ?? Number.POSITIVE_INFINITY;
    this.#river = [...points.filter((p) => p.t < first).map((p) => ({ t: p.t, v: p.mean })), ...this.#river];
  }

  /** The last values of a figure, oldest first, for its sparkline. */
  trace(name: string): readonly number[] {
    return this.#traces.get(name) ?? [];
  }

  /** Hub changed: channels mean other things. */
  reset(): void {
    this.#gauges.clear();
    this.#river = [];
    this.#riverChannel = -1;
    this.#last = undefined;
  }

  compute(
    now: number,
    beat: Heartbeat | undefined,
    alarms: Iterable<Alarm>,
    riverDevice: number | undefined,
  ): Figures {
    const city = this.#city;
    const counts = { online: 0, late: 0, silent: 0, never: 0 };
    const silentBy = new Uint32Array(city.profiles.length);
    let simulated = false;
    let total = 0;
    for (let i = 0; i < city.devices; i++) {
      if (city.hidden[i] || city.exercise[i]) continue;
      total++;
      if (city.simulated[i]) simulated = true;
      switch (city.fresh[i]) {
        case Fresh.Fresh:
          counts.online++;
          break;
        case Fresh.Late:
          counts.online++;
          counts.late++;
          break;
        case Fresh.Stale:
          counts.silent++;
          silentBy[city.profile[i]]++;
          break;
        default:
          counts.never++;
      }
    }
    let silentProfile = -1;
    silentBy.forEach((n, p) => {
      if (n > 0 && (silentProfile < 0 || n > silentBy[silentProfile])) silentProfile = p;
    });

    const open: [number, number, number, number, number] = [0, 0, 0, 0, 0];
    let unacknowledged = 0;
    let rising = 0;
    for (const a of alarms) {
      if ((a as { exercise?: string }).exercise) continue;
      // What a greater alarm covers rang for nobody.
      if (a.state !== 'suppressed' && now - Date.parse(a.raised) < 600_000) rising++;
      if (!isOpen(a)) continue;
      open[0]++;
      open[a.priority]++;
      if (needsAcknowledge(a)) unacknowledged++;
    }

    const figures: Figures = {
      at: now,
      total,
      ...counts,
      silentProfile,
      simulated,
      perSecond: beat?.ingest?.perSecond,
      backlog: beat?.series?.backlog ?? 0,
      journal: beat?.journal?.level ?? 'ok',
      historyOk: beat?.series?.ok ?? true,
      alarms: open,
      unacknowledged,
      rising,
      river: this.#riverNow(riverDevice),
      riverTrend: this.#riverTrend(now),
      rain: this.#rain(now),
      pm25: this.#pm25(),
      flood: this.#flood(),
      fleet: [],
      cellSize: 1,
    };
    this.#fleet(figures);
    this.#record('online', figures.online);
    this.#record('readings', figures.perSecond);
    this.#record('alarms', open[0]);
    this.#record('river', figures.river?.value);
    this.#record('rain', figures.rain?.value);
    this.#record('pm25', figures.pm25?.mean);
    this.#record('flood', figures.flood?.count);
    this.#record('silent', figures.silent);
    this.#last = figures;
    return figures;
  }

  #current(channel: number): boolean {
    const fresh = this.#city.fresh[this.#city.deviceOf[channel]];
    if (this.#city.exercise[this.#city.deviceOf[channel]]) return false;
    return this.#city.known[channel] === 1 && (fresh === Fresh.Fresh || fresh === Fresh.Late);
  }

  #riverNow(device: number | undefined): Measured | undefined {
    const city = this.#city;
    if (device === undefined) return undefined;
    const channel = city.channel(device, 'water_level');
    if (channel === undefined || !city.known[channel]) return undefined;
    if (channel !== this.#riverChannel) {
      this.#riverChannel = channel;
      this.#river = [];
      this.#traces.delete('river');
    }
    const at = city.time[channel];
    const value = city.value[channel];
    const last = this.#river.at(-1);
    if (at > 0 && (!last || at - last.t > 5000)) this.#river.push({ t: at, v: value });
    while (this.#river.length > 2 && this.#river[1].t < at - TREND_WINDOW) this.#river.shift();
    return { value, at, device, stale: !this.#current(channel) };
  }

  #riverTrend(now: number): number | undefined {
    const first = this.#river.find((p) => p.t >= now - TREND_WINDOW);
    const last = this.#river.at(-1);
    if (!first || !last || last.t - first.t < TREND_LEAST) return undefined;
    return ((last.v - first.v) / (last.t - first.t)) * 3_600_000;
  }

  #rain(now: number): Figures['rain'] {
    const city = this.#city;
    let best: Figures['rain'];
    for (const c of city.of('rain_total')) {
      if (!city.known[c] || city.exercise[city.deviceOf[c]]) continue;
      const gauge = this.gauge(c);
      if (city.time[c] > 0) gauge.add(city.time[c], city.value[c]);
      const sum = gauge.sum(now);
      if (!sum || (best && sum.mm <= best.value)) continue;
      best = {
        value: sum.mm,
        at: sum.at,
        device: city.deviceOf[c],
        stale: !this.#current(c),
        minutes: sum.minutes,
      };
    }
    return best ?? kept(this.#last?.rain);
  }

  #pm25(): Figures['pm25'] {
    const city = this.#city;
    let sum = 0;
    let count = 0;
    let worst = -1;
    let at = 0;
    for (const c of city.of('pm25')) {
      if (!this.#current(c)) continue;
      sum += city.value[c];
      count++;
      if (city.time[c] > at) at = city.time[c];
      if (worst < 0 || city.value[c] > city.value[worst]) worst = c;
    }
    if (worst < 0) return kept(this.#last?.pm25);
    return {
      value: city.value[worst],
      at,
      device: city.deviceOf[worst],
      stale: false,
      mean: sum / count,
      count,
    };
  }

  #flood(): Figures['flood'] {
    const city = this.#city;
    let deepest = -1;
    let at = 0;
    let count = 0;
    for (const c of city.of('water_depth')) {
      if (!this.#current(c)) continue;
      if (city.value[c] >= FLOODED) count++;
      if (city.time[c] > at) at = city.time[c];
      if (deepest < 0 || city.value[c] > city.value[deepest]) deepest = c;
    }
    if (deepest < 0) return kept(this.#last?.flood);
    return { value: city.value[deepest], at, device: city.deviceOf[deepest], stale: false, count };
  }

  #fleet(figures: Figures): void {
    const city = this.#city;
    const totals = new Uint32Array(city.profiles.length);
    for (let i = 0; i < city.devices; i++) {
      if (!city.hidden[i] && !city.exercise[i]) totals[city.profile[i]]++;
    }
    const cellSize = Math.max(1, Math.ceil(Math.max(0, ...totals) / CELLS));
    const rows = Array.from(
      totals,
      (total, profile): FleetRow => ({
        profile,
        total,
        online: 0,
        alarms: 0,
        cells: new Uint8Array(Math.ceil(total / cellSize)).fill(EMPTY_CELL),
      }),
    );
    const seen = new Uint32Array(rows.length);
    for (let i = 0; i < city.devices; i++) {
      const profile = city.profile[i];
      const row = rows[profile];
      if (!row || city.hidden[i] || city.exercise[i]) continue;
      const fresh = city.fresh[i];
      const online = fresh === Fresh.Fresh || fresh === Fresh.Late;
      if (online) row.online++;
      if (city.severity[i]) row.alarms++;
      const cell = Math.floor(seen[profile]++ / cellSize);
      const is = city.severity[i] || (online ? EMPTY_CELL : STALE_CELL);
      if (is < row.cells[cell]) row.cells[cell] = is;
    }
    figures.cellSize = cellSize;
    figures.fleet = rows.filter((r) => r.total > 0).sort((a, b) => b.total - a.total);
  }

  #record(name: string, value: number | undefined): void {
    if (value === undefined || !Number.isFinite(value)) return;
    const trace = this.#traces.get(name) ?? [];
    trace.push(value);
    if (trace.length > SAMPLES) trace.shift();
    this.#traces.set(name, trace);
  }
}

/** The last figure when nothing current stands behind it any more. */
function kept<T extends Measured>(last: T | undefined): T | undefined {
  return last && { ...last, stale: true };
}
