import { Cell } from '../cell.ts';
import type { Dictionary, ProfileInfo, QuantityInfo } from './dictionary.ts';
import { DT_OLDER, eventTime, type PositionsFrame, Quality, type ValuesFrame } from './frame.ts';

/** How recent what we know of a device is. */
export const Fresh = { Never: 0, Fresh: 1, Late: 2, Stale: 3 } as const;
export type Freshness = (typeof Fresh)[keyof typeof Fresh];

/** A value is late after two expected intervals and stale after four. */
export const LATE_AFTER = 2;
export const STALE_AFTER = 4;

/** The freshness of something heard `age` ms ago that is expected every `interval` ms. */
export function freshness(age: number, interval: number): Freshness {
  if (age > STALE_AFTER * interval) return Fresh.Stale;
  if (age > LATE_AFTER * interval) return Fresh.Late;
  return Fresh.Fresh;
}

/** Above this a frame's index is a mistake, not a city. */
const MAX_INDEX = 8_000_000;

/**
 * Told which devices look different now: all from lo to hi inclusive, or those
 * that are listed. The list is lent for the time of the call.
 */
export type DirtyListener = (lo: number, hi: number, devices?: Uint32Array) => void;

/**
 * The city as last heard: typed arrays by channel and by device, written by
 * frames at any rate and read by the map and by the once-a-second panels.
 * Nothing here goes through React.
 *
 * Indices are the server's and only ever grow within one hub's life, so values
 * may arrive before the dictionary that names them: they are kept and get their
 * meaning when it comes. reset() is for another hub.
 */
export class City {
  /** The hub and the epoch of the dictionary; -1 before the first. */
  hub = '';
  dict = -1;
  quantities: QuantityInfo[] = [];
  profiles: ProfileInfo[] = [];

  /** Number of devices and channels the dictionary names. */
  devices = 0;
  channels = 0;

  id: string[] = [];
  name: string[] = [];
  profile = new Int16Array(0); // -1 for none of profiles
  lon = new Float64Array(0);
  lat = new Float64Array(0);
  /** 1 when lon and lat are a place. */
  placed = new Uint8Array(0);
  moving = new Uint8Array(0);
  simulated = new Uint8Array(0);
  /** 1 for a device taken off the wall: not drawn, not counted. */
  hidden = new Uint8Array(0);
  exercise = new Uint8Array(0);
  interval = new Float64Array(0); // ms
  /** When the device was last heard, by the server's clock; 0 for never. */
  heard = new Float64Array(0);
  severity = new Uint8Array(0);
  fresh = new Uint8Array(0);
  silent = new Uint8Array(0);

  deviceOf = new Uint32Array(0);
  quantityOf = new Uint16Array(0);
  value = new Float32Array(0);
  /** Event time in ms; 0 for no value or one too old to say. */
  time = new Float64Array(0);
  quality = new Uint8Array(0);
  /** 1 once a value was received. */
  known = new Uint8Array(0);
  /** Severity of the device as the channel's last frame had it. */
  worst = new Uint8Array(0);

  /** Rises when devices, names or places change: what is derived from them is rebuilt. */
  readonly shape = new Cell(0);

  #indexOf = new Map<string, number>();
  #byQuantity = new Map<string, Uint32Array>();
  #ofDevice = new Uint32Array(0); // channels sorted by device,
  #firstOf = new Uint32Array(1); // where each device's begin
  #listeners = new Set<DirtyListener>();
  // Devices that look different since #round began, each once.
  #touched = new Uint32Array(0);
  #touchedIn = new Uint32Array(0);
  #round = 0;
  #count = 0;

