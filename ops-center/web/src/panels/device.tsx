import { useEffect, useMemo, useState } from 'react';
import { api, concerns, type DeviceRecord, type ZoneName } from '../api.ts';
import { useCell } from '../cell.ts';
import { age, date, number } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import { needsAcknowledge } from '../live/alarms.ts';
import { Fresh } from '../live/city.ts';
import { labelOf } from '../live/dictionary.ts';
import { Quality } from '../live/frame.ts';
import { PRIORITY_TEXT } from '../palette.ts';
import { deviceAddress } from '../replay/links.tsx';
import { title } from './alarmlist.tsx';
import { Chart } from './chart.tsx';
import { ChartBody, start } from './charts.tsx';
import { reason, useMay, useSecond, useWall } from './context.ts';
import { useHistory } from './history.ts';
import { PrioritySymbol } from './symbol.tsx';

const HOURS = [1, 6, 24, 168] as const;
const FRESH_KEY: Record<number, Key> = {
  [Fresh.Never]: 'device.never',
  [Fresh.Fresh]: 'device.online',
  [Fresh.Late]: 'device.late',
  [Fresh.Stale]: 'device.stale',
};
const LIFE: Record<string, Key> = {
  announced: 'life.announced',
  quarantined: 'life.quarantined',
  active: 'life.active',
  maintenance: 'life.maintenance',
  retired: 'life.retired',
};

interface Dossier {
  record?: DeviceRecord;
  zones?: ZoneName[];
  refusals?: number;
  error?: unknown;
}

