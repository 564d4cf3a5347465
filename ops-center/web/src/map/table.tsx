import { useEffect, useMemo, useState } from 'react';
import { age, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { Fresh } from '../live/city.ts';
import { labelOf } from '../live/dictionary.ts';
import { useSecond, useWall } from '../panels/context.ts';
import { PrioritySymbol } from '../panels/symbol.tsx';
import type { CityMap } from './citymap.ts';

const MOST = 300;
/** Rows change with what is in view, not with each reading. */
const AGAIN = 5;

/** What the map shows as a table: the same devices, for whoever does not see the map or wants words. */
export function DeviceTable({ map, onClose }: { map: CityMap; onClose: () => void }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const second = useSecond();
  const [moves, setMoves] = useState(0);
  useEffect(() => {
    const moved = () => setMoves((n) => n + 1);
    map.map.on('moveend', moved);
    return () => {
      map.map.off('moveend', moved);
    };
  }, [map]);
  const turn = Math.floor(second / AGAIN);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the view is read anew in its time
  const { rows, total } = useMemo(() => {
    const found: number[] = [];
    map.sensors.within(map.bounds, (d) => found.push(d));
    const { city } = wall;
    const rank = (d: number) => (city.severity[d] || 5) * 2 - (city.fresh[d] === Fresh.Stale ? 1 : 0);
    found.sort((a, b) => rank(a) - rank(b) || (city.id[a] < city.id[b] ? -1 : 1));
    return { rows: found.slice(0, MOST), total: found.length };
  }, [map, wall, turn, moves]);
  const { city } = wall;
  const fresh = ['device.never', 'device.online', 'device.late', 'device.stale'] as const;
  return (
    <section className="map-card map-table" aria-label={t('map.tableTitle')}>
      <header>
        <h3>{t('map.tableTitle')}</h3>
        <span>{t('map.tableCount', { shown: number(lang, rows.length), total: number(lang, total) })}</span>
        <button type="button" className="icon" aria-label={t('device.close')} onClick={onClose}>
          ×
        </button>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
      <div className="map-table-scroll" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t('map.colDevice')}</th>
              <th scope="col">{t('map.colKind')}</th>
              <th scope="col">{t('map.colAlarm')}</th>
              <th scope="col">{t('map.colValue')}</th>
              <th scope="col">{t('map.colState')}</th>
              <th scope="col">{t('map.colHeard')}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((d) => {
              const profile = city.profileOf(d);
              const c = profile ? city.channel(d, profile.main) : undefined;
              const info = c === undefined ? undefined : city.quantities[city.quantityOf[c]];
              const severity = city.severity[d] as 0 | 1 | 2 | 3 | 4;
              return (
                <tr key={city.id[d]}>
                  <th scope="row">
                    <button
                      type="button"
                      className="link"
                      onClick={() => {
                        wall.select({ device: city.id[d] });
                        wall.showOnMap(city.id[d]);
                      }}
                    >
                      {city.name[d] || city.id[d]}
                    </button>
                  </th>
                  <td>{labelOf(profile?.label, lang, profile?.name ?? '–')}</td>
                  <td>
                    {severity > 0 && (
                      <>
                        <PrioritySymbol priority={severity as 1} size={15} /> {t(`priority.${severity as 1}`)}
                      </>
                    )}
                  </td>
                  <td>
                    {c !== undefined && info && city.known[c]
                      ? `${number(lang, city.value[c], info.digits)} ${info.display || info.unit}`
                      : '–'}
                  </td>
                  <td>{t(fresh[city.fresh[d]])}</td>
                  <td>{city.heard[d] > 0 ? age(lang, wall.clock.now() - city.heard[d]) : '–'}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
