import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useCell } from '../cell.ts';
import { date, number } from '../format.ts';
import { type Language, useLanguage } from '../i18n/index.ts';
import { columns, decimalsOf } from '../panels/chart.tsx';
import { theme } from '../theme.ts';
import type { Mark } from './series.ts';

export interface Line {
  value: number;
  label: string;
  /** Of a rule: its priority's colour. A legal level has none. */
  colour?: string;
}

export interface Drawing {
  marks: readonly Mark[];
  gap: number;
  gaps: readonly (readonly [number, number])[];
  lines: readonly Line[];
  from: number;
  to: number;
  /** Values come in buckets: lowest to highest is a band. */
  band: boolean;
  digits: number;
}

/** The qualities that are marked on the line, by the shape they are marked with. */
export const MARKED = ['late', 'corrected', 'clock_suspect', 'out_of_range'] as const;

interface Colours {
  line: string;
  band: string;
  grid: string;
  text: string;
  gap: string;
  panel: string;
}

function colours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(name).trim();
  const light = theme.get() === 'light';
  return {
    line: light ? '#23557f' : '#e3eef8',
    band: light ? 'rgba(35,85,127,0.20)' : 'rgba(143,184,222,0.24)',
    grid: of('--line'),
    text: of('--faint'),
    gap: light ? 'rgba(60,80,100,0.16)' : 'rgba(139,154,168,0.14)',
    panel: of('--panel'),
  };
}

/** The drawing alone: where it is looked at is its parent's business. */
export function Plot({
  drawing,
  onSelect,
  onHover,
}: {
  drawing: Drawing;
  onSelect: (from: number, to: number) => void;
  onHover: (t: number | undefined) => void;
}) {
  const { lang } = useLanguage();
  const look = useCell(theme);
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const now = useRef({ drawing, onSelect, onHover });
  now.current = { drawing, onSelect, onHover };
  const { band } = drawing;
  const data = columns([{ label: '', points: drawing.marks }], drawing.gap, band) as uPlot.AlignedData;
  const first = useRef(data);
  first.current = data;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme's colours are read when it is made
  useEffect(() => {
    const host = box.current;
    if (!host) return;
    const chart = new uPlot(options(host, lang, band, now), first.current, host);
    plot.current = chart;
    const resize = new ResizeObserver(() =>
      chart.setSize({ width: host.clientWidth, height: host.clientHeight }),
    );
    resize.observe(host);
    return () => {
      resize.disconnect();
      chart.destroy();
      plot.current = undefined;
    };
  }, [lang, band, look]);

  useEffect(() => {
    plot.current?.setData(data);
  });

  return <div className="plot" ref={box} aria-hidden="true" />;
}

type Held = React.RefObject<{
  drawing: Drawing;
  onSelect: (from: number, to: number) => void;
  onHover: (t: number | undefined) => void;
}>;

function options(host: HTMLElement, lang: Language, band: boolean, now: Held): uPlot.Options {
  const colour = colours();
  const font = '12px "Be Vietnam Pro", sans-serif';
  const axis: uPlot.Axis = {
    stroke: colour.text,
    font,
    grid: { stroke: colour.grid, width: 1 },
    ticks: { show: false },
  };
  const edge: uPlot.Series = { stroke: 'transparent', points: { show: false }, width: 0 };
  return {
    width: host.clientWidth,
    height: host.clientHeight,
    padding: [12, 14, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      points: { size: 7, fill: colour.line },
    },
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), 'Asia/Ho_Chi_Minh'),
    scales: {
      x: { time: true, range: () => [now.current.drawing.from / 1000, now.current.drawing.to / 1000] },
      y: { range: (_, min, max) => range(now.current.drawing, min, max) },
    },
    axes: [
      {
        ...axis,
        size: 44,
        space: 84,
        values: (_, splits) => {
          const { from, to } = now.current.drawing;
          return splits.map((s, i) => {
            const at = s * 1000;
            const day = date(lang, 'day', at).match(/\d{2}\/\d{2}/)?.[0] ?? '';
            const clock = date(lang, 'minute', at);
            if (to - from > 4 * 86_400_000) return day;
            return i === 0 || clock === '00:00' ? `${clock}\n${day}` : clock;
          });
        },
      },
      {
        ...axis,
        size: 54,
        space: 34,
        values: (_, splits) => {
          const step = splits.length > 1 ? splits[1] - splits[0] : 1;
          return splits.map((s) => number(lang, s, decimalsOf(step)));
        },
      },
    ],
    series: [
      {},
      ...(band ? [edge, edge] : []),
      {
        stroke: colour.line,
        width: 1.6,
        points: { show: (u) => (u.data[0]?.length ?? 0) < 200, size: 4, fill: colour.line },
      },
    ],
    ...(band ? { bands: [{ series: [1, 2] as [number, number], fill: colour.band }] } : {}),
    hooks: {
      drawClear: [(u) => drawGaps(u, now.current.drawing, colour)],
      draw: [
        (u) => {
          drawLines(u, now.current.drawing, colour, font);
          drawMarks(u, now.current.drawing, colour);
        },
      ],
      setSelect: [
        (u) => {
          if (u.select.width > 6) {
            const from = u.posToVal(u.select.left, 'x') * 1000;
            const to = u.posToVal(u.select.left + u.select.width, 'x') * 1000;
            now.current.onSelect(from, to);
          }
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      setCursor: [
        (u) =>
          now.current.onHover(
            u.cursor.left === undefined || u.cursor.left < 0
              ? undefined
              : u.posToVal(u.cursor.left, 'x') * 1000,
          ),
      ],
    },
  };
}

