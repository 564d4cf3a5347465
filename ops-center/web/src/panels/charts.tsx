import { useMemo } from 'react';
import { concerns } from '../api.ts';
import { useCell } from '../cell.ts';
import { date, number } from '../format.ts';
import { type Language, type Translate, useLanguage } from '../i18n/index.ts';
import { STALE_AFTER } from '../live/city.ts';
import { labelOf } from '../live/dictionary.ts';
import { fallen } from '../live/rain.ts';
import { PRIORITY_TEXT } from '../palette.ts';
import type { Wall } from '../wall.ts';
import { Chart, type ChartLine, type ChartThreshold } from './chart.tsx';
import { reason, useWall } from './context.ts';
import { asRate, type History, useHistory } from './history.ts';

const RIVER_HOURS = 24;
const RIVER_STEP = 2 * 60_000;
const RAIN_HOURS = 6;
const RAIN_STEP = 60_000;
const MOST_GAUGES = 3;

/** One station's level: stages are over each station's own datum and never share an axis. */
export function RiverChart() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const figures = useCell(wall.figures);
  const rules = useCell(wall.thresholds);
  useCell(wall.riverStation);
  const index = figures ? wall.riverDevice() : undefined;
  const device = index === undefined ? undefined : wall.city.id[index];
  const profile = index === undefined ? undefined : wall.city.profileOf(index)?.name;
  const stations = useMemo(() => {
    void figures;
    const found = new Map<string, string>();
    for (const c of wall.city.of('water_level')) {
      const d = wall.city.deviceOf[c];
      if (wall.city.profileOf(d)?.class === 'water')
        found.set(wall.city.id[d], wall.city.name[d] || wall.city.id[d]);
    }
    return [...found];
  }, [wall, figures]);
  const wanted = useMemo(() => (device ? [{ device, label: wall.deviceName(device) }] : []), [device, wall]);
  const history = useHistory(wall, wanted, 'water_level', RIVER_HOURS, RIVER_STEP);
  const thresholds = useMemo<ChartThreshold[]>(
    () =>
      rules
        .filter((r) => device !== undefined && concerns(r, 'water_level', device, profile))
        .map((r) => ({
          value: r.threshold,
          colour: PRIORITY_TEXT[r.priority],
          label: `${labelOf(r.name, lang, r.id)} ${number(lang, r.threshold, 2)}`,
        })),
    [rules, lang, device, profile],
  );
  const now = wall.clock.now();
  const lines = history.series.map((s) => ({ label: s.label, points: s.points }));
  return (
    <section className="panel" aria-labelledby="river-title">
      <div className="panel-head">
        <h2 id="river-title">{t('chart.river')} (m)</h2>
        {stations.length > 1 ? (
          <select
            aria-label={t('chart.station')}
            value={device ?? ''}
            onChange={(e) => wall.riverStation.set(e.target.value)}
          >
            {stations.map(([id, name]) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        ) : (
          <span>{stations[0]?.[1]}</span>
        )}
        <span>{range(lang, t, lines, now, RIVER_HOURS)}</span>
      </div>
      <ChartBody history={history} lines={lines} missing={stations.length === 0}>
        <Chart
          lines={lines}
          gap={gapOf(wall, wanted, RIVER_STEP)}
          from={start(lines, now, RIVER_HOURS)}
          to={now}
          digits={2}
          thresholds={thresholds}
          allThresholds
          label={`${t('chart.river')}: ${device ? wall.deviceName(device) : ''}`}
        />
      </ChartBody>
    </section>
  );
}

/** The gauges with the most rain in the last hour. */
export function RainChart() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const figures = useCell(wall.figures);
  const now = wall.clock.now();
  // A gauge that tells its rate knows it better than we from its counter.
  const told = wall.city.of('rain_rate').some((c) => wall.city.known[c] === 1);
  const measured = told ? 'rain_rate' : 'rain_total';
  // The choice is looked at once a minute: lines that come and go are no chart.
  const minute = Math.floor((figures?.at ?? 0) / 60_000);
  // biome-ignore lint/correctness/useExhaustiveDependencies: minute and the city's size are the clock of this choice
  const wanted = useMemo(() => {
    const at = wall.clock.now();
    const rank = (c: number) => {
      const counter = wall.city.channel(wall.city.deviceOf[c], 'rain_total');
      return (counter === undefined ? undefined : wall.figureBook.gauge(counter).sum(at)?.mm) ?? -1;
    };
    return Array.from(wall.city.of(measured))
      .filter((c) => wall.city.known[c])
      .sort((a, b) => rank(b) - rank(a) || a - b)
      .slice(0, MOST_GAUGES)
      .map((c) => {
        const device = wall.city.id[wall.city.deviceOf[c]];
        // Three names share a line: of "kind – place" the place tells them apart.
        return { device, label: wall.deviceName(device).split(' – ').at(-1) ?? device };
      });
  }, [wall, measured, minute, figures?.total, figures?.rain === undefined]);
  const history = useHistory(wall, wanted, measured, RAIN_HOURS, RAIN_STEP);
  const lines = history.series.map((s) => ({
    label: s.label,
    points: measured === 'rain_total' ? asRate(s.points, fallen) : s.points,
  }));
  return (
    <section className="panel" aria-labelledby="rain-title">
      <div className="panel-head">
        <h2 id="rain-title">{t('chart.rain')} (mm/h)</h2>
        <span>{range(lang, t, lines, now, RAIN_HOURS)}</span>
      </div>
      <ChartBody history={history} lines={lines} missing={wanted.length === 0 && figures !== undefined}>
        <Chart
          lines={lines}
          gap={gapOf(wall, wanted, RAIN_STEP)}
          from={start(lines, now, RAIN_HOURS)}
          to={now}
          digits={1}
          label={t('chart.rain')}
        />
      </ChartBody>
    </section>
  );
}

