import { Fragment, type ReactNode, useState } from 'react';
import { concerns, type ThresholdRule } from '../api.ts';
import { useCell } from '../cell.ts';
import { age, number, percent, signed } from '../format.ts';
import { type Translate, useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import type { Figures } from '../live/figures.ts';
import { PRIORITY_TEXT } from '../palette.ts';
import type { Wall } from '../wall.ts';
import { useWall } from './context.ts';
import { Sparkline } from './sparkline.tsx';
import { PrioritySymbol } from './symbol.tsx';
import { TileDialog, type TileName } from './tile.tsx';

interface Tile {
  key: TileName;
  title: string;
  value: string;
  unit?: string;
  note: ReactNode;
  /** When the newest reading behind it was made; undefined for figures of the wall's own. */
  at?: number | undefined;
  stale?: boolean;
  severity?: number;
  device?: string | undefined;
  extra?: ReactNode;
}

/** The row of key figures: each with its unit, its age and the shape of its last minutes. */
export function FigureRow() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const figures = useCell(wall.figures);
  const thresholds = useCell(wall.thresholds);
  const [opened, setOpened] = useState<TileName | undefined>(undefined);
  if (!figures) {
    return (
      <section className="figures" aria-busy="true">
        {Array.from({ length: 8 }, (_, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: eight equal blanks
          <div key={i} className="tile blank" />
        ))}
      </section>
    );
  }
  const now = wall.clock.now();
  return (
    <section className="figures">
      {tiles(wall, figures, thresholds, lang, t).map((tile) => {
        const stale = tile.stale === true;
        const colour = tile.severity ? PRIORITY_TEXT[tile.severity] : undefined;
        const body = (
          <>
            <span className="name">
              <span title={tile.title}>{tile.title}</span>
              {!stale && tile.at ? <small>{age(lang, now - tile.at)}</small> : null}
            </span>
            <span className="value" style={colour && !stale ? { color: colour } : undefined}>
              {tile.severity ? <PrioritySymbol priority={tile.severity as 1 | 2 | 3 | 4} size={18} /> : null}
              <b>{tile.value}</b>
              <small>{tile.unit}</small>
            </span>
            {tile.extra ?? (
              <Sparkline values={wall.figureBook.trace(tile.key)} {...(colour ? { colour } : {})} />
            )}
            <span className="note">
              {stale ? (
                <em>
                  {t('figure.stale')} {tile.at ? `· ${age(lang, now - tile.at)}` : ''}
                </em>
              ) : (
                tile.note
              )}
            </span>
          </>
        );
        const className = `tile ${stale ? 'stale' : ''} ${tile.severity ? 'raised' : ''}`;
        const style = colour && !stale ? { borderColor: colour } : undefined;
        return (
          <Fragment key={tile.key}>
            <button
              type="button"
              className={className}
              style={style}
              aria-haspopup="dialog"
              onClick={() => setOpened(tile.key)}
            >
              {body}
            </button>
            {opened === tile.key && (
              <TileDialog
                name={tile.key}
                title={tile.title}
                device={tile.device}
                onClose={() => setOpened(undefined)}
              >
                {body}
              </TileDialog>
            )}
          </Fragment>
        );
      })}
    </section>
  );
}

