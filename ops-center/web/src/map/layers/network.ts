import type * as GeoJSON from 'geojson';
import { number } from '../../format.ts';
import { Fresh } from '../../live/city.ts';
import { type Links, mapApi } from '../mapapi.ts';
import { type Ground, Overlay } from '../overlay.ts';
import { STRONG } from '../style.ts';

const NET = 'ov-network';
const LINKS = 'ov-network-links';
const CUT = 'ov-network-cut';
const NODES = 'ov-network-nodes';
const NAMES = 'ov-network-names';
const MOST = 6000;

/**
 * How devices hang on nodes. A node that is not heard is crossed out, the lines
 * behind it are broken, and it says for how many devices it is the reason. It
 * is drawn in greys: reach is the system's own state, not the city's.
 */
export class NetworkOverlay extends Overlay {
  readonly name = 'network';
  readonly every = 5000;
  #links: Links | undefined;
  #at = 0;

  create(ground: Ground): void {
    const { map } = ground;
    this.empty(map, NET);
    const line = (cut: boolean) => ({
      'line-width': ['interpolate', ['linear'], ['zoom'], 11, cut ? 1.2 : 0.7, 16, cut ? 2.4 : 1.6] as never,
      'line-opacity': cut ? 0.95 : 0.5,
      ...(cut ? { 'line-dasharray': [2, 2] } : {}),
    });
    this.layer(map, {
      id: LINKS,
      type: 'line',
      source: NET,
      filter: ['==', ['get', 'kind'], 'link'],
      paint: { 'line-color': '#7f93a6', ...line(false) },
    });
    this.layer(map, {
      id: CUT,
      type: 'line',
      source: NET,
      filter: ['==', ['get', 'kind'], 'cut'],
      paint: { 'line-color': '#e3eef8', ...line(true) },
    });
    this.layer(map, {
      id: NODES,
      type: 'circle',
      source: NET,
      filter: ['==', ['get', 'kind'], 'node'],
      paint: {
        'circle-radius': ['interpolate', ['linear'], ['zoom'], 11, 8, 16, 15],
        'circle-color': ['match', ['get', 'state'], 'silent', '#0b0f14', 'never', '#0b0f14', '#33424f'],
        'circle-opacity': 0.9,
        'circle-stroke-width': ['match', ['get', 'state'], 'silent', 2.6, 1.2],
        'circle-stroke-color': '#c3ced8',
      },
    });
    this.layer(
      map,
      {
        id: NAMES,
        type: 'symbol',
        source: NET,
        filter: ['==', ['get', 'kind'], 'node'],
        layout: {
          'text-field': ['get', 'text'],
          'text-font': [STRONG],
          'text-size': 12,
          'text-offset': [0, 1.5],
          'text-anchor': 'top',
          'symbol-sort-key': ['match', ['get', 'state'], 'silent', 0, 1],
        },
        paint: { 'text-color': '#e6edf3', 'text-halo-color': '#05080b', 'text-halo-width': 1.6 },
      },
      true,
    );
    if (this.#links) this.#draw(ground);
  }

  async update(ground: Ground): Promise<void> {
    // Who hangs on whom changes seldom; whether they are heard, each second.
    if (!this.#links || ground.wall.replay || performance.now() - this.#at > 30_000) {
      this.#links = await mapApi.links(ground.signal);
      this.#at = performance.now();
    }
    this.#draw(ground);
  }

  #draw(ground: Ground): void {
    const { map, wall, lang, t } = ground;
    const { city } = wall;
    const links = this.#links;
    if (!links) return;
    const place = (id: string): [number, number] | undefined => {
      const i = city.index(id);
      return i !== undefined && city.placed[i] && !city.hidden[i] ? [city.lon[i], city.lat[i]] : undefined;
    };
    // The live connection knows sooner than the list.
    const silent = links.nodes.map((n) => {
      const i = city.index(n.id);
      return i === undefined ? n.presence === 'silent' : city.fresh[i] === Fresh.Stale;
    });
    const indexOf = new Map(links.nodes.map((n, i) => [n.id, i]));
    const above = new Map<string, number>();
    links.device.forEach((id, i) => {
      if (indexOf.has(id)) above.set(id, links.node[i]);
    });
    const cutOff = (n: number): boolean => {
      for (let depth = 0; depth < 8; depth++) {
        if (silent[n]) return true;
        const up = above.get(links.nodes[n].id);
        if (up === undefined) return false;
        n = up;
      }
      return false;
    };
    const cut = links.nodes.map((_, i) => cutOff(i));
    const features: GeoJSON.Feature[] = [];
    for (let i = 0; i < links.device.length && features.length < MOST; i++) {
      const from = place(links.nodes[links.node[i]].id) ?? links.nodes[links.node[i]].at;
      const to = place(links.device[i]);
      if (!from || !to) continue;
      features.push({
        type: 'Feature',
        properties: { kind: cut[links.node[i]] ? 'cut' : 'link' },
        geometry: { type: 'LineString', coordinates: [from, to] },
      });
    }
    links.nodes.forEach((n, i) => {
      const at = place(n.id) ?? n.at;
      if (!at) return;
      const text = silent[i]
        ? `✕ ${n.name || n.id}\n${t('map.behind', { n: number(lang, n.behind) })}`
        : `${n.name || n.id} · ${number(lang, n.behind)}`;
      features.push({
        type: 'Feature',
        properties: { kind: 'node', state: silent[i] ? 'silent' : n.presence, text },
        geometry: { type: 'Point', coordinates: at },
      });
    });
    this.fill(map, NET, features);
    const dark = ground.theme === 'dark';
    if (map.getLayer(NAMES)) {
      map.setPaintProperty(NAMES, 'text-color', dark ? '#e6edf3' : '#0b0f14');
      map.setPaintProperty(NAMES, 'text-halo-color', dark ? '#05080b' : '#ffffff');
      map.setPaintProperty(CUT, 'line-color', dark ? '#e3eef8' : '#0b0f14');
      map.setPaintProperty(NODES, 'circle-stroke-color', dark ? '#c3ced8' : '#26323d');
    }
    const down = silent.filter(Boolean).length;
    this.legend.set({
      title: t('map.overlay.network'),
      rows: [
        { kind: 'line', colour: '#7f93a6', label: t('map.linkUp') },
        { kind: 'dashed', colour: dark ? '#e3eef8' : '#0b0f14', label: t('map.linkCut') },
        { kind: 'dot', colour: '#33424f', label: t('map.node') },
      ],
      note: [
        t('map.nodesDown', { n: number(lang, down), all: number(lang, links.nodes.length) }),
        // Who hung on whom is not kept.
        ...(wall.replay ? [t('replay.linksToday')] : []),
      ].join(' · '),
    });
  }
}
