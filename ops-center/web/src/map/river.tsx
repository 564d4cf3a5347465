import { useEffect, useState } from 'react';
import { concerns } from '../api.ts';
import { useCell } from '../cell.ts';
import { number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { Fresh } from '../live/city.ts';
import { labelOf } from '../live/dictionary.ts';
import { useSecond, useWall } from '../panels/context.ts';
import { type Limit, mapApi } from './mapapi.ts';
import { along, marksOf, nearest, type Station, standing } from './profile.ts';

const W = 640;
const H = 250;
const TOP = 34;
const BOTTOM = 70;
/** What is drawn below the lowest mark and above the highest, in spans between them. */
const UNDER = 1.2;
const OVER = 0.7;

/** More stations than these are no picture of one river. */
const MOST = 24;
const HOUR = 3_600_000;

/** What is in force for each station at an hour; one that could not be asked has none. */
function useLimits(devices: readonly string[], hour: number): ReadonlyMap<string, Limit[]> {
  const [limits, set] = useState<ReadonlyMap<string, Limit[]>>(new Map());
  const key = devices.join('\n');
  useEffect(() => {
    const abort = new AbortController();
    const asked = key ? key.split('\n') : [];
    void Promise.allSettled(
      asked.map((d) => mapApi.limits(d, 'water_level', hour * HOUR, abort.signal)),
    ).then((answers) => {
      if (abort.signal.aborted) return;
      set(new Map(answers.flatMap((a, i) => (a.status === 'fulfilled' ? [[asked[i], a.value]] : []))));
    });
    return () => abort.abort();
  }, [key, hour]);
  return limits;
}

/** The river from station to station, each by its own alarm levels. */
export function RiverProfile({ onClose }: { onClose: () => void }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  useSecond();
  const rules = useCell(wall.thresholds);
  const { city } = wall;
  const gauges = [...city.of('water_level')]
    .filter((c) => {
      const d = city.deviceOf[c];
      return city.profileOf(d)?.class === 'water' && city.placed[d] === 1 && city.hidden[d] === 0;
    })
    .slice(0, MOST);
  const limits = useLimits(
    gauges.map((c) => city.id[city.deviceOf[c]]),
    Math.floor(wall.clock.now() / HOUR),
  );
  const bases = new Set<string>();
  let byRules = false;
  const stations = gauges.map((c): Station => {
    const d = city.deviceOf[c];
    const { marks, basis } = marksOf(
      limits.get(city.id[d]) ?? [],
      rules
        .filter((r) => concerns(r, 'water_level', city.id[d], city.profileOf(d)?.name ?? ''))
        .map((r) => ({ name: labelOf(r.name, lang, r.id), level: r.threshold })),
      (name, otherwise) => labelOf(name, lang, otherwise),
    );
    for (const b of basis) bases.add(b);
    if (basis.length === 0 && marks.length > 0) byRules = true;
    return {
      device: city.id[d],
      name: city.name[d] || city.id[d],
      lon: city.lon[d],
      lat: city.lat[d],
      level: city.known[c] ? city.value[c] : undefined,
      stale: city.fresh[d] === Fresh.Stale,
      marks,
    };
  });
  const line = along(stations);
  const y = (s: number) =>
    TOP + ((1 + OVER - Math.min(1 + OVER, Math.max(-UNDER, s))) / (1 + OVER + UNDER)) * (H - TOP - BOTTOM);
  const x = (i: number) => (line.length < 2 ? W / 2 : 90 + (i * (W - 170)) / (line.length - 1));
  const points = line.flatMap((s, i) => {
    const at = standing(s);
    return at === undefined ? [] : [`${x(i)},${y(at)}`];
  });
  const told = (s: Station) => {
    const near = nearest(s);
    if (s.level === undefined) return t('map.noData');
    const level = `${number(lang, s.level, 2)} m`;
    if (s.stale) return `${level} · ${t('device.stale')}`;
    if (!near) return level;
    return `${level} · ${t(near.by >= 0 ? 'map.riverOver' : 'map.riverUnder', { name: near.name, by: number(lang, Math.abs(near.by), 2) })}`;
  };
  return (
    <section className="map-card map-river" aria-label={t('map.riverTitle')}>
      <header>
        <h3>{t('map.riverTitle')}</h3>
        <button type="button" className="icon" aria-label={t('device.close')} onClick={onClose}>
          ×
        </button>
      </header>
      {line.length === 0 ? (
        <p className="faint">{t('map.riverNone')}</p>
      ) : (
        <>
          <svg viewBox={`0 0 ${W} ${H}`} aria-hidden="true">
            {points.length > 1 && (
              <polygon
                className="river-fill"
                points={`${points[0].split(',')[0]},${H - BOTTOM} ${points.join(' ')} ${points.at(-1)?.split(',')[0]},${H - BOTTOM}`}
              />
            )}
            <polyline className="river-line" points={points.join(' ')} />
            {line.map((s, i) => {
              const at = standing(s);
              const lo = s.marks[0]?.level ?? 0;
              const span = (s.marks.at(-1)?.level ?? 0) - lo;
              return (
                <g key={s.device} className={s.stale ? 'stale' : ''}>
                  <line className="post" x1={x(i)} x2={x(i)} y1={TOP - 12} y2={H - BOTTOM} />
                  {span > 0 &&
                    s.marks.map((m) => (
                      <g key={m.level}>
                        <line
                          className="mark"
                          x1={x(i) - 16}
                          x2={x(i) + 16}
                          y1={y((m.level - lo) / span)}
                          y2={y((m.level - lo) / span)}
                        />
                        <text
                          className="mark-name"
                          x={x(i) - 20}
                          y={y((m.level - lo) / span) + 4}
                          textAnchor="end"
                        >
                          {m.name} {number(lang, m.level, 2)}
                        </text>
                      </g>
                    ))}
                  {at !== undefined && <circle cx={x(i)} cy={y(at)} r="5.5" />}
                  {s.level !== undefined && (
                    <text className="level" x={x(i) + 12} y={y(at ?? 0.5) + 5}>
                      {number(lang, s.level, 2)} m
                    </text>
                  )}
                  <text className="station" x={x(i)} y={H - BOTTOM + 20} textAnchor="middle">
                    {s.name}
                  </text>
                </g>
              );
            })}
          </svg>
          <ul className="river-list">
            {line.map((s) => (
              <li key={s.device}>
                <button
                  type="button"
                  className="link"
                  onClick={() => {
                    wall.riverStation.set(s.device);
                    wall.select({ device: s.device });
                    wall.showOnMap(s.device);
                  }}
                >
                  {s.name}
                </button>{' '}
                {told(s)}
              </li>
            ))}
          </ul>
          {[...bases].map((basis) => (
            <p key={basis} className="faint">
              {t('map.riverBasis', { basis })}
            </p>
          ))}
          {byRules && <p className="faint">{t('map.riverByRules')}</p>}
          <p className="faint">{t('map.riverNote')}</p>
        </>
      )}
    </section>
  );
}
