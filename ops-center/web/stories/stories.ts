import type { Alarm } from '../src/live/alarms.ts';
import type { Panel, Settings } from '../src/scenes/model.ts';
import { AT } from './moment.mjs';
import { alarms, EVERY_PERMISSION, type Told } from './server.ts';

/** A key pressed or something clicked, and what has to be there afterwards. */
export type Step = { key: string; ctrl?: boolean; shows?: string } | { click: string; shows?: string };

type Size = readonly [width: number, height: number];

export interface Story {
  id: string;
  /** Screens it is looked at on. */
  sizes: readonly Size[];
  /** Is there when the story is. */
  shows: string;
  told?: Partial<Told>;
  /** A page beside the wall; the wall without it. */
  page?: string;
  hash?: string;
  steps?: readonly Step[];
  /** What may be wider than its box, because it can be scrolled; beside what the style says. */
  scrolls?: readonly string[];
  /** A picture of it is kept. */
  golden?: boolean;
  /** A device or alarm whose absence the picture must tell. */
  without?: string;
  /** It is about a map, which takes its time. */
  canvas?: boolean;
}

const WALL: readonly Size[] = [[1920, 1080]];
const SIDE: readonly Size[] = [[480, 900]];
const CHART: readonly Size[] = [[440, 360]];

/** One panel alone on its screen. */
function alone(kind: Panel['kind'], settings: Settings = {}, more: Partial<Told> = {}): Partial<Told> {
  return { panels: [{ id: kind, kind, x: 0, y: 0, w: 24, h: 12, settings }], bare: true, ...more };
}

const at = (before: number) => new Date(AT - before).toISOString();

/** As many alarms as are asked for, the recorded ones again and again. */
function many(n: number): readonly Alarm[] {
  return Array.from({ length: n }, (_, i) => ({
    ...alarms[i % alarms.length],
    id: `m${i}`,
    raised: at(20_000 * (i + 1)),
    state: i % 3 === 1 ? 'acknowledged' : 'unacknowledged',
  }));
}

/** A flood: one gateway's fall and a rule that rings in a whole ward. */
const flooding: readonly Alarm[] = many(36).map((a, i) => ({
  ...a,
  raised: at(9000 * (i + 1)),
  group: i % 2 ? 'gateway:GW-0001' : `rule:${a.rule}:VL-03`,
}));
const flood = {
  flood: { on: true, since: at(420_000), alarms: 36, operators: 2, total: 41 },
} as const;

const drill: readonly Alarm[] = alarms.slice(0, 6).map((a, i) => ({
  ...a,
  id: `d${i}`,
  exercise: 'dien-tap-lut',
}));

/** Alarms of whose devices nothing is heard any more, and one in each other state. */
const unheard: readonly Alarm[] = alarms.slice(0, 8).map((a, i) => ({
  ...a,
  id: `s${i}`,
  ...(i % 2 ? { state: 'returned' as const, cleared: at(60_000) } : {}),
  unreachable: i % 3 === 0 ? 12 : 0,
  chattering: i === 2,
}));

const shelved: readonly Alarm[] = alarms.map((a, i) => {
  if (i === 1)
    return {
      ...a,
      state: 'shelved',
      shelved: { by: 'Lê Minh', at: at(600_000), until: at(-1_200_000), reason: 'Đang sửa nguồn' },
    };
  if (i === 2)
    return {
      ...a,
      assigned: { department: 'Sở Xây dựng', due: at(-900_000), by: 'Lê Minh', at: at(300_000) },
    };
  if (i === 3) return { ...a, claimed: { by: 'Lê Minh', byId: 'p2', at: at(60_000), until: at(-240_000) } };
  return a;
});

const DRILL_ON = {
  drills: [
    { id: 'x', name: 'Diễn tập lụt 2026', started: at(900_000), ends: at(-3_600_000), devices: ['FL-0001'] },
  ],
};

