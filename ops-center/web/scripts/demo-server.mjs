// The wall without a city behind it: serves dist and speaks the real protocol
// (ops-center/live/PROTOCOL.md) with a made-up city.
//
//   npm run demo                       build first with npm run build
//   npm run demo -- --port 8090 --devices 500 --layers DIR --seed 7
//   npm run demo -- --speed 60          an hour in a minute; for tests
//   the same server has the story pages at /stories/, each panel in each state
//   npm run demo -- --build NAME        says that its files are these; another name after a restart is an upgrade
//   npm run demo -- --still yes         nothing moves; --without ID leaves a device off the map
//
// --layers takes a folder of GeoJSON files (wards.geojson, streets.geojson …)
// in place of the made-up map. Any token opens the page; the page's address is
// printed with one.
import { createReadStream, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GeoJSONVT } from '@maplibre/geojson-vt';
import { fromGeojsonVt } from '@maplibre/vt-pbf';
import { WebSocketServer } from 'ws';
import * as city from './demo-city.mjs';

const DIST = process.env.VONGLAU_DIST ?? fileURLToPath(new URL('../dist', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
  '.woff': 'font/woff',
  '.json': 'application/json',
};
export const POLICY =
  "default-src 'self'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; " +
  "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; " +
  "frame-ancestors 'none'";
const TICK = 250;
const RING = 240;

// id of device, priority, rule, message in both languages, what to do, value it stands on
const SCRIPT = [
  [
    'FL',
    1,
    'flood-depth',
    'Ngập sâu {v} m',
    'Flooded {v} m deep',
    'Cấm đường, báo công an phường và đội thoát nước.',
    'Close the road, tell ward police and the drainage team.',
    'water_depth',
    0.42,
    0.3,
  ],
  [
    'GW',
    1,
    'gateway-silent',
    'Nút mạng mất tin',
    'Gateway silent',
    'Kiểm tra nguồn và đường truyền, cử tổ kỹ thuật.',
    'Check power and uplink, send the technical team.',
    'uplink_rtt',
    null,
    null,
  ],
  [
    'WL',
    2,
    'river-rising',
    'Mực nước trên báo động 1',
    'River above alert level 1',
    'Báo ban chỉ huy phòng chống thiên tai, theo dõi từng giờ.',
    'Tell the flood control command, watch hourly.',
    'water_level',
    'now',
    2.5,
  ],
  [
    'TR',
    2,
    'oil-hot',
    'Dầu máy biến áp {v} °C',
    'Transformer oil {v} °C',
    'San tải sang lộ bên cạnh.',
    'Shift load to the next feeder.',
    'oil_temperature',
    91.5,
    90,
  ],
  [
    'TC',
    2,
    'jam',
    'Ùn tắc, tốc độ {v} km/h',
    'Jam, speed {v} km/h',
    'Điều chỉnh đèn tín hiệu, cử lực lượng phân luồng.',
    'Adjust signals, send traffic officers.',
    'vehicle_speed',
    6,
    10,
  ],
  [
    'AQ',
    3,
    'pm25-high',
    'PM2.5 {v} µg/m³',
    'PM2.5 {v} µg/m³',
    'Kiểm tra nguồn đốt trong phường.',
    'Look for open burning in the ward.',
    'pm25',
    152.4,
    150,
  ],
  [
    'FL',
    3,
    'flood-depth-low',
    'Nước trên mặt đường {v} m',
    'Water on the road {v} m',
    'Theo dõi, chuẩn bị biển cảnh báo.',
    'Watch, prepare signs.',
    'water_depth',
    0.14,
    0.1,
  ],
  [
    'NS',
    3,
    'noise-night',
    'Tiếng ồn {v} dB(A)',
    'Noise {v} dB(A)',
    'Báo công an phường.',
    'Tell ward police.',
    'noise',
    78.2,
    75,
  ],
  [
    'WP',
    3,
    'pressure-low',
    'Áp lực nước thấp',
    'Water pressure low',
    'Kiểm tra van và trạm bơm tăng áp.',
    'Check valves and the booster pump.',
    'water_pressure',
    148000,
    150000,
  ],
  [
    'PK',
    4,
    'battery-low',
    'Pin cảm biến còn {v} %',
    'Sensor battery at {v} %',
    'Đưa vào lịch thay pin.',
    'Put on the battery round.',
    'battery',
    12,
    15,
  ],
  [
    'SL',
    4,
    'lamp-out',
    'Đèn không sáng',
    'Lamp out',
    'Chuyển công ty chiếu sáng.',
    'Hand to the lighting company.',
    'power',
    0,
    20,
  ],
  [
    'AQ',
    4,
    'battery-low',
    'Pin cảm biến còn {v} %',
    'Sensor battery at {v} %',
    'Đưa vào lịch thay pin.',
    'Put on the battery round.',
    'battery',
    14,
    15,
  ],
  [
    'BUS',
    4,
    'bus-basin',
    'Xe buýt vào vùng trũng',
    'Bus inside a flood basin',
    'Báo điều độ đổi lộ trình.',
    'Ask dispatch to reroute.',
    'speed',
    18,
    null,
  ],
  [
    'SL',
    4,
    'lamp-out',
    'Đèn không sáng',
    'Lamp out',
    'Chuyển công ty chiếu sáng.',
    'Hand to the lighting company.',
    'power',
    0,
    20,
  ],
  [
    'TC',
    3,
    'jam-mild',
    'Xe đi chậm {v} km/h',
    'Slow traffic {v} km/h',
    'Theo dõi.',
    'Watch.',
    'vehicle_speed',
    13,
    15,
  ],
];
const STATES = [
  'unacknowledged',
  'acknowledged',
  'unacknowledged',
  'acknowledged',
  'unacknowledged',
  'acknowledged',
];

export class DemoServer {
  constructor({
    devices = 500,
    layerDir = '',
    failHistory = false,
    still = false,
    without = '',
    build = '',
    attribution = 'Thành phố mô phỏng',
  } = {}) {
    this.failHistory = failHistory;
    this.still = still;
    this.build = build;
    this.attribution = attribution;
    this.hub = `demo-${Date.now().toString(36)}`;
    this.seq = 1;
    this.ring = [];
    this.layers = city.layers();
    if (layerDir) {
      this.layers = {};
      for (const file of readdirSync(layerDir)) {
        if (!file.endsWith('.geojson')) continue;
        this.layers[file.slice(0, -8)] = JSON.parse(readFileSync(join(layerDir, file), 'utf8'));
      }
    }
    const made = city.layers();
    this.devices = city.devices(devices, made).filter((d) => !(still && d.route));
    this.without = without;
    this.wards = made.wards;
    this.tiles = {};
    for (const [name, data] of Object.entries(this.layers)) {
      this.tiles[name] = new GeoJSONVT(data, {
        maxZoom: 16,
        indexMaxZoom: 4,
        tolerance: 3,
        extent: 4096,
        buffer: 64,
      });
    }
    this.#channels();
    this.#alarms();
    this.screens = new Set();
    this.perSecond = 0;
    this.counted = 0;
  }

  #channels() {
    const index = new Map(city.QUANTITIES.map((q, i) => [q.name, i]));
    this.channels = this.devices.flatMap((d, i) =>
      d.quantities.map((name) => ({ device: i, name, quantity: index.get(name) })),
    );
    this.devices.forEach((d, i) => {
      d.index = i;
      // A few are silent, a few late, all on their own phase.
      const fate = city.hash(d.id, 'fate');
      d.silentSince = fate < 0.018 ? Date.now() - 60_000 * (5 + 90 * city.hash(d.id, 's')) : 0;
      d.next = Date.now() + city.hash(d.id, 'phase') * d.interval * 1000;
      d.last = d.silentSince || Date.now() - city.hash(d.id, 'phase') * d.interval * 1000;
      d.severity = 0;
    });
    this.ofDevice = this.devices.map(() => []);
    this.channels.forEach((c, i) => {
      c.index = i;
      this.ofDevice[c.device].push(c);
    });
    this.dictionary = JSON.stringify({
      dict: 1,
      hub: this.hub,
      quantities: city.QUANTITIES,
      profiles: city.PROFILES,
      devices: {
        id: this.devices.map((d) => d.id),
        name: this.devices.map((d) => d.name),
        profile: this.devices.map((d) => d.profile),
        lon: this.devices.map((d) => (d.route || d.id === this.without ? null : d.at[0])),
        lat: this.devices.map((d) => (d.route || d.id === this.without ? null : d.at[1])),
        moving: this.devices.map((d) => d.route !== null),
        simulated: this.devices.map(() => true),
        interval: this.devices.map((d) => d.interval),
        hidden: this.devices.map(() => false),
      },
      channels: {
        device: this.channels.map((c) => c.device),
        quantity: this.channels.map((c) => c.quantity),
      },
    });
  }

  #alarms() {
    this.alarms = new Map();
    this.raised = 0;
    const ages = [48, 135, 182, 400, 491, 684, 845, 1052, 1190, 1578, 2467, 3160, 310, 4100, 950];
    for (const k of SCRIPT.keys()) this.#raise(k, Date.now() - ages[k] * 1000, STATES[k % STATES.length]);
  }

  #raise(k, at, state) {
    const [prefix, priority, rule, vi, en, doVi, doEn, quantity, told, threshold] = SCRIPT[k % SCRIPT.length];
    const own = this.devices.filter((d) => d.id.startsWith(`${prefix}-`) && d.severity === 0);
    const device = own[Math.floor(city.hash(k, this.raised) * own.length)];
    if (!device) return undefined;
    const info = city.QUANTITIES.find((q) => q.name === quantity);
    const value = told === 'now' ? Number(city.readingOf(device, quantity, at).toFixed(2)) : told;
    const text = (s, lang) =>
      s.replace(
        '{v}',
        value === null ? '' : value.toLocaleString(lang, { maximumFractionDigits: info.digits }),
      );
    // A rule's name is its message without the value.
    const bare = (s) => s.replace(/,? ?(at )?\{v\}.*$/, '');
    const ward = city.wardOf(device.at, this.wards);
    const alarm = {
      id: `a${++this.raised}`,
      rule,
      ruleName: { vi: bare(vi), en: bare(en) },
      entity: device.id,
      device: device.id,
      at: device.route ? null : device.at,
      zones: ward
        ? [{ layer: 'wards', code: ward.properties.code, name: ward.properties.name, validFrom: '' }]
        : [],
      priority,
      state,
      raised: new Date(at).toISOString(),
      ...(state === 'acknowledged'
        ? {
            acknowledged: {
              by: ['Phạm Thị Thu', 'Lê Minh', 'SOC ca 2'][k % 3],
              at: new Date(at + 60_000).toISOString(),
              note: '',
            },
          }
        : {}),
      quantity,
      value,
      unit: value === null ? '' : info.unit,
      threshold,
      message: { vi: text(vi, 'vi-VN'), en: text(en, 'en-GB') },
      response: { vi: doVi, en: doEn },
      simulated: true,
      changes: 1,
    };
    device.severity = priority;
    device.forced = told === null || told === 'now' ? undefined : { quantity, value };
    if (value === null) device.silentSince = at;
    this.alarms.set(alarm.id, alarm);
    return alarm;
  }

  start(port = 8090, host = '::1') {
    this.http = createServer((request, response) => this.#serve(request, response));
    this.sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'vonglau.wall.v1' });
    this.http.on('upgrade', (request, socket, head) => {
      const url = new URL(request.url, 'http://demo');
      if (url.pathname !== '/v1/live' || !this.#known(request)) {
        socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n');
        return;
      }
      this.sockets.handleUpgrade(request, socket, head, (ws) => this.#join(ws, url.searchParams));
    });
    this.timers = [
      setInterval(() => this.#tick(), TICK),
      setInterval(() => this.#beat(), 1000),
      setInterval(() => this.still || this.#drama(), 20_000),
    ];
    return new Promise((resolve, reject) => {
      this.http.once('error', reject);
      this.http.listen(port, host, () => resolve(`http://[${host}]:${this.http.address().port}`));
    });
  }

  async stop() {
    for (const timer of this.timers) clearInterval(timer);
    for (const ws of this.screens) ws.terminate();
    this.http.closeAllConnections();
    await this.building?.then(
      (b) => b.remove(),
      () => undefined,
    );
    await new Promise((resolve) => this.http.close(resolve));
  }

  #known(request) {
    return /(^|;\s*)vonglau_session=/.test(request.headers.cookie ?? '');
  }

  #join(ws, query) {
    const since = Number(query.get('since') ?? -1);
    const resumed = query.get('epoch') === this.hub && this.ring.length > 0 && since >= this.ring[0].seq - 1;
    const now = Date.now();
    ws.send(
      JSON.stringify({
        type: 'hello',
        hub: this.hub,
        seq: resumed ? since : this.seq,
        dict: 1,
        now,
        heartbeatMs: 1000,
        tickMs: TICK,
        resumed,
        ...(this.build ? { build: this.build } : {}),
      }),
    );
    if (resumed) {
      for (const item of this.ring) if (item.seq > since) ws.send(item.data);
    } else this.#snapshot(ws);
    this.screens.add(ws);
    ws.on('close', () => this.screens.delete(ws));
    ws.on('message', (data) => {
      const message = JSON.parse(String(data));
      if (message.type === 'subscribe' && message.view) this.#snapshot(ws);
    });
  }

  #snapshot(ws) {
    const rows = this.channels.map((c) => this.#row(c, this.devices[c.device].last));
    ws.send(values(1, this.seq, rows));
    ws.send(
      positions(
        this.seq,
        this.devices.filter((d) => d.route),
        Date.now(),
      ),
    );
    const list = [...this.alarms.values()];
    ws.send(JSON.stringify({ type: 'alarms', seq: this.seq, reset: true, total: list.length, alarms: list }));
  }

  #row(c, t) {
    const d = this.devices[c.device];
    const value = d.forced?.quantity === c.name ? d.forced.value : city.readingOf(d, c.name, t);
    return { channel: c.index, value, t, severity: d.severity, quality: 8 | (d.silentSince ? 128 : 0) };
  }

  #tick() {
    const now = Date.now();
    const rows = [];
    const moved = [];
    for (const d of this.devices) {
      if (d.silentSince || d.next > now) continue;
      // A still city says the same every second: nobody is late.
      d.next = this.still ? now + 1000 : d.next + d.interval * 1000;
      d.last = now - 120;
      for (const c of this.ofDevice[d.index]) rows.push(this.#row(c, d.last));
      if (d.route) moved.push(d);
    }
    this.counted += rows.length;
    if (moved.length) this.#send(positions(++this.seq, moved, now));
    if (rows.length) this.#send(values(2, ++this.seq, rows));
  }

  #beat() {
    this.perSecond = this.perSecond * 0.6 + this.counted * 0.4;
    this.counted = 0;
    const beat = {
      type: 'heartbeat',
      seq: this.seq,
      now: Date.now(),
      lag: 0,
      ingest: { perSecond: this.perSecond },
      journal: { level: 'ok', reason: '' },
      series: { ok: !this.failHistory, backlog: 0 },
    };
    for (const ws of this.screens) ws.send(JSON.stringify(beat));
  }

  #drama() {
    const open = [...this.alarms.values()];
    const over = open.find((a) => a.state === 'acknowledged' && a.priority > 2);
    if (over && open.length > 14) {
      over.state = 'normal';
      const device = this.devices.find((d) => d.id === over.device);
      device.severity = 0;
      device.forced = undefined;
      this.alarms.delete(over.id);
      this.#change(over);
    }
    const fresh = this.#raise(this.raised * 7, Date.now(), 'unacknowledged');
    if (fresh) this.#change(fresh);
  }

  #change(alarm) {
    this.#send(JSON.stringify({ type: 'alarm', seq: ++this.seq, alarm }));
    const device = this.devices.find((d) => d.id === alarm.device);
    this.#send(
      values(
        2,
        ++this.seq,
        this.ofDevice[device.index].map((c) => this.#row(c, device.last)),
      ),
    );
  }

  #send(data) {
    this.ring.push({ seq: this.seq, data });
    if (this.ring.length > RING) this.ring.shift();
    for (const ws of this.screens) ws.send(data);
  }

  async #serve(request, response) {
    response.setHeader('Content-Security-Policy', POLICY);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    const url = new URL(request.url, 'http://demo');
    const path = decodeURIComponent(url.pathname);
    const send = (status, body, type = 'application/json', headers = {}) => {
      response.writeHead(status, { 'Content-Type': type, ...headers });
      response.end(body);
    };
    const problem = (status, title) =>
      send(status, JSON.stringify({ title, status }), 'application/problem+json');
    if (/^\/stories(\/|$)/.test(path)) return this.#story(path, response, problem);
    if (!path.startsWith('/v1/')) return this.#file(path, response, problem);
    if (path === '/v1/session' && request.method === 'POST') {
      response.setHeader('Set-Cookie', 'vonglau_session=demo; HttpOnly; SameSite=Strict; Path=/');
      return send(200, JSON.stringify({ name: 'demo', role: 'operator' }));
    }
    if (!this.#known(request)) return problem(401, 'not signed in');
    if (path === '/v1/me') {
      return send(
        200,
        JSON.stringify({
          principal: { id: 'demo', name: 'demo', role: 'operator' },
          permissions: ['view', 'handle_alarms', 'shelve_alarms'],
        }),
      );
    }
    if (path === '/v1/shift') return send(200, JSON.stringify({ on: [] }));
    if (path === '/v1/drills') return send(200, JSON.stringify({ drills: [] }));
    if (path === '/v1/session') {
      return send(
        200,
        JSON.stringify({
          name: 'demo',
          role: 'operator',
          permissions: ['view', 'handle_alarms', 'manage_layers'],
        }),
      );
    }
    const given = /^\/v1\/layers\/(\w+)$/.exec(path);
    if (given && request.method === 'POST') {
      let body = '';
      for await (const chunk of request) body += chunk;
      const data = JSON.parse(body);
      this.layers[given[1]] = data;
      this.tiles[given[1]] = new GeoJSONVT(data, { maxZoom: 16, indexMaxZoom: 4, extent: 4096, buffer: 64 });
      return send(200, JSON.stringify({ features: data.features.length }));
    }
    if (path === '/v1/live/dictionary') {
      const etag = `"${this.hub}-1"`;
      if (request.headers['if-none-match'] === etag) return send(304, '', 'application/json', { ETag: etag });
      return send(200, this.dictionary, 'application/json', { ETag: etag });
    }
    if (path === '/v1/layers') {
      const layers = Object.keys(this.layers).filter((name) => !name.endsWith('_label'));
      return send(
        200,
        JSON.stringify({
          layers: layers.map((name) => ({
            name,
            join: name === 'wards' || name === 'flood_basins',
            attribution: name === 'streets' ? this.attribution : '',
          })),
        }),
      );
    }
    const tile = /^\/v1\/layers\/(\w+)\/tiles\/(\d+)\/(\d+)\/(\d+)\.mvt$/.exec(path);
    if (tile) {
      const [, name, z, x, y] = tile;
      const parts = {};
      for (const part of [name, `${name}_label`]) {
        const made = this.tiles[part]?.getTile(Number(z), Number(x), Number(y));
        if (made) parts[part] = made;
      }
      if (Object.keys(parts).length === 0) return send(204, undefined);
      return send(
        200,
        Buffer.from(fromGeojsonVt(parts, { version: 2, extent: 4096 })),
        'application/vnd.mapbox-vector-tile',
      );
    }
    if (path === '/v1/place') {
      const ward = city.wardOf(
        [Number(url.searchParams.get('lon')), Number(url.searchParams.get('lat'))],
        this.wards,
      );
      const zones = ward
        ? [{ layer: 'wards', code: ward.properties.code, name: ward.properties.name, validFrom: '' }]
        : [];
      return send(200, JSON.stringify({ zones }));
    }
    if (path === '/v1/zones/aggregate') return send(200, JSON.stringify(this.#aggregate(url.searchParams)));
    if (path === '/v1/live/clusters') return send(200, JSON.stringify(this.#clusters(url.searchParams)));
    if (path === '/v1/network/links') return send(200, JSON.stringify(this.#links()));
    if (path === '/v1/places') {
      return send(200, JSON.stringify({ places: this.#places(url.searchParams.get('q') ?? '') }));
    }
    const track = /^\/v1\/devices\/([^/]+)\/track$/.exec(path);
    if (track) {
      const bus = this.devices.find((d) => d.id === track[1]);
      const now = Date.now();
      const points = [];
      for (let t = now - 1_800_000; bus?.route && t <= now; t += 10_000) {
        points.push({ time: new Date(t).toISOString(), at: city.placeOf(bus, t) });
      }
      return send(200, JSON.stringify({ points }));
    }
    if (path === '/v1/refusals') return send(200, JSON.stringify({ refusals: [], total: 0 }));
    if (path === '/v1/rules') {
      const level = (id, priority, vi, en, above) => ({
        id,
        name: { vi, en },
        priority,
        scope: { profiles: ['river-level'] },
        when: { threshold: { quantity: 'water_level', above } },
      });
      return send(
        200,
        JSON.stringify({
          rules: [
            level('bd1', 3, 'BĐ I', 'Level I', 2.5),
            level('bd2', 2, 'BĐ II', 'Level II', 3),
            level('bd3', 1, 'BĐ III', 'Level III', 3.5),
          ],
        }),
      );
    }
    if (path === '/v1/thresholds') {
      const limit = (level, vi, en, value) => ({
        set: 'river',
        level,
        name: { vi, en },
        subject: `device:${url.searchParams.get('device')}`,
        quantity: 'water_level',
        value,
        unit: 'm',
        basis: 'Quyết định mô phỏng 05/QĐ',
        authority: 'Thành phố mô phỏng',
        validFrom: '2020-02-01',
      });
      // The first gauge has levels of its own; the others nobody has decided on.
      const own = url.searchParams.get('device') === 'WL-0001';
      return send(
        200,
        JSON.stringify({
          limits: own
            ? [
                limit('bd1', 'BĐ I', 'Level I', 2.4),
                limit('bd2', 'BĐ II', 'Level II', 2.9),
                limit('bd3', 'BĐ III', 'Level III', 3.6),
              ]
            : [],
          stations: [],
          at: new Date().toISOString(),
        }),
      );
    }
    const ack = /^\/v1\/alarms\/([^/]+)\/acknowledge$/.exec(path);
    if (ack && request.method === 'POST') {
      const alarm = this.alarms.get(ack[1]);
      if (!alarm) return problem(404, 'no such alarm');
      let body = '';
      for await (const chunk of request) body += chunk;
      alarm.state = 'acknowledged';
      alarm.acknowledged = { by: 'Trực ban', at: new Date().toISOString(), note: JSON.parse(body).note };
      this.#change(alarm);
      return send(200, JSON.stringify(alarm));
    }
    if (path === '/v1/alarms') return send(200, JSON.stringify({ alarms: [...this.alarms.values()] }));
    const one = /^\/v1\/devices\/([^/]+)(\/readings)?$/.exec(path);
    const device = one && this.devices.find((d) => d.id === one[1]);
    if (!device) return problem(404, 'not found');
    if (!one[2]) {
      return send(
        200,
        JSON.stringify({
          id: device.id,
          name: device.name,
          profile: city.PROFILES[device.profile].name,
          state: 'active',
          owner: 'Trung tâm điều hành (mô phỏng)',
          upstream: device.kind === 'network' ? '' : 'GW-0001',
          simulated: true,
          presence: { state: 'online', via: 'mqtt', from: '[2001:db8::7]:4711' },
        }),
      );
    }
    if (this.failHistory) return problem(503, 'history not available');
    const from = Date.parse(url.searchParams.get('from'));
    const to = Math.min(Date.parse(url.searchParams.get('to')), device.silentSince || Date.now());
    const step = Number.parseInt(url.searchParams.get('step') ?? '60', 10) * 1000;
    const buckets = [];
    // One device in nine was away for a while: its history has a hole.
    const hole = city.hash(device.id, 'hole') < 0.11 ? from + (to - from) * 0.55 : 0;
    for (let t = Math.ceil(from / step) * step; t < to; t += step) {
      if (hole && t > hole && t < hole + (to - from) * 0.08) continue;
      const quantity = url.searchParams.get('quantity');
      const mean = city.readingOf(device, quantity, t);
      const wide = Math.abs(mean) * 0.02 * (0.4 + city.hash(device.id, t));
      const spread = quantity === 'rain_total' ? 0 : wide;
      buckets.push({
        start: new Date(t).toISOString(),
        min: mean - spread,
        mean,
        max: mean + spread,
        count: 4,
      });
    }
    return send(200, JSON.stringify({ buckets }));
  }

  /** One figure for each ward, out of the newest values of those that are heard. */
  #aggregate(query) {
    const quantity = query.get('quantity');
    const stat = query.get('stat') ?? 'mean';
    const layer = this.layers[query.get('layer')] ?? this.wards;
    const zones = layer.features
      .filter((f) => f.properties.code)
      .map((f) => ({ code: f.properties.code, name: f.properties.name, values: [], left: 0 }));
    for (const c of this.channels) {
      if (c.name !== quantity) continue;
      const d = this.devices[c.device];
      const at = d.route ? city.placeOf(d, Date.now()) : d.at;
      const zone = zones.find((z) => z.code === city.wardOf(at, layer)?.properties.code);
      if (!zone) continue;
      if (d.silentSince) zone.left++;
      else zone.values.push(this.#row(c, d.last).value);
    }
    const figure = (v) =>
      v.length === 0
        ? null
        : stat === 'max'
          ? Math.max(...v)
          : stat === 'min'
            ? Math.min(...v)
            : v.reduce((a, b) => a + b, 0) / v.length;
    return {
      quantity,
      stat,
      zones: zones.map((z) => ({
        code: z.code,
        name: z.name,
        value: figure(z.values),
        n: z.values.length,
        left: z.left,
      })),
    };
  }

  #clusters(query) {
    const [w, s, e, n] = query.get('view').split(',').map(Number);
    const side = 2 ** (Number(query.get('zoom')) + 3);
    const hide = (query.get('hide') ?? '').split(',');
    const cells = new Map();
    for (const d of this.devices) {
      const [lon, lat] = d.route ? city.placeOf(d, Date.now()) : d.at;
      if (lon < w || lon > e || lat < s || lat > n || hide.includes(d.kind)) continue;
      const x = Math.floor(((lon + 180) / 360) * side);
      const y = Math.floor(((1 - Math.asinh(Math.tan((lat * Math.PI) / 180)) / Math.PI) / 2) * side);
      const key = `${x} ${y}`;
      let c = cells.get(key);
      if (!c) {
        c = { at: [0, 0], box: [lon, lat, lon, lat], n: 0, worst: 0, by: [0, 0, 0, 0, 0], silent: 0 };
        cells.set(key, c);
      }
      c.n++;
      c.at = [c.at[0] + lon, c.at[1] + lat];
      c.box = [
        Math.min(c.box[0], lon),
        Math.min(c.box[1], lat),
        Math.max(c.box[2], lon),
        Math.max(c.box[3], lat),
      ];
      c.by[d.severity]++;
      if (d.severity && (!c.worst || d.severity < c.worst)) c.worst = d.severity;
      if (d.silentSince) c.silent++;
    }
    return { cells: [...cells.values()].map((c) => ({ ...c, at: [c.at[0] / c.n, c.at[1] / c.n] })) };
  }

  /** Each device hangs on the gateway next to it, the gateways on the first. */
  #links() {
    const gateways = this.devices.filter((d) => d.kind === 'network');
    const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
    const device = [];
    const node = [];
    const behind = gateways.map(() => 0);
    for (const d of this.devices) {
      if (d === gateways[0]) continue;
      const at = d.route ? city.placeOf(d, Date.now()) : d.at;
      let up = 0;
      if (d.kind !== 'network') {
        gateways.forEach((g, i) => {
          if (far(g.at, at) < far(gateways[up].at, at)) up = i;
        });
      }
      device.push(d.id);
      node.push(up);
      behind[up]++;
      if (up !== 0) behind[0]++;
    }
    return {
      nodes: gateways.map((g, i) => ({
        id: g.id,
        name: g.name,
        at: g.at,
        presence: g.silentSince ? 'silent' : 'online',
        children: node.filter((n) => n === i).length,
        behind: behind[i],
      })),
      device,
      node,
    };
  }

  #places(q) {
    const fold = (t) => t.normalize('NFD').replace(/\p{M}/gu, '').replace(/[đĐ]/g, 'd').toLowerCase();
    const want = fold(q).trim();
    const seen = new Set();
    const found = [];
    for (const [layer, data] of Object.entries(this.layers)) {
      if (layer.endsWith('_label')) continue;
      for (const f of data.features) {
        const name = f.properties.name ?? '';
        if (!name || !fold(name).includes(want) || seen.has(layer + name)) continue;
        seen.add(layer + name);
        const points = f.geometry.coordinates.flat(3);
        const lons = points.filter((_, i) => i % 2 === 0);
        const lats = points.filter((_, i) => i % 2 === 1);
        const box = [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
        found.push({
          layer,
          code: f.properties.code ?? '',
          name,
          at: [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2],
          box,
        });
        if (found.length >= 8) return found;
      }
    }
    return found;
  }

  /** The story pages, built when somebody first asks for them; they are not in dist. */
  async #story(path, response, problem) {
    this.building ??= buildStories();
    const { folder } = await this.building;
    const within = path.slice('/stories'.length);
    this.#give(folder, within.startsWith('/assets/') ? within : '/index.html', response, problem, {
      // Tiles are asked for by the map's worker, as by any screen that is let in.
      'Set-Cookie': 'vonglau_session=story; HttpOnly; SameSite=Strict; Path=/',
    });
  }

  #file(path, response, problem) {
    this.#give(DIST, path === '/' || path === '/desk' ? '/index.html' : path, response, problem);
  }

  #give(folder, wanted, response, problem, more = {}) {
    const file = join(folder, normalize(wanted));
    if (!file.startsWith(folder) || !existsSync(file)) {
      return problem(
        404,
        existsSync(join(folder, 'index.html')) ? 'not found' : 'no wall is built: npm run build',
      );
    }
    response.writeHead(200, {
      ...more,
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Cache-Control': wanted.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
    });
    createReadStream(file).pipe(response);
  }
}

/** Builds the story pages into a folder of their own; VONGLAU_STORIES names one that is built. */
async function buildStories() {
  const given = process.env.VONGLAU_STORIES;
  if (given) return { folder: given, remove: () => undefined };
  const folder = mkdtempSync(join(tmpdir(), 'vonglau-stories-'));
  const { build } = await import('vite');
  await build({
    configFile: fileURLToPath(new URL('../vite.stories.config.ts', import.meta.url)),
    build: { outDir: folder, emptyOutDir: true },
  });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function header(kind, count, seq, t0, bytes) {
  const b = Buffer.alloc(32 + bytes);
  b.writeUInt32LE(0x314c4756, 0);
  b.writeUInt8(1, 4);
  b.writeUInt8(kind, 5);
  b.writeUInt32LE(count, 8);
  b.writeUInt32LE(1, 12);
  b.writeBigUInt64LE(BigInt(seq), 16);
  b.writeBigInt64LE(BigInt(Math.floor(t0)), 24);
  return b;
}

function values(kind, seq, rows) {
  const n = rows.length;
  const newest = Math.max(...rows.map((r) => r.t));
  const t0 = Math.max(Math.min(...rows.map((r) => r.t)), newest - 6_553_400);
  const b = header(kind, n, seq, t0, 12 * n);
  rows.forEach((r, i) => {
    b.writeUInt32LE(r.channel, 32 + 4 * i);
    b.writeFloatLE(r.value, 32 + 4 * n + 4 * i);
    b.writeUInt16LE(r.t < t0 ? 65535 : Math.floor((r.t - t0) / 100), 32 + 8 * n + 2 * i);
    b.writeUInt8(r.severity, 32 + 10 * n + i);
    b.writeUInt8(r.quality, 32 + 11 * n + i);
  });
  return b;
}

function positions(seq, list, now) {
  const n = list.length;
  const b = header(3, n, seq, now - 200, 14 * n);
  list.forEach((d, i) => {
    const [lon, lat] = city.placeOf(d, now);
    b.writeUInt32LE(d.index, 32 + 4 * i);
    b.writeInt32LE(Math.round(lon * 1e7), 32 + 4 * n + 4 * i);
    b.writeInt32LE(Math.round(lat * 1e7), 32 + 8 * n + 4 * i);
    b.writeUInt16LE(1, 32 + 12 * n + 2 * i);
  });
  return b;
}

/** Lets this process's clock and intervals run faster. */
function hasten(speed) {
  if (speed === 1) return;
  const now = Date.now.bind(Date);
  const every = setInterval;
  const begun = now();
  Date.now = () => begun + (now() - begun) * speed;
  globalThis.setInterval = (f, ms, ...rest) => every(f, ms / speed, ...rest);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name, otherwise) => {
    const i = process.argv.indexOf(`--${name}`);
    return i < 0 ? otherwise : process.argv[i + 1];
  };
  hasten(Number(option('speed', '1')));
  const server = new DemoServer({
    devices: Number(option('devices', '500')),
    layerDir: option('layers', ''),
    still: option('still', '') !== '',
    without: option('without', ''),
    build: option('build', ''),
  });
  const address = await server.start(Number(option('port', '8090')));
  console.log(`the wall on a made-up city: ${address}/#token=demo   (Ctrl-C ends it)`);
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.on(signal, () => server.stop().then(() => process.exit(0)));
}
