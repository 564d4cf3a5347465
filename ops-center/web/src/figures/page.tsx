import '../device/device.css';
import './figures.css';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { Session } from '../api.ts';
import { age, date, number, percent, signed } from '../format.ts';
import { type Language, type Translate, useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { PrioritySymbol } from '../panels/symbol.tsx';
import { why } from '../register/words.ts';
import { Gate, useAsked } from '../shell/gate.tsx';
import { Masthead } from '../shell/masthead.tsx';
import {
  type Actor,
  before,
  type Figure,
  figures,
  improves,
  meets,
  type Performance,
  type Period,
  type Subject,
} from './api.ts';
import { aim, shown } from './words.ts';

const HOUR = 3_600_000;
const SPANS = [8 * HOUR, 24 * HOUR, 7 * 24 * HOUR, 30 * 24 * HOUR] as const;
const AGAIN = 60_000;

/** The key figures of a period: each can be opened, and is then counted again from the log. */
export function FiguresPage({ refused }: { refused: unknown }) {
  const { t } = useLanguage();
  return (
    <Gate refused={refused} title={t('figures.title')}>
      {(session) => <Figures session={session} />}
    </Gate>
  );
}

function Figures({ session }: { session: Session }) {
  const { lang, t } = useLanguage();
  const [span, setSpan] = useState<number>(SPANS[1]);
  const [end, setEnd] = useState<number | undefined>(undefined);
  const [now, setNow] = useState(Date.now());
  const [open, setOpen] = useState<string | undefined>(undefined);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), AGAIN);
    return () => clearInterval(timer);
  }, []);
  const period = useMemo<Period>(() => {
    // To the minute: the server then counts once for everybody who looks.
    const to = Math.floor((end ?? now) / 60_000) * 60_000;
    return { from: to - span, to };
  }, [end, now, span]);
  const key = `${span} ${end ?? 'now'}`;
  const list = useAsked(`f ${key}`, (signal) => figures.list(period, signal), end === undefined ? AGAIN : 0);
  const was = useAsked(`b ${key}`, (signal) => figures.list(before(period), signal));
  const performance = useAsked(
    `p ${key}`,
    (signal) => figures.performance(period, signal),
    end === undefined ? AGAIN : 0,
  );
  const error = list.error ?? performance.error;
  const chosen = list.value?.find((f) => f.name === open);
  return (
    <div className="page figures-page">
      <Masthead title={t('figures.title')} session={session}>
        <button type="button" onClick={() => window.print()}>
          {t('figures.print')}
        </button>
      </Masthead>
      <main className="device-body">
        <section className="panel period" aria-label={t('figures.period')}>
          <fieldset className="spans">
            <legend className="aside">{t('figures.period')}</legend>
            {SPANS.map((s, i) => (
              <button key={s} type="button" aria-pressed={span === s} onClick={() => setSpan(s)}>
                {t(`figures.span.${i as 0 | 1 | 2 | 3}`)}
              </button>
            ))}
          </fieldset>
          <div className="steps">
            <button
              type="button"
              aria-label={t('figures.earlier')}
              onClick={() => setEnd((e) => (e ?? Date.now()) - span)}
            >
              ‹
            </button>
            <button
              type="button"
              aria-label={t('figures.later')}
              disabled={end === undefined}
              onClick={() =>
                setEnd((e) => (e === undefined || e + span >= Date.now() ? undefined : e + span))
              }
            >
              ›
            </button>
          </div>
          <p>
            {date(lang, 'full', period.from)} – {date(lang, 'full', period.to)} <small>{t('app.zone')}</small>
          </p>
        </section>
        {error !== undefined && (
          <p className="problem" role="alert">
            {t('figures.failed', { reason: why(t, error) })}{' '}
            <button
              type="button"
              onClick={() => {
                list.again();
                performance.again();
              }}
            >
              {t('link.retryNow')}
            </button>
          </p>
        )}
        <ul className="tiles">
          {(list.value ?? []).map((f) => (
            <Tile
              key={f.name}
              figure={f}
              was={was.value?.find((o) => o.name === f.name)?.value ?? null}
              now={now}
              onOpen={() => setOpen(f.name)}
            />
          ))}
        </ul>
        {performance.value && <Load performance={performance.value} period={period} />}
      </main>
      {chosen && (
        <Definition
          figure={chosen}
          was={was.value?.find((o) => o.name === chosen.name)?.value ?? null}
          period={period}
          onClose={() => setOpen(undefined)}
        />
      )}
    </div>
  );
}

/** A figure as people say it: a time in its unit, a share in percent. */
function trend(t: Translate, lang: Language, f: Figure, was: number | null): string {
  if (f.value === null || was === null) return t('figures.noTrend');
  const change = f.value - was;
  if (f.unit === 'share') return t('figures.points', { n: signed(lang, change * 100, 1) });
  if (f.unit === 'alarms') return signed(lang, change, 2);
  return t('figures.seconds', { n: signed(lang, change, 0) });
}

