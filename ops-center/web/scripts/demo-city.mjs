// A small made-up city for `npm run demo`: layers as GeoJSON, devices with
// places, and every reading as a function of time, so that history and live
// values agree. Deterministic: the same seed gives the same city.

const CENTER = [106.168, 20.434];
const KM = 1 / 111.32; // degrees of latitude in a kilometre
const SIDE = 11; // km

/** Numbers from 0 to 1 that depend on nothing but their arguments. */
export function hash(...keys) {
  let h = 2166136261;
  for (const key of keys) {
    for (const ch of String(key)) h = Math.imul(h ^ ch.codePointAt(0), 16777619);
    h = Math.imul(h ^ (h >>> 13), 1540483477);
  }
  return ((h ^ (h >>> 15)) >>> 0) / 4294967296;
}

const swing = (t, minutes, ...keys) =>
  Math.sin((t / 60000 / minutes) * 2 * Math.PI + hash(...keys) * 7) * 0.6 +
  Math.sin((t / 60000 / (minutes * 0.37)) * 2 * Math.PI + hash(...keys, 2) * 7) * 0.4;

/** The street grid, bent: u and v in km from the middle. */
function bend(u, v) {
  const x = u + 0.55 * Math.sin(v * 0.42 + 1.1) + 0.22 * Math.sin(u * 0.9 + v * 0.5);
  const y = v + 0.5 * Math.sin(u * 0.38 + 0.4) + 0.2 * Math.sin(v * 1.1 - u * 0.4);
  const a = -0.3;
  return place(x * Math.cos(a) - y * Math.sin(a), x * Math.sin(a) + y * Math.cos(a));
}

function place(x, y) {
  return [CENTER[0] + (x * KM) / Math.cos((CENTER[1] * Math.PI) / 180), CENTER[1] + y * KM];
}

function span(from, to, step, at) {
  const n = Math.max(1, Math.round(Math.abs(to - from) / step));
  return Array.from({ length: n + 1 }, (_, i) => at(from + ((to - from) * i) / n));
}

const feature = (geometry, properties) => ({
  type: 'Feature',
  properties: { ...properties, simulated: true },
  geometry,
});
const polygon = (ring, properties) =>
  feature({ type: 'Polygon', coordinates: [[...ring, ring[0]]] }, properties);
const line = (coordinates, properties) => feature({ type: 'LineString', coordinates }, properties);

const WARDS =
  `An Lạc,Bình Khê,Cầu Đá,Chợ Mới,Cửa Đông,Đồng Quang,Đông Thành,Gia Hòa,Hàng Bạc,Hòa Lễ,Kênh Đào,Lộc Thọ,Mỹ Trạch,Năng Hưng,Ngọc Ẩm,Nguyễn Ố,Phố Ồ,Quán Trắng,Tân Tiến,Thành Nam,Thượng Vọng,Trần Ẵng,Trường Lễ,Vạn Xuân,Vị Thủy`.split(
    ',',
  );
const STREETS =
  `Bạch Đằng,Bến Ngự,Cây Đa,Chùa Tháp,Cổng Hậu,Đê Vọng,Điện Biên,Đồng Tâm,Giếng Nước,Hàng Cau,Hàng Đồng,Hàng Sắt,Hàng Tiện,Hồ Vọng,Kênh Gia,Lò Rèn,Mạc Thị,Ngõ Trạm,Phù Nghĩa,Quang Trung,Tháp Bút,Thống Nhất,Tràng Thi,Văn Cao,Vườn Hoa,Yết Kiêu`.split(
    ',',
  );

function riverAt(s) {
  // s from 0 (north-east) to 1 (south), km.
  return [4.6 - 5.4 * s + 1.5 * Math.sin(s * 5.4 + 0.3), 6.6 - 13 * s + 0.9 * Math.sin(s * 7)];
}

function riverDistance(x, y) {
  let best = Number.POSITIVE_INFINITY;
  for (let s = 0; s <= 1; s += 0.01) {
    const [rx, ry] = riverAt(s);
    best = Math.min(best, Math.hypot(rx - x, ry - y));
  }
  return best;
}

