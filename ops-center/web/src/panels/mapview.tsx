import { useEffect, useMemo, useRef, useState } from 'react';
import '../map/map.css';
import { Cell, useCell } from '../cell.ts';
import { age, date, number } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import vi from '../i18n/vi.json' with { type: 'json' };
import { type Alarm, byUrgency, isActive, isOpen, needsAcknowledge } from '../live/alarms.ts';
import { labelOf } from '../live/dictionary.ts';
import { type AlarmName, CityMap } from '../map/citymap.ts';
import { HelpCard } from '../map/help.tsx';
import { LayerPanel, OverlayLegends } from '../map/layerpanel.tsx';
import { OwnLayers } from '../map/layers/own.ts';
import type { PlaceAlarm } from '../map/places.ts';
import { RiverProfile } from '../map/river.tsx';
import { SearchBox } from '../map/searchbox.tsx';
import { type Camera, DEFAULTS, type MapSettings, ownSettings } from '../map/settings.ts';
import { BASE_LAYERS } from '../map/style.ts';
import { DeviceTable } from '../map/table.tsx';
import { Attribution, DropLayer, PickedList, ScaleBar, Tools } from '../map/tools.tsx';
import type { ReplayState } from '../replay/moment.ts';
import { readBy } from '../scenes/thumbnail.ts';
import { theme as themeCell } from '../theme.ts';
import type { Wall } from '../wall.ts';
import { standsOn, subject, title, typing } from './alarmlist.tsx';
import { useSecond, useWall } from './context.ts';
import { PrioritySymbol } from './symbol.tsx';

export type { MapSettings } from '../map/settings.ts';

/** Names beside alarms on the map: more would hide what they name. */
const MOST_NAMES = 24;
/** In the present there is no replay to follow. */
const NO_DAY = new Cell('');
const NO_JUMP = new Cell(0);
const NO_STATE = new Cell<ReplayState | undefined>(undefined);
/** How often overlays are asked for when a replay goes faster than life. */
const FAST_EVERY = 2500;
/** How far a key moves the map, in pixels. */
const PAN = 120;

export interface MapViewProps {
  /** What a scene wants shown; what it leaves out is as the operator has it. */
  settings?: MapSettings;
  /** A display's map: nothing of what was chosen in this browser. */
  fixed?: boolean;
  /** A device was chosen on the map; without it the wall selects it. */
  onPick?: (device: string | undefined) => void;
  /** Where the map was moved to. */
  onCamera?: (camera: Camera) => void;
}