/** Two points further apart than this have a hole between them: the device was stale by then. */
function gapOf(wall: Wall, wanted: readonly { device: string }[], step: number): number {
  const intervals = wanted.map((w) => wall.city.interval[wall.city.index(w.device) ?? 0] ?? 0);
  return Math.max(step * 2.5, STALE_AFTER * Math.max(0, ...intervals));
}

const LEAST_SPAN = 10 * 60_000;

/** Where a chart begins: as far back as asked, but a young system's is not mostly empty. */
export function start(lines: readonly ChartLine[], now: number, hours: number): number {
  const first = Math.min(...lines.map((l) => l.points[0]?.t ?? Number.POSITIVE_INFINITY));
  return Math.max(now - hours * 3_600_000, Math.min(first, now - LEAST_SPAN));
}

/** What time a chart shows, said in its head. */
function range(
  lang: Language,
  t: Translate,
  lines: readonly ChartLine[],
  now: number,
  hours: number,
): string {
  if (!lines.some((l) => l.points.length > 0)) return '';
  const from = start(lines, now, hours);
  if (from < now - hours * 3_600_000 * 0.9) return t('chart.hours', { hours });
  return t('chart.since', { time: date(lang, 'minute', from) });
}

/** A chart, or the reason there is none. */
export function ChartBody({
  history,
  lines,
  missing,
  children,
}: {
  history: History;
  lines: readonly ChartLine[];
  missing: boolean;
  children: React.ReactNode;
}) {
  const { t } = useLanguage();
  const some = lines.some((l) => l.points.length > 0);
  let text = '';
  if (missing) text = t('chart.noStation');
  else if (history.state === 'failed') text = t('chart.failed', { reason: reason(t, history.error) });
  else if (history.state === 'loading') text = t('chart.loading');
  else if (!some) text = t('chart.empty');
  return (
    <div className="chart-body">
      {some && children}
      {text && <p className={some ? 'over' : 'empty'}>{text}</p>}
    </div>
  );
}
