import { readingOf } from '../scripts/demo-city.mjs';
import type { Alarm } from '../src/live/alarms.ts';
import type { Heartbeat } from '../src/live/protocol.ts';
import { DEFAULT_SCENE, type Panel, type SceneMessage } from '../src/scenes/model.ts';
import { AT } from './moment.mjs';
import recorded from './recorded.json' with { type: 'json' };

/** What the recorded city's server says in a story; a story changes what it is about. */
export interface Told {
  alarms: readonly Alarm[];
  heartbeat: Partial<Heartbeat>;
  /** Permissions of whoever looks; undefined for nobody who is known. */
  permissions: readonly string[] | undefined;
  /** Panels in place of the default scene's. */
  panels?: readonly Panel[];
  bare?: boolean;
  message?: Partial<SceneMessage>;
  /** Answers by path, before the usual ones; a number is a status of refusal. */
  answers: Record<string, unknown>;
  /** No device, layer or rule is there. */
  empty?: boolean;
  /** The connection never opens, or breaks off after the first second. */
  link: 'live' | 'never' | 'broken';
  /** This device has no place on the map. */
  without?: string;
  /** A moment of the past is shown. */
  replay?: boolean;
}

export const alarms = recorded.alarms as unknown as readonly Alarm[];

const dictionary = recorded['/v1/live/dictionary'];
const names = new Map(dictionary.devices.id.map((id, i) => [id, dictionary.devices.name[i]]));
const iso = (before: number) => new Date(AT - before).toISOString();
const MINUTE = 60_000;

export const EVERY_PERMISSION = [
  'view',
  'view_status',
  'view_figures',
  'view_audit',
  'handle_alarms',
  'shelve_alarms',
  'service_alarms',
  'push_scenes',
  'manage_scenes',
  'manage_displays',
  'manage_layers',
  'manage_rules',
  'manage_devices',
  'manage_people',
  'draft_warnings',
  'subscribe',
] as const;

function detail(id: string, told: Told) {
  const alarm = told.alarms.find((a) => a.id === id) ?? alarms[0];
  const who = { name: 'Phạm Thị Thu', role: 'operator' };
  return {
    alarm,
    rule: {
      id: alarm.rule,
      name: alarm.ruleName,
      owner: 'Sở Xây dựng',
      head: 'Lê Văn Cường',
      basis: 'Quyết định 05/QĐ-UBND (mô phỏng)',
      procedure: {
        vi: ['Xem camera gần nhất', 'Báo công an phường cấm đường', 'Gọi đội thoát nước, ghi giờ có mặt'],
        en: [
          'Look at the nearest camera',
          'Ask ward police to close the road',
          'Call the drainage team, log when they arrive',
        ],
      },
      when: { threshold: {} },
    },
    transitions: [
      {
        n: 1,
        event: 'raise',
        from: 'normal',
        to: 'unacknowledged',
        at: alarm.raised,
        who: { name: '', role: 'system' },
        alarm,
      },
      {
        n: 2,
        event: 'comment',
        from: 'unacknowledged',
        to: 'unacknowledged',
        at: iso(20_000),
        who,
        why: 'Đã gọi đội thoát nước số 2, đang tới',
        alarm,
      },
    ],
    neighbours: told.alarms
      .slice(3, 6)
      .map((a, i) => ({ alarm: a, metres: 180 + 240 * i, minutes: 4 + 3 * i })),
    maxShelveSeconds: 7200,
    needsNote: alarm.priority === 1,
  };
}

const log = [
  {
    n: 1,
    kind: 'shift_begin',
    at: iso(400 * MINUTE),
    by: { name: 'Lê Minh', role: 'shift_leader', id: 'p2' },
    text: 'Nhận ca, triều cường lúc 15 giờ',
  },
  {
    n: 2,
    kind: 'note',
    at: iso(90 * MINUTE),
    by: { name: 'Phạm Thị Thu', role: 'operator', id: 'p1' },
    text: 'Ngập nhẹ ở cầu chui Nguyễn Ố, đã báo phường Phố Ồ',
    alarm: 'a1',
  },
  {
    n: 3,
    kind: 'correction',
    at: iso(80 * MINUTE),
    by: { name: 'Phạm Thị Thu', role: 'operator', id: 'p1' },
    text: 'Là cầu chui Trần Ẵng',
    corrects: 2,
  },
];

