import type * as GeoJSON from 'geojson';
import type { GeoJSONSource, LayerSpecification, Map as MapLibre, SourceSpecification } from 'maplibre-gl';
import { Cell } from '../cell.ts';
import type { Language, Translate } from '../i18n/index.ts';
import type { Theme } from '../theme.ts';
import type { Wall } from '../wall.ts';
import type { SensorLayer } from './sensors.ts';
import { DEFAULTS, type MapSettings, type OverlayName, orderOf } from './settings.ts';
import { SENSORS_BELOW } from './style.ts';

/** One row of a legend. */
export interface LegendRow {
  colour?: string;
  kind: 'area' | 'hatch' | 'line' | 'dashed' | 'dot' | 'text';
  label: string;
}

export interface Legend {
  title: string;
  rows: LegendRow[];
  note?: string;
}

/** What an overlay stands on. */
export interface Ground {
  readonly map: MapLibre;
  readonly wall: Wall;
  readonly sensors: SensorLayer;
  readonly settings: MapSettings;
  readonly theme: Theme;
  readonly lang: Language;
  readonly t: Translate;
  readonly signal: AbortSignal;
  /** Chosen by the operator. */
  readonly selected: string | undefined;
}

/**
 * A layer over the base map: it makes its sources and style layers, fills them
 * from what is known, says what its colours mean, and takes itself away. All
 * that it knows lives outside of the WebGL context, so that create may be
 * called again at any time.
 */
export abstract class Overlay {
  abstract readonly name: OverlayName | string;
  /** Time between two updates while shown, in ms. */
  abstract readonly every: number;
  readonly legend = new Cell<Legend | undefined>(undefined);
  /** What stands in the way, for people; undefined when it is well. */
  readonly problem = new Cell<unknown>(undefined);
  #layers: { spec: LayerSpecification; above: boolean }[] = [];
  #sources: string[] = [];

  /** Adds sources and layers; what is there stays. */
  abstract create(ground: Ground): void;
  /** Fills them anew. */
  abstract update(ground: Ground): void | Promise<void>;

  get ids(): string[] {
    return this.#layers.map((l) => l.spec.id);
  }