function Tile({
  figure: f,
  was,
  now,
  onOpen,
}: {
  figure: Figure;
  was: number | null;
  now: number;
  onOpen: () => void;
}) {
  const { lang, t } = useLanguage();
  const met = meets(f);
  const better = improves(f, was);
  return (
    <li>
      <button
        type="button"
        className={`figure ${met === false ? 'missed' : ''}`}
        onClick={onOpen}
        data-figure={f.name}
        aria-haspopup="dialog"
      >
        <span className="name">{labelOf(f.title, lang, f.name)}</span>
        <span className="value">{shown(t, lang, f, f.value)}</span>
        <span className="line">
          {f.value !== null && was !== null && better !== undefined && (
            <i aria-hidden="true">{f.value > was ? '▲' : '▼'}</i>
          )}{' '}
          {trend(t, lang, f, was)}
          {better !== undefined && ` (${t(better ? 'figures.better' : 'figures.worse')})`}
        </span>
        <span className="line">
          {f.target === null
            ? t('figures.noTarget')
            : `${t(f.better === 'lower' ? 'figures.atMost' : 'figures.atLeast', { target: shown(t, lang, f, f.target) })}${
                met === undefined ? '' : ` · ${t(met ? 'figures.met' : 'figures.missed')}`
              }`}
        </span>
        <small>
          {labelOf(f.source, lang, '')} ·{' '}
          {t('figure.age', { age: age(lang, Math.max(0, now - Date.parse(f.counted))) })}
        </small>
      </button>
    </li>
  );
}

const COUNTED = [
  'records',
  'periodSeconds',
  'sumSeconds',
  'acknowledged',
  'notAcknowledged',
  'cleared',
  'notCleared',
  'false',
  'alarms',
  'steps',
  'peak',
  'floodSeconds',
  'floods',
  'silentSeconds',
  'devices',
  'stored',
  'due',
] as const;

