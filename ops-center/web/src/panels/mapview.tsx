import { useEffect, useMemo, useRef, useState } from 'react';
import { useCell } from '../cell.ts';
import { age, date, number } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import vi from '../i18n/vi.json' with { type: 'json' };
import { isActive, isOpen, needsAcknowledge } from '../live/alarms.ts';
import { labelOf } from '../live/dictionary.ts';
import { type AlarmName, CityMap } from '../map/citymap.ts';
import { BASE_LAYERS } from '../map/style.ts';
import { standsOn, typing } from './alarmlist.tsx';
import { useSecond, useWall } from './context.ts';
import { PrioritySymbol } from './symbol.tsx';

/** Names beside alarms on the map: more would hide what they name. */
const MOST_NAMES = 24;

export function MapView() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const host = useRef<HTMLDivElement>(null);
  const [map, setMap] = useState<CityMap | undefined>(undefined);
  const [failed, setFailed] = useState(false);
  const [hover, setHover] = useState<{ device: number; x: number; y: number } | undefined>(undefined);
  const [open, setOpen] = useState(false);
  const layers = useCell(wall.layers);
  const shown = useCell(wall.shownLayers);
  const hidden = useCell(wall.hiddenClasses);
  const selection = useCell(wall.selection);
  const alarms = useCell(wall.alarmBook.alarms);
  const shape = useCell(wall.city.shape);
  const figures = useCell(wall.figures);
  const viewOnly = useCell(wall.viewOnly);
  const goTo = useCell(wall.goTo);

  // The map is made once the server has said which layers there are.
  useEffect(() => {
    if (!host.current || layers === undefined) return;
    let made: CityMap;
    try {
      made = new CityMap(host.current, wall.city, {
        layers,
        shown: wall.shownLayers.get(),
        hidden: wall.hiddenClasses.get(),
        locale: {},
        events: {
          pick: (device) => wall.select(device === undefined ? {} : { device: wall.city.id[device] }),
          hover: (device, x, y) => setHover(device === undefined ? undefined : { device, x, y }),
          view: (view) => wall.setView(view),
        },
      });
    } catch (error) {
      console.error('the map could not be opened', error);
      setFailed(true);
      return;
    }
    wall.onMoved = (devices) => made.moved(devices);
    setMap(made);
    return () => {
      wall.onMoved = undefined;
      setMap(undefined);
      made.remove();
    };
  }, [wall, layers]);

  useEffect(() => {
    map?.canvas.setAttribute('aria-label', t('map.label'));
  }, [map, t]);
  useEffect(() => map?.show(shown), [map, shown]);
  useEffect(() => map?.hide(hidden), [map, hidden]);
  useEffect(() => {
    if (!map || !goTo) return;
    const index = wall.city.index(goTo.device);
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
      const index = wall.city.index(a.device);
      const place: [number, number] | null =
        a.at ??
        (index !== undefined && wall.city.placed[index]
          ? [wall.city.lon[index], wall.city.lat[index]]
          : null);
      if (!place || (index !== undefined && wall.city.moving[index])) continue;
      // Beside a symbol there is room for a short name; else the id, which is on the device.
      const name = wall.deviceName(a.device || a.entity);
      let text = name.length <= 20 ? name : a.device || a.entity;
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
  const nameKey = JSON.stringify(names);
  // biome-ignore lint/correctness/useExhaustiveDependencies: set only when a name changed
  useEffect(() => map?.setNames(names), [map, nameKey]);

  useEffect(() => {
    const listen = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target)) return;
      if (e.key === 'l' || e.key === 'L') setOpen((o) => !o);
      else if (e.key === 'Escape') {
        setOpen(false);
        wall.select({});
      }
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, [wall]);

  const drawn = map?.sensors.recount() ?? 0;
  return (
    <section className="map" aria-label={t('map.label')}>
      <div className="map-host" ref={host} />
      {failed && <p className="map-note">{t('map.failed')}</p>}
      {figures && drawn === 0 && map && <p className="map-note">{t('map.empty')}</p>}
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
        <span className="chip">
          <b>{number(lang, drawn)}</b> {t('map.points')}
          {viewOnly ? ` · ${t('map.inView')}` : ''}
        </span>
        <DataTime />
      </div>
      {open && <LayerPanel />}
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
      <Legend />
      {hover && <HoverCard {...hover} />}
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
          <path d="M9 2 16 9 9 16 2 9Z" fill="none" stroke="#fff" strokeWidth="1.8" />
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
            stroke="#93a4b4"
            strokeWidth="1.6"
            strokeDasharray="4.7 4.7"
          />
        </svg>
        {t('legend.stale')}
      </li>
      <li>
        <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">
          <circle cx="9" cy="9" r="5" fill="none" stroke="#93a4b4" strokeWidth="1.8" />
        </svg>
        {t('legend.late')}
      </li>
      <li>
        <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">
          <circle cx="9" cy="9" r="4" fill="#93a4b4" />
        </svg>
        {t('legend.normal')}
      </li>
    </ul>
  );
}

function LayerPanel() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const layers = useCell(wall.layers);
  const shown = useCell(wall.shownLayers);
  const hidden = useCell(wall.hiddenClasses);
  const figures = useCell(wall.figures);
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
  return (
    <div className="layers" id="layers">
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
    </div>
  );
}

/** A profile's class by its name in the catalogue; a class of a city's own goes by its own. */
function className(t: (key: Key) => string, kind: string): string {
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
