import { useEffect, useMemo, useState } from 'react';
import { api, concerns, type ThresholdRule } from '../api.ts';
import { MomentInput } from '../fields/moment.tsx';
import { date, number } from '../format.ts';
import { type Language, type Translate, useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { PRIORITY } from '../palette.ts';
import { why } from '../register/words.ts';
import { momentAsked } from '../replay/links.tsx';
import { useAsked } from '../shell/gate.tsx';
import { device, type Limit, type Profile, type Quantity } from './api.ts';
import { MARKED, Plot } from './plot.tsx';
import {
  gapFor,
  gapsOf,
  type Mark,
  marksOf,
  moved,
  nearest,
  pan,
  SPANS,
  stepFor,
  type View,
} from './series.ts';

const AGAIN = 15_000;

/** What of a value people should know before they trust it. */
const QUALITIES = [
  'late',
  'corrected',
  'clock_suspect',
  'no_device_time',
  'relative_time',
  'out_of_range',
  'no_bver',
  'simulated',
  'exercise',
] as const;

function viewOfAddress(): View {
  const asked = new URLSearchParams(location.search);
  const span = Number(asked.get('span'));
  const to = Date.parse(asked.get('to') ?? '');
  const width = Number.isFinite(span) && span >= 60 ? span * 1000 : SPANS[2];
  if (Number.isFinite(to)) return { span: width, to };
  // A moment of the past: what came before it, and a quarter of what followed.
  const at = momentAsked();
  return { span: width, to: at === undefined ? undefined : Math.min(Date.now(), at + width / 4) };
}

/** The history of one quantity: its line, its band, its levels, and what is not there. */
export function History({ id, profile, info }: { id: string; profile: Profile; info: Quantity }) {
  const { lang, t } = useLanguage();
  const [view, setView] = useState<View>(viewOfAddress);
  const [now, setNow] = useState(Date.now());
  const [at, setAt] = useState<number | undefined>(undefined);
  const [asTable, setAsTable] = useState(false);
  const [typed, setTyped] = useState<number | undefined>(undefined);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), AGAIN);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => {
    const asked = new URLSearchParams(location.search);
    asked.set('q', info.name);
    asked.set('span', String(view.span / 1000));
    if (view.to === undefined) asked.delete('to');
    else asked.set('to', new Date(view.to).toISOString());
    history.replaceState(null, '', `${location.pathname}?${asked}${location.hash}`);
  }, [view, info.name]);

  const interval = profile.interval * 1000;
  const to = view.to ?? now;
  const from = to - view.span;
  const step = stepFor(view.span, interval);
  const read = useAsked(
    [id, info.name, view.span, view.to, step].join(' '),
    (signal) => {
      const end = view.to ?? Date.now();
      return device.readings(id, info.name, end - view.span, end, step, signal);
    },
    view.to === undefined ? AGAIN : 0,
  );
  const limits = useAsked(`${id} ${info.name}`, (signal) => device.limits(id, info.name, signal));
  const rules = useAsked('rules', () => api.thresholds());
  const marks = useMemo(() => (read.value ? marksOf(read.value, step) : []), [read.value, step]);
  const gap = gapFor(step, interval);
  const gaps = read.value ? gapsOf(marks, gap, from, to) : [];
  const own = (rules.value ?? []).filter((r) => concerns(r, info.name, id, profile.name));
  const lines = [
    ...(limits.value?.limits ?? []).flatMap((l) =>
      l.value === null ? [] : [{ value: l.value, label: nameOf(l, lang) }],
    ),
    ...own.map((r) => ({
      value: r.threshold,
      label: labelOf(r.name, lang, r.id),
      colour: PRIORITY[r.priority],
    })),
  ];
  const hovered = at === undefined ? marks.at(-1) : nearest(marks, at);
  const present = MARKED.filter((q) => marks.some((m) => m.qualities.includes(q)));
  const unit = info.display || info.unit;
  const say = (m: Mark) =>
    `${date(lang, 'full', m.t)} · ${number(lang, m.mean, info.digits)} ${unit}` +
    (m.count === undefined
      ? ''
      : ` (${number(lang, m.min, info.digits)} – ${number(lang, m.max, info.digits)}, n=${number(lang, m.count)})`) +
    m.qualities.map((q) => ` · ${qualityText(t, q)}`).join('');

  const keys = (e: React.KeyboardEvent) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const next = moved(view, e.key, e.shiftKey, Date.now());
    if (!next) return;
    e.preventDefault();
    setView(next);
  };

  return (
    <section className="panel history" aria-labelledby="history-title">
      <div className="panel-head">
        <h2 id="history-title">
          {labelOf(info.label, lang, info.name)} <small>{unit}</small>
        </h2>
        <fieldset className="spans">
          <legend className="aside">{t('device.range.label')}</legend>
          {SPANS.map((s, i) => (
            <button
              key={s}
              type="button"
              aria-pressed={view.span === s}
              onClick={() => setView((v) => ({ span: s, to: v.to }))}
            >
              {t(`device.range.${i as 0 | 1 | 2 | 3 | 4 | 5}`)}
            </button>
          ))}
        </fieldset>
        <div className="steps">
          <button
            type="button"
            aria-label={t('device.earlier')}
            onClick={() => setView((v) => pan(v, -0.5, Date.now()))}
          >
            ‹
          </button>
          <button
            type="button"
            aria-label={t('device.later')}
            disabled={view.to === undefined}
            onClick={() => setView((v) => pan(v, 0.5, Date.now()))}
          >
            ›
          </button>
          <button
            type="button"
            aria-pressed={view.to === undefined}
            onClick={() => setView((v) => ({ span: v.span, to: undefined }))}
          >
            {t('device.nowButton')}
          </button>
        </div>
        <div className="until">
          <span aria-hidden="true">{t('device.until')}</span>
          <MomentInput
            label={t('device.until')}
            value={typed ?? to}
            onChange={(ms) => {
              setTyped(Number.isFinite(ms) ? undefined : ms);
              if (Number.isFinite(ms))
                setView((v) => ({ span: v.span, to: ms >= Date.now() ? undefined : ms }));
            }}
          />
        </div>
        <button type="button" aria-pressed={asTable} onClick={() => setAsTable((v) => !v)}>
          {t('device.table')}
        </button>
        <a className="chip" href={device.table(id, info.name, from, to)} download>
          {t('register.export')}
        </a>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keys that move the window need a place */}
      {/* biome-ignore lint/a11y/useSemanticElements: a group of form fields is another thing */}
      <div className="plotbox" role="group" tabIndex={0} aria-label={t('device.plotLabel')} onKeyDown={keys}>
        {asTable ? (
          <ValueTable marks={marks} info={info} />
        ) : (
          <Plot
            drawing={{ marks, gap, gaps, lines, from, to, band: step > 0, digits: info.digits }}
            onSelect={(a, b) =>
              setView(
                b >= Date.now() - gap
                  ? { span: Date.now() - a, to: undefined }
                  : { span: Math.max(b - a, 60_000), to: b },
              )
            }
            onHover={setAt}
          />
        )}
        {read.error !== undefined && (
          <p className="problem over" role="alert">
            {t('chart.failed', { reason: why(t, read.error) })}{' '}
            <button type="button" onClick={read.again}>
              {t('link.retryNow')}
            </button>
          </p>
        )}
        {read.value && marks.length === 0 && <p className="empty over">{t('chart.empty')}</p>}
        {!read.value && read.error === undefined && <p className="empty over">{t('chart.loading')}</p>}
      </div>
      <p className="readout" aria-live={at === undefined ? 'off' : 'polite'}>
        {hovered ? say(hovered) : ' '}
      </p>
      <ul className="key">
        <li>
          <i className="mean" /> {step > 0 ? t('chart.mean') : t('device.each')}
        </li>
        {step > 0 && (
          <li>
            <i className="range" /> {t('chart.range')}
          </li>
        )}
        {gaps.length > 0 && (
          <li>
            <i className="hatch" /> {t('device.gaps', { count: number(lang, gaps.length) })}
          </li>
        )}
        {present.map((q) => (
          <li key={q}>
            <MarkSymbol kind={q} /> {t(`device.quality.${q}`)} (
            {number(lang, marks.filter((m) => m.qualities.includes(q)).length)})
          </li>
        ))}
      </ul>
      <Levels limits={limits.value?.limits ?? []} rules={own} info={info} />
    </section>
  );
}