const displays = (['alive', 'stalled', 'dead'] as const).map((condition, i) => ({
  id: `tuong-${i + 1}`,
  name: { vi: `Tường chính, ô ${i + 1}`, en: `Main wall, tile ${i + 1}` },
  group: 'phòng trực',
  width: 1920,
  height: 1080,
  calm: { theme: 'dark', orbit: true, dimFrom: '22:00', dimTo: '05:30', dim: 40 },
  takeOver: { priority: 1 },
  scale: 1,
  condition,
  health: {
    n: 4,
    frameAge: 16,
    fps: 30,
    width: 1920,
    height: 1080,
    ratio: 1,
    build: 'b1',
    errors: i,
    ...(i ? { lastError: 'thumbnail: TimeoutError' } : {}),
  },
  heard: iso(i * 4 * MINUTE + 800),
  told: { seq: 4, scene: 'default', version: 0, reason: 'default', at: iso(60 * MINUTE) },
  showing: {
    display: `tuong-${i + 1}`,
    at: iso(60 * MINUTE),
    scene: 'default',
    version: 0,
    reason: 'default',
  },
  pushes: [],
}));

const figures = [
  ['time_to_acknowledge', 's', 'lower', 94, 120, 'Thời gian xác nhận', 'Time to acknowledge'],
  ['false_alarms', 'share', 'lower', 0.12, 0.05, 'Báo động sai', 'False alarms'],
  ['availability', 'share', 'higher', 0.987, 0.98, 'Thiết bị hoạt động', 'Availability'],
  ['alarms_per_operator', 'alarms', 'lower', null, 6, 'Báo động mỗi trực ban', 'Alarms per operator'],
].map(([name, unit, better, value, target, vi, en]) => ({
  name,
  unit,
  better,
  value,
  target,
  title: { vi, en },
  from: iso(24 * 60 * MINUTE),
  to: iso(0),
  n: 214,
  definition: {
    vi: 'Trung vị từ khi nổi lên tới khi có người xác nhận.',
    en: 'Median from raised to acknowledged.',
  },
  counting: { alarms: 214 },
  counted: iso(30_000),
  source: { vi: 'sổ báo động', en: 'alarm log' },
  owner: { department: 'Trung tâm điều hành', head: 'Lê Văn Cường' },
}));