const kmOf = ([lon, lat]) => [
  ((lon - CENTER[0]) / KM) * Math.cos((CENTER[1] * Math.PI) / 180),
  (lat - CENTER[1]) / KM,
];

function blob(x, y, r, seed) {
  return span(0, Math.PI * 2, 0.25, (a) => {
    const k = r * (1 + 0.22 * Math.sin(a * 2 + seed) + 0.12 * Math.sin(a * 5 + seed * 3));
    return place(x + Math.cos(a) * k * 1.25, y + Math.sin(a) * k);
  }).slice(0, -1);
}

export function layers() {
  const collection = (features) => ({ type: 'FeatureCollection', features });
  const half = SIDE / 2;
  const wards = [];
  const labels = [];
  const lines = [-5.5, -3.3, -1.1, 1.1, 3.3, 5.5];
  for (let i = 0; i < 5; i++) {
    for (let j = 0; j < 5; j++) {
      const [u0, u1, v0, v1] = [lines[i], lines[i + 1], lines[j], lines[j + 1]];
      const properties = {
        code: `VL-${String(wards.length + 1).padStart(2, '0')}`,
        name: `Phường ${WARDS[wards.length]}`,
      };
      wards.push(
        polygon(
          [
            ...span(u0, u1, 0.2, (u) => bend(u, v0)),
            ...span(v0, v1, 0.2, (v) => bend(u1, v)).slice(1),
            ...span(u1, u0, 0.2, (u) => bend(u, v1)).slice(1),
            ...span(v1, v0, 0.2, (v) => bend(u0, v)).slice(1, -1),
          ],
          properties,
        ),
      );
      labels.push(feature({ type: 'Point', coordinates: bend((u0 + u1) / 2, (v0 + v1) / 2) }, properties));
    }
  }

  const left = [];
  const right = [];
  for (let s = -0.03; s <= 1.04; s += 0.01) {
    const [x0, y0] = riverAt(s - 0.004);
    const [x1, y1] = riverAt(s + 0.004);
    const [x, y] = riverAt(s);
    const l = Math.hypot(x1 - x0, y1 - y0);
    const w = 0.17 + 0.05 * Math.sin(s * 17);
    left.push(place(x - ((y1 - y0) / l) * w, y + ((x1 - x0) / l) * w));
    right.push(place(x + ((y1 - y0) / l) * w, y - ((x1 - x0) / l) * w));
  }
  const middle = span(0, 1, 0.02, (s) => place(...riverAt(s)));
  const river = [
    polygon([...left, ...right.toReversed()], { name: 'Sông Vọng' }),
    line(middle, { name: 'Sông Vọng' }),
  ];

  const water = [];
  const parks = [];
  const ponds = [];
  for (let k = 0; k < 9; k++) {
    const x = (hash('pond', k) - 0.5) * 8;
    const y = (hash('pond', k, 'y') - 0.5) * 8;
    const r = 0.1 + hash('pond', k, 'r') * 0.22;
    ponds.push([x, y, r]);
    water.push(polygon(blob(x, y, r, k), { name: k < 3 ? `Hồ ${['Vọng', 'Bán Nguyệt', 'Tây'][k]}` : '' }));
    if (k < 5) parks.push(polygon(blob(x, y, r * 1.5, k + 0.4), { name: '' }));
  }
  const wet = (x, y) =>
    riverDistance(x, y) < 0.24 || ponds.some(([px, py, r]) => Math.hypot(x - px, y - py) < r * 1.4);

  const streets = [];
  const buildings = [];
  const STEP = 0.22;
  let name = 0;
  for (const across of [false, true]) {
    for (let k = -25; k <= 25; k++) {
      const main = k % 5 === 0;
      const kind = k === 0 ? 'highway' : main ? 'avenue' : k % 2 === 0 ? 'street' : 'alley';
      const label =
        kind === 'alley' ? '' : `${kind === 'street' ? 'Phố' : 'Đường'} ${STREETS[name++ % STREETS.length]}`;
      let run = [];
      const end = () => {
        if (run.length > 1) streets.push(line(run, { class: kind, name: label }));
        run = [];
      };
      for (let s = -half; s <= half + 1e-9; s += 0.11) {
        const p = across ? bend(s, k * STEP) : bend(k * STEP, s);
        const [x, y] = kmOf(p);
        const out = Math.hypot(x, y) > 5.3 - (main ? -0.6 : hash('edge', across, k) * 1.6);
        // Only main streets cross water, and some small ones end early.
        const missing = kind === 'alley' && hash('gap', across, k, Math.floor(s / 0.44)) < 0.35;
        if (out || missing || (!main && wet(x, y))) end();
        else run.push(p);
      }
      end();
    }
  }
  for (let i = -25; i < 25; i++) {
    for (let j = -25; j < 25; j++) {
      const [cx, cy] = kmOf(bend((i + 0.5) * STEP, (j + 0.5) * STEP));
      const far = Math.hypot(cx, cy);
      if (far > 5.2 || wet(cx, cy)) continue;
      const dense = Math.max(0.25, 1 - far / 6);
      for (let k = 0; k < 14; k++) {
        if (hash('b', i, j, k) > dense) continue;
        const side = k % 4;
        const along = 0.1 + 0.8 * hash('ba', i, j, k);
        const deep = 0.12 + 0.12 * hash('bd', i, j, k);
        const u = i + (side === 0 ? along : side === 1 ? 1 - deep : side === 2 ? along : deep);
        const v = j + (side === 0 ? deep : side === 1 ? along : side === 2 ? 1 - deep : along);
        const w = 0.03 + 0.05 * hash('bw', i, j, k);
        const h = 0.03 + 0.06 * hash('bh', i, j, k);
        const at = (du, dv) => bend((u + du) * STEP, (v + dv) * STEP);
        buildings.push(polygon([at(-w, -h), at(w, -h), at(w, h), at(-w, h)], {}));
      }
    }
  }

  const routes = [];
  for (let r = 0; r < 5; r++) {
    const a = (-3 + r * 1.5) * 5 * STEP;
    const b = (2 - r) * 5 * STEP;
    routes.push([
      ...span(-4.2, b, 0.1, (s) => bend(a * 0.7, s)),
      ...span(a * 0.7, 4.2, 0.1, (s) => bend(s, b)).slice(1),
    ]);
  }
  const basins = [0, 1, 2, 3].map((k) => {
    const x = (hash('basin', k) - 0.5) * 6;
    const y = (hash('basin', k, 'y') - 0.5) * 6;
    return polygon(blob(x, y, 0.35 + 0.25 * hash('basin', k, 'r'), k * 2), {
      code: `NG-${k + 1}`,
      name: `Vùng trũng ${k + 1}`,
    });
  });
  return {
    wards: collection(wards),
    wards_label: collection(labels),
    river: collection(river),
    water: collection(water),
    parks: collection(parks),
    streets: collection(streets),
    buildings: collection(buildings),
    bus_routes: collection(routes.map((r, k) => line(r, { name: `Tuyến ${k + 1}` }))),
    bus_stops: collection(
      routes.flatMap((r) =>
        r.filter((_, i) => i % 6 === 0).map((p) => feature({ type: 'Point', coordinates: p }, {})),
      ),
    ),
    flood_basins: collection(basins),
  };
}