function tiles(
  wall: Wall,
  f: Figures,
  thresholds: readonly ThresholdRule[],
  lang: 'vi' | 'en',
  t: Translate,
): Tile[] {
  const name = (device: number) => wall.city.name[device] || wall.city.id[device] || '';
  const none = t('figure.none');
  const list: Tile[] = [];

  list.push({
    key: 'online',
    title: t('figure.devices'),
    value: number(lang, f.online),
    unit: t('figure.devicesOf', { total: number(lang, f.total) }),
    note: f.total ? t('figure.devicesNote', { percent: percent(lang, f.online / f.total) }) : none,
  });

  list.push({
    key: 'readings',
    title: t('figure.readings'),
    value: number(lang, f.perSecond, (f.perSecond ?? 0) < 10 ? 1 : 0),
    unit: t('figure.perSecond'),
    severity: f.journal === 'refusing' ? 1 : f.journal === 'degraded' ? 2 : 0,
    note: [
      t(
        f.journal === 'ok'
          ? 'figure.readingsNote'
          : f.journal === 'degraded'
            ? 'figure.readingsDegraded'
            : 'figure.readingsRefusing',
      ),
      f.backlog > 20 * (f.perSecond ?? 0) + 100
        ? t('figure.backlog', { count: number(lang, f.backlog) })
        : '',
    ]
      .filter(Boolean)
      .join(' · '),
  });

  list.push({
    key: 'alarms',
    title: t('figure.alarms'),
    value: number(lang, f.alarms[0]),
    note: t('figure.alarmsNote', { count: number(lang, f.unacknowledged) }),
    extra: (
      <span className="priorities">
        {([1, 2, 3, 4] as const).map((p) => (
          <span key={p} className={f.alarms[p] ? '' : 'zero'} title={t(`priority.${p}`)}>
            <PrioritySymbol priority={p} size={14} quiet={f.alarms[p] === 0} />
            {number(lang, f.alarms[p])}
          </span>
        ))}
      </span>
    ),
  });

  const river = f.river;
  const levels = thresholds
    .filter(
      (r) =>
        river &&
        concerns(r, 'water_level', wall.city.id[river.device], wall.city.profileOf(river.device)?.name),
    )
    .map((r) => r.threshold)
    .sort((a, b) => a - b);
  const riverNote = () => {
    if (!river) return none;
    const parts: string[] = [];
    if (f.riverTrend !== undefined) {
      parts.push(t('figure.riverTrend', { trend: signed(lang, f.riverTrend, 2) }));
    }
    const over = levels.filter((l) => river.value >= l).at(-1);
    const next = levels.find((l) => river.value < l);
    if (over !== undefined) parts.push(t('figure.riverOver', { threshold: number(lang, over, 2) }));
    else if (next !== undefined) {
      parts.push(
        t('figure.riverUnder', {
          threshold: number(lang, next, 2),
          distance: number(lang, next - river.value, 2),
        }),
      );
    }
    return parts.join(' · ') || name(river.device);
  };
  list.push({
    key: 'river',
    title: river ? `${t('figure.river')} · ${name(river.device)}` : t('figure.river'),
    value: number(lang, river?.value, 2),
    unit: river ? 'm' : '',
    note: riverNote(),
    at: river?.at,
    stale: river?.stale ?? false,
    severity: river ? wall.city.severity[river.device] : 0,
    device: river && wall.city.id[river.device],
  });

  list.push({
    key: 'rain',
    title: t('figure.rain'),
    value: number(lang, f.rain?.value, 1),
    unit: f.rain ? 'mm' : '',
    note: !f.rain
      ? none
      : f.rain.minutes >= 55
        ? t('figure.rainNote', { name: name(f.rain.device) })
        : t('figure.rainPartial', { name: name(f.rain.device), minutes: f.rain.minutes }),
    at: f.rain?.at,
    stale: f.rain?.stale ?? false,
    severity: f.rain ? wall.city.severity[f.rain.device] : 0,
    device: f.rain && wall.city.id[f.rain.device],
  });

  list.push({
    key: 'pm25',
    title: t('figure.pm25'),
    value: number(lang, f.pm25?.mean),
    unit: f.pm25 ? 'µg/m³' : '',
    note: f.pm25
      ? t('figure.pm25Note', { value: number(lang, f.pm25.value), name: name(f.pm25.device) })
      : none,
    at: f.pm25?.at,
    stale: f.pm25?.stale ?? false,
    device: f.pm25 && wall.city.id[f.pm25.device],
  });

  list.push({
    key: 'flood',
    title: t('figure.flood'),
    value: number(lang, f.flood?.count),
    note: !f.flood
      ? none
      : f.flood.count === 0
        ? t('figure.floodNone')
        : t('figure.floodNote', { value: number(lang, f.flood.value * 100), name: name(f.flood.device) }),
    at: f.flood?.at,
    stale: f.flood?.stale ?? false,
    severity: f.flood && f.flood.count > 0 ? wall.city.severity[f.flood.device] : 0,
    device: f.flood && f.flood.count > 0 ? wall.city.id[f.flood.device] : undefined,
  });

  const worst = f.silentProfile >= 0 ? wall.city.profiles[f.silentProfile] : undefined;
  list.push({
    key: 'silent',
    title: t('figure.silent'),
    value: number(lang, f.silent),
    note: worst
      ? t('figure.silentWorst', { late: number(lang, f.late), name: labelOf(worst.label, lang, worst.name) })
      : t('figure.silentNote', { late: number(lang, f.late) }),
  });
  return list;
}