/** Everything the wall knows of one device. */
export function DevicePanel({ id }: { id: string }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  useSecond();
  const alarms = useCell(wall.alarmBook.alarms);
  useCell(wall.city.shape);
  const rules = useCell(wall.thresholds);
  const { city } = wall;
  const may = useMay();
  const index = city.index(id);
  const [dossier, setDossier] = useState<Dossier>({});
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  const [hours, setHours] = useState<number>(6);

  // Passing over a list of alarms does not ask the server about each.
  useEffect(() => {
    setDossier({});
    setChosen(undefined);
    const abort = new AbortController();
    const timer = setTimeout(() => {
      const take = (part: Partial<Dossier>) => {
        if (!abort.signal.aborted) setDossier((d) => ({ ...d, ...part }));
      };
      api.device(id, abort.signal).then(
        (record) => take({ record }),
        (error: unknown) => take({ error }),
      );
      // What was refused since then is not of then.
      if (may('view_evidence') && !wall.replay) {
        api.refusals(id, abort.signal).then(
          (refusals) => take({ refusals }),
          () => undefined,
        );
      }
      const at = city.index(id);
      if (at !== undefined && city.placed[at]) {
        api.place(city.lon[at], city.lat[at], abort.signal).then(
          (zones) => take({ zones }),
          () => undefined,
        );
      }
    }, 150);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [id, city, may, wall]);

  const channels = index === undefined ? [] : Array.from(city.channelsOf(index)).filter((c) => city.known[c]);
  const profile = index === undefined ? undefined : city.profileOf(index);
  const nameOf = (c: number) => city.quantities[city.quantityOf[c]]?.name ?? '';
  const main = channels.find((c) => nameOf(c) === profile?.main) ?? channels[0];
  const quantity = chosen ?? (main === undefined ? '' : nameOf(main));
  const info = city.quantities.find((q) => q.name === quantity);
  const wanted = useMemo(() => (quantity ? [{ device: id, label: id }] : []), [id, quantity]);
  const step = stepFor(hours);
  const history = useHistory(wall, wanted, quantity, hours, step);
  const now = wall.clock.now();
  const own = [...alarms.values()].filter((a) => a.device === id || a.entity === id);
  const thresholds = rules
    .filter((r) => concerns(r, quantity, id, profile?.name))
    .map((r) => ({
      value: r.threshold,
      colour: PRIORITY_TEXT[r.priority],
      label: t('chart.threshold', { value: number(lang, r.threshold, info?.digits ?? 1) }),
    }));
  const fresh = index === undefined ? Fresh.Never : city.fresh[index];
  const interval = index === undefined ? 60_000 : city.interval[index];
  const record = dossier.record;

  return (
    <section className="panel device" aria-label={t('device.panel')}>
      <div className="device-head">
        <div>
          <h2>{wall.deviceName(id)}</h2>
          <p>
            <a
              className="whole"
              href={deviceAddress(id, wall.replay?.clock.now(), quantity)}
              title={t('device.open')}
            >
              <code>{id}</code>
            </a>
            {profile && <span> · {labelOf(profile.label, lang, profile.name)}</span>}
            {index !== undefined && city.simulated[index] ? (
              <i className="sim">{t('device.simulated')}</i>
            ) : null}
          </p>
        </div>
        <button type="button" className="icon" aria-label={t('device.close')} onClick={() => wall.select({})}>
          ×
        </button>
      </div>

      <div className="device-scroll">
        {own.length > 0 && (
          <ul className="own-alarms" aria-label={t('device.alarms')}>
            {own.map((a) => (
              <li key={a.id}>
                <PrioritySymbol priority={a.priority} size={20} quiet={a.state === 'returned'} />
                <div>
                  <b>{title(a, lang)}</b>
                  {labelOf(a.message, lang, '') !== title(a, lang) && <p>{labelOf(a.message, lang, '')}</p>}
                  <span>
                    {t(`state.${a.state}`)} ·{' '}
                    {t('alarms.raised', { time: date(lang, 'time', Date.parse(a.raised)) })}
                  </span>
                  {a.acknowledged && (
                    <span>
                      {t('alarms.by', {
                        name: a.acknowledged.by,
                        time: date(lang, 'minute', Date.parse(a.acknowledged.at)),
                      })}
                      {a.acknowledged.note ? `: ${a.acknowledged.note}` : ''}
                    </span>
                  )}
                  {labelOf(a.response, lang, '') && (
                    <p>
                      <em>{t('alarms.response')}:</em> {labelOf(a.response, lang, '')}
                    </p>
                  )}
                </div>
                {needsAcknowledge(a) && may('handle_alarms') && (
                  <button type="button" onClick={() => wall.askAcknowledge(a)}>
                    {t('alarms.ack')}
                  </button>
                )}
              </li>
            ))}
          </ul>
        )}

        <h3>{t('device.values')}</h3>
        {channels.length === 0 && <p className="empty">{t('device.noValues')}</p>}
        <ul className="values">
          {channels.map((c) => {
            const q = city.quantities[city.quantityOf[c]];
            const old = city.time[c] === 0 || now - city.time[c] > 4 * interval;
            const marks = [
              city.quality[c] & Quality.ClockSuspect && t('device.clock'),
              city.quality[c] & Quality.Late && t('device.lateValue'),
              city.quality[c] & Quality.OutOfRange && t('device.range'),
            ].filter(Boolean);
            return (
              <li key={c}>
                <button
                  type="button"
                  aria-pressed={q.name === quantity}
                  className={old ? 'old' : ''}
                  onClick={() => setChosen(q.name)}
                >
                  <span className="label">{labelOf(q.label, lang, q.name)}</span>
                  <span className="reading">
                    {number(lang, city.value[c], q.digits)} <small>{q.display || q.unit}</small>
                  </span>
                  <span className="age">
                    {city.time[c] ? t('figure.age', { age: age(lang, now - city.time[c]) }) : '–'}
                    {marks.length > 0 && <em> · {marks.join(', ')}</em>}
                  </span>
                </button>
              </li>
            );
          })}
        </ul>

        <div className="history-head">
          <h3>
            {info
              ? `${labelOf(info.label, lang, info.name)} (${info.display || info.unit})`
              : t('device.history')}
          </h3>
          <fieldset className="ranges" aria-label={t('device.history')}>
            {HOURS.map((h) => (
              <button key={h} type="button" aria-pressed={h === hours} onClick={() => setHours(h)}>
                {h < 48 ? t('age.hours', { n: h }) : t('age.days', { n: h / 24 })}
              </button>
            ))}
          </fieldset>
        </div>
        <div className="device-chart">
          <ChartBody history={history} lines={history.series} missing={false}>
            <Chart
              lines={history.series}
              gap={Math.max(step * 2.5, interval * 4)}
              from={start(history.series, now, hours)}
              to={now}
              digits={info?.digits ?? 1}
              band
              thresholds={thresholds}
              label={`${t('device.history')}: ${info ? labelOf(info.label, lang, info.name) : ''}`}
            />
          </ChartBody>
        </div>

        <ul className="lines" aria-hidden="true">
          <li>
            <i style={{ background: 'var(--text)' }} /> {t('chart.mean')}
          </li>
          <li>
            <i className="range" /> {t('chart.range')}
          </li>
        </ul>

        <dl>
          <dt>{t('device.presence')}</dt>
          <dd>
            <b className={`fresh f${fresh}`}>{t(FRESH_KEY[fresh])}</b>
            {index !== undefined && city.heard[index] > 0 && (
              <> · {t('device.heard', { age: age(lang, now - city.heard[index]) })}</>
            )}{' '}
            · {t('device.every', { interval: age(lang, interval) })}
            {record?.presence?.via && (
              <span className="sub">
                {record.presence.via.toUpperCase()} {record.presence.from}
              </span>
            )}
          </dd>
          <dt>{t('device.position')}</dt>
          <dd>
            {index !== undefined && city.placed[index]
              ? `${city.lat[index].toFixed(5)}, ${city.lon[index].toFixed(5)}`
              : t('device.unplaced')}
          </dd>
          {dossier.zones && (
            <>
              <dt>{t('device.zones')}</dt>
              <dd>{dossier.zones.map((z) => z.name || z.code).join(', ') || t('device.noZones')}</dd>
            </>
          )}
          {record?.upstream && (
            <>
              <dt>{t('device.upstream')}</dt>
              <dd>
                <button
                  type="button"
                  className="link"
                  onClick={() => wall.select({ device: record.upstream ?? '' })}
                >
                  {wall.deviceName(record.upstream)}
                </button>
              </dd>
            </>
          )}
          {record?.owner && (
            <>
              <dt>{t('device.owner')}</dt>
              <dd>{record.owner}</dd>
            </>
          )}
          {record?.state && (
            <>
              <dt>{t('device.state')}</dt>
              <dd>{LIFE[record.state] ? t(LIFE[record.state]) : record.state}</dd>
            </>
          )}
          {dossier.refusals !== undefined && (
            <>
              <dt>{t('device.refusals')}</dt>
              <dd>{t('device.refusalsCount', { count: number(lang, dossier.refusals) })}</dd>
            </>
          )}
        </dl>
        {wall.replay && record && <p className="faint">{t('replay.registerToday')}</p>}
        {dossier.error !== undefined && (
          <p className="problem">{t('device.failed', { reason: reason(t, dossier.error) })}</p>
        )}
      </div>
    </section>
  );
}

/** About 120 to 360 buckets for each range. */
function stepFor(hours: number): number {
  if (hours <= 1) return 15_000;
  if (hours <= 6) return 60_000;
  if (hours <= 24) return 300_000;
  return 1_800_000;
}