const q = (name, kind, unit, display, digits, min, max, vi, en) => ({
  name,
  kind,
  unit,
  display,
  digits,
  min,
  max,
  label: { vi, en },
});

export const QUANTITIES = [
  q('pm25', 'gauge', 'ug/m3', 'µg/m³', 1, 0, 1000, 'Bụi mịn PM2.5', 'PM2.5'),
  q('pm10', 'gauge', 'ug/m3', 'µg/m³', 1, 0, 2000, 'Bụi PM10', 'PM10'),
  q('temperature', 'gauge', 'Cel', '°C', 1, -20, 60, 'Nhiệt độ', 'Temperature'),
  q('humidity', 'gauge', '%RH', '%', 0, 0, 100, 'Độ ẩm', 'Humidity'),
  q('water_level', 'gauge', 'm', 'm', 2, -5, 50, 'Mực nước', 'Water level'),
  q('rain_total', 'counter', 'mm', 'mm', 1, 0, 100000, 'Lượng mưa cộng dồn', 'Rain counter'),
  q('rain_rate', 'gauge', 'mm/h', 'mm/h', 1, 0, 400, 'Cường độ mưa', 'Rain intensity'),
  q('water_depth', 'gauge', 'm', 'm', 2, 0, 10, 'Độ sâu ngập', 'Flood depth'),
  q('vehicle_speed', 'gauge', 'km/h', 'km/h', 0, 0, 250, 'Tốc độ xe', 'Vehicle speed'),
  q('occupancy', 'gauge', '/100', '%', 0, 0, 100, 'Độ chiếm dụng', 'Occupancy'),
  q('noise', 'gauge', 'dB', 'dB(A)', 1, 0, 160, 'Tiếng ồn LAeq', 'Noise LAeq'),
  q('lamp', 'state', '/', '', 0, 0, 1, 'Đèn', 'Lamp'),
  q('power', 'gauge', 'W', 'W', 0, -1e8, 1e8, 'Công suất', 'Power'),
  q('load', 'gauge', '/100', '%', 0, 0, 300, 'Mức tải', 'Load'),
  q('oil_temperature', 'gauge', 'Cel', '°C', 1, -20, 200, 'Nhiệt độ dầu', 'Oil temperature'),
  q('water_pressure', 'gauge', 'Pa', 'Pa', 0, 0, 2500000, 'Áp lực nước', 'Water pressure'),
  q('speed', 'gauge', 'km/h', 'km/h', 0, 0, 250, 'Tốc độ', 'Speed'),
  q('uplink_rtt', 'gauge', 'ms', 'ms', 1, 0, 60000, 'Độ trễ đường truyền', 'Uplink round trip'),
  q('battery', 'gauge', '%EL', '%', 0, 0, 100, 'Pin', 'Battery'),
];

