import 'maplibre-gl/dist/maplibre-gl.css';
import { type GeoJSONSource, Map as MapLibre, setWorkerUrl } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import type { City } from '../live/city.ts';
import { SensorLayer } from './sensors.ts';
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
  pick(device: number | undefined): void;
  hover(device: number | undefined, x: number, y: number): void;
  view(box: [number, number, number, number]): void;
}

/** Gliding vehicles redraw the map at most this often, and less on a slow machine. */
const GLIDE_EVERY = 200;
const CLOSE_ZOOM = 16;

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
  #ready = false;
  #names: AlarmName[] = [];
  #timer: ReturnType<typeof setInterval>;
  #lastGlide = 0;
  #off: (() => void)[] = [];
  #still = window.matchMedia('(prefers-reduced-motion: reduce)');

  constructor(
    container: HTMLElement,
    city: City,
    options: {
      layers: ReadonlySet<string>;
      shown: ReadonlySet<string>;
      hidden: ReadonlySet<string>;
      events: CityMapEvents;
      locale: Record<string, string>;
    },
  ) {
    this.#city = city;
    this.#hidden = options.hidden;
    this.sensors = new SensorLayer(city);
    this.#map = new MapLibre({
      container,
      style: baseStyle(options.layers, options.shown, location.origin),
      center: [106.168, 20.434],
      zoom: 12,
      minZoom: 3,
      maxZoom: 20,
      // The default of 4096 blurs a video wall of 7,680 pixels.
      maxCanvasSize: [8192, 8192],
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      fadeDuration: 0,
      locale: options.locale,
    });
    this.#map.touchZoomRotate.disableRotation();
    this.#map.keyboard.disableRotation();
    this.#map.on('load', () => {
      this.#ready = true;
      this.#addSensors();
      this.setNames(this.#names);
      this.#frame();
      this.#tellView(options.events);
    });
    // MapLibre restores its own layers after a lost context but drops ours.
    this.#map.on('webglcontextrestored', () => {
      this.#map.once('styledata', () => {
        this.#addSensors();
        this.setNames(this.#names);
      });
    });
    this.#map.on('moveend', () => this.#tellView(options.events));
    this.#map.on('click', (e) => options.events.pick(this.#pick(e.lngLat.lng, e.lngLat.lat)));
    this.#map.on('mousemove', (e) => {
      const device = this.#pick(e.lngLat.lng, e.lngLat.lat);
      this.#map.getCanvas().style.cursor = device === undefined ? '' : 'pointer';
      options.events.hover(device, e.point.x, e.point.y);
    });
    this.#map.on('mouseout', () => options.events.hover(undefined, 0, 0));
    this.#off.push(
      city.onDirty((lo, hi) => this.sensors.refresh(lo, hi)),
      city.shape.subscribe(() => this.#reshape()),
    );
    this.#timer = setInterval(this.#glide, 50);
    this.#reshape();
  }

  /** Moving devices have new places. */
  moved(devices: Uint32Array): void {
    this.sensors.moved(devices, !this.#still.matches);
  }

  /** Hides the sensors of these classes. */
  hide(classes: ReadonlySet<string>): void {
    this.#hidden = classes;
    this.sensors.rebuild(classes);
  }

  /** Shows exactly these base layers. */
  show(shown: ReadonlySet<string>): void {
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
    clearInterval(this.#timer);
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
    const at = (list: number[], q: number) => list[Math.min(list.length - 1, Math.floor(q * list.length))];
    this.#map.fitBounds(
      [
        [at(lons, 0.03), at(lats, 0.03)],
        [at(lons, 0.97), at(lats, 0.97)],
      ],
      { padding: 28, maxZoom: 15, duration: 0 },
    );
  }

  #pick(lon: number, lat: number): number | undefined {
    // 12 pixels in mercator units at this zoom.
    return this.sensors.pick(lon, lat, 12 / (512 * 2 ** this.#map.getZoom()));
  }

  #tellView(events: CityMapEvents): void {
    const b = this.#map.getBounds();
    events.view([b.getWest(), b.getSouth(), b.getEast(), b.getNorth()]);
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