export function MapView({ settings: given, fixed = false, onPick, onCamera }: MapViewProps = {}) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const host = useRef<HTMLDivElement>(null);
  const [map, setMap] = useState<CityMap | undefined>(undefined);
  const [failed, setFailed] = useState(false);
  const [hover, setHover] = useState<{ device: number; x: number; y: number } | undefined>(undefined);
  const [picked, setPicked] = useState<{ devices: number[]; x: number; y: number } | undefined>(undefined);
  const [open, setOpen] = useState(false);
  const [panel, setPanel] = useState<'table' | 'help' | 'river' | undefined>(undefined);
  const [view, setView] = useState<Box | undefined>(undefined);
  const layers = useCell(wall.layers);
  const wallShown = useCell(wall.shownLayers);
  const wallHidden = useCell(wall.hiddenClasses);
  const own = useCell(ownSettings);
  const theme = useCell(themeCell);
  const selection = useCell(wall.selection);
  const alarms = useCell(wall.alarmBook.alarms);
  const shape = useCell(wall.city.shape);
  const figures = useCell(wall.figures);
  const viewOnly = useCell(wall.viewOnly);
  const goTo = useCell(wall.goTo);

  const settings: MapSettings = fixed ? (given ?? {}) : { ...own, ...given };
  const settingsKey = JSON.stringify(settings);
  const shown = useMemo<ReadonlySet<string>>(
    () => (given?.layers ? new Set(given.layers) : wallShown),
    [given?.layers, wallShown],
  );
  const hidden = useMemo<ReadonlySet<string>>(
    () => (given?.filters?.hidden ? new Set(given.filters.hidden) : wallHidden),
    [given?.filters?.hidden, wallHidden],
  );
  // What the overlays ask for at any time, as it is by then.
  const now = useRef({ settings, lang, t, theme, selected: selection.device, onPick, onCamera });
  now.current = { settings, lang, t, theme, selected: selection.device, onPick, onCamera };

  // The boundaries of another day are another map.
  const day = useCell(wall.replay?.day ?? NO_DAY);
  // The map is made once the server has said which layers there are, and anew
  // when there are others to draw: not for one of somebody's own.
  const drawable = layers && BASE_LAYERS.filter((name) => layers.has(name)).join();
  const ownLayers = useRef(new OwnLayers());
  // biome-ignore lint/correctness/useExhaustiveDependencies: the first shown and hidden; later ones are told to the map
  useEffect(() => {
    if (!host.current || layers === undefined) return;
    let made: CityMap;
    const choose = (device: number | undefined) => {
      const id = device === undefined ? undefined : wall.city.id[device];
      if (now.current.onPick) now.current.onPick(id);
      else wall.select(id === undefined ? {} : { device: id });
    };
    try {
      made = new CityMap(host.current, wall.city, {
        layers,
        own: ownLayers.current,
        shown,
        hidden,
        theme: themeCell.get(),
        ...(now.current.settings.camera ? { camera: now.current.settings.camera } : {}),
        ground: () => ({ wall, ...now.current }),
        events: {
          pick: (devices, x, y) => {
            if (devices.length > 1) setPicked({ devices, x, y });
            else {
              setPicked(undefined);
              choose(devices[0]);
            }
          },
          alarm: (id) => wall.select({ alarm: id }),
          hover: (device, x, y) => setHover(device === undefined ? undefined : { device, x, y }),
          view: (view) => {
            wall.setView(view);
            setView(view);
          },
          camera: (camera) => now.current.onCamera?.(camera),
        },
      });
    } catch (error) {
      console.error('the map could not be opened', error);
      setFailed(true);
      return;
    }
    const moved = (devices: Uint32Array) => made.moved(devices);
    wall.movedListeners.add(moved);
    setMap(made);
    readBy(made.canvas, () => made.picture());
    return () => {
      readBy(made.canvas, undefined);
      wall.movedListeners.delete(moved);
      setMap(undefined);
      made.remove();
    };
  }, [wall, drawable, day]);

  useEffect(() => {
    map?.canvas.setAttribute('aria-label', t('map.label'));
  }, [map, t]);
  useEffect(() => map?.show(shown), [map, shown]);
  useEffect(() => map?.hide(hidden), [map, hidden]);
  useEffect(() => map?.paint(theme), [map, theme]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: settled when what they say changed
  useEffect(() => map?.settle(settings), [map, settingsKey]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: words and trails are drawn anew
  useEffect(() => map?.overlays.refresh(), [map, lang, selection.device]);
  // Another moment: what was drawn of the one before goes at once, and what goes
  // on faster than life is asked for more often.
  const jump = useCell(wall.replay?.jump ?? NO_JUMP);
  const speed = useCell(wall.replay?.state ?? NO_STATE)?.speed ?? 1;
  useEffect(() => {
    if (!map || jump === 0) return;
    map.trails.forget();
    map.overlays.refresh();
  }, [map, jump]);
  useEffect(() => {
    if (!map || speed <= 1) return;
    const timer = setInterval(() => map.overlays.refresh(), FAST_EVERY);
    return () => clearInterval(timer);
  }, [map, speed]);
  useEffect(() => {
    if (!map || !goTo) return;
    if (goTo.box) map.fit(goTo.box);
    const index = goTo.device === undefined ? undefined : wall.city.index(goTo.device);
    const place = index === undefined ? undefined : map.sensors.placeOf(index);
    if (place) map.flyTo(place);
  }, [map, goTo, wall]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: shape tells that indices changed
  useEffect(() => {
    if (!map) return;
    const waiting = new Set<number>();
    for (const a of alarms.values()) {
      if (!isOpen(a) || !needsAcknowledge(a)) continue;
      const index = wall.city.index(a.device);
      if (index !== undefined) waiting.add(index);
    }
    map.sensors.mark(selection.device === undefined ? undefined : wall.city.index(selection.device), waiting);
  }, [map, wall, alarms, selection.device, shape]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: counted anew with each second's figures
  useEffect(() => {
    document.documentElement.dataset.devices = String(map?.sensors.recount() ?? 0);
  }, [map, figures, hidden, shape]);

  const names = useMemo<AlarmName[]>(() => {
    void shape;
    const list: AlarmName[] = [];
    for (const a of alarms.values()) {
      if (!isActive(a) || a.priority > 2) continue;
      const place = placeOf(wall, a);
      const index = wall.city.index(a.device);
      if (!place || (index !== undefined && wall.city.moving[index])) continue;
      // Beside a symbol there is room for a short name; else the id, which is on the device.
      const name = subject(wall, a);
      let text = name.length <= 20 || !a.device ? name : a.device;
      const value = standsOn(wall, a, lang);
      if (value) text += ` · ${value}`;
      list.push({
        lon: place[0],
        lat: place[1],
        text,
        order: a.priority,
        selected: a.device === selection.device,
      });
    }
    // One name a device, with the value of its worst alarm.
    const named = new Set<string>();
    return list
      .sort((a, b) => a.order - b.order)
      .filter((n) => !named.has(`${n.lon} ${n.lat}`) && named.add(`${n.lon} ${n.lat}`))
      .slice(0, MOST_NAMES);
  }, [alarms, wall, lang, shape, selection.device]);
  const places = useMemo<PlaceAlarm[]>(
    () =>
      [...alarms.values()].flatMap((a) =>
        a.device || !a.at || !isActive(a)
          ? []
          : [
              {
                id: a.id,
                lon: a.at[0],
                lat: a.at[1],
                priority: a.priority,
                name: `${title(a, lang)} · ${subject(wall, a)}`,
              },
            ],
      ),
    [alarms, wall, lang],
  );
  const placeKey = JSON.stringify(places);
  // biome-ignore lint/correctness/useExhaustiveDependencies: set only when one changed
  useEffect(() => map?.setPlaces(places), [map, placeKey]);
  const nameKey = JSON.stringify(names);
  // biome-ignore lint/correctness/useExhaustiveDependencies: set only when a name changed
  useEffect(() => map?.setNames(names), [map, nameKey]);

  useEffect(() => {
    const listen = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
      const ours = e.target instanceof Element && e.target.closest('.map') !== null;
      // A box that is ticked takes no letters.
      const box = e.target instanceof HTMLInputElement && e.target.type === 'checkbox';
      if (typing(e.target) && !(ours && (box || e.key === 'Escape'))) return;
      const onMap = e.target === map?.canvas;
      const pan: Record<string, [number, number]> = {
        ArrowLeft: [-PAN, 0],
        ArrowRight: [PAN, 0],
        ArrowUp: [0, -PAN],
        ArrowDown: [0, PAN],
      };
      if (e.key in pan) {
        // Lists have arrows of their own; the map's canvas does what MapLibre does.
        if (!onMap && e.target === document.body) map?.panBy(...pan[e.key]);
      } else if (e.key === '+' || e.key === '=') onMap || map?.zoomBy(1);
      else if (e.key === '-') onMap || map?.zoomBy(-1);
      else if (e.key === 'l' || e.key === 'L') setOpen((o) => !o);
      else if (e.key === 'b' || e.key === 'B') setPanel((p) => (p === 'table' ? undefined : 'table'));
      else if (e.key === '?') setPanel((p) => (p === 'help' ? undefined : 'help'));
      else if (e.key === '0') map?.home();
      else if (e.key === 'n' || e.key === 'p') {
        const list = [...wall.alarmBook.alarms.get().values()]
          .filter((a) => isOpen(a) && a.device)
          .sort(byUrgency);
        if (list.length === 0) return;
        const chosen = wall.selection.get();
        const at = list.findIndex((a) => (chosen.alarm ? a.id === chosen.alarm : a.device === chosen.device));
        const step = e.key === 'n' ? 1 : -1;
        const next =
          list[at < 0 ? (step > 0 ? 0 : list.length - 1) : (at + step + list.length) % list.length];
        wall.select({ device: next.device, alarm: next.id });
        wall.showOnMap(next.device);
      } else if (e.key === 'Escape') {
        if (map?.measure.mode.get() !== 'off') map?.measureIn('off');
        setOpen(false);
        setPicked(undefined);
        setPanel(undefined);
        wall.select({});
      } else return;
      if (e.key !== 'Escape') e.preventDefault();
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, [wall, map]);

  const drawn = map?.sensors.recount() ?? 0;
  const overlays = new Set(settings.layers ?? DEFAULTS.layers);
  return (
    <section className="map" aria-label={t('map.label')}>
      <DropLayer map={map}>
        <div className="map-host" ref={host} />
      </DropLayer>
      {failed && <p className="map-note">{t('map.failed')}</p>}
      {figures && drawn === 0 && map && <p className="map-note none">{t('map.empty')}</p>}
      <div className="map-top">
        <button
          type="button"
          className="chip"
          aria-expanded={open}
          aria-controls="layers"
          onClick={() => setOpen((o) => !o)}
        >
          {t('map.layers')}
        </button>
        {map && <SearchBox map={map} />}
        <span className="chip">
          <b>{number(lang, drawn)}</b> {t('map.points')}
          {viewOnly ? ` · ${t('map.inView')}` : ''}
        </span>
        <DataTime />
        {view && <Outside view={view} />}
      </div>
      {open && map && (
        <LayerPanel map={map} settings={settings} own={!fixed && given?.layers === undefined} />
      )}
      {map && (
        <Tools
          map={map}
          panel={panel}
          onPanel={(p) => setPanel(panel === p ? undefined : p)}
          legends={overlays}
        />
      )}
      <div className="map-zoom">
        <button type="button" aria-label={t('map.zoomIn')} onClick={() => map?.zoomBy(1)}>
          +
        </button>
        <button type="button" aria-label={t('map.zoomOut')} onClick={() => map?.zoomBy(-1)}>
          −
        </button>
        <button type="button" aria-label={t('map.whole')} title={t('map.whole')} onClick={() => map?.home()}>
          ⤢
        </button>
      </div>
      <div className="map-left">
        {map && <OverlayLegends map={map} shown={overlays} />}
        <Legend />
      </div>
      <div className="map-foot">
        {map && <ScaleBar map={map} />}
        <Attribution shown={shown} />
      </div>
      {panel === 'table' && map && <DeviceTable map={map} onClose={() => setPanel(undefined)} />}
      {panel === 'help' && <HelpCard onClose={() => setPanel(undefined)} />}
      {panel === 'river' && <RiverProfile onClose={() => setPanel(undefined)} />}
      {picked && (
        <PickedList
          {...picked}
          onChoose={(device) => {
            setPicked(undefined);
            if (onPick) onPick(device);
            else if (device) wall.select({ device });
          }}
        />
      )}
      {hover && !picked && <HoverCard {...hover} />}
    </section>
  );
}

/** The moment the map shows: an old picture says so itself. */
function DataTime() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  useSecond();
  const link = useCell(wall.socket.link);
  const { heard } = wall.socket;
  if (heard === 0) return null;
  const offset = wall.clock.now() - Date.now();
  return (
    <span className={`chip ${link.state === 'live' ? '' : 'warn'}`}>
      {t('map.dataOf', { time: date(lang, 'time', heard + offset) })}
    </span>
  );
}

function Legend() {
  const { t } = useLanguage();
  return (
    <ul className="legend" aria-label={t('map.legend')}>
      {([1, 2, 3, 4] as const).map((p) => (
        <li key={p}>
          <PrioritySymbol priority={p} size={18} /> {t(`priority.${p}`)}
        </li>
      ))}
      <li>
        <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">
          <path d="M9 2 16 9 9 16 2 9Z" fill="none" stroke="var(--strong)" strokeWidth="1.8" />
        </svg>
        {t('legend.unack')}
      </li>
      <li>
        <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">
          <circle
            cx="9"
            cy="9"
            r="6"
            fill="none"
            stroke="var(--bar)"
            strokeWidth="1.6"
            strokeDasharray="4.7 4.7"
          />
        </svg>
        {t('legend.stale')}
      </li>
      <li>
        <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">
          <circle cx="9" cy="9" r="5" fill="none" stroke="var(--bar)" strokeWidth="1.8" />
        </svg>
        {t('legend.late')}
      </li>
      <li>
        <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">
          <circle cx="9" cy="9" r="4" fill="var(--bar)" />
        </svg>
        {t('legend.normal')}
      </li>
    </ul>
  );
}

/** A profile's class by its name in the catalogue; a class of a city's own goes by its own. */
export function className(t: (key: Key) => string, kind: string): string {
  const key = `class.${kind}`;
  return key in vi ? t(key as Key) : kind || t('class.other');
}

function HoverCard({ device, x, y }: { device: number; x: number; y: number }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const { city } = wall;
  const profile = city.profileOf(device);
  const channel = profile ? city.channel(device, profile.main) : undefined;
  const info = channel === undefined ? undefined : city.quantities[city.quantityOf[channel]];
  const known = channel !== undefined && city.known[channel] === 1;
  return (
    <div className="hover" style={{ transform: `translate(${x + 14}px, ${y + 14}px)` }} aria-hidden="true">
      <b>{city.name[device] || city.id[device]}</b>
      <span>{profile && labelOf(profile.label, lang, profile.name)}</span>
      {known && info && (
        <span className="reading">
          {labelOf(info.label, lang, info.name)} {number(lang, city.value[channel], info.digits)}{' '}
          {info.display || info.unit}
        </span>
      )}
      <span>
        {city.heard[device] > 0
          ? t('figure.age', { age: age(lang, wall.clock.now() - city.heard[device]) })
          : t('device.never')}
      </span>
    </div>
  );
}

type Box = readonly [number, number, number, number];

/** Where an alarm is: by itself, or where its device is by now. */
function placeOf(wall: Wall, a: Alarm): [number, number] | undefined {
  if (a.at) return a.at;
  const index = wall.city.index(a.device);
  if (index === undefined || !wall.city.placed[index]) return undefined;
  return [wall.city.lon[index], wall.city.lat[index]];
}

/** Urgent alarms that this part of the map does not show; one press goes to the worst. */
function Outside({ view: [west, south, east, north] }: { view: Box }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const alarms = useCell(wall.alarmBook.alarms);
  const out = [...alarms.values()]
    .filter((a) => {
      if (!isActive(a) || a.priority > 2) return false;
      const place = placeOf(wall, a);
      return place && (place[0] < west || place[0] > east || place[1] < south || place[1] > north);
    })
    .sort(byUrgency);
  const worst = out[0];
  if (!worst) return null;
  const show = () => {
    wall.select({ alarm: worst.id, ...(worst.device ? { device: worst.device } : {}) });
    const place = placeOf(wall, worst);
    if (worst.device) wall.showOnMap(worst.device);
    else if (place) wall.showBox([place[0], place[1], place[0], place[1]]);
  };
  return (
    <>
      {/* Below the search: beside it lie the tools. */}
      <i className="break" aria-hidden="true" />
      <button type="button" className="chip outside" title={t('map.outsideHint')} onClick={show}>
        {t('map.outside')}
        {([1, 2] as const).map((priority) => {
          const count = out.filter((a) => a.priority === priority).length;
          return (
            count > 0 && (
              <span key={priority}>
                <PrioritySymbol priority={priority} size={16} /> {number(lang, count)}
              </span>
            )
          );
        })}
      </button>
    </>
  );
}
