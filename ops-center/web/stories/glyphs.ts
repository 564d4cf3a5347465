import { Map as MapLibre, setWorkerUrl } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import { baseStyle } from '../src/map/style.ts';

setWorkerUrl(workerUrl);

/** The capitals that MapLibre drops by a third of an em, and a letter that hangs as they would. */
export const CAPITALS = ['Ẫ', 'Ẵ', 'Ễ', 'Ố', 'Ồ', 'Ỗ', 'Ắ', 'Ấ', 'g'] as const;

const LAT = 20;
const STEP = 0.02;

/**
 * Labels of the map's own style, one to a row and weight, as wide apart as they
 * need to be: letter, H, so that a test can compare where the two stand.
 */
export async function glyphs(host: HTMLElement): Promise<void> {
  host.style.cssText = 'position:fixed;inset:0';
  const style = baseStyle(new Set(), new Set(), location.origin, 'dark');
  const faces = Object.keys((style as { 'font-faces'?: Record<string, unknown> })['font-faces'] ?? {});
  const features = faces.flatMap((face, column) =>
    CAPITALS.map((letter, row) => ({
      type: 'Feature' as const,
      properties: { text: `H${letter}H`, face },
      geometry: { type: 'Point' as const, coordinates: [106 + column * 0.1, LAT - row * STEP] },
    })),
  );
  const map = new MapLibre({
    container: host,
    style: {
      ...style,
      sources: { labels: { type: 'geojson', data: { type: 'FeatureCollection', features } } },
      layers: [
        { id: 'ground', type: 'background', paint: { 'background-color': '#000000' } },
        ...faces.map((face) => ({
          id: face,
          type: 'symbol' as const,
          source: 'labels',
          filter: ['==', ['get', 'face'], face] as ['==', ['get', 'face'], string],
          layout: {
            'text-field': ['get', 'text'] as ['get', string],
            'text-font': [face],
            'text-size': 32,
            'text-letter-spacing': 0.5,
            'text-allow-overlap': true,
            'text-ignore-placement': true,
          },
          paint: { 'text-color': '#ffffff' },
        })),
      ],
    },
    center: [106 + ((faces.length - 1) * 0.1) / 2, LAT - ((CAPITALS.length - 1) * STEP) / 2],
    zoom: 11.3,
    fadeDuration: 0,
    attributionControl: false,
    interactive: false,
    canvasContextAttributes: { preserveDrawingBuffer: true },
  });
  await new Promise((done) => map.once('idle', done));
  Object.assign(window, {
    labels: features.map((f) => {
      const { x, y } = map.project(f.geometry.coordinates as [number, number]);
      return { text: f.properties.text, face: f.properties.face, x, y };
    }),
  });
}
