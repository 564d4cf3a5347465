import { useEffect, useRef, useState } from 'react';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { why } from '../register/words.ts';
import { fileOf, type Rule, rules, type Trial, tryRules } from './api.ts';
import { idOf, template } from './template.ts';

const DAYS = [1, 7, 30] as const;

/**
 * One rule in YAML: changed, enabled, and tried on what is stored. Without an id
 * it is a new one, from a template; none that is there is overwritten by it.
 */
export function Editor({
  id,
  may,
  taken,
  onChanged,
}: {
  id: string | undefined;
  may: boolean;
  taken?: readonly string[];
  onChanged: (id: string) => void;
}) {
  const { lang, t } = useLanguage();
  const [rule, setRule] = useState<Rule | undefined>(undefined);
  const [source, setSource] = useState(() => (id === undefined ? template(t) : ''));
  const [kept, setKept] = useState('');
  const [error, setError] = useState<unknown>(undefined);
  const [said, setSaid] = useState('');
  const [busy, setBusy] = useState(false);
  const [days, setDays] = useState<number>(1);
  const [done, setDone] = useState<number | undefined>(undefined);
  const [trial, setTrial] = useState<Trial | undefined>(undefined);
  const running = useRef<AbortController | undefined>(undefined);
  const text = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const abort = new AbortController();
    if (id === undefined) {
      text.current?.focus();
      return () => running.current?.abort();
    }
    rules.one(id, abort.signal).then(
      (answer) => {
        setRule(answer.rule);
        setSource(answer.source);
        setKept(answer.source);
      },
      (e: unknown) => {
        if (!abort.signal.aborted) setError(e);
      },
    );
    return () => {
      abort.abort();
      running.current?.abort();
    };
  }, [id]);

  const fail = (e: unknown) => {
    setError(e);
    // The server names the line; the cursor goes there.
    const line = Number(/line (\d+)/.exec(e instanceof Error ? e.message : '')?.[1] ?? 0);
    const area = text.current;
    if (!line || !area) return;
    const start =
      source
        .split('\n')
        .slice(0, line - 1)
        .join('\n').length + (line > 1 ? 1 : 0);
    area.focus();
    area.setSelectionRange(start, start + (source.split('\n')[line - 1]?.length ?? 0));
  };
  const named = id ?? idOf(source);
  const clash = id === undefined && (taken?.includes(named) ?? false);
  const act = async (what: () => Promise<unknown>) => {
    setBusy(true);
    setError(undefined);
    setSaid('');
    try {
      await what();
      const answer = await rules.one(named);
      setRule(answer.rule);
      setSource(answer.source);
      setKept(answer.source);
      setSaid(t('rules.saved'));
      onChanged(named);
    } catch (e) {
      fail(e);
    } finally {
      setBusy(false);
    }
  };
  const test = async () => {
    const abort = new AbortController();
    running.current = abort;
    setError(undefined);
    setTrial(undefined);
    setDone(0);
    try {
      setTrial(await tryRules(fileOf(source), `-${days}d`, '', setDone, abort.signal));
    } catch (e) {
      if (!abort.signal.aborted) fail(e);
    } finally {
      setDone(undefined);
    }
  };

  if (!rule && id !== undefined)
    return error === undefined ? <p className="empty">…</p> : <p className="problem">{why(t, error)}</p>;
  return (
    <section className="editor" aria-labelledby="rule-title">
      <h2 id="rule-title">{rule ? labelOf(rule.name, lang, '') : t('rules.new')}</h2>
      {!rule && <p>{t('rules.newHelp')}</p>}
      <label htmlFor="rule-source">{t('rules.source')}</label>
      <textarea
        id="rule-source"
        ref={text}
        spellCheck={false}
        readOnly={!may}
        value={source}
        rows={Math.min(30, source.split('\n').length + 1)}
        onChange={(e) => setSource(e.target.value)}
      />
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
      {clash && (
        <p className="problem" role="alert">
          {t('rules.taken', { id: named })}
        </p>
      )}
      <p role="status">{said}</p>
      {may && (
        <div className="acts">
          <button
            type="button"
            disabled={busy || source === kept || named === '' || clash}
            onClick={() => act(() => rules.put(named, source))}
          >
            {t('rules.save')}
          </button>
          {rule && (
            <>
              <button type="button" disabled={busy || source === kept} onClick={() => setSource(kept)}>
                {t('rules.undo')}
              </button>
              <button
                type="button"
                disabled={busy || source !== kept}
                onClick={() => act(() => rules.enable(rule.id, Boolean(rule.disabled)))}
              >
                {rule.disabled ? t('rules.enable') : t('rules.disable')}
              </button>
            </>
          )}
        </div>
      )}
      {may && (
        <fieldset>
          <legend>{t('rules.try')}</legend>
          <p>{t('rules.tryHelp')}</p>
          <div className="acts">
            {DAYS.map((n) => (
              <button type="button" key={n} aria-pressed={days === n} onClick={() => setDays(n)}>
                {t('rules.days', { n })}
              </button>
            ))}
            {done === undefined ? (
              <button type="button" onClick={test}>
                {t('rules.run')}
              </button>
            ) : (
              <button type="button" onClick={() => running.current?.abort()}>
                {t('rules.stop', { n: Math.round(100 * done) })}
              </button>
            )}
          </div>
          {done !== undefined && <progress value={done} max={1} aria-label={t('rules.try')} />}
          {trial && <Axis trial={trial} />}
        </fieldset>
      )}
    </section>
  );
}

const ROWS = 12;

/** The alarms of a dry run on a time axis, a row for each of the busiest entities. */
function Axis({ trial }: { trial: Trial }) {
  const { lang, t } = useLanguage();
  const from = Date.parse(trial.from);
  const span = Date.parse(trial.to) - from;
  const at = (time: string) => (100 * (Date.parse(time) - from)) / span;
  const rows = (trial.busiest ?? []).slice(0, ROWS).map((b) => b.entity);
  const when = (time: string) =>
    new Date(time).toLocaleString(lang === 'vi' ? 'vi-VN' : 'en-GB', {
      dateStyle: 'short',
      timeStyle: 'short',
    });
  return (
    <div className="axis">
      <p role="status">
        {t('rules.would', { n: trial.total, readings: trial.readings, devices: trial.devices })}
      </p>
      {rows.map((entity) => (
        <div className="row" key={entity}>
          <span>{entity}</span>
          <div className="track">
            {trial.alarms
              .filter((a) => a.entity === entity)
              .map((a) => (
                <i
                  key={a.raised}
                  className={`p${a.priority}`}
                  title={`${when(a.raised)} · ${labelOf(a.message, lang, '')}`}
                  style={{
                    left: `${at(a.raised)}%`,
                    width: `${Math.max(0.4, at(a.cleared ?? trial.to) - at(a.raised))}%`,
                  }}
                />
              ))}
          </div>
        </div>
      ))}
      <div className="ends">
        <time dateTime={trial.from}>{when(trial.from)}</time>
        <time dateTime={trial.to}>{when(trial.to)}</time>
      </div>
    </div>
  );
}