export function qualityText(t: ReturnType<typeof useLanguage>['t'], quality: string): string {
  const known = QUALITIES.find((q) => q === quality);
  return known ? t(`device.quality.${known}`) : quality;
}

function nameOf(l: Limit, lang: 'vi' | 'en'): string {
  return labelOf(l.name, lang, l.level);
}

/** A level's value: a limit, or the band from one value to another. */
function levelText(t: Translate, lang: Language, l: Limit, info: Quantity): string {
  if (l.value === null) return t('rules.unknown');
  const unit = info.display || info.unit;
  const from = number(lang, l.value, info.digits);
  if (l.to === undefined) return `${from} ${unit}`;
  if (l.to === null) return `${l.over ? '>' : '≥'} ${from} ${unit}`;
  return `${l.over ? '> ' : ''}${from} – ${number(lang, l.to, info.digits)} ${unit}`;
}

function MarkSymbol({ kind }: { kind: (typeof MARKED)[number] }) {
  const shapes = {
    late: 'M8 2 14 14H2Z',
    corrected: 'M8 2a6 6 0 1 1 0 12a6 6 0 1 1 0-12Z',
    clock_suspect: 'M3 3 13 13M13 3 3 13',
    out_of_range: 'M3 3h10v10H3Z',
  };
  return (
    <svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true">
      <path d={shapes[kind]} fill="none" stroke="currentColor" strokeWidth="2" />
    </svg>
  );
}

