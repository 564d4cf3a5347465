import { type ReactNode, useEffect, useRef, useState } from 'react';
import { get } from '../api.ts';
import { useCell } from '../cell.ts';
import { date, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { reason, useWall } from '../panels/context.ts';
import { PrioritySymbol } from '../panels/symbol.tsx';
import type { CityMap } from './citymap.ts';
import { scaleBar } from './geometry.ts';
import { NoLayer, readLayer } from './layers/own.ts';
import type { Legend } from './overlay.ts';
import { drawSheet, fileName, printSheet, savePicture } from './print.ts';

interface LayerFacts {
  name: string;
  join?: boolean;
  attribution?: string;
  simulated?: boolean;
}

/** What the server says of its layers; fetched when the set of them changes. */
export function useLayerInfos(): LayerFacts[] {
  const wall = useWall();
  const layers = useCell(wall.layers);
  const [infos, setInfos] = useState<LayerFacts[]>([]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again when there are other layers
  useEffect(() => {
    const abort = new AbortController();
    get<{ layers?: LayerFacts[] | null }>('/v1/layers', abort.signal).then(
      (body) => setInfos(body.layers ?? []),
      () => undefined, // the panel then offers what it knew
    );
    return () => abort.abort();
  }, [layers]);
  return infos;
}

/** Whose data is shown, where a layer asks for it: ODbL section 4.3 does. */
export function Attribution({ shown }: { shown: ReadonlySet<string> }) {
  const infos = useLayerInfos();
  const said = attributionOf(infos, shown);
  return said ? <span className="attribution">{said}</span> : null;
}

function attributionOf(infos: readonly LayerFacts[], shown: ReadonlySet<string>): string {
  return [...new Set(infos.filter((l) => shown.has(l.name)).map((l) => l.attribution))]
    .filter(Boolean)
    .join(' · ');
}

/** A map's camera, as a scale needs it. */
function useCamera(map: CityMap) {
  const [camera, set] = useState(map.camera);
  useEffect(() => {
    const moved = () => set(map.camera);
    moved();
    map.map.on('move', moved);
    return () => {
      map.map.off('move', moved);
    };
  }, [map]);
  return camera;
}

function metres(lang: 'vi' | 'en', m: number): string {
  return m >= 1000 ? `${number(lang, m / 1000)} km` : `${number(lang, m)} m`;
}

export function ScaleBar({ map }: { map: CityMap }) {
  const { lang, t } = useLanguage();
  const { center, zoom } = useCamera(map);
  const bar = scaleBar(center[1], zoom, 120);
  return (
    <span className="scale-bar" title={t('map.scale')}>
      <i style={{ width: bar.pixels }} /> {metres(lang, bar.metres)}
    </span>
  );
}

type Panel = 'table' | 'help' | 'river';

/** Measuring, the table, the river, printing and saving. */
export function Tools({
  map,
  panel,
  onPanel,
  legends,
}: {
  map: CityMap;
  panel: Panel | undefined;
  onPanel: (panel: Panel) => void;
  legends: ReadonlySet<string>;
}) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const mode = useCell(map.measure.mode);
  const result = useCell(map.measure.result);
  const infos = useLayerInfos();
  const shown = useCell(wall.shownLayers);
  const [failed, setFailed] = useState('');
  const sheet = async (paper: boolean) => {
    const overlays: Legend[] = [];
    const picture = await map.picture(paper, () => {
      for (const name of legends) {
        const legend = map.overlays.get(name)?.legend.get();
        if (legend) overlays.push(legend);
      }
    });
    const ratio = picture.width / map.canvas.clientWidth;
    const { center, zoom } = map.camera;
    const bar = scaleBar(center[1], zoom, 160);
    const title = `${t('app.name')} · ${t('map.printTitle')}`;
    return {
      title,
      canvas: drawSheet(
        {
          map: picture,
          title,
          lines: [
            t('map.dataOf', { time: date(lang, 'full', wall.clock.now()) }),
            t('app.zone'),
            ...([...wall.city.simulated].includes(1) ? [t('app.simulated')] : []),
          ],
          scale: { label: metres(lang, bar.metres), pixels: bar.pixels },
          legends: overlays,
          priorities: {
            title: t('map.legend'),
            labels: {
              1: t('priority.1'),
              2: t('priority.2'),
              3: t('priority.3'),
              4: t('priority.4'),
            },
          },
          attribution: attributionOf(infos, shown),
        },
        ratio,
      ),
    };
  };
  const make = (
    paper: boolean,
    then: (made: { title: string; canvas: HTMLCanvasElement }) => Promise<void>,
  ) => {
    setFailed('');
    sheet(paper)
      .then(then)
      .catch((error: unknown) => setFailed(reason(t, error)));
  };
  return (
    <div className="map-tools">
      <div className="map-tool-row" role="toolbar" aria-label={t('map.tools')}>
        <button
          type="button"
          aria-pressed={mode === 'distance'}
          onClick={() => map.measureIn(mode === 'distance' ? 'off' : 'distance')}
        >
          {t('map.distance')}
        </button>
        <button
          type="button"
          aria-pressed={mode === 'area'}
          onClick={() => map.measureIn(mode === 'area' ? 'off' : 'area')}
        >
          {t('map.area')}
        </button>
        <button type="button" aria-pressed={panel === 'river'} onClick={() => onPanel('river')}>
          {t('map.river')}
        </button>
        <button type="button" aria-pressed={panel === 'table'} onClick={() => onPanel('table')}>
          {t('map.table')}
        </button>
        <button type="button" onClick={() => make(true, (s) => printSheet(s.canvas, s.title))}>
          {t('map.print')}
        </button>
        <button
          type="button"
          onClick={() =>
            make(false, (s) => savePicture(s.canvas, fileName(s.title, new Date(wall.clock.now()))))
          }
        >
          PNG
        </button>
        <button
          type="button"
          aria-label={t('map.help')}
          aria-pressed={panel === 'help'}
          onClick={() => onPanel('help')}
        >
          ?
        </button>
      </div>
      {mode !== 'off' && (
        <p className="measured" role="status">
          {result === undefined
            ? t(mode === 'area' ? 'map.measureAreaHint' : 'map.measureHint')
            : mode === 'area'
              ? t('map.measuredArea', {
                  ha: number(lang, result / 10_000, 2),
                  km2: number(lang, result / 1e6, 3),
                })
              : t('map.measured', {
                  value:
                    result >= 1000 ? `${number(lang, result / 1000, 2)} km` : `${number(lang, result)} m`,
                })}
        </p>
      )}
      {failed && <p className="measured problem">{t('map.printFailed', { reason: failed })}</p>}
    </div>
  );
}

/** Several devices lie under one pointer: which one is meant? */
export function PickedList({
  devices,
  x,
  y,
  onChoose,
}: {
  devices: number[];
  x: number;
  y: number;
  onChoose: (device: string | undefined) => void;
}) {
  const wall = useWall();
  const { t } = useLanguage();
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    list.current?.querySelector('button')?.focus();
  }, []);
  const step = (by: number) => {
    const buttons = [...(list.current?.querySelectorAll('button') ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    buttons[(at + by + buttons.length) % buttons.length]?.focus();
  };
  return (
    <div className="picked" style={{ left: x, top: y }} role="dialog" aria-label={t('map.several')}>
      <b>{t('map.several')}</b>
      <ul
        ref={list}
        onKeyDown={(e) => {
          if (e.key === 'ArrowDown') step(1);
          else if (e.key === 'ArrowUp') step(-1);
          else if (e.key === 'Escape') onChoose(undefined);
          else return;
          e.preventDefault();
          e.stopPropagation();
        }}
      >
        {devices.map((d) => (
          <li key={d}>
            <button type="button" onClick={() => onChoose(wall.city.id[d])}>
              {wall.city.severity[d] > 0 && (
                <PrioritySymbol priority={wall.city.severity[d] as 1 | 2 | 3 | 4} size={16} />
              )}
              {wall.city.name[d] || wall.city.id[d]}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Takes GeoJSON files that are dropped on the map. */
export function DropLayer({ map, children }: { map: CityMap | undefined; children: ReactNode }) {
  const { t } = useLanguage();
  const [over, setOver] = useState(false);
  // What there is to say, not its words: the language may change under it.
  const [taken, setTaken] = useState<{ name: string; error?: unknown }>();
  const take = async (file: File) => {
    try {
      const name = file.name.replace(/\.(geo)?json$/i, '').slice(0, 60) || 'GeoJSON';
      map?.import(name, readLayer(await file.text()));
      setTaken({ name });
    } catch (error) {
      setTaken({ name: file.name, error });
    }
  };
  const told = ({ name, error }: { name: string; error?: unknown }) =>
    error === undefined
      ? t('map.dropped', { name })
      : t('map.dropFailed', {
          name,
          reason: error instanceof NoLayer ? t(`map.drop.${error.why}`) : reason(t, error),
        });
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a file is dropped with a pointer; the layer panel says so
    <div
      className={`map-drop ${over ? 'over' : ''}`}
      onDragOver={(e) => {
        e.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(e) => {
        e.preventDefault();
        setOver(false);
        for (const file of e.dataTransfer.files) void take(file);
      }}
    >
      {children}
      {over && <p className="map-note">{t('map.dropHere')}</p>}
      {taken && (
        <p className="drop-note" role="status">
          {told(taken)}{' '}
          <button
            type="button"
            className="icon"
            aria-label={t('device.close')}
            onClick={() => setTaken(undefined)}
          >
            ×
          </button>
        </p>
      )}
    </div>
  );
}
