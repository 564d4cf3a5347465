import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { HistoryPoint } from '../api.ts';
import { useCell } from '../cell.ts';
import { date, number } from '../format.ts';
import { type Language, useLanguage } from '../i18n/index.ts';
import { SERIES, SERIES_LIGHT } from '../palette.ts';
import { type Theme, theme as themeCell } from '../theme.ts';

export interface ChartLine {
  label: string;
  points: readonly HistoryPoint[];
}

export interface ChartThreshold {
  value: number;
  colour: string;
  label: string;
}

type Column = (number | null)[];

/**
 * Lines over time. A hole in the data is a hole in the line: between two points
 * further apart than `gap` nothing is drawn. With `band`, the first line also
 * shows the range from its lowest to its highest.
 */
export function Chart({
  lines,
  gap,
  from,
  to,
  digits,
  band = false,
  thresholds = [],
  allThresholds = false,
  label,
}: {
  lines: readonly ChartLine[];
  gap: number;
  from: number;
  to: number;
  digits: number;
  band?: boolean;
  thresholds?: readonly ChartThreshold[];
  /** Every threshold is in the picture, however far from the line. */
  allThresholds?: boolean;
  label: string;
}) {
  const { lang } = useLanguage();
  const theme = useCell(themeCell);
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const lineKey = lines.map((l) => l.label).join('\n');
  const data = columns(lines, gap, band);
  const now = useRef({ data, from, to, thresholds, allThresholds });
  now.current = { data, from, to, thresholds, allThresholds };

  useEffect(() => {
    const host = box.current;
    if (!host) return;
    const chart = new uPlot(
      options(host, lang, theme, digits, band, lineKey.split('\n'), () => now.current),
      now.current.data as uPlot.AlignedData,
      host,
    );
    plot.current = chart;
    const resize = new ResizeObserver(() => {
      chart.setSize({ width: host.clientWidth, height: host.clientHeight });
    });
    resize.observe(host);
    return () => {
      resize.disconnect();
      chart.destroy();
      plot.current = undefined;
    };
  }, [lang, theme, digits, band, lineKey]);

  useEffect(() => {
    plot.current?.setData(data as uPlot.AlignedData);
  });

  return (
    <>
      {lines.length > 1 && (
        <ul className="lines">
          {lines.map((line, k) => (
            <li key={line.label} title={line.label}>
              <i style={{ background: seriesOf(theme, k) }} /> {line.label}
            </li>
          ))}
        </ul>
      )}
      <div className={lines.length > 1 ? 'chart named' : 'chart'} ref={box} role="img" aria-label={label} />
    </>
  );
}

/** The colour of a chart's k-th line. */
export function seriesOf(theme: Theme, k: number): string {
  const colours = theme === 'light' ? SERIES_LIGHT : SERIES;
  return colours[k % colours.length];
}

/** A colour as a canvas takes it: what theme.css calls it is looked up. */
function inked(colour: string): string {
  const name = /^var\((--[\w-]+)\)$/.exec(colour)?.[1];
  return name ? getComputedStyle(document.documentElement).getPropertyValue(name).trim() : colour;
}

/** Aligns the lines on one time axis, with nulls where a gap is to be seen. */
export function columns(lines: readonly ChartLine[], gap: number, band: boolean): Column[] {
  const times = new Set<number>();
  for (const line of lines) {
    let before: number | undefined;
    for (const p of line.points) {
      // A null between two distant points breaks the line there.
      if (before !== undefined && p.t - before > gap) times.add((before + p.t) / 2);
      times.add(p.t);
      before = p.t;
    }
  }
  const x = [...times].sort((a, b) => a - b);
  const at = new Map(x.map((t, i) => [t, i]));
  const result: Column[] = [x.map((t) => t / 1000)];
  lines.forEach((line, k) => {
    const fields: (keyof HistoryPoint)[] = band && k === 0 ? ['max', 'min', 'mean'] : ['mean'];
    for (const field of fields) {
      // undefined is "no point of this line here" and is spanned; null is a gap.
      const column = new Array<number | null | undefined>(x.length);
      let before: number | undefined;
      for (const p of line.points) {
        if (before !== undefined && p.t - before > gap) column[at.get((before + p.t) / 2) as number] = null;
        column[at.get(p.t) as number] = Number.isFinite(p[field]) ? p[field] : null;
        before = p.t;
      }
      result.push(column as Column);
    }
  });
  return result;
}