// name, class, id prefix, share, label, seconds between reports, quantities (the main one first)
const KINDS = [
  ['street-light', 'light', 'SL', 150, ['Đèn đường', 'Street light'], 30, ['lamp', 'power']],
  ['parking', 'parking', 'PK', 70, ['Bãi đỗ xe', 'Car park'], 30, ['occupancy', 'battery']],
  [
    'traffic-counter',
    'traffic',
    'TC',
    60,
    ['Bộ đếm xe', 'Traffic counter'],
    15,
    ['vehicle_speed', 'occupancy'],
  ],
  [
    'air-quality',
    'air',
    'AQ',
    40,
    ['Trạm chất lượng không khí', 'Air quality station'],
    20,
    ['pm25', 'pm10', 'temperature', 'humidity', 'battery'],
  ],
  [
    'water-pressure',
    'pressure',
    'WP',
    40,
    ['Trạm áp lực nước', 'Water pressure logger'],
    30,
    ['water_pressure', 'battery'],
  ],
  [
    'flooded-road',
    'flood',
    'FL',
    36,
    ['Cảm biến ngập đường', 'Flooded-road sensor'],
    10,
    ['water_depth', 'battery'],
  ],
  [
    'transformer',
    'power',
    'TR',
    32,
    ['Máy biến áp', 'Transformer'],
    15,
    ['load', 'oil_temperature', 'power'],
  ],
  ['noise', 'noise', 'NS', 26, ['Trạm đo tiếng ồn', 'Noise meter'], 15, ['noise', 'battery']],
  ['bus', 'bus', 'BUS', 24, ['Xe buýt', 'Bus'], 2, ['speed', 'occupancy']],
  ['rain-gauge', 'rain', 'RG', 16, ['Trạm đo mưa', 'Rain gauge'], 20, ['rain_rate', 'rain_total', 'battery']],
  ['gateway', 'network', 'GW', 14, ['Nút mạng', 'Network gateway'], 10, ['uplink_rtt', 'load']],
  [
    'weather',
    'weather',
    'WS',
    8,
    ['Trạm thời tiết', 'Weather station'],
    20,
    ['temperature', 'humidity', 'battery'],
  ],
  [
    'river-level',
    'water',
    'WL',
    4,
    ['Trạm mực nước sông', 'River level gauge'],
    10,
    ['water_level', 'battery'],
  ],
];