  protected source(map: MapLibre, id: string, spec: SourceSpecification): void {
    if (!map.getSource(id)) map.addSource(id, spec);
    if (!this.#sources.includes(id)) this.#sources.push(id);
  }

  protected empty(map: MapLibre, id: string): void {
    this.source(map, id, { type: 'geojson', data: { type: 'FeatureCollection', features: [] } });
  }

  /** A style layer below the sensors, or above them for what must be read. */
  protected layer(map: MapLibre, spec: LayerSpecification, above = false): void {
    if (!map.getLayer(spec.id)) {
      map.addLayer(spec, above || !map.getLayer('sensors') ? SENSORS_BELOW : 'sensors');
    }
    if (!this.#layers.some((l) => l.spec.id === spec.id)) this.#layers.push({ spec, above });
  }

  protected fill(map: MapLibre, id: string, features: GeoJSON.Feature[]): void {
    (map.getSource(id) as GeoJSONSource | undefined)?.setData({ type: 'FeatureCollection', features });
  }

  /** Brings its layers to the top of those drawn so far. */
  raise(map: MapLibre): void {
    for (const { spec, above } of this.#layers) {
      if (!map.getLayer(spec.id)) continue;
      map.moveLayer(spec.id, above || !map.getLayer('sensors') ? SENSORS_BELOW : 'sensors');
    }
  }

  /** Scales what is drawn; what the layers were made with is full. */
  fade(map: MapLibre, opacity: number): void {
    for (const { spec } of this.#layers) {
      if (!map.getLayer(spec.id)) continue;
      const paint = (spec.paint ?? {}) as Record<string, unknown>;
      for (const property of FADING[spec.type] ?? []) {
        const full = paint[property] ?? 1;
        map.setPaintProperty(
          spec.id,
          property as never,
          (typeof full === 'number' ? full * opacity : opacity) as never,
        );
      }
    }
  }

  dispose(map: MapLibre): void {
    for (const { spec } of this.#layers.toReversed()) if (map.getLayer(spec.id)) map.removeLayer(spec.id);
    for (const id of this.#sources) if (map.getSource(id)) map.removeSource(id);
    this.#layers = [];
    this.#sources = [];
    this.legend.set(undefined);
    this.problem.set(undefined);
  }
}

const FADING: Record<string, string[]> = {
  fill: ['fill-opacity'],
  line: ['line-opacity'],
  circle: ['circle-opacity', 'circle-stroke-opacity'],
  heatmap: ['heatmap-opacity'],
  // What must be read stays full.
};

/** Keeps the overlays of one map: those shown are created and updated in their time. */
export class Overlays {
  #ground: () => Ground | undefined;
  #all: Map<string, Overlay>;
  #shown = new Set<string>();
  #due = new Map<string, number>();
  #busy = new Map<string, Promise<void>>();
  #order: string[] = [];
  #timer: ReturnType<typeof setInterval>;

  constructor(all: Overlay[], ground: () => Ground | undefined) {
    this.#all = new Map(all.map((o) => [o.name, o]));
    this.#ground = ground;
    this.#timer = setInterval(this.#tick, 250);
  }

  get(name: string): Overlay | undefined {
    return this.#all.get(name);
  }

  /** Shows exactly these, in this order from the bottom up. */
  show(names: ReadonlySet<string>, order: readonly string[] | undefined): void {
    const ground = this.#ground();
    if (!ground) return;
    for (const [name, overlay] of this.#all) {
      if (names.has(name) === this.#shown.has(name)) continue;
      if (names.has(name)) {
        this.#shown.add(name);
        overlay.create(ground);
        this.#due.set(name, 0);
      } else {
        this.#shown.delete(name);
        overlay.dispose(ground.map);
      }
      this.#order = [];
    }
    const wanted = orderOf(order).filter((n) => this.#shown.has(n));
    if (wanted.join() !== this.#order.join()) {
      this.#order = wanted;
      for (const name of wanted) this.#all.get(name)?.raise(ground.map);
    }
    for (const name of this.#shown) {
      this.#all.get(name)?.fade(ground.map, ground.settings.opacity?.[name] ?? DEFAULTS.opacity[name] ?? 1);
    }
    this.#tick();
  }

  /** Fills what is shown anew at once: a setting, the language or the view changed. */
  refresh(...names: string[]): void {
    for (const name of names.length > 0 ? names : this.#shown) this.#due.set(name, 0);
    this.#tick();
  }

  /** The same, and waits until it is done or has failed. */
  async renew(): Promise<void> {
    await Promise.all(this.#busy.values()); // begun as things were
    this.refresh();
    await Promise.all(this.#busy.values());
  }

  /** After a lost context. */
  restore(): void {
    const ground = this.#ground();
    if (!ground) return;
    for (const name of this.#shown) this.#all.get(name)?.create(ground);
    this.#order = [];
    this.show(new Set(this.#shown), ground.settings.order);
    this.refresh();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#shown.clear();
  }

  #tick = (): void => {
    const ground = this.#ground();
    if (!ground || document.hidden) return;
    const now = performance.now();
    for (const name of this.#shown) {
      if ((this.#due.get(name) ?? 0) > now || this.#busy.has(name)) continue;
      const overlay = this.#all.get(name);
      if (!overlay) continue;
      this.#due.set(name, now + overlay.every);
      this.#busy.set(name, this.#run(overlay, ground));
    }
  };

  async #run(overlay: Overlay, ground: Ground): Promise<void> {
    await undefined; // not done before it is known to be busy
    try {
      await overlay.update(ground);
      overlay.problem.set(undefined);
    } catch (error) {
      if (!ground.signal.aborted) overlay.problem.set(error);
    } finally {
      this.#busy.delete(overlay.name);
    }
  }
}
