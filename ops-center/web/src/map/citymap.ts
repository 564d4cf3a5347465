import type * as GeoJSON from 'geojson';
import 'maplibre-gl/dist/maplibre-gl.css';
import { type GeoJSONSource, Map as MapLibre, setWorkerUrl } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import type { City } from '../live/city.ts';
import type { Theme } from '../theme.ts';
import { reachOf } from './geometry.ts';
import { ClustersOverlay } from './layers/clusters.ts';
import { FloodOverlay } from './layers/flood.ts';
import { HeatOverlay } from './layers/heat.ts';
import { MeasureOverlay } from './layers/measure.ts';
import { NetworkOverlay } from './layers/network.ts';
import type { OwnLayers } from './layers/own.ts';
import { TrailsOverlay } from './layers/trails.ts';
import { ZonesOverlay } from './layers/zones.ts';
import { type Ground, Overlays } from './overlay.ts';
import { type PlaceAlarm, PlaceAlarms } from './places.ts';
import { SensorLayer } from './sensors.ts';
import { type Camera, DEFAULTS, type MapSettings, OVERLAYS } from './settings.ts';
import { BASE_LAYERS, type BaseLayer, baseStyle, SENSORS_BELOW, styleLayersOf } from './style.ts';

// MapLibre starts its worker from this address; the content security policy
// allows the page's own origin only.
setWorkerUrl(workerUrl);

/** A label beside an alarm on the map. */
export interface AlarmName {
  lon: number;
  lat: number;
  text: string;
  order: number;
  /** The ring around a selected device needs room. */
  selected: boolean;
}

export interface CityMapEvents {
  /** Those under the pointer, the worst first. */
  pick(devices: number[], x: number, y: number): void;
  alarm(id: string): void;
  camera(camera: Camera): void;
  hover(device: number | undefined, x: number, y: number): void;
  view(box: [number, number, number, number]): void;
}

/** Gliding vehicles redraw the map at most this often, and less on a slow machine. */
const GLIDE_EVERY = 200;
const CLOSE_ZOOM = 16;
/** A list of more than these under one pointer is none to choose from. */
const MOST_PICKED = 30;

/**
 * The map: MapLibre for the base, one custom layer for everything that lives.
 * It owns its canvas and redraws only when something it shows changed.
 */
export class CityMap {
  readonly sensors: SensorLayer;
  #map: MapLibre;
  #city: City;
  #hidden: ReadonlySet<string>;
  #framed = false;
  #hub = '';
  #ready = false;
  #names: AlarmName[] = [];
  readonly #places: PlaceAlarms;
  #timer: ReturnType<typeof setInterval>;
  #lastGlide = 0;
  #off: (() => void)[] = [];
  readonly overlays: Overlays;
  readonly trails = new TrailsOverlay();
  readonly clusters = new ClustersOverlay((active) => {
    this.sensors.sparse = active;
  });
  readonly measure = new MeasureOverlay();
  readonly own: OwnLayers;
  #ground: () => Omit<Ground, 'map' | 'sensors' | 'signal'>;
  #settings: MapSettings = {};
  #ended = new AbortController();
  #layers: ReadonlySet<string>;
  #shown: ReadonlySet<string>;
  #theme: Theme;
  /** Painted for paper now, and what is done for it. */
  #paper = false;
  #paperwork: Promise<void> = Promise.resolve();
  #still = window.matchMedia('(prefers-reduced-motion: reduce)');