  onDirty(listener: DirtyListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  index(id: string): number | undefined {
    return this.#indexOf.get(id);
  }

  profileOf(device: number): ProfileInfo | undefined {
    return this.profiles[this.profile[device]];
  }

  /** All channels of a quantity. */
  of(quantity: string): Uint32Array {
    return this.#byQuantity.get(quantity) ?? EMPTY;
  }

  /** The channels of one device. */
  channelsOf(device: number): Uint32Array {
    if (device >= this.devices) return EMPTY;
    return this.#ofDevice.subarray(this.#firstOf[device], this.#firstOf[device + 1]);
  }

  /** The channel of one quantity of one device. */
  channel(device: number, quantity: string): number | undefined {
    for (const c of this.channelsOf(device)) {
      if (this.quantities[this.quantityOf[c]]?.name === quantity) return c;
    }
    return undefined;
  }

  /** Forgets everything: the hub is another one and its indices mean other things. */
  reset(): void {
    this.dict = -1;
    this.devices = 0;
    this.channels = 0;
    for (const array of [
      this.placed,
      this.heard,
      this.severity,
      this.fresh,
      this.silent,
      this.time,
      this.known,
      this.worst,
    ]) {
      array.fill(0);
    }
    this.value.fill(Number.NaN);
    this.#indexOf.clear();
    this.#byQuantity.clear();
    this.#ofDevice = new Uint32Array(0);
    this.#firstOf = new Uint32Array(1);
    this.shape.set(this.shape.get() + 1);
  }

  /** Takes a dictionary; one older than what we have is ignored, one of another hub begins anew. */
  load(d: Dictionary): void {
    if (d.hub === this.hub && d.dict < this.dict) return;
    if (this.dict >= 0 && d.hub !== this.hub) this.reset();
    this.hub = d.hub;
    const n = d.devices.id.length;
    const m = d.channels.device.length;
    this.#growDevices(n);
    this.#growChannels(m);
    this.dict = d.dict;
    this.quantities = d.quantities;
    this.profiles = d.profiles;
    this.id = d.devices.id;
    this.name = d.devices.name;
    this.#indexOf = new Map(d.devices.id.map((id, i) => [id, i]));
    for (let i = 0; i < n; i++) {
      this.profile[i] = d.devices.profile[i];
      this.simulated[i] = Number(d.devices.simulated[i]);
      this.hidden[i] = Number(d.devices.hidden?.[i] ?? false);
      this.exercise[i] = Number(d.devices.exercise?.[i] ?? false);
      this.interval[i] = Math.max(1, d.devices.interval[i] || 60) * 1000;
      this.moving[i] = Number(d.devices.moving[i]);
      const lon = d.devices.lon[i];
      const lat = d.devices.lat[i];
      // A moving device that was placed by a frame knows better than the
      // dictionary where it is; 0,0 is "not known".
      if (this.moving[i] && this.placed[i]) continue;
      if (lon !== null && lat !== null && (lon !== 0 || lat !== 0)) {
        this.lon[i] = lon;
        this.lat[i] = lat;
        this.placed[i] = 1;
      }
    }
    const counts = new Uint32Array(n + 1);
    const lists = new Map<string, number[]>();
    for (let c = 0; c < m; c++) {
      this.deviceOf[c] = d.channels.device[c];
      this.quantityOf[c] = d.channels.quantity[c];
      counts[d.channels.device[c] + 1]++;
      const quantity = d.quantities[d.channels.quantity[c]]?.name;
      if (quantity === undefined) continue;
      const list = lists.get(quantity);
      if (list) list.push(c);
      else lists.set(quantity, [c]);
    }
    for (let i = 0; i < n; i++) counts[i + 1] += counts[i];
    this.#firstOf = counts.slice();
    this.#ofDevice = new Uint32Array(m);
    const next = counts.slice();
    for (let c = 0; c < m; c++) this.#ofDevice[next[this.deviceOf[c]]++] = c;
    this.#byQuantity = new Map([...lists].map(([q, list]) => [q, Uint32Array.from(list)]));

    // Values that came before their names count from now on.
    for (let c = this.channels; c < m; c++) {
      const device = this.deviceOf[c];
      if (this.known[c]) this.#hear(device, this.time[c]);
      if (this.worst[c]) this.severity[device] = this.worst[c];
    }
    this.devices = n;
    this.channels = m;
    this.shape.set(this.shape.get() + 1);
    if (n > 0) this.#dirty(0, n - 1);
  }

  /**
   * Takes a snapshot or a delta; now is the server's time at arrival. It runs
   * for each of 80,000 updates a second: nothing is called or made in the loop,
   * and a device whose looks stay as they are is not told of.
   */
  apply(frame: ValuesFrame, now: number): void {
    const { count, t0, channel, dt } = frame;
    let top = -1;
    for (let i = 0; i < count; i++) if (channel[i] > top) top = channel[i];
    if (top >= MAX_INDEX) throw new RangeError(`live frame names channel ${top}`);
    this.#growChannels(top + 1);
    const snapshot = frame.kind === 'snapshot';
    if (snapshot) this.#forget();
    const { value, time, quality, known, worst, deviceOf, channels } = this;
    const { heard, severity, silent, fresh, interval } = this;
    const { value: values, quality: qualities, severity: severities } = frame;
    this.#begin();
    const touched = this.#touched;
    const touchedIn = this.#touchedIn;
    const round = this.#round;
    let n = 0;
    for (let i = 0; i < count; i++) {
      const c = channel[i];
      const v = values[i];
      const q = qualities[i];
      const s = severities[i];
      const t = dt[i] === DT_OLDER ? 0 : t0 + dt[i] * 100;
      const before = time[c];
      // A delta that repeats the event we have carries a new severity, not a
      // new report: it does not make a silent device heard.
      // Times are told in tenths of a second from another t0 in each frame.
      const repeated = known[c] === 1 && (t === 0 || (before - t <= 100 && t - before <= 100));
      const empty = Number.isNaN(v);
      value[c] = v;
      time[c] = t;
      quality[c] = q;
      known[c] = empty ? 0 : 1;
      worst[c] = s;
      if (c >= channels) continue;
      const device = deviceOf[c];
      // What arrives in a delta was reported just now, whatever the device's
      // clock says; a snapshot only knows the time of the event.
      if (!empty && (snapshot || !repeated)) {
        const at = snapshot ? t || t0 : now;
        if (at > heard[device]) heard[device] = at;
      }
      const mute = q & Quality.Silent ? 1 : 0;
      const age = now - heard[device];
      const every = interval[device];
      let next: Freshness = Fresh.Fresh;
      if (heard[device] <= 0) next = Fresh.Never;
      else if (mute === 1 || age > STALE_AFTER * every) next = Fresh.Stale;
      else if (age > LATE_AFTER * every) next = Fresh.Late;
      silent[device] = mute;
      if (severity[device] === s && fresh[device] === next) continue;
      severity[device] = s;
      fresh[device] = next;
      if (touchedIn[device] === round) continue;
      touchedIn[device] = round;
      touched[n++] = device;
    }
    this.#count = n;
    // What a snapshot does not name looks different too.
    if (!snapshot) this.#tell();
    else if (this.devices > 0) this.#dirty(0, this.devices - 1);
  }

  /** A snapshot replaces all that went before: what is not in it is not known, or not received. */
  #forget(): void {
    for (const array of [this.known, this.worst, this.heard, this.severity, this.silent, this.fresh])
      array.fill(0);
  }