/** The data fill the height; a level near them is in the picture, a far one would flatten them. */
function range(d: Drawing, min: number | null, max: number | null): [number, number] {
  let lo = min ?? 0;
  let hi = max ?? lo;
  const least = 10 ** -d.digits * 12;
  if (hi - lo < least) {
    const middle = (hi + lo) / 2;
    lo = middle - least / 2;
    hi = middle + least / 2;
    if (lo < 0 && (min ?? 0) >= 0) [lo, hi] = [0, least];
  }
  const reach = Math.max((hi - lo) * 2, Math.abs(hi) * 0.35);
  const [from, to] = [lo, hi];
  for (const line of d.lines) {
    if (line.value > hi && line.value < to + reach) hi = line.value;
    if (line.value < lo && line.value > from - reach) lo = line.value;
  }
  const pad = (hi - lo) * 0.08;
  return [lo >= 0 && lo - pad < 0 ? 0 : lo - pad, hi + pad];
}

/** Nothing was said there: hatched, so that it is not taken for a calm line. */
function drawGaps(u: uPlot, d: Drawing, colour: Colours): void {
  const { ctx, bbox } = u;
  const right = bbox.left + bbox.width;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = colour.gap;
  ctx.lineWidth = uPlot.pxRatio;
  for (const [from, to] of d.gaps) {
    const x0 = Math.max(bbox.left, u.valToPos(from / 1000, 'x', true));
    const x1 = Math.min(right, u.valToPos(to / 1000, 'x', true));
    if (x1 - x0 < 2) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(x0, bbox.top, x1 - x0, bbox.height);
    ctx.clip();
    ctx.beginPath();
    for (let x = x0 - bbox.height; x < x1; x += 9 * uPlot.pxRatio) {
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x + bbox.height, bbox.top);
    }
    ctx.stroke();
    ctx.restore();
  }
  ctx.restore();
}

function drawLines(u: uPlot, d: Drawing, colour: Colours, font: string): void {
  const { ctx, bbox } = u;
  const ratio = uPlot.pxRatio;
  ctx.save();
  ctx.font = font.replace(/[\d.]+px/, (px) => `${Number.parseFloat(px) * ratio}px`);
  ctx.textBaseline = 'bottom';
  ctx.textAlign = 'left';
  let above = Number.POSITIVE_INFINITY;
  for (const line of [...d.lines].sort((a, b) => a.value - b.value)) {
    const y = u.valToPos(line.value, 'y', true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = line.colour ?? colour.text;
    ctx.lineWidth = ratio;
    ctx.setLineDash(line.colour ? [6 * ratio, 4 * ratio] : [2 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    if (above - y < 15 * ratio) continue; // a name over another is none
    above = y;
    const width = ctx.measureText(line.label).width;
    ctx.fillStyle = colour.panel;
    ctx.fillRect(bbox.left + 5 * ratio, y - 15 * ratio, width + 6 * ratio, 14 * ratio);
    ctx.fillStyle = colour.text;
    ctx.fillText(line.label, bbox.left + 8 * ratio, y - 2 * ratio);
  }
  ctx.restore();
}

/** A shape for each quality: late a triangle, corrected a ring, a wrong clock a cross, out of range a square. */
function drawMarks(u: uPlot, d: Drawing, colour: Colours): void {
  const { ctx, bbox } = u;
  const r = 4.5 * uPlot.pxRatio;
  ctx.save();
  ctx.strokeStyle = colour.line;
  ctx.fillStyle = colour.panel;
  ctx.lineWidth = 1.5 * uPlot.pxRatio;
  for (const m of d.marks) {
    const kind = MARKED.find((q) => m.qualities.includes(q));
    if (!kind) continue;
    const x = u.valToPos(m.t / 1000, 'x', true);
    const y = u.valToPos(m.mean, 'y', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    if (kind === 'late') {
      ctx.moveTo(x, y - r);
      ctx.lineTo(x + r, y + r);
      ctx.lineTo(x - r, y + r);
      ctx.closePath();
    } else if (kind === 'corrected') ctx.arc(x, y, r, 0, 2 * Math.PI);
    else if (kind === 'out_of_range') ctx.rect(x - r, y - r, 2 * r, 2 * r);
    else {
      ctx.moveTo(x - r, y - r);
      ctx.lineTo(x + r, y + r);
      ctx.moveTo(x + r, y - r);
      ctx.lineTo(x - r, y + r);
    }
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}
