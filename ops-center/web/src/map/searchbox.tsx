import { useEffect, useMemo, useRef, useState } from 'react';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { typing } from '../panels/alarmlist.tsx';
import { useWall } from '../panels/context.ts';
import type { CityMap } from './citymap.ts';
import { layerName } from './layerpanel.tsx';
import { mapApi, type PlaceFound } from './mapapi.ts';
import { DeviceSearch } from './search.ts';

const MOST_DEVICES = 8;
const PAUSE = 180;

type Hit =
  | { kind: 'device'; key: string; id: string; name: string; sub: string }
  | { kind: 'place'; key: string; place: PlaceFound; name: string; sub: string };

/** Finds places and devices, with or without diacritics; a combobox (WAI-ARIA 1.2). */
export function SearchBox({ map }: { map: CityMap }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const input = useRef<HTMLInputElement>(null);
  const [q, setQ] = useState('');
  const [places, setPlaces] = useState<PlaceFound[]>([]);
  const [at, setAt] = useState(0);
  const [open, setOpen] = useState(false);
  const search = useMemo(() => new DeviceSearch(wall.city), [wall]);

  useEffect(() => {
    const listen = (e: KeyboardEvent) => {
      if (e.key !== '/' || e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
      const box = e.target instanceof HTMLInputElement && e.target.type === 'checkbox';
      if (typing(e.target) && !box) return;
      e.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);

  useEffect(() => {
    if (q.trim().length < 2) {
      setPlaces([]);
      return;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => {
      mapApi.places(q, abort.signal).then(
        (found) => setPlaces(found),
        () => setPlaces([]), // devices are still found
      );
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [q]);

  const hits = useMemo<Hit[]>(() => {
    const devices = search.find(q, MOST_DEVICES).map<Hit>((i) => {
      const profile = wall.city.profileOf(i);
      return {
        kind: 'device',
        key: `d ${wall.city.id[i]}`,
        id: wall.city.id[i],
        name: wall.city.name[i] || wall.city.id[i],
        sub: `${wall.city.id[i]} · ${labelOf(profile?.label, lang, profile?.name ?? '')}`,
      };
    });
    const found = places.map<Hit>((place) => ({
      kind: 'place',
      key: `p ${place.layer} ${place.code} ${place.name}`,
      place,
      name: place.name,
      sub: layerName(t, place.layer),
    }));
    return [...found, ...devices];
  }, [q, places, search, wall, lang, t]);

  const go = (hit: Hit | undefined) => {
    if (!hit) return;
    setOpen(false);
    setQ('');
    input.current?.blur();
    if (hit.kind === 'place') map.fit(hit.place.box);
    else {
      wall.select({ device: hit.id });
      wall.showOnMap(hit.id);
    }
  };
  const shown = open && q.trim() !== '';
  return (
    <div className="map-search">
      <input
        ref={input}
        type="search"
        role="combobox"
        aria-expanded={shown}
        aria-controls="map-hits"
        aria-activedescendant={shown && hits[at] ? `map-hit-${at}` : undefined}
        aria-label={t('map.search')}
        placeholder={t('map.searchHint')}
        value={q}
        onChange={(e) => {
          setQ(e.target.value);
          setAt(0);
          setOpen(true);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={(e) => {
          if (e.key === 'ArrowDown') setAt((i) => Math.min(hits.length - 1, i + 1));
          else if (e.key === 'ArrowUp') setAt((i) => Math.max(0, i - 1));
          else if (e.key === 'Enter') go(hits[at]);
          else if (e.key === 'Escape') {
            setQ('');
            input.current?.blur();
          } else return;
          e.preventDefault();
        }}
      />
      {shown && (
        <div id="map-hits" role="listbox" aria-label={t('map.search')}>
          {hits.map((hit, i) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the combobox has the keys
            <div
              key={hit.key}
              id={`map-hit-${i}`}
              role="option"
              aria-selected={i === at}
              tabIndex={-1}
              onMouseDown={(e) => e.preventDefault()}
              onClick={() => go(hit)}
            >
              {hit.name}
              <small>{hit.sub}</small>
            </div>
          ))}
          {hits.length === 0 && <div className="none">{t('map.nothingFound')}</div>}
        </div>
      )}
    </div>
  );
}