  /** Takes the places of moving devices and returns the indices that moved. */
  move(frame: PositionsFrame, now: number): Uint32Array {
    let top = -1;
    for (let i = 0; i < frame.count; i++) if (frame.device[i] > top) top = frame.device[i];
    if (top >= MAX_INDEX) throw new RangeError(`live frame names device ${top}`);
    this.#growDevices(top + 1);
    for (let i = 0; i < frame.count; i++) {
      const device = frame.device[i];
      this.lon[device] = frame.lon[i] / 1e7;
      this.lat[device] = frame.lat[i] / 1e7;
      this.placed[device] = 1;
      this.#hear(device, Math.min(now, eventTime(frame, i) || now));
    }
    return frame.device;
  }

  /** The priority of a device's worst open alarm, as the alarm list has it. */
  setSeverity(device: number, severity: number): void {
    if (this.severity[device] === severity) return;
    this.severity[device] = severity;
    this.#dirty(device, device);
  }

  /** Judges every device's freshness anew; cheap enough for once a second. */
  sweep(now: number): void {
    this.#begin();
    for (let i = 0; i < this.devices; i++) {
      if (this.#judge(i, now)) this.#touched[this.#count++] = i;
    }
    this.#tell();
  }

  #begin(): void {
    const { length } = this.heard;
    if (this.#touched.length !== length) {
      this.#touched = new Uint32Array(length);
      this.#touchedIn = new Uint32Array(length);
      this.#round = 0;
    }
    this.#count = 0;
    // Once in 4,294,967,295 rounds the stamps are worn.
    if (this.#round === 0xffffffff) {
      this.#touchedIn.fill(0);
      this.#round = 0;
    }
    this.#round++;
  }