function options(
  host: HTMLElement,
  lang: Language,
  theme: Theme,
  digits: number,
  band: boolean,
  labels: string[],
  now: () => {
    from: number;
    to: number;
    thresholds: readonly ChartThreshold[];
    allThresholds: boolean;
  },
): uPlot.Options {
  const font = '11.5px "Be Vietnam Pro", sans-serif';
  const series: uPlot.Series[] = [{}];
  labels.forEach((label, k) => {
    const stroke = seriesOf(theme, k);
    if (band && k === 0) {
      const edge = { stroke: 'transparent', points: { show: false }, width: 0 };
      series.push({ ...edge, label: 'max' }, { ...edge, label: 'min' });
    }
    series.push({ label, stroke, width: 1.7, points: { show: false } });
  });
  const axis: uPlot.Axis = {
    stroke: () => inked('var(--chart-axis)'),
    font,
    grid: { stroke: () => inked('var(--chart-grid)'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: host.clientWidth,
    height: host.clientHeight,
    padding: [10, 14, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    // Times are shown in the city's zone, whatever the browser's is.
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), 'Asia/Ho_Chi_Minh'),
    scales: {
      x: { time: true, range: () => [now().from / 1000, now().to / 1000] },
      y: {
        range: (_, min, max) => {
          let lo = min ?? 0;
          let hi = max ?? lo;
          // A line that moves in its last digit only is drawn flat.
          const least = 10 ** -digits * 12;
          if (hi - lo < least) {
            const middle = (hi + lo) / 2;
            lo = middle - least / 2;
            hi = middle + least / 2;
            if (lo < 0 && (min ?? 0) >= 0) [lo, hi] = [0, least];
          }
          // A threshold near the data is part of the picture; a far one would
          // flatten the line.
          const reach = now().allThresholds
            ? Number.POSITIVE_INFINITY
            : Math.max((hi - lo) * 3, Math.abs(hi) * 0.35);
          const [from, to] = [lo, hi];
          for (const t of now().thresholds) {
            if (t.value > hi && t.value < to + reach) hi = t.value;
            if (t.value < lo && t.value > from - reach) lo = t.value;
          }
          const pad = (hi - lo) * 0.08;
          return [lo >= 0 && lo - pad < 0 ? 0 : lo - pad, hi + pad];
        },
      },
    },
    axes: [
      {
        ...axis,
        size: 26,
        space: 58,
        values: (_, splits) => splits.map((s) => date(lang, 'minute', s * 1000)),
      },
      {
        ...axis,
        size: 46,
        space: 30,
        values: (_, splits) => {
          const step = splits.length > 1 ? splits[1] - splits[0] : 1;
          return splits.map((s) => number(lang, s, decimalsOf(step)));
        },
      },
    ],
    series,
    ...(band ? { bands: [{ series: [1, 2] as [number, number], fill: 'rgba(143,184,222,0.20)' }] } : {}),
    hooks: {
      draw: [(u) => drawThresholds(u, now().thresholds, font)],
    },
  };
}

/** The decimals it takes to write multiples of a step exactly. */
export function decimalsOf(step: number): number {
  for (let d = 0; d < 6; d++) {
    const scaled = step * 10 ** d;
    if (Math.abs(scaled - Math.round(scaled)) < 1e-6) return d;
  }
  return 6;
}

function drawThresholds(u: uPlot, thresholds: readonly ChartThreshold[], font: string): void {
  const { ctx, bbox } = u;
  const ratio = uPlot.pxRatio;
  ctx.save();
  ctx.font = scaled(font, ratio);
  ctx.textAlign = 'left';
  ctx.textBaseline = 'bottom';
  for (const t of thresholds) {
    const y = u.valToPos(t.value, 'y', true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    const colour = inked(t.colour);
    ctx.strokeStyle = colour;
    ctx.fillStyle = colour;
    ctx.lineWidth = ratio;
    ctx.setLineDash([6 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.fillText(t.label, bbox.left + 6 * ratio, y - 2 * ratio);
  }
  ctx.restore();
}

function scaled(font: string, ratio: number): string {
  return font.replace(/[\d.]+px/, (px) => `${Number.parseFloat(px) * ratio}px`);
}
