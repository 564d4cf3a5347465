import './record.css';
import { useCallback, useEffect, useRef, useState } from 'react';
import type { Session } from '../api.ts';
import { DayInput } from '../fields/written.tsx';
import { date, number } from '../format.ts';
import { catalogues, type Key, useLanguage } from '../i18n/index.ts';
import { Gate } from '../shell/gate.tsx';
import { Masthead } from '../shell/masthead.tsx';
import {
  differences,
  type Entry,
  type EventKind,
  type Filter,
  KINDS,
  NO_FILTER,
  type Outcome,
  type Report,
  record,
  SEVERITIES,
  type SecurityEvent,
} from './api.ts';

const OUTCOMES: Record<Outcome, Key> = {
  done: 'record.done',
  refused: 'record.refused',
  failed: 'record.failedAct',
};

/** What people did and were refused, and what may be an attack: for the auditor and the SOC. */
export function RecordPage({ refused }: { refused: unknown }) {
  const { t } = useLanguage();
  return (
    <Gate refused={refused} title={t('record.title')}>
      {(session) => <RecordOf session={session} />}
    </Gate>
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function RecordOf({ session }: { session: Session }) {
  const { t } = useLanguage();
  const tabs = [
    session.permissions.includes('view_audit') && 'record',
    session.permissions.includes('view_security') && 'security',
  ].filter((tab): tab is 'record' | 'security' => tab !== false);
  const [tab, setTab] = useState(() => {
    const wanted = location.hash === '#security' ? 'security' : 'record';
    return tabs.includes(wanted) ? wanted : tabs[0];
  });
  return (
    <div className="page record">
      <Masthead
        title={t('record.title')}
        session={session}
        parts={
          <nav className="tabs" aria-label={t('record.tabs')}>
            {tabs.map((name) => (
              <button
                key={name}
                type="button"
                aria-current={tab === name ? 'page' : undefined}
                onClick={() => {
                  history.replaceState(null, '', name === 'security' ? '#security' : location.pathname);
                  setTab(name);
                }}
              >
                {t(`record.tab.${name}`)}
              </button>
            ))}
          </nav>
        }
      ></Masthead>
      {tab === 'record' && <Acts />}
      {tab === 'security' && <Events />}
      {tab === undefined && (
        <main className="panel empty" role="alert">
          {t('record.failed', { reason: '403' })}
        </main>
      )}
    </div>
  );
}

function filterOfAddress(): Filter {
  const params = new URLSearchParams(location.search);
  const filter: Record<string, string> = { ...NO_FILTER };
  for (const key of Object.keys(NO_FILTER)) filter[key] = params.get(key) ?? '';
  return filter as unknown as Filter;
}

/** Pages of something that is read from its newest backwards. */
function usePages<T>(
  fetch: (
    below: number | undefined,
    signal: AbortSignal,
  ) => Promise<{ list: T[]; below?: number | undefined }>,
) {
  const [list, setList] = useState<T[] | undefined>(undefined);
  const [below, setBelow] = useState<number | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const abort = useRef<AbortController | undefined>(undefined);
  const load = useCallback(
    (from: number | undefined) => {
      abort.current?.abort();
      const own = new AbortController();
      abort.current = own;
      fetch(from, own.signal).then(
        (page) => {
          if (own.signal.aborted) return;
          setList((old) => (from && old ? [...old, ...page.list] : page.list));
          setBelow(page.below);
          setError(undefined);
        },
        (e: unknown) => {
          if (!own.signal.aborted) setError(e);
        },
      );
    },
    [fetch],
  );
  useEffect(() => {
    load(undefined);
    return () => abort.current?.abort();
  }, [load]);
  return { list, below, error, load };
}

function Foot({
  list,
  below,
  error,
  none,
  load,
}: {
  list: unknown[] | undefined;
  below: number | undefined;
  error: unknown;
  none: Key;
  load: (below: number | undefined) => void;
}) {
  const { t } = useLanguage();
  if (error !== undefined) {
    return (
      <p className="problem" role="alert">
        {t('record.failed', { reason: reasonOf(error) })}{' '}
        <button type="button" onClick={() => load(undefined)}>
          {t('record.retry')}
        </button>
      </p>
    );
  }
  if (!list) return <p className="foot">{t('record.loading')}</p>;
  if (below) {
    return (
      <p className="foot">
        <button type="button" onClick={() => load(below)}>
          {t('record.more')}
        </button>
      </p>
    );
  }
  return list.length === 0 ? <p className="foot">{t(none)}</p> : null;
}

function Acts() {
  const { lang, t } = useLanguage();
  const [filter, setFilter] = useState(filterOfAddress);
  const [typed, setTyped] = useState(filter);
  const [chosen, setChosen] = useState<Entry | undefined>(undefined);
  const fetch = useCallback(
    async (below: number | undefined, signal: AbortSignal) => {
      const page = await record.page(filter, below, signal);
      return { list: page.records, below: page.below };
    },
    [filter],
  );
  const pages = usePages(fetch);
  useEffect(() => {
    const timer = setTimeout(() => setFilter(typed), 250);
    return () => clearTimeout(timer);
  }, [typed]);
  useEffect(() => {
    const params = new URLSearchParams(Object.entries(filter).filter(([, v]) => v));
    history.replaceState(null, '', location.pathname + (params.size ? `?${params}` : ''));
  }, [filter]);
  const field = (key: keyof Filter, label: Key) => (
    <label className="choice">
      {t(label)}
      <input
        type="search"
        value={typed[key]}
        maxLength={100}
        onChange={(e) => setTyped((f) => ({ ...f, [key]: e.target.value }))}
      />
    </label>
  );
  const day = (key: 'from' | 'to', label: Key) => (
    <div className="choice">
      <span aria-hidden="true">{t(label)}</span>
      <DayInput
        label={t(label)}
        value={typed[key]}
        onChange={(value) => setTyped((f) => ({ ...f, [key]: value }))}
      />
    </div>
  );
  const span = new URLSearchParams();
  if (filter.from) span.set('from', filter.from);
  if (filter.to) span.set('to', filter.to);
  return (
    <>
      <search className="panel tools" aria-label={t('record.find')}>
        {field('who', 'record.who')}
        {field('act', 'record.act')}
        {field('object', 'record.object')}
        <label className="choice">
          {t('record.outcome')}
          <select
            value={typed.outcome}
            onChange={(e) => setTyped((f) => ({ ...f, outcome: e.target.value }))}
          >
            <option value="">{t('record.any')}</option>
            {Object.entries(OUTCOMES).map(([value, key]) => (
              <option key={value} value={value}>
                {t(key)}
              </option>
            ))}
          </select>
        </label>
        {day('from', 'record.from')}
        {day('to', 'record.to')}
        <div className="space" />
        <Verify />
        <a className="chip" href="/v1/audit/checkpoint" download="checkpoint.json">
          {t('record.sign')}
        </a>
        <a className="chip" href={`/v1/audit/export?${span}`} download="audit.jsonl">
          {t('record.export')}
        </a>
      </search>
      <main className={`shelf ${chosen ? 'open' : ''}`}>
        <section className="panel scroll" aria-label={t('record.tab.record')}>
          <table>
            <thead>
              <tr>
                <th className="n">{t('record.number')}</th>
                <th>{t('record.time')}</th>
                <th>{t('record.who')}</th>
                <th>{t('record.act')}</th>
                <th>{t('record.object')}</th>
                <th>{t('record.outcome')}</th>
                <th>{t('record.address')}</th>
              </tr>
            </thead>
            <tbody>
              {pages.list?.map((e) => (
                <tr key={e.n} className={chosen?.n === e.n ? 'on' : ''}>
                  <td className="n">
                    <button
                      type="button"
                      aria-label={t('record.details', { n: number(lang, e.n) })}
                      aria-pressed={chosen?.n === e.n}
                      onClick={() => setChosen(e)}
                    >
                      {number(lang, e.n)}
                    </button>
                  </td>
                  <td>{date(lang, 'full', Date.parse(e.at))}</td>
                  <td>
                    <Who entry={e} />
                  </td>
                  <td>
                    <Act act={e.act} />
                    {e.count ? <small> {t('record.count', { count: number(lang, e.count) })}</small> : null}
                  </td>
                  <td className="object">{e.object}</td>
                  <td>
                    <span className={`outcome ${e.outcome}`}>{t(OUTCOMES[e.outcome])}</span>
                  </td>
                  <td>
                    <code>{e.from}</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          <Foot {...pages} none="record.none" />
        </section>
        {chosen && <Detail entry={chosen} onClose={() => setChosen(undefined)} />}
      </main>
    </>
  );
}

/** What was done, in words; a refused request that has no word of its own by its name. */
function Act({ act }: { act: string }) {
  const { t } = useLanguage();
  const key = `record.acts.${act}`;
  return key in catalogues.vi ? <span title={act}>{t(key as Key)}</span> : <code>{act}</code>;
}

function Who({ entry }: { entry: Entry }) {
  const { t } = useLanguage();
  const { who, name } = entry;
  if (name) return <>{name}</>;
  if (who.id) return <em>{t('record.erased', { id: who.id })}</em>;
  return <em>{t(`record.kind.${who.kind}`)}</em>;
}

function Verify() {
  const { lang, t } = useLanguage();
  const [busy, setBusy] = useState(false);
  const [report, setReport] = useState<Report | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const verify = async () => {
    setBusy(true);
    setError(undefined);
    setReport(undefined);
    try {
      setReport(await record.verify());
    } catch (e) {
      setError(e);
    } finally {
      setBusy(false);
    }
  };
  const fault = (f: NonNullable<Report['faults']>[number]) =>
    t(`record.fault.${f.kind}`, { from: number(lang, f.from), to: number(lang, f.to ?? f.from) });
  return (
    <>
      <button type="button" className="main" disabled={busy} onClick={() => void verify()}>
        {t(busy ? 'record.verifying' : 'record.verify')}
      </button>
      <div className="verdict" role="status">
        {report?.ok && (
          <p className="whole">
            {t('record.whole', { count: number(lang, report.records), signed: number(lang, report.signed) })}
          </p>
        )}
        {report && !report.ok && (
          <div className="broken">
            <strong>{t('record.broken')}</strong>
            <ul>
              {report.faults?.map((f) => (
                <li key={`${f.kind}${f.from}`}>{fault(f)}</li>
              ))}
            </ul>
          </div>
        )}
        {error !== undefined && <p className="broken">{t('record.failed', { reason: reasonOf(error) })}</p>}
      </div>
    </>
  );
}

function Detail({ entry, onClose }: { entry: Entry; onClose: () => void }) {
  const { lang, t } = useLanguage();
  const title = useRef<HTMLHeadingElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: focus follows the record that was opened
  useEffect(() => title.current?.focus(), [entry.n]);
  useEffect(() => {
    const listen = (e: KeyboardEvent) => {
      if (e.key === 'Escape') onClose();
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, [onClose]);
  const rows = differences(entry.before, entry.after);
  const shown = (value: string | undefined) => {
    if (value === '[secret]') return <em>{t('record.hiddenSecret')}</em>;
    if (value === '[personal]') return <em>{t('record.hiddenPersonal')}</em>;
    return value;
  };
  const facts: [Key, string | undefined][] = [
    ['record.time', date(lang, 'full', Date.parse(entry.at))],
    ['record.role', entry.who.role],
    ['record.address', entry.from],
    ['record.object', entry.object],
    ['record.status', entry.status ? String(entry.status) : undefined],
    ['record.reason', entry.reason],
    ['record.request', entry.request],
    ['record.hash', entry.prev],
  ];
  return (
    <aside className="panel scroll detail" aria-labelledby="record-detail">
      <div className="panel-head">
        <h2 id="record-detail" ref={title} tabIndex={-1}>
          {t('record.details', { n: number(lang, entry.n) })}
        </h2>
        <button type="button" onClick={onClose}>
          {t('record.close')}
        </button>
      </div>
      <dl>
        <dt>{t('record.who')}</dt>
        <dd>
          <Who entry={entry} />
        </dd>
        <dt>{t('record.act')}</dt>
        <dd>
          <Act act={entry.act} /> <code>{entry.act}</code>
        </dd>
        {facts.map(
          ([key, value]) =>
            value && (
              <div key={key}>
                <dt>{t(key)}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
      {rows.length === 0 ? (
        <p className="foot">{t('record.unchanged')}</p>
      ) : (
        <table className="diff">
          <thead>
            <tr>
              <th>{t('record.field')}</th>
              <th>{t('record.before')}</th>
              <th>{t('record.after')}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.path}>
                <th scope="row">
                  <code>{row.path}</code>
                </th>
                <td className="was">{shown(row.before)}</td>
                <td className="is">{shown(row.after)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </aside>
  );
}

function Events() {
  const { lang, t } = useLanguage();
  const [kind, setKind] = useState('');
  const [severity, setSeverity] = useState('');
  const fetch = useCallback(
    async (below: number | undefined, signal: AbortSignal) => {
      const page = await record.events(kind, severity, below, signal);
      return { list: page.events, below: page.below };
    },
    [kind, severity],
  );
  const { load, ...pages } = usePages<SecurityEvent>(fetch);
  // What happens now is seen now: the stream says that there is something, the list is asked for it.
  useEffect(() => {
    const source = new EventSource('/v1/security/stream');
    source.addEventListener('security', () => load(undefined));
    return () => source.close();
  }, [load]);
  return (
    <>
      <search className="panel tools" aria-label={t('record.find')}>
        <label className="choice">
          {t('record.event')}
          <select value={kind} onChange={(e) => setKind(e.target.value)}>
            <option value="">{t('record.any')}</option>
            {KINDS.map((k) => (
              <option key={k} value={k}>
                {t(`record.ev.${k}` satisfies `record.ev.${EventKind}`)}
              </option>
            ))}
          </select>
        </label>
        <label className="choice">
          {t('record.severity')}
          <select value={severity} onChange={(e) => setSeverity(e.target.value)}>
            <option value="">{t('record.any')}</option>
            {SEVERITIES.map((s) => (
              <option key={s} value={s}>
                {t(`record.sev.${s}`)}
              </option>
            ))}
          </select>
        </label>
      </search>
      <main className="shelf">
        <section className="panel scroll" aria-label={t('record.tab.security')} aria-live="polite">
          <table>
            <thead>
              <tr>
                <th>{t('record.time')}</th>
                <th>{t('record.severity')}</th>
                <th>{t('record.event')}</th>
                <th>{t('record.subject')}</th>
                <th className="n">{t('record.times')}</th>
                <th>{t('record.address')}</th>
              </tr>
            </thead>
            <tbody>
              {pages.list?.map((e) => (
                <tr key={e.n}>
                  <td>{date(lang, 'full', Date.parse(e.until))}</td>
                  <td>
                    <span className={`severity ${e.severity}`}>{t(`record.sev.${e.severity}`)}</span>
                  </td>
                  <td>{t(`record.ev.${e.kind}`)}</td>
                  <td className="object">{e.key}</td>
                  <td className="n">{number(lang, e.count)}</td>
                  <td>
                    <code>{e.from}</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          <Foot {...pages} load={load} none="record.quiet" />
        </section>
      </main>
    </>
  );
}