/** The answer to one request: undefined when the server of the story page is to give it, as for tiles. */
export function answer(told: Told, method: string, url: URL): unknown {
  const path = url.pathname;
  if (path in told.answers) return told.answers[path];
  const empty = <T>(list: T[]): T[] => (told.empty ? [] : list);
  if (path === '/v1/session' || path === '/v1/me') {
    if (!told.permissions) return 401;
    const me = { id: 'p1', name: 'Phạm Thị Thu', role: 'operator', department: '' };
    return { ...me, principal: me, permissions: told.permissions };
  }
  if (!told.permissions && path !== '/v1/session/ways') return 401;
  switch (path) {
    case '/v1/session/ways':
      return { oidc: true };
    case '/v1/live/dictionary':
      return told.empty
        ? {
            ...dictionary,
            devices: Object.fromEntries(Object.keys(dictionary.devices).map((k) => [k, []])),
            channels: { device: [], quantity: [] },
          }
        : placed(told.without);
    case '/v1/layers':
      return told.empty ? { layers: [] } : recorded['/v1/layers'];
    case '/v1/rules':
      return told.empty ? { rules: [] } : recorded['/v1/rules'];
    case '/v1/network/links':
      return recorded['/v1/network/links'];
    case '/v1/zones/aggregate':
      return recorded['/v1/zones/aggregate?layer=wards&quantity=pm25&stat=mean'];
    case '/v1/live/clusters':
      return { cells: [] };
    case '/v1/thresholds':
      return {
        limits: [2.4, 2.9, 3.6].map((value, i) => ({
          set: 'river',
          level: `bd${i + 1}`,
          name: { vi: `BĐ ${'I'.repeat(i + 1)}`, en: `Level ${'I'.repeat(i + 1)}` },
          subject: `device:${url.searchParams.get('device') ?? 'WL-0001'}`,
          quantity: 'water_level',
          value,
          unit: 'm',
          basis: 'Quyết định mô phỏng 05/QĐ',
          authority: 'Thành phố mô phỏng',
          validFrom: '2020-02-01',
        })),
        stations: [],
        at: iso(0),
      };
    case '/v1/alarms':
      return { alarms: told.alarms };
    case '/v1/departments':
      return { departments: empty([{ name: 'Sở Xây dựng' }, { name: 'Công an phường' }]) };
    case '/v1/people':
      return { people: empty([{ id: 'p1', name: 'Phạm Thị Thu' }]) };
    case '/v1/displays':
      return { displays: empty(displays) };
    case '/v1/scenes':
      return {
        scenes: empty([
          {
            ...DEFAULT_SCENE,
            id: 'lut',
            version: 3,
            name: { vi: 'Mùa lũ', en: 'Flood season' },
            at: iso(0),
            by: 'Lê Minh',
          },
        ]),
      };
    case '/v1/wall':
      return { frames: ['https://camera.vonglau.example'] };
    case '/v1/drills':
      return { drills: [] };
    case '/v1/shift':
      return { on: [{ name: 'Phạm Thị Thu', role: 'operator', id: 'p1', since: iso(400 * MINUTE) }] };
    case '/v1/log':
      return { entries: log };
    case '/v1/refusals':
      return { refusals: [], total: 0 };
    case '/v1/place':
      return { zones: [{ layer: 'wards', code: 'VL-03', name: 'Phường Nguyễn Ố' }] };
    case '/v1/places':
      return { places: [] };
    case '/v1/figures':
      return { figures };
    case '/v1/alarms/performance':
      return {
        alarms: 214,
        mean: 2.1,
        peak: 14,
        floodShare: 0.008,
        records: 900,
        series: Array.from({ length: 24 }, (_, i) => ({
          start: iso((24 - i) * 60 * MINUTE),
          alarms: 4 + ((i * 7) % 11),
          operators: 2,
          perOperator: 2 + ((i * 7) % 11) / 2,
        })),
        floods: [{ from: iso(300 * MINUTE), to: iso(288 * MINUTE) }],
        priorities: ([1, 2, 3, 4] as const).map((priority) => ({
          priority,
          alarms: 10 * priority,
          share: priority / 10,
          target: [0.05, 0.15, 0.8, null][priority - 1],
        })),
        badActors: [{ rule: 'jam', entity: 'TC-0003', alarms: 31, share: 0.145 }],
        chattering: [],
        stale: [],
      };
  }
  const one = /^\/v1\/alarms\/([^/]+)$/.exec(path);
  if (one && method === 'GET') return detail(decodeURIComponent(one[1]), told);
  const readings = /^\/v1\/devices\/([^/]+)\/readings$/.exec(path);
  if (readings) {
    const quantity = url.searchParams.get('quantity') ?? '';
    const from = Date.parse(url.searchParams.get('from') ?? '');
    const to = Math.min(Date.parse(url.searchParams.get('to') ?? ''), AT);
    const step = Number.parseInt(url.searchParams.get('step') ?? '60', 10) * 1000;
    const id = readings[1];
    const device = { id, interval: 60, at: [106.17, 20.43] };
    const buckets = [];
    for (let t = Math.ceil(from / step) * step; t < to; t += step) {
      const mean = readingOf(device, quantity, t);
      const wide = quantity === 'rain_total' ? 0 : Math.abs(mean) * 0.02;
      buckets.push({ start: new Date(t).toISOString(), min: mean - wide, mean, max: mean + wide, count: 4 });
    }
    return { buckets };
  }
  const device = /^\/v1\/devices\/([^/]+)$/.exec(path);
  if (device) {
    const index = dictionary.devices.id.indexOf(device[1]);
    return {
      id: device[1],
      name: names.get(device[1]) ?? device[1],
      profile: dictionary.profiles[dictionary.devices.profile[index] ?? 0].name,
      state: 'active',
      owner: 'Trung tâm điều hành (mô phỏng)',
      upstream: 'GW-0001',
      simulated: true,
      presence: { state: 'online', via: 'mqtt', from: '[2001:db8::7]:4711' },
    };
  }
  if (/\/tiles\/|^\/stories\//.test(path)) return undefined;
  return 404;
}

function placed(without: string | undefined) {
  const { devices } = dictionary;
  const gone = devices.id.indexOf(without ?? '');
  const keep = (list: (number | null)[]) => list.map((v, i) => (i === gone ? null : v));
  return { ...dictionary, devices: { ...devices, lon: keep(devices.lon), lat: keep(devices.lat) } };
}

/** All that was said to the page: what it shows and no catalogue has must be in here. */
export const said: string[] = [];

/** Puts the story's server in the place of the network. */
export function serve(told: Told): void {
  const real = window.fetch.bind(window);
  window.fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input), location.href);
    const body = answer(told, init?.method ?? 'GET', url);
    if (body === undefined) return real(input, init);
    if (typeof body === 'number') {
      const problem = { title: 'refused', detail: 'Máy chủ của trang mẫu không có câu trả lời này.' };
      return new Response(JSON.stringify(problem), {
        status: body,
        headers: { 'Content-Type': 'application/problem+json' },
      });
    }
    said.push(JSON.stringify(body));
    return new Response(JSON.stringify(body), {
      headers: { 'Content-Type': 'application/json', ETag: '"1"' },
    });
  };
  window.WebSocket = socketOf(told) as unknown as typeof WebSocket;
}