export const PROFILES = KINDS.map(([name, kind, , , label, interval, quantities]) => ({
  name,
  class: kind,
  label: { vi: label[0], en: label[1] },
  interval: interval * 1e9,
  moving: kind === 'bus',
  main: quantities[0],
  fields: quantities.map((quantity) => ({ quantity })),
}));

/** Devices in about the city's own proportions. */
export function devices(count, layer) {
  const total = KINDS.reduce((n, k) => n + k[3], 0);
  const streets = layer.streets.features.filter((f) => f.properties.name);
  const routes = layer.bus_routes.features.map((f) => f.geometry.coordinates);
  const list = [];
  KINDS.forEach(([, kind, prefix, share, label, interval, quantities], p) => {
    const n = Math.max(3, Math.round((share / total) * count));
    for (let k = 0; k < n; k++) {
      const id = `${prefix}-${String(k + 1).padStart(4, '0')}`;
      const street = streets[Math.floor(hash(id, 'street') * streets.length)];
      const along = street.geometry.coordinates;
      let at = along[Math.floor(hash(id, 'along') * along.length)];
      let name = `${label[0]} ${street.properties.name}`;
      if (kind === 'water') {
        at = place(...riverAt(0.12 + (0.76 * k) / Math.max(1, n - 1)));
        name = `Trạm ${['Cầu Vọng', 'Bến Ngự', 'Kênh Gia', 'Cửa Nam'][k] ?? `sông ${k + 1}`}`;
      }
      if (kind === 'rain') name = `Trạm mưa ${WARDS[k % WARDS.length]}`;
      if (kind === 'bus') name = `Xe buýt ${k + 1} · tuyến ${(k % routes.length) + 1}`;
      list.push({
        id,
        name,
        profile: p,
        kind,
        interval,
        quantities,
        at,
        route: kind === 'bus' ? routes[k % routes.length] : null,
      });
    }
  });
  return list;
}

/** Now is the height of a shower and the river is rising. */
const START = Date.now();
const SHOWER = Math.PI / 2 - ((START / 60000 / 400) % 1) * 2 * Math.PI;

const hours = (t) => (((t / 3_600_000 + 7) % 24) + 24) % 24;

/** Showers that cross the city, each place at its own moment, with dry hours between. */
function rainAt(device, t) {
  const [x, y] = kmOf(device.at);
  const minutes = t / 60000 + x * 2.2 - y * 1.4;
  const storm = Math.max(0, Math.sin((minutes / 400) * 2 * Math.PI + SHOWER) - 0.35) / 0.65;
  const gust = 0.6 + 0.25 * Math.sin(minutes / 5.1) + 0.15 * Math.sin(minutes / 2.3 + hash(device.id) * 6);
  return storm * gust * (34 + 26 * hash(device.id, 'rain'));
}

