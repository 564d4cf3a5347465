import { useMemo, useState } from 'react';
import { call } from '../api.ts';
import { useCell } from '../cell.ts';
import { number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { reason, useMay, useWall } from '../panels/context.ts';
import { className } from '../panels/mapview.tsx';
import { setTheme, theme as themeCell } from '../theme.ts';
import type { CityMap } from './citymap.ts';
import type { OwnLayer } from './layers/own.ts';
import type { Legend } from './overlay.ts';
import { DEFAULTS, type MapSettings, type OverlayName, orderOf, ownSettings, type Stat } from './settings.ts';
import { BASE_LAYERS } from './style.ts';
import { useLayerInfos } from './tools.tsx';

const WINDOWS = ['', '1h', '24h', '7d'] as const;
const STATS: Stat[] = ['mean', 'max', 'min'];

/** What the map shows: overlays with their order and opacity, kinds of devices, the base, own layers. */
export function LayerPanel({ map, settings, own }: { map: CityMap; settings: MapSettings; own: boolean }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const layers = useCell(wall.layers);
  const shown = useCell(wall.shownLayers);
  const hidden = useCell(wall.hiddenClasses);
  const figures = useCell(wall.figures);
  const theme = useCell(themeCell);
  const infos = useLayerInfos();
  const classes = useMemo(() => {
    const counts = new Map<string, number>();
    for (const row of figures?.fleet ?? []) {
      const { class: kind } = wall.city.profiles[row.profile];
      counts.set(kind, (counts.get(kind) ?? 0) + row.total);
    }
    return [...counts];
  }, [wall, figures]);
  const toggle = (set: ReadonlySet<string>, name: string): ReadonlySet<string> => {
    const next = new Set(set);
    if (!next.delete(name)) next.add(name);
    return next;
  };
  const base = BASE_LAYERS.filter((name) => layers?.has(name)).toReversed();
  const change = (part: Partial<MapSettings>) => ownSettings.set({ ...ownSettings.get(), ...part });
  const overlays = new Set(settings.layers ?? DEFAULTS.layers);
  const order = orderOf(settings.order ?? DEFAULTS.order);
  const swap = (name: OverlayName, by: 1 | -1) => {
    const i = order.indexOf(name);
    const j = i + by;
    if (j < 0 || j >= order.length) return;
    const next = [...order];
    [next[i], next[j]] = [next[j], next[i]];
    change({ order: next });
  };
  const zones = settings.zones ?? DEFAULTS.zones;
  const quantities = wall.city.quantities.filter(
    (q) => q.kind !== 'counter' && wall.city.of(q.name).length > 0,
  );
  const zoneLayers = infos.filter((l) => l.join);
  return (
    <div className="layers" id="layers">
      <h3>{t('map.overlays')}</h3>
      {!own && <p className="faint">{t('map.ofScene')}</p>}
      {/* Top first, as they lie. */}
      {order.toReversed().map((name) => (
        <fieldset key={name} disabled={!own} className="overlay">
          <div className="overlay-head">
            <label>
              <input
                type="checkbox"
                checked={overlays.has(name)}
                onChange={() => change({ layers: [...toggle(overlays, name)] })}
              />
              {t(`map.overlay.${name}`)}
            </label>
            <button
              type="button"
              className="icon"
              aria-label={t('map.up', { name: t(`map.overlay.${name}`) })}
              onClick={() => swap(name, 1)}
            >
              ↑
            </button>
            <button
              type="button"
              className="icon"
              aria-label={t('map.down', { name: t(`map.overlay.${name}`) })}
              onClick={() => swap(name, -1)}
            >
              ↓
            </button>
          </div>
          {overlays.has(name) && (
            <>
              {name !== 'clusters' && (
                <label className="slide">
                  {t('map.opacity')}
                  <input
                    type="range"
                    min="10"
                    max="100"
                    value={Math.round((settings.opacity?.[name] ?? DEFAULTS.opacity[name] ?? 1) * 100)}
                    onChange={(e) =>
                      change({
                        opacity: {
                          ...DEFAULTS.opacity,
                          ...settings.opacity,
                          [name]: Number(e.target.value) / 100,
                        },
                      })
                    }
                  />
                </label>
              )}
              {name === 'zones' && (
                <>
                  <label className="slide">
                    {t('map.zoneLayer')}
                    <select
                      value={zones.layer}
                      onChange={(e) => change({ zones: { ...zones, layer: e.target.value } })}
                    >
                      {zoneLayers.map((l) => (
                        <option key={l.name} value={l.name}>
                          {layerName(t, l.name)}
                        </option>
                      ))}
                    </select>
                  </label>
                  <label className="slide">
                    {t('map.quantity')}
                    <select
                      value={zones.quantity}
                      onChange={(e) => change({ zones: { ...zones, quantity: e.target.value } })}
                    >
                      {quantities.map((q) => (
                        <option key={q.name} value={q.name}>
                          {labelOf(q.label, lang, q.name)}
                        </option>
                      ))}
                    </select>
                  </label>
                  <label className="slide">
                    {t('map.stat')}
                    <select
                      value={zones.stat}
                      onChange={(e) => change({ zones: { ...zones, stat: e.target.value as Stat } })}
                    >
                      {STATS.map((s) => (
                        <option key={s} value={s}>
                          {t(`map.stat.${s}`)}
                        </option>
                      ))}
                    </select>
                  </label>
                  <label className="slide">
                    {t('map.window')}
                    <select
                      value={zones.window}
                      onChange={(e) => change({ zones: { ...zones, window: e.target.value } })}
                    >
                      {WINDOWS.map((w) => (
                        <option key={w} value={w}>
                          {t(
                            w === ''
                              ? 'map.windowNow'
                              : w === '1h'
                                ? 'map.window1h'
                                : w === '24h'
                                  ? 'map.window24h'
                                  : 'map.window7d',
                          )}
                        </option>
                      ))}
                    </select>
                  </label>
                </>
              )}
              {name === 'heat' && (
                <label className="slide">
                  {t('map.quantity')}
                  <select
                    value={(settings.heat ?? DEFAULTS.heat).quantity}
                    onChange={(e) => change({ heat: { quantity: e.target.value } })}
                  >
                    {quantities.map((q) => (
                      <option key={q.name} value={q.name}>
                        {labelOf(q.label, lang, q.name)}
                      </option>
                    ))}
                  </select>
                </label>
              )}
              <Problem map={map} name={name} />
            </>
          )}
        </fieldset>
      ))}
      <OwnList map={map} />
      <h3>{t('layers.sensors')}</h3>
      {classes.map(([kind, count]) => (
        <label key={kind}>
          <input
            type="checkbox"
            checked={!hidden.has(kind)}
            onChange={() => wall.hiddenClasses.set(toggle(hidden, kind))}
          />
          {className(t, kind)} <small>{number(lang, count)}</small>
        </label>
      ))}
      <h3>{t('layers.base')}</h3>
      {base.length === 0 && <p>{t('layers.none')}</p>}
      {base.map((name) => (
        <label key={name}>
          <input
            type="checkbox"
            checked={shown.has(name)}
            onChange={() => wall.shownLayers.set(toggle(shown, name))}
          />
          {t(`layer.${name}`)}
        </label>
      ))}
      <label>
        <input
          type="checkbox"
          checked={theme === 'light'}
          onChange={() => setTheme(theme === 'light' ? 'dark' : 'light')}
        />
        {t('map.light')}
      </label>
    </div>
  );
}

/** A layer's name in the catalogue, else as the city calls it. */
export function layerName(t: ReturnType<typeof useLanguage>['t'], name: string): string {
  return (BASE_LAYERS as readonly string[]).includes(name) ? t(`layer.${name as 'wards'}`) : name;
}

function Problem({ map, name }: { map: CityMap; name: OverlayName }) {
  const { t } = useLanguage();
  const overlay = map.overlays.get(name);
  const problem = useCell(overlay ? overlay.problem : NONE);
  if (!problem) return null;
  return <p className="problem">{t('map.overlayFailed', { reason: reason(t, problem) })}</p>;
}

function OwnList({ map }: { map: CityMap }) {
  const { lang, t } = useLanguage();
  const list = useCell(map.own.list);
  const may = useMay();
  return (
    <>
      <h3>{t('map.own')}</h3>
      {list.length === 0 && <p className="faint">{t('map.ownHint')}</p>}
      {list.map((layer) => (
        <div key={layer.name} className="overlay">
          <div className="overlay-head">
            <span className="own-name">
              {layer.name} <small>{number(lang, layer.count)}</small>
            </span>
            <button
              type="button"
              className="icon"
              aria-label={t('map.ownRemove', { name: layer.name })}
              onClick={() => map.own.remove(map.map, layer.name)}
            >
              ×
            </button>
          </div>
          <label className="slide">
            {t('map.opacity')}
            <input
              type="range"
              min="10"
              max="100"
              value={Math.round(layer.opacity * 100)}
              onChange={(e) => map.own.fade(map.map, layer.name, Number(e.target.value) / 100)}
            />
          </label>
          {may('manage_layers') && <Upload layer={layer} />}
        </div>
      ))}
    </>
  );
}

/** Gives a layer of one's own to everybody: the server checks it and keeps it. */
function Upload({ layer }: { layer: OwnLayer }) {
  const { t } = useLanguage();
  const wall = useWall();
  const [state, setState] = useState<'idle' | 'busy' | 'done'>('idle');
  const [problem, setProblem] = useState('');
  const name = layer.name
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[đĐ]/g, 'd')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .slice(0, 40);
  const first = layer.data.features[0]?.properties ?? {};
  const code = ['code', 'id', 'ma', 'name'].find((k) => k in first) ?? '';
  const send = async () => {
    setState('busy');
    setProblem('');
    try {
      const query = new URLSearchParams({
        ...(code ? { code } : {}),
        ...('name' in first ? { name: 'name' } : {}),
      });
      await call(
        `/v1/layers/${encodeURIComponent(name)}?${query}`,
        {
          method: 'POST',
          headers: { 'Content-Type': 'application/geo+json' },
          body: JSON.stringify(layer.data),
        },
        undefined,
        120_000,
      );
      setState('done');
      const known = wall.layers.get();
      if (known && !known.has(name)) wall.layers.set(new Set([...known, name]));
    } catch (error) {
      setProblem(reason(t, error));
      setState('idle');
    }
  };
  if (state === 'done') return <p className="faint">{t('map.uploaded', { name })}</p>;
  return (
    <>
      <button type="button" disabled={state === 'busy' || !name} onClick={() => void send()}>
        {t(state === 'busy' ? 'map.uploading' : 'map.upload', { name })}
      </button>
      {problem && <p className="problem">{t('map.uploadFailed', { reason: problem })}</p>}
    </>
  );
}

/** What the colours of the overlays mean. */
export function OverlayLegends({ map, shown }: { map: CityMap; shown: ReadonlySet<string> }) {
  return (
    <>
      {[...shown].map((name) => {
        const overlay = map.overlays.get(name);
        return overlay ? <OverlayLegend key={name} cell={overlay.legend} /> : null;
      })}
    </>
  );
}

function OverlayLegend({
  cell,
}: {
  cell: { get: () => Legend | undefined; subscribe: (f: () => void) => () => void };
}) {
  const legend = useCell(cell as never) as Legend | undefined;
  if (!legend) return null;
  return (
    <div className="legend overlay-legend">
      <b>{legend.title}</b>
      <ul>
        {legend.rows.map((row) => (
          <li key={row.label}>
            {row.kind !== 'text' && (
              <i
                className={`swatch ${row.kind}`}
                style={row.colour ? ({ '--c': row.colour } as React.CSSProperties) : undefined}
              />
            )}
            {row.label}
          </li>
        ))}
      </ul>
      {legend.note && <small>{legend.note}</small>}
    </div>
  );
}

const NONE = { get: () => undefined, subscribe: () => () => undefined, set: () => undefined } as never;