/** What a figure means, what was counted, and the same counted again now. */
function Definition({
  figure: f,
  was,
  period,
  onClose,
}: {
  figure: Figure;
  was: number | null;
  period: Period;
  onClose: () => void;
}) {
  const { lang, t } = useLanguage();
  const dialog = useRef<HTMLDialogElement>(null);
  const [again, setAgain] = useState<Figure | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [asked, setAsked] = useState(0);
  useEffect(() => dialog.current?.showModal(), []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: counted once when it is opened, and when asked
  useEffect(() => {
    const abort = new AbortController();
    setAgain(undefined);
    // The period of the tile, not of now: else two counts of two periods would be compared.
    const same = { from: Date.parse(f.from), to: Date.parse(f.to) };
    figures.recount(f.name, same, abort.signal).then(
      (r) => {
        setAgain(r);
        setError(undefined);
      },
      (e: unknown) => {
        if (!abort.signal.aborted) setError(e);
      },
    );
    return () => abort.abort();
  }, [f.name, asked, period.from, period.to]);
  const counted = again ?? f;
  const rows = Object.entries(counted.counting);
  const same = again && (again.value === f.value || Math.abs((again.value ?? 0) - (f.value ?? 0)) < 1e-9);
  return (
    <dialog ref={dialog} className="add definition" aria-labelledby="definition-title" onClose={onClose}>
      <h2 id="definition-title">{labelOf(f.title, lang, f.name)}</h2>
      <p className="big">{shown(t, lang, f, counted.value)}</p>
      <p>{labelOf(f.definition, lang, '')}</p>
      <dl className="facts">
        <dt>{t('figures.answers')}</dt>
        <dd>
          {f.owner.department || t('figures.nobody')}
          {f.owner.head && <small>{f.owner.head}</small>}
        </dd>
        <dt>{t('figures.target')}</dt>
        <dd>{aim(t, lang, f)}</dd>
        <dt>{t('figures.before')}</dt>
        <dd>
          {shown(t, lang, f, was)} · {trend(t, lang, f, was)}
        </dd>
        <dt>{t('figures.source')}</dt>
        <dd>
          {labelOf(f.source, lang, '')} · {t('figures.of', { n: number(lang, counted.n) })}
        </dd>
      </dl>
      <h3>{t('figures.counting')}</h3>
      <table>
        <tbody>
          {rows.map(([name, n]) => {
            const known = COUNTED.find((c) => c === name);
            return (
              <tr key={name}>
                <th scope="row">{known ? t(`figures.count.${known}`) : name}</th>
                <td className="n">{number(lang, n, Number.isInteger(n) ? 0 : 1)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      <p role="status" className="recount" data-recounted={again ? (same ? 'same' : 'changed') : 'no'}>
        {error !== undefined
          ? t('figures.failed', { reason: why(t, error) })
          : !again
            ? t('figures.recounting')
            : same
              ? t('figures.recounted', { time: date(lang, 'time', Date.parse(again.counted)) })
              : t('figures.differs', {
                  shown: shown(t, lang, f, f.value),
                  now: shown(t, lang, f, again.value),
                })}
      </p>
      <div className="buttons">
        <button type="button" onClick={() => setAsked((n) => n + 1)}>
          {t('figures.recount')}
        </button>
        <button type="button" className="main" onClick={() => dialog.current?.close()}>
          {t('device.close')}
        </button>
      </div>
    </dialog>
  );
}

/** The load on people: alarms in ten minutes, the mix, who calls most. */
function Load({ performance: p, period }: { performance: Performance; period: Period }) {
  const { lang, t } = useLanguage();
  const series = p.series ?? [];
  const peak = Math.max(10, p.peak);
  const width = 100 / Math.max(1, series.length);
  return (
    <>
      <section className="panel load" aria-labelledby="load-title">
        <div className="panel-head">
          <h2 id="load-title">{t('figures.load')}</h2>
          <span>
            {t('figures.loadSum', { alarms: number(lang, p.alarms), peak: number(lang, p.peak, 1) })}
          </span>
        </div>
        <svg
          viewBox="0 0 100 30"
          preserveAspectRatio="none"
          role="img"
          aria-label={t('figures.loadLabel', {
            mean: number(lang, p.mean, 2),
            peak: number(lang, p.peak, 1),
            floods: number(lang, p.floods?.length ?? 0),
          })}
        >
          {(p.floods ?? []).map((f) => {
            const x = ((Date.parse(f.from) - period.from) / (period.to - period.from)) * 100;
            const w = ((Date.parse(f.to) - Date.parse(f.from)) / (period.to - period.from)) * 100;
            return <rect key={f.from} className="flood" x={x} y={0} width={Math.max(0.2, w)} height={30} />;
          })}
          {series.map((s, i) => (
            <rect
              key={s.start}
              className={s.perOperator > 10 ? 'over' : ''}
              x={i * width}
              width={Math.max(0.1, width * 0.85)}
              y={30 - (s.perOperator / peak) * 29}
              height={(s.perOperator / peak) * 29}
            />
          ))}
          <line x1={0} x2={100} y1={30 - (10 / peak) * 29} y2={30 - (10 / peak) * 29} />
        </svg>
        <p className="hint">{t('figures.loadHint')}</p>
      </section>
      <div className="two">
        <section className="panel" aria-labelledby="mix-title">
          <div className="panel-head">
            <h2 id="mix-title">{t('figures.mix')}</h2>
          </div>
          <table>
            <thead>
              <tr>
                <th scope="col">{t('device.priority')}</th>
                <th scope="col">{t('figures.alarms')}</th>
                <th scope="col">{t('figures.share')}</th>
                <th scope="col">{t('figures.advised')}</th>
              </tr>
            </thead>
            <tbody>
              {(p.priorities ?? []).map((r) => (
                <tr key={r.priority}>
                  <th scope="row">
                    <span className="priority">
                      <PrioritySymbol priority={r.priority} size={14} /> {r.priority}{' '}
                      {t(`priority.${r.priority}`)}
                    </span>
                  </th>
                  <td className="n">{number(lang, r.alarms)}</td>
                  <td className="n">{percent(lang, r.share)}</td>
                  <td className="n">{r.target === null ? '–' : percent(lang, r.target)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
        <Actors title={t('figures.badActors')} none={t('figures.noAlarms')} list={p.badActors ?? []} />
        <Actors title={t('figures.chattering')} none={t('figures.noChattering')} list={p.chattering ?? []} />
        <section className="panel" aria-labelledby="stale-title">
          <div className="panel-head">
            <h2 id="stale-title">{t('figures.stale')}</h2>
            <span>{number(lang, p.stale?.length ?? 0)}</span>
          </div>
          {(p.stale ?? []).length === 0 ? (
            <p className="empty">{t('figures.noStale')}</p>
          ) : (
            <table>
              <tbody>
                {(p.stale ?? []).slice(0, 20).map((s) => (
                  <tr key={s.id}>
                    <th scope="row">
                      <span className="priority">
                        <PrioritySymbol priority={s.priority} size={14} /> {labelOf(s.ruleName, lang, s.rule)}
                      </span>
                    </th>
                    <td>
                      <About of={s} />
                    </td>
                    <td className="n">{age(lang, period.to - Date.parse(s.raised))}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </section>
      </div>
    </>
  );
}

/** What an alarm is about; a device by a link to its page. */
function About({ of }: { of: Subject }) {
  const name = of.name || of.entity.slice(of.entity.indexOf('/') + 1);
  return of.device ? <a href={`/devices/${encodeURIComponent(of.device)}`}>{name}</a> : name;
}

function Actors({ title, none, list }: { title: string; none: string; list: readonly Actor[] }) {
  const { lang, t } = useLanguage();
  return (
    <section className="panel" aria-label={title}>
      <div className="panel-head">
        <h2>{title}</h2>
      </div>
      {list.length === 0 ? (
        <p className="empty">{none}</p>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">{t('figures.rule')}</th>
              <th scope="col">{t('register.device')}</th>
              <th scope="col">{t('figures.alarms')}</th>
              <th scope="col">{t('figures.share')}</th>
            </tr>
          </thead>
          <tbody>
            {list.map((a) => (
              <tr key={`${a.rule} ${a.entity}`}>
                <th scope="row">{labelOf(a.ruleName, lang, a.rule)}</th>
                <td>
                  <About of={a} />
                </td>
                <td className="n">{number(lang, a.alarms)}</td>
                <td className="n">{percent(lang, a.share)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