const wall: Story[] = [
  { id: 'wall/live', sizes: [...WALL, [3840, 2160]], shows: '.map canvas', canvas: true },
  { id: 'wall/telephone', sizes: [[390, 844]], shows: '.map canvas', canvas: true },
  { id: 'wall/laptop', sizes: [[1280, 720]], shows: '.map canvas', canvas: true },
  { id: 'wall/connecting', sizes: WALL, shows: '.chip.link.connecting', told: { link: 'never' } },
  { id: 'wall/stale', sizes: [...WALL, [1280, 720]], shows: '.lost', told: { link: 'broken' }, canvas: true },
  {
    id: 'wall/replay',
    sizes: WALL,
    shows: '.replay-bar',
    told: {
      replay: true,
      permissions: ['view', 'view_past'],
      answers: {
        '/v1/replay/density': {
          from: at(7_200_000),
          to: at(0),
          buckets: Array.from({ length: 240 }, (_, i) => [
            0,
            i % 40 === 0 ? 1 : 0,
            i % 9 === 0 ? 2 : 0,
            i % 4,
          ]),
          urgent: [{ at: at(3_500_000), alarm: 'a1', device: 'FL-0002' }],
        },
      },
    },
    canvas: true,
  },
  {
    id: 'wall/taken-over',
    sizes: WALL,
    shows: '.chip.why',
    told: {
      message: {
        reason: 'take_over',
        display: { id: 'tuong-1', name: { vi: 'Tường chính', en: 'Main wall' }, scale: 1, calm: {} },
        focus: { alarm: 'a1', device: 'FL-0002' },
      },
    },
    canvas: true,
  },
  {
    id: 'wall/device',
    sizes: WALL,
    shows: '.alarms .row',
    steps: [{ key: 'j', shows: '.device h2' }],
    canvas: true,
  },
  {
    id: 'wall/first-steps',
    sizes: [...WALL, [1280, 720]],
    shows: '.first-steps',
    told: { empty: true, alarms: [], permissions: EVERY_PERMISSION },
    canvas: true,
  },
  {
    id: 'wall/signed-out',
    sizes: [
      [1280, 720],
      [390, 844],
    ],
    shows: '.login',
    told: { permissions: undefined },
  },
  {
    id: 'wall/journal-refuses',
    sizes: [[1920, 400]],
    shows: '.chip.bad',
    told: {
      ...alone('figures'),
      bare: false,
      heartbeat: {
        journal: { level: 'refusing', reason: 'disk full' },
        series: { ok: false, backlog: 90_000 },
      },
    },
  },
];

const map: Story[] = [
  {
    id: 'map/city',
    sizes: [[960, 640]],
    shows: '.map canvas',
    told: alone('map'),
    golden: true,
    without: 'TC-0015',
    canvas: true,
  },
  {
    id: 'map/empty',
    sizes: [[960, 640]],
    shows: '.map-note.none',
    told: alone('map', {}, { empty: true, alarms: [] }),
    canvas: true,
  },
  {
    id: 'map/layers',
    sizes: [[960, 900]],
    shows: '.map-tools',
    told: alone('map'),
    steps: [{ click: '.map-top .chip', shows: '.layers' }],
    canvas: true,
  },
  {
    id: 'map/river',
    sizes: [[960, 640]],
    shows: '.map-tools',
    told: alone('map'),
    steps: [{ click: '.map-tool-row button:nth-child(3)', shows: '.map-river .river-list' }],
    canvas: true,
  },
  {
    id: 'map/table',
    sizes: [[960, 640]],
    shows: '.map-tools',
    told: alone('map'),
    steps: [{ click: '.map-tool-row button:nth-child(4)', shows: '.map-table tbody tr' }],
    canvas: true,
  },
  {
    id: 'map/help',
    sizes: [[960, 640]],
    shows: '.map-tools',
    told: alone('map'),
    steps: [{ click: '.map-tool-row button:nth-child(7)', shows: '.map-help' }],
    canvas: true,
  },
];