export function readingOf(device, quantity, t) {
  const id = device.id;
  const noise = (size) => (hash(id, quantity, Math.floor(t / (device.interval * 1000))) - 0.5) * size;
  const h = hours(t);
  const rush = Math.exp(-(((h - 7.5) / 1.3) ** 2)) + Math.exp(-(((h - 17.3) / 1.6) ** 2));
  switch (quantity) {
    case 'pm25':
      return 34 + 22 * rush + 12 * swing(t, 240, id) + 40 * (hash(id) > 0.9 ? 1 : 0) + noise(4);
    case 'pm10':
      return 58 + 30 * rush + 14 * swing(t, 240, id) + noise(6);
    case 'temperature':
      return 26 + 5 * Math.sin(((h - 9) / 24) * 2 * Math.PI) + noise(0.4) + hash(id) * 1.2;
    case 'humidity':
      return Math.min(99, 78 - 12 * Math.sin(((h - 9) / 24) * 2 * Math.PI) + noise(2));
    case 'water_level': {
      const tide = 0.18 * Math.sin((t / 3_600_000 / 12.4) * 2 * Math.PI);
      const flood = 1.25 / (1 + Math.exp(-(t - START + 2_400_000) / 4_500_000));
      return 1.75 + tide + flood + hash(id, 'datum') * 0.35 + noise(0.012);
    }
    case 'rain_rate':
      return Math.max(0, rainAt(device, t));
    case 'rain_total': {
      // Summed minute by minute within its day, which is near enough for a demonstration.
      const day = Math.floor(t / 86_400_000) * 86_400_000;
      let mm = hash(id, 'start') * 400;
      for (let s = day; s < t; s += 300_000) mm += rainAt(device, s) / 12;
      return Math.floor(mm * 5) / 5;
    }
    case 'water_depth': {
      const low = hash(id, 'low');
      return low < 0.6 ? 0 : Math.max(0, 0.34 * (low - 0.5) * (1.2 + swing(t, 50, 'storm')) + noise(0.01));
    }
    case 'vehicle_speed':
      return Math.max(4, 38 - 18 * rush * hash(id, 'busy') + 5 * swing(t, 20, id) + noise(4));
    case 'occupancy':
      return Math.min(100, Math.max(2, 40 + 32 * rush + 25 * swing(t, 180, id) + noise(3)));
    case 'noise':
      return 58 + 9 * rush + 5 * swing(t, 25, id) + noise(3);
    case 'lamp':
      return h > 18 || h < 5.5 ? 1 : 0;
    case 'power':
      return device.kind === 'light'
        ? h > 18 || h < 5.5
          ? 88 + noise(4)
          : 0
        : 180000 + 60000 * swing(t, 300, id);
    case 'load':
      return device.kind === 'network'
        ? 30 + 20 * swing(t, 40, id) + noise(4)
        : 62 + 18 * rush + 16 * swing(t, 300, id) + noise(2) + 14 * hash(id, 'old');
    case 'oil_temperature':
      return 58 + 12 * swing(t, 300, id) + 12 * hash(id, 'old') + noise(0.6);
    case 'water_pressure':
      return 310000 + 35000 * swing(t, 240, id) - 20000 * rush + noise(3000);
    case 'speed':
      return Math.max(0, 24 + 14 * swing(t, 2.2, id) + noise(3));
    case 'uplink_rtt':
      return 18 + 8 * hash(id) + 4 * swing(t, 15, id) + noise(3);
    default:
      return 100 - (((t / 86_400_000 + hash(id) * 60) % 60) / 60) * 80;
  }
}

/** Where a moving device is: up and down its route. */
export function placeOf(device, t) {
  if (!device.route) return device.at;
  const route = device.route;
  const metres = 95; // between two points of a route
  const way = (t / 1000) * 7.5 + hash(device.id, 'way') * 40000;
  const there = (way / metres) % (2 * (route.length - 1));
  const s = there < route.length - 1 ? there : 2 * (route.length - 1) - there;
  const i = Math.min(route.length - 2, Math.floor(s));
  const k = s - i;
  return [0, 1].map((d) => route[i][d] + (route[i + 1][d] - route[i][d]) * k);
}

/** The ward a place lies in. */
export function wardOf([lon, lat], wards) {
  return wards.features.find((f) => {
    const ring = f.geometry.coordinates[0];
    let inside = false;
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [xi, yi] = ring[i];
      const [xj, yj] = ring[j];
      if (yi > lat !== yj > lat && lon < ((xj - xi) * (lat - yi)) / (yj - yi) + xi) inside = !inside;
    }
    return inside;
  });
}