/** The levels drawn, and what each rests on. */
function Levels({
  limits,
  rules,
  info,
}: {
  limits: readonly Limit[];
  rules: readonly ThresholdRule[];
  info: Quantity;
}) {
  const { lang, t } = useLanguage();
  if (limits.length === 0 && rules.length === 0) return <p className="hint">{t('device.noLevels')}</p>;
  const unit = info.display || info.unit;
  return (
    <div className="scroll">
      <table className="levels">
        <caption className="aside">{t('device.levels')}</caption>
        <thead>
          <tr>
            <th scope="col">{t('device.level')}</th>
            <th scope="col">{t('device.value')}</th>
            <th scope="col">{t('device.basis')}</th>
          </tr>
        </thead>
        <tbody>
          {limits.map((l) => (
            <tr key={[l.set, l.level, l.average, l.hours].join('|')}>
              <th scope="row">
                {nameOf(l, lang)} {l.average ?? l.hours ?? ''}
              </th>
              <td className="n">{levelText(t, lang, l, info)}</td>
              <td>
                {l.basis}
                <small>
                  {l.authority}
                  {l.doubt ? ` · ${l.doubt}` : ''}
                </small>
              </td>
            </tr>
          ))}
          {rules.map((r) => (
            <tr key={r.id}>
              <th scope="row">
                <b className={`rule p${r.priority}`}>{r.priority}</b> {labelOf(r.name, lang, r.id)}
              </th>
              <td className="n">
                {number(lang, r.threshold, info.digits)} {unit}
              </td>
              <td>
                {t('device.byRule')} <code>{r.id}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The same values for who reads rather than sees; the newest first. */
function ValueTable({ marks, info }: { marks: readonly Mark[]; info: Quantity }) {
  const { lang, t } = useLanguage();
  return (
    <div className="values scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">{t('device.time')}</th>
            <th scope="col">{t('chart.mean')}</th>
            <th scope="col">{t('chart.range')}</th>
            <th scope="col">{t('device.quality')}</th>
          </tr>
        </thead>
        <tbody>
          {marks
            .slice(-500)
            .reverse()
            .map((m) => (
              <tr key={m.t}>
                <td>{date(lang, 'full', m.t)}</td>
                <td className="n">{number(lang, m.mean, info.digits)}</td>
                <td className="n">
                  {m.count === undefined
                    ? ''
                    : `${number(lang, m.min, info.digits)} – ${number(lang, m.max, info.digits)}`}
                </td>
                <td>{m.qualities.map((q) => qualityText(t, q)).join(', ')}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}