  #tell(): void {
    if (this.#count === 0) return;
    const devices = this.#touched.subarray(0, this.#count);
    let lo = devices[0];
    let hi = devices[0];
    for (let i = 1; i < devices.length; i++) {
      if (devices[i] < lo) lo = devices[i];
      else if (devices[i] > hi) hi = devices[i];
    }
    this.#dirty(lo, hi, devices);
  }

  #hear(device: number, at: number): void {
    if (at > this.heard[device]) this.heard[device] = at;
  }

  #judge(device: number, now: number): boolean {
    const heard = this.heard[device];
    let next: Freshness = Fresh.Never;
    if (heard > 0) next = freshness(now - heard, this.interval[device]);
    if (this.silent[device] && next !== Fresh.Never) next = Fresh.Stale;
    if (this.fresh[device] === next) return false;
    this.fresh[device] = next;
    return true;
  }

  #dirty(lo: number, hi: number, devices?: Uint32Array): void {
    for (const listener of this.#listeners) listener(lo, hi, devices);
  }

  #growDevices(n: number): void {
    if (n <= this.heard.length) return;
    const size = roundUp(n);
    this.profile = grown(this.profile, size);
    this.lon = grown(this.lon, size);
    this.lat = grown(this.lat, size);
    this.placed = grown(this.placed, size);
    this.moving = grown(this.moving, size);
    this.simulated = grown(this.simulated, size);
    this.hidden = grown(this.hidden, size);
    this.exercise = grown(this.exercise, size);
    this.interval = grown(this.interval, size);
    this.heard = grown(this.heard, size);
    this.severity = grown(this.severity, size);
    this.fresh = grown(this.fresh, size);
    this.silent = grown(this.silent, size);
  }

  #growChannels(n: number): void {
    if (n <= this.value.length) return;
    const size = roundUp(n);
    this.deviceOf = grown(this.deviceOf, size);
    this.quantityOf = grown(this.quantityOf, size);
    this.value = grown(this.value, size);
    this.time = grown(this.time, size);
    this.quality = grown(this.quality, size);
    this.known = grown(this.known, size);
    this.worst = grown(this.worst, size);
  }
}

const EMPTY = new Uint32Array(0);

type Numbers = Uint8Array | Uint16Array | Int16Array | Uint32Array | Float32Array | Float64Array;

function grown<T extends Numbers>(array: T, size: number): T {
  const next = new (array.constructor as new (n: number) => T)(size);
  next.set(array as never);
  return next;
}

/** Half as much again, so that growing one by one does not copy each time. */
function roundUp(n: number): number {
  return Math.max(256, Math.ceil(n * 1.5));
}