  constructor(
    container: HTMLElement,
    city: City,
    options: {
      layers: ReadonlySet<string>;
      /** They outlive a map: a new one shows them again. */
      own: OwnLayers;
      shown: ReadonlySet<string>;
      hidden: ReadonlySet<string>;
      events: CityMapEvents;
      theme: Theme;
      camera?: Camera;
      ground: () => Omit<Ground, 'map' | 'sensors' | 'signal'>;
    },
  ) {
    this.#places = new PlaceAlarms((id) => options.events.alarm(id));
    this.#ground = options.ground;
    this.#layers = options.layers;
    this.own = options.own;
    this.#shown = options.shown;
    this.#theme = options.theme;
    this.#framed = options.camera !== undefined;
    this.#city = city;
    this.#hidden = options.hidden;
    this.sensors = new SensorLayer(city);
    this.sensors.theme = options.theme;
    this.#map = new MapLibre({
      container,
      style: baseStyle(options.layers, options.shown, location.origin, options.theme),
      center: options.camera?.center ?? [106.168, 20.434],
      zoom: options.camera?.zoom ?? 12,
      minZoom: 3,
      maxZoom: 20,
      // The default of 4096 blurs a video wall of 7,680 pixels.
      maxCanvasSize: [8192, 8192],
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      fadeDuration: 0,
      doubleClickZoom: false,
    });
    this.#map.touchZoomRotate.disableRotation();
    this.#map.keyboard.disableRotation();
    // Not 'load', which waits for each tile: a layer that is slow to come, or
    // never does, must not keep the sensors away.
    this.#map.once('style.load', () => {
      this.#ready = true;
      this.#addSensors();
      this.setNames(this.#names);
      this.#frame();
      this.#tellView(options.events);
      this.settle(this.#settings);
      this.own.restore(this.#map);
    });
    // MapLibre restores its own layers after a lost context but drops ours.
    this.#map.on('webglcontextrestored', () => {
      this.#map.once('styledata', () => {
        this.#addSensors();
        this.setNames(this.#names);
        const ground = this.ground();
        if (!ground) return;
        this.overlays.restore();
        this.own.restore(this.#map);
        this.measure.create(ground);
        this.measure.draw(this.#map);
      });
    });
    this.#map.on('moveend', () => {
      this.#tellView(options.events);
      this.overlays.refresh('clusters', 'heat');
    });
    this.#map.on('click', (e) => {
      if (this.measure.click(this.#map, [e.lngLat.lng, e.lngLat.lat])) return;
      if (
        this.clusters.active &&
        this.#map.queryRenderedFeatures(e.point, { layers: this.clusters.ids.slice(0, 1) }).length > 0
      ) {
        return;
      }
      const reach = this.#reach();
      options.events.pick(
        this.sensors.pickAll(e.lngLat.lng, e.lngLat.lat, reach, MOST_PICKED),
        e.point.x,
        e.point.y,
      );
    });
    this.#map.on('mousemove', (e) => {
      if (this.measure.mode.get() !== 'off') return;
      const device = this.#pick(e.lngLat.lng, e.lngLat.lat);
      this.#map.getCanvas().style.cursor = device === undefined ? '' : 'pointer';
      options.events.hover(device, e.point.x, e.point.y);
    });
    this.#map.on('mouseout', () => options.events.hover(undefined, 0, 0));
    this.#off.push(
      city.onDirty((lo, hi, devices) => this.sensors.refresh(lo, hi, devices)),
      city.shape.subscribe(() => this.#reshape()),
    );
    this.overlays = new Overlays(
      [
        new HeatOverlay(),
        new ZonesOverlay(),
        new FloodOverlay(),
        new NetworkOverlay(),
        this.trails,
        this.clusters,
      ],
      () => this.ground(),
    );
    this.#timer = setInterval(this.#glide, 50);
    this.#reshape();
  }

  /** Moving devices have new places. */
  moved(devices: Uint32Array): void {
    this.sensors.moved(devices, !this.#still.matches);
    this.trails.moved(devices, this.#city.lon, this.#city.lat);
    const { follow } = this.#settings;
    const followed = follow === undefined ? undefined : this.#city.index(follow);
    if (followed !== undefined && devices.includes(followed)) this.#keepInView(followed);
  }

  /** Takes the settings of the operator or of a scene. */
  settle(settings: MapSettings): void {
    const before = this.#settings;
    this.#settings = settings;
    this.sensors.least = settings.filters?.priority ?? 0;
    if (!this.#ready) return;
    const names = new Set(
      (settings.layers ?? DEFAULTS.layers).filter((n) => (OVERLAYS as readonly string[]).includes(n)),
    );
    this.overlays.show(names, settings.order ?? DEFAULTS.order);
    this.overlays.refresh();
    const { camera } = settings;
    if (camera && JSON.stringify(camera) !== JSON.stringify(before.camera)) {
      this.#framed = true;
      this.#map.jumpTo(camera);
    }
    if (settings.follow && settings.follow !== before.follow) {
      const index = this.#city.index(settings.follow);
      if (index !== undefined) this.#keepInView(index);
    }
  }

  ground(): Ground | undefined {
    if (!this.#ready || this.#ended.signal.aborted) return undefined;
    const ground = { ...this.#ground(), map: this.#map, sensors: this.sensors, signal: this.#ended.signal };
    return this.#paper ? { ...ground, theme: 'light' } : ground;
  }

  /** Recolours the base in place: a new style would drop what is not its own. */
  paint(theme: Theme): void {
    if (theme === this.#theme) return;
    this.#theme = theme;
    this.sensors.theme = theme;
    for (const layer of baseStyle(this.#layers, this.#shown, location.origin, theme).layers) {
      if (!this.#map.getLayer(layer.id)) continue;
      for (const [name, value] of Object.entries(layer.paint ?? {})) {
        if (name.endsWith('color')) this.#map.setPaintProperty(layer.id, name as never, value as never);
      }
    }
    this.overlays.refresh();
  }

  /**
   * The picture as it is on the screen now; on paper as by daylight, whatever the
   * screen's own theme. The screen shows what it showed until it is dark again.
   * painted is called while legends have the picture's colours.
   */
  async picture(paper = false, painted: () => void = () => undefined): Promise<HTMLCanvasElement> {
    // One after the other: the second would find the first one's colours.
    await this.#paperwork;
    if (paper && this.#theme === 'dark') return this.#onPaper(painted);
    const copy = await this.#copy();
    painted();
    return copy;
  }

  async #onPaper(painted: () => void): Promise<HTMLCanvasElement> {
    let over: () => void = () => undefined;
    this.#paperwork = new Promise((resolve) => {
      over = resolve;
    });
    const cover = await this.#copy();
    cover.className = 'map-cover';
    this.canvas.after(cover);
    try {
      this.#paper = true;
      this.paint('light');
      await this.overlays.renew();
      await this.#drawn();
      const copy = await this.#copy();
      painted();
      return copy;
    } finally {
      this.#paper = false;
      if (this.#ended.signal.aborted) over();
      else {
        // The page's own theme, which may be another by now.
        this.paint(this.#ground().theme);
        void this.overlays
          .renew()
          .then(() => this.#drawn())
          .finally(() => {
            cover.remove();
            over();
          });
      }
    }
  }

  /** Waits until what was asked for is on the map; a tile that never comes is not waited for. */
  #drawn(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(patience);
        this.#map.off('render', look);
        resolve();
      };
      const look = () => {
        if (this.#map.loaded()) done();
      };
      const patience = setTimeout(done, 3000);
      this.#map.on('render', look);
      this.#map.triggerRepaint();
    });
  }

  #copy(): Promise<HTMLCanvasElement> {
    return new Promise((resolve) => {
      // A drawing buffer is only there until it was shown: copy it right after it is drawn.
      this.#map.once('render', () => {
        const from = this.#map.getCanvas();
        const copy = document.createElement('canvas');
        copy.width = from.width;
        copy.height = from.height;
        const c = copy.getContext('2d');
        if (c) {
          c.drawImage(from, 0, 0);
          this.#places.draw(c, this.#map, from.width / from.clientWidth);
        }
        resolve(copy);
      });
      this.#map.triggerRepaint();
    });
  }

  get camera(): Camera {
    const { lng, lat } = this.#map.getCenter();
    return { center: [lng, lat], zoom: this.#map.getZoom() };
  }

  get bounds(): [number, number, number, number] {
    const b = this.#map.getBounds();
    return [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()];
  }

  fit(box: readonly [number, number, number, number]): void {
    this.#map.fitBounds(
      [
        [box[0], box[1]],
        [box[2], box[3]],
      ],
      { padding: 60, maxZoom: 16, duration: this.#still.matches ? 0 : 600 },
    );
  }

  panBy(x: number, y: number): void {
    this.#map.panBy([x, y], { duration: this.#still.matches ? 0 : 150 });
  }

  /** Adds a layer of the operator's own, for this page's life. */
  import(name: string, data: GeoJSON.GeoJSON): void {
    this.own.add(this.#map, name, data);
    const box = this.own.boxOf(name);
    if (box) this.fit(box);
  }

  measureIn(mode: 'off' | 'distance' | 'area'): void {
    const ground = this.ground();
    if (ground) this.measure.start(ground, mode);
    this.#map.getCanvas().style.cursor = mode === 'off' ? '' : 'crosshair';
  }

  get map(): MapLibre {
    return this.#map;
  }

  #keepInView(device: number): void {
    const place = this.sensors.placeOf(device);
    if (!place) return;
    const p = this.#map.project(place);
    const { clientWidth: w, clientHeight: h } = this.#map.getContainer();
    // Moves when it nears the edge: a map that moves with each fix cannot be read.
    if (p.x > w * 0.2 && p.x < w * 0.8 && p.y > h * 0.2 && p.y < h * 0.8) return;
    this.#map.easeTo({ center: place, duration: this.#still.matches ? 0 : 700 });
  }

  /** Hides the sensors of these classes. */
  hide(classes: ReadonlySet<string>): void {
    this.#hidden = classes;
    this.sensors.rebuild(classes);
  }

  /** Shows exactly these base layers. */
  show(shown: ReadonlySet<string>): void {
    this.#shown = shown;
    for (const name of BASE_LAYERS) this.#toggle(name, shown.has(name));
  }

  setNames(names: AlarmName[]): void {
    this.#names = names;
    const source = this.#map.getSource('alarm-names') as GeoJSONSource | undefined;
    source?.setData({
      type: 'FeatureCollection',
      features: names.map((n) => ({
        type: 'Feature',
        properties: { text: n.text, order: n.order, away: n.selected ? 2.3 : 1.5 },
        geometry: { type: 'Point', coordinates: [n.lon, n.lat] },
      })),
    });
  }

  /** The alarms that are of a place and of no one device. */
  setPlaces(list: readonly PlaceAlarm[]): void {
    this.#places.set(this.#map, list);
  }

  flyTo(place: [number, number]): void {
    const zoom = Math.max(this.#map.getZoom(), 14.6);
    if (this.#still.matches) this.#map.jumpTo({ center: place, zoom });
    else this.#map.easeTo({ center: place, zoom, duration: 700 });
  }

  zoomBy(step: number): void {
    this.#map.zoomTo(this.#map.getZoom() + step, { duration: this.#still.matches ? 0 : 200 });
  }

  /** The whole city again. */
  home(): void {
    this.#framed = false;
    this.#frame();
  }

  get canvas(): HTMLCanvasElement {
    return this.#map.getCanvas();
  }

  remove(): void {
    this.#places.remove();
    clearInterval(this.#timer);
    this.#ended.abort();
    this.overlays.stop();
    for (const off of this.#off) off();
    this.#map.remove();
  }

  #addSensors(): void {
    if (!this.#map.getLayer(this.sensors.id)) this.#map.addLayer(this.sensors, SENSORS_BELOW);
  }

  #toggle(name: BaseLayer, on: boolean): void {
    for (const id of styleLayersOf(name)) {
      if (this.#map.getLayer(id)) this.#map.setLayoutProperty(id, 'visibility', on ? 'visible' : 'none');
    }
  }

  #reshape(): void {
    if (this.#hub !== this.#city.hub) this.trails.forget();
    this.#hub = this.#city.hub;
    this.sensors.rebuild(this.#hidden);
    this.#frame();
  }

  /** Once, when the first places are known: a margin of outliers does not decide the view. */
  #frame(): void {
    if (this.#framed || !this.#ready) return;
    const lons: number[] = [];
    const lats: number[] = [];
    for (let i = 0; i < this.#city.devices; i++) {
      if (!this.#city.placed[i] || this.#city.moving[i]) continue;
      lons.push(this.#city.lon[i]);
      lats.push(this.#city.lat[i]);
    }
    if (lons.length === 0) return;
    this.#framed = true;
    lons.sort((a, b) => a - b);
    lats.sort((a, b) => a - b);
    const [west, east] = reachOf(lons);
    const [south, north] = reachOf(lats);
    const room = this.canvas.clientHeight / 8;
    this.#map.fitBounds(
      [
        [west, south],
        [east, north],
      ],
      // Above lie the search and the tools; a low map has no room to leave free.
      {
        padding: { top: Math.min(64, room), bottom: Math.min(36, room), left: 28, right: 28 },
        maxZoom: 15,
        duration: 0,
      },
    );
  }

  #pick(lon: number, lat: number): number | undefined {
    return this.sensors.pick(lon, lat, this.#reach());
  }

  /** 12 pixels in mercator units at this zoom. */
  #reach(): number {
    return 12 / (512 * 2 ** this.#map.getZoom());
  }

  #tellView(events: CityMapEvents): void {
    const b = this.#map.getBounds();
    events.view([b.getWest(), b.getSouth(), b.getEast(), b.getNorth()]);
    events.camera(this.camera);
  }

  #glide = (): void => {
    const now = performance.now();
    // Near the ground a bus crosses many pixels a second and deserves more frames.
    const every = this.#map.getZoom() >= CLOSE_ZOOM ? GLIDE_EVERY / 4 : GLIDE_EVERY;
    if (document.hidden || now - this.#lastGlide < every) return;
    this.#lastGlide = now;
    this.sensors.glide();
  };
}
