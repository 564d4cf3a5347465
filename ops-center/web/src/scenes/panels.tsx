import { useEffect, useState } from 'react';
import { useCell } from '../cell.ts';
import { date, elapsed, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { byUrgency, isOpen } from '../live/alarms.ts';
import { Fresh } from '../live/city.ts';
import { labelOf } from '../live/dictionary.ts';
import { standsOn, title, zoneName } from '../panels/alarmlist.tsx';
import { Chart } from '../panels/chart.tsx';
import { ChartBody, start } from '../panels/charts.tsx';
import { useSecond, useWall } from '../panels/context.ts';
import { useHistory } from '../panels/history.ts';
import { PrioritySymbol } from '../panels/symbol.tsx';
import type { Panel, Settings } from './model.ts';

/** One quantity of chosen devices over time. */
export function ChannelChart({ settings }: { settings: Settings }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  useCell(wall.city.shape);
  const quantity = settings.channels?.[0]?.quantity ?? '';
  const hours = settings.hours ?? 24;
  const step = Math.max(60_000, (hours * 3_600_000) / 720);
  const wanted = (settings.channels ?? []).map((c) => ({
    device: c.device,
    label: wall.deviceName(c.device),
  }));
  const history = useHistory(wall, wanted, quantity, hours, step);
  useCell(wall.figures);
  const now = wall.clock.now();
  const info = wall.city.quantities.find((q) => q.name === quantity);
  const name = info ? labelOf(info.label, lang, quantity) : quantity;
  const lines = history.series.map((s) => ({ label: s.label, points: s.points }));
  return (
    <section className="panel" aria-label={name}>
      <div className="panel-head">
        <h2>
          {name} {info ? `(${info.display || info.unit})` : ''}
        </h2>
        <span>{t('chart.hours', { hours })}</span>
      </div>
      <ChartBody history={history} lines={lines} missing={wanted.length === 0}>
        <Chart
          lines={lines}
          gap={step * 4}
          from={start(lines, now, hours)}
          to={now}
          digits={info?.digits ?? 1}
          label={name}
        />
      </ChartBody>
    </section>
  );
}

/** Most rows a table draws: what is below could not be read from a seat. */
const MOST_ROWS = 60;

export function TablePanel({ settings }: { settings: Settings }) {
  return settings.of === 'devices' ? <DeviceTable settings={settings} /> : <AlarmTable settings={settings} />;
}

function AlarmTable({ settings }: { settings: Settings }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const alarms = useCell(wall.alarmBook.alarms);
  useSecond();
  const rows = [...alarms.values()]
    .filter((a) => isOpen(a) && a.priority <= (settings.maxPriority || 4))
    .sort(byUrgency)
    .slice(0, MOST_ROWS);
  return (
    <section className="panel scene-table" aria-label={t('alarms.title')}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t('scenes.priority')}</th>
            <th scope="col">{t('alarms.title')}</th>
            <th scope="col">{t('scenes.place')}</th>
            <th scope="col">{t('scenes.value')}</th>
            <th scope="col">{t('scenes.since')}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((a) => (
            <tr key={a.id} className={a.state === 'unacknowledged' ? 'waiting' : ''}>
              <td>
                <PrioritySymbol priority={a.priority} size={20} />
              </td>
              <td>{title(a, lang)}</td>
              <td>{[zoneName(a), wall.deviceName(a.device || a.entity)].filter(Boolean).join(' · ')}</td>
              <td className="n">{standsOn(wall, a, lang)}</td>
              <td className="n">{elapsed(wall.clock.now() - Date.parse(a.raised))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 && <p className="empty">{t('alarms.none')}</p>}
    </section>
  );
}

function DeviceTable({ settings }: { settings: Settings }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const { city } = wall;
  useCell(wall.figures); // once a second
  useCell(city.shape);
  const info = city.quantities.find((q) => q.name === settings.quantity);
  const rows: { device: number; channel: number | undefined }[] = [];
  for (let device = 0; device < city.devices; device++) {
    const profile = city.profileOf(device);
    if (settings.class && profile?.class !== settings.class) continue;
    const channel = city.channel(device, settings.quantity || profile?.main || '');
    if (settings.quantity && channel === undefined) continue;
    rows.push({ device, channel });
  }
  const rank = (r: (typeof rows)[number]) =>
    r.channel !== undefined && city.known[r.channel] && city.fresh[r.device] !== Fresh.Stale
      ? city.value[r.channel]
      : Number.NEGATIVE_INFINITY;
  const severity = (d: number) => city.severity[d] || 9;
  rows.sort((a, b) => severity(a.device) - severity(b.device) || rank(b) - rank(a) || a.device - b.device);
  return (
    <section className="panel scene-table" aria-label={t('figure.devices')}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t('scenes.priority')}</th>
            <th scope="col">{t('scenes.device')}</th>
            <th scope="col">{info ? labelOf(info.label, lang, info.name) : t('scenes.value')}</th>
            <th scope="col">{t('scenes.heard')}</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, MOST_ROWS).map(({ device, channel }) => {
            const stale = city.fresh[device] === Fresh.Stale || city.fresh[device] === Fresh.Never;
            const q = channel === undefined ? undefined : city.quantities[city.quantityOf[channel]];
            const p = city.severity[device];
            return (
              <tr key={city.id[device]} className={stale ? 'stale' : ''}>
                <td>{p > 0 && <PrioritySymbol priority={p as 1 | 2 | 3 | 4} size={20} quiet={stale} />}</td>
                <td>{city.name[device] || city.id[device]}</td>
                <td className="n">
                  {!stale && q && channel !== undefined && city.known[channel]
                    ? `${number(lang, city.value[channel], q.digits)} ${q.display || q.unit}`
                    : '–'}
                </td>
                <td className="n">
                  {city.heard[device] > 0
                    ? elapsed(wall.clock.now() - city.heard[device])
                    : t('device.never')}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {rows.length === 0 && <p className="empty">{t('scenes.noDevices')}</p>}
    </section>
  );
}

export function ClockPanel() {
  const wall = useWall();
  const { lang } = useLanguage();
  useSecond();
  const now = wall.clock.now();
  const day = date(lang, 'day', now);
  return (
    <section className="panel scene-clock">
      <time>{date(lang, 'time', now)}</time>
      <span>{day.charAt(0).toUpperCase() + day.slice(1)} · UTC+7</span>
    </section>
  );
}

export function TextPanel({ settings }: { settings: Settings }) {
  const { lang } = useLanguage();
  const text = settings.text?.[lang] || settings.text?.vi || settings.text?.en || '';
  return (
    <section className={`panel scene-text ${settings.size ?? 'medium'}`}>
      <p>{text}</p>
    </section>
  );
}

/**
 * A page of another origin, from the list in the configuration. It is alone in
 * its frame: no access to this page, no navigation of it, no pop-ups, and
 * without the cookies it has elsewhere.
 */
export function FramePanel({ panel }: { panel: Panel }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const { url = '', refresh = 0 } = panel.settings;
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (refresh <= 0) return;
    const timer = setInterval(() => setTurn((n) => n + 1), refresh * 1000);
    return () => clearInterval(timer);
  }, [refresh]);
  const name = labelOf(panel.settings.title, lang, t(`scenes.kind.${panel.kind as 'camera' | 'web'}`));
  // A camera shows the present whatever the wall shows.
  if (wall.replay) {
    return (
      <section className="panel scene-gone" aria-label={name}>
        <p className="empty">{t('replay.noPicture', { name })}</p>
      </section>
    );
  }
  if (!url) return <p className="panel empty">{t('scenes.noAddress')}</p>;
  return (
    <iframe
      key={turn}
      className="panel scene-frame"
      title={name}
      src={url}
      sandbox="allow-scripts allow-same-origin"
      referrerPolicy="no-referrer"
      loading="eager"
      {...{ credentialless: true }}
    />
  );
}
