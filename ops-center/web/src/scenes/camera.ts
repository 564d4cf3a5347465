import type { Span } from './model.ts';

export interface Camera {
  center: [number, number];
  zoom: number;
}

/** Pixels of the whole world at zoom 0, as MapLibre counts. */
const WORLD = 512;

function project(lon: number, lat: number, zoom: number): [number, number] {
  const size = WORLD * 2 ** zoom;
  const sin = Math.sin((lat * Math.PI) / 180);
  return [size * (0.5 + lon / 360), size * (0.5 - Math.log((1 + sin) / (1 - sin)) / (4 * Math.PI))];
}

function unproject(x: number, y: number, zoom: number): [number, number] {
  const size = WORLD * 2 ** zoom;
  const n = Math.PI - (2 * Math.PI * y) / size;
  return [(x / size) * 360 - 180, (180 / Math.PI) * Math.atan(0.5 * (Math.exp(n) - Math.exp(-n)))];
}

/**
 * The camera of one browser of a wall: the wall's own, moved by where the
 * browser's map is on the wall. A bezel hides that part of the map, so that a
 * street that runs behind it comes out where it should.
 */
export function partOf(camera: Camera, span: Span | undefined, width: number, height: number): Camera {
  if (!span || (span.columns === 1 && span.rows === 1)) return camera;
  const [x, y] = project(camera.center[0], camera.center[1], camera.zoom);
  const dx = (span.column - (span.columns - 1) / 2) * (width + (span.bezelX ?? 0));
  const dy = (span.row - (span.rows - 1) / 2) * (height + (span.bezelY ?? 0));
  return { center: unproject(x + dx, y + dy, camera.zoom), zoom: camera.zoom };
}