function bytes(base64: string): ArrayBuffer {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer;
}

/** A snapshot of a city without devices. */
function nothing(): ArrayBuffer {
  const frame = bytes(recorded.frames[0]).slice(0, 32);
  new DataView(frame).setUint32(8, 0, true);
  return frame;
}

function socketOf(told: Told) {
  return class StorySocket {
    static readonly OPEN = 1;
    readyState = 0;
    binaryType = '';
    onmessage: ((e: { data: unknown }) => void) | null = null;
    onclose: ((e: { code: number }) => void) | null = null;
    #beat: ReturnType<typeof setInterval> | undefined;

    constructor(url: string | URL) {
      if (told.link === 'never') return;
      setTimeout(() => this.#begin(new URL(url)), 0);
    }

    #say(message: unknown): void {
      said.push(JSON.stringify(message));
      this.onmessage?.({ data: JSON.stringify(message) });
    }

    #begin(url: URL): void {
      const { hub } = dictionary;
      const at = AT - 3_600_000;
      const past = {
        at,
        speed: 60,
        playing: false,
        loading: false,
        failed: false,
        from: AT - 90 * 86_400_000,
        to: AT,
        dictionary: '/v1/live/dictionary',
      };
      const replay = told.replay ? { replay: past } : {};
      this.readyState = 1;
      this.#say({
        type: 'hello',
        hub,
        seq: 1,
        dict: 1,
        now: AT,
        heartbeatMs: 1000,
        tickMs: 250,
        resumed: false,
        build: 'b1',
        ...replay,
      });
      if (told.panels || told.message || url.searchParams.has('display')) {
        this.#say({
          type: 'scene',
          n: 1,
          display: null,
          reason: 'default',
          scene: {
            ...DEFAULT_SCENE,
            ...(told.panels ? { panels: told.panels, id: 'story' } : {}),
            bare: told.bare ?? false,
          },
          ...told.message,
        });
      }
      if (told.empty) this.onmessage?.({ data: nothing() });
      else for (const frame of recorded.frames) this.onmessage?.({ data: bytes(frame) });
      this.#say({ type: 'alarms', seq: 1, reset: true, total: told.alarms.length, alarms: told.alarms });
      const beat = () =>
        this.#say({
          type: 'heartbeat',
          seq: 48_211,
          now: AT,
          ingest: { perSecond: 412 },
          journal: { level: 'ok' },
          series: { ok: true, backlog: 0 },
          ...replay,
          ...told.heartbeat,
        });
      beat();
      if (told.link === 'broken') setTimeout(() => this.onclose?.({ code: 1006 }), 400);
      else this.#beat = setInterval(beat, 1000);
    }

    send(): void {}

    close(): void {
      clearInterval(this.#beat);
    }
  };
}