const panels: Story[] = [
  { id: 'alarms/none', sizes: SIDE, shows: '.alarms .empty', told: alone('alarms', {}, { alarms: [] }) },
  {
    id: 'alarms/ten',
    sizes: [...SIDE, [390, 844]],
    shows: '.alarms .row',
    told: alone('alarms', {}, { alarms: alarms.slice(0, 10) }),
    golden: true,
    without: 'a4',
  },
  {
    id: 'alarms/five-hundred',
    sizes: SIDE,
    shows: '.alarms .row',
    told: alone('alarms', {}, { alarms: many(500) }),
  },
  {
    id: 'alarms/flood',
    sizes: SIDE,
    shows: '.alarms .row',
    told: alone('alarms', {}, { alarms: flooding, heartbeat: flood }),
  },
  {
    id: 'alarms/drill',
    sizes: SIDE,
    shows: '.alarms .row',
    told: alone('alarms', {}, { alarms: [...drill, ...alarms.slice(8, 12)] }),
  },
  {
    id: 'alarms/unheard',
    sizes: SIDE,
    shows: '.alarms .row',
    told: alone('alarms', {}, { alarms: unheard }),
  },
  { id: 'alarms/stale', sizes: SIDE, shows: '.lost', told: alone('alarms', {}, { link: 'broken' }) },
  {
    id: 'alarms/chosen',
    sizes: SIDE,
    shows: '.alarms .row',
    told: alone('alarms'),
    steps: [{ key: 'j', shows: '.row[aria-selected="true"]' }],
  },
  {
    id: 'alarms/note',
    sizes: [[960, 700]],
    shows: '.alarms .row',
    told: alone('alarms'),
    steps: [{ key: 'j' }, { key: 'a', shows: 'dialog.note' }],
  },
  { id: 'figures/live', sizes: [[1920, 170]], shows: '.tile .value', told: alone('figures'), golden: true },
  {
    id: 'figures/stale',
    sizes: [[1920, 170]],
    shows: '.lost',
    told: alone('figures', {}, { link: 'broken' }),
  },
  {
    id: 'figures/none',
    sizes: [[1920, 170]],
    shows: '.tile .value',
    told: alone('figures', {}, { empty: true, alarms: [] }),
  },
  {
    id: 'chart/river',
    sizes: CHART,
    shows: '.chart canvas',
    told: alone('chart', { of: 'river' }),
    golden: true,
  },
  { id: 'chart/rain', sizes: CHART, shows: '.chart canvas', told: alone('chart', { of: 'rain' }) },
  {
    id: 'chart/fleet',
    sizes: [[440, 400]],
    shows: '.fleet',
    told: alone('chart', { of: 'fleet' }),
    golden: true,
  },
  {
    id: 'chart/channels',
    sizes: CHART,
    shows: '.chart canvas',
    told: alone('chart', {
      channels: [
        { device: 'AQ-0001', quantity: 'pm25' },
        { device: 'AQ-0002', quantity: 'pm25' },
      ],
      hours: 24,
    }),
  },
  {
    id: 'chart/no-history',
    sizes: CHART,
    shows: '.panel',
    told: alone(
      'chart',
      { of: 'river' },
      {
        answers: Object.fromEntries(
          ['WL-0001', 'WL-0002', 'WL-0003', 'WL-0004'].map((id) => [`/v1/devices/${id}/readings`, 503]),
        ),
      },
    ),
  },
  {
    id: 'table/alarms',
    sizes: [[960, 640]],
    shows: '.scene-table tbody tr',
    told: alone('table', { of: 'alarms' }),
  },
  {
    id: 'table/devices',
    sizes: [[960, 640]],
    shows: '.scene-table tbody tr',
    told: alone('table', { of: 'devices', class: 'water' }),
  },
  {
    id: 'table/empty',
    sizes: [[960, 640]],
    shows: '.scene-table .empty',
    told: alone('table', { of: 'alarms' }, { alarms: [] }),
  },
  { id: 'clock', sizes: [[480, 200]], shows: '.scene-clock', told: alone('clock') },
  {
    id: 'text',
    sizes: [[640, 200]],
    shows: '.scene-text',
    told: alone('text', {
      text: {
        vi: 'Ồ ạt triều cường, Ẫ Ẵ Ễ Ố Ồ: chuyển xe khỏi hầm trước 15 giờ',
        en: 'Spring tide: move vehicles out of basements before 15:00',
      },
      size: 'large',
    }),
  },
  { id: 'web/no-address', sizes: [[480, 300]], shows: '.cell .empty', told: alone('web', { url: '' }) },
  { id: 'glyphs', sizes: [[900, 900]], shows: 'canvas', canvas: true },
];

const DESK: readonly Size[] = [[1920, 1080]];
const desk = (id: string, more: Partial<Story> = {}): Story => ({
  id: `desk/${id}`,
  page: '/desk',
  sizes: DESK,
  shows: '.queue .row',
  canvas: true,
  ...more,
});
const CHOSEN: Step = { key: 'j', shows: '.alarm-page[data-alarm]' };

const pages: Story[] = [
  desk('queue', { sizes: [...DESK, [1280, 720]], told: { alarms: shelved } }),
  desk('nothing', { shows: '.queue', told: { alarms: [] } }),
  desk('alarm', { told: { alarms: shelved }, steps: [CHOSEN] }),
  desk('telephone', { sizes: [[390, 844]], golden: true, without: 'a4' }),
  desk('telephone-alarm', { sizes: [[390, 844]], steps: [CHOSEN] }),
  desk('flood', { told: { alarms: flooding, heartbeat: flood } }),
  desk('drill', {
    told: { alarms: [...drill, ...alarms], answers: { '/v1/drills': DRILL_ON } },
    shows: '.banners .drill',
  }),
  desk('stale', { told: { link: 'broken' }, shows: '.lost' }),
  desk('acknowledge', { steps: [CHOSEN, { key: 'a', shows: 'dialog[open]' }] }),
  desk('assign', { steps: [CHOSEN, { key: 'g', shows: 'dialog[open]' }] }),
  desk('shelve', { steps: [CHOSEN, { key: 's', shows: 'dialog[open]' }] }),
  desk('comment', { steps: [CHOSEN, { key: 'b', shows: 'dialog[open]' }] }),
  desk('push', { steps: [CHOSEN, { key: 'w', shows: 'dialog[open]' }] }),
  desk('palette', { steps: [{ key: 'k', ctrl: true, shows: 'dialog[open]' }] }),
  desk('shift', { steps: [{ key: 'v', shows: 'dialog[open] li' }] }),
  desk('help', { steps: [{ key: '?', shows: 'dialog[open]' }] }),
  { id: 'scenes/displays', page: '/scenes', sizes: [[1280, 900]], shows: '.header' },
  { id: 'scenes/library', page: '/scenes', hash: '#scenes', sizes: [[1280, 900]], shows: '.header' },
  {
    id: 'figures/page',
    page: '/figures',
    sizes: [
      [1280, 900],
      [390, 844],
    ],
    shows: '.figure',
  },
];

export const STORIES: readonly Story[] = [...wall, ...map, ...panels, ...pages];
