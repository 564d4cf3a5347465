import type * as GeoJSON from 'geojson';

/** The sphere's mean radius (IUGG), metres. */
const R = 6_371_008.8;
const rad = Math.PI / 180;

type Point = readonly [number, number];

/** Metres between two places along the great circle. */
export function distance([lon1, lat1]: Point, [lon2, lat2]: Point): number {
  const a =
    Math.sin(((lat2 - lat1) * rad) / 2) ** 2 +
    Math.cos(lat1 * rad) * Math.cos(lat2 * rad) * Math.sin(((lon2 - lon1) * rad) / 2) ** 2;
  return 2 * R * Math.asin(Math.min(1, Math.sqrt(a)));
}

export function lengthOf(line: readonly Point[]): number {
  let sum = 0;
  for (let i = 1; i < line.length; i++) sum += distance(line[i - 1], line[i]);
  return sum;
}

/** Square metres of a ring on the sphere, closed or not. */
export function areaOf(ring: readonly Point[]): number {
  let sum = 0;
  for (let i = 0; i < ring.length; i++) {
    const [lon1, lat1] = ring[i];
    const [lon2, lat2] = ring[(i + 1) % ring.length];
    sum += (lon2 - lon1) * rad * (2 + Math.sin(lat1 * rad) + Math.sin(lat2 * rad));
  }
  return Math.abs((sum * R * R) / 2);
}

/** Metres of one pixel of a map whose world is 512 pixels at zoom 0. */
export function metresPerPixel(lat: number, zoom: number): number {
  return (2 * Math.PI * 6_378_137 * Math.cos(lat * rad)) / (512 * 2 ** zoom);
}

/** The longest round length not longer than most pixels. */
export function scaleBar(lat: number, zoom: number, most: number): { metres: number; pixels: number } {
  const per = metresPerPixel(lat, zoom);
  const limit = per * most;
  const power = 10 ** Math.floor(Math.log10(limit));
  const metres = power * ([5, 2, 1].find((m) => m * power <= limit) ?? 1);
  return { metres, pixels: metres / per };
}

/**
 * The parts of streets within a reach of a place, of those streets that pass
 * right by it. A sensor knows the water at its post, not along a whole street.
 */
export function alongStreet(
  streets: readonly GeoJSON.Geometry[],
  at: Point,
  reach: number,
  beside = 25,
): [number, number][][] {
  const kx = Math.cos(at[1] * rad) * rad * R;
  const ky = rad * R;
  const local = ([lon, lat]: readonly number[]): [number, number] => [(lon - at[0]) * kx, (lat - at[1]) * ky];
  const out: [number, number][][] = [];
  for (const street of streets) {
    const lines =
      street.type === 'LineString'
        ? [street.coordinates]
        : street.type === 'MultiLineString'
          ? street.coordinates
          : [];
    for (const line of lines) {
      let nearest = Number.POSITIVE_INFINITY;
      const parts: [number, number][][] = [];
      let part: [number, number][] = [];
      const end = () => {
        if (part.length > 1) parts.push(part);
        part = [];
      };
      for (let i = 1; i < line.length; i++) {
        const [x1, y1] = local(line[i - 1]);
        const [x2, y2] = local(line[i]);
        // Far segments are passed over without being cut up.
        if (Math.min(Math.hypot(x1, y1), Math.hypot(x2, y2)) - Math.hypot(x2 - x1, y2 - y1) > reach) {
          end();
          continue;
        }
        const n = Math.min(500, Math.max(1, Math.ceil(Math.hypot(x2 - x1, y2 - y1) / 10)));
        for (let k = i === 1 || part.length === 0 ? 0 : 1; k <= n; k++) {
          const x = x1 + ((x2 - x1) * k) / n;
          const y = y1 + ((y2 - y1) * k) / n;
          const d = Math.hypot(x, y);
          nearest = Math.min(nearest, d);
          if (d <= reach) part.push([at[0] + x / kx, at[1] + y / ky]);
          else end();
        }
      }
      end();
      if (nearest <= beside) out.push(...parts);
    }
  }
  return out;
}

/**
 * From where to where a city reaches along one axis: to its last device, but not
 * to one that stands by itself far off, which has most likely a wrong place.
 * Far off is half as far again as nearly all of them reach. The list is sorted.
 */
export function reachOf(sorted: readonly number[]): [number, number] {
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  const low = at(0.03);
  const high = at(0.97);
  const margin = (high - low) / 2;
  const near = sorted.filter((x) => x >= low - margin && x <= high + margin);
  return [near[0], near[near.length - 1]];
}
