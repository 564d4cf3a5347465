import { useEffect, useRef, useState } from 'react';
import { ApiError } from '../api.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { why } from '../register/words.ts';
import { type Book, type Rule, rules, type Trial, tryRule } from './api.ts';
import { RuleForm, useChoices } from './form.tsx';
import { blank, type Form, fieldOf, opened, type Problem, problems, same, written, yamlOf } from './model.ts';
import { idOf, template } from './template.ts';
import { TrialResult } from './trial.tsx';

const PERIODS = [1, 7, 30] as const;

/** Why a rule is shown as YAML and as no form. */
type Reason = 'comments' | 'kind';

/**
 * One rule, as a form or as the YAML that the form writes: changed, enabled, and
 * tried on what is stored. Without an id it is a new one; none that is there is
 * overwritten by it. What the form cannot say, or would lose, stays YAML.
 */
export function Editor({
  id,
  may,
  book,
  onChanged,
}: {
  id: string | undefined;
  may: boolean;
  book: Book;
  onChanged: (id: string) => void;
}) {
  const { lang, t } = useLanguage();
  const choices = useChoices();
  const [rule, setRule] = useState<Rule | undefined>(undefined);
  // Both are kept: the one that is not shown is as it was when the other was left.
  const [form, setForm] = useState<Form | undefined>(() => (id === undefined ? blank() : undefined));
  const [keptForm, setKeptForm] = useState<Form | undefined>(form);
  const [source, setSource] = useState('');
  const [kept, setKept] = useState('');
  const [asForm, setAsForm] = useState(id === undefined);
  const [stays, setStays] = useState<{ reason: Reason; rule: Rule } | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [said, setSaid] = useState(false);
  const [busy, setBusy] = useState(false);
  const [looked, setLooked] = useState(0);
  const [refused, setRefused] = useState<ReadonlyMap<string, { said: string }>>(new Map());
  const [days, setDays] = useState<number>(1);
  const [done, setDone] = useState<number | undefined>(undefined);
  const [trial, setTrial] = useState<Trial | undefined>(undefined);
  const running = useRef<AbortController | undefined>(undefined);
  const text = useRef<HTMLTextAreaElement>(null);
  const box = useRef<HTMLElement>(null);

  /** Takes a rule as the server has it, as a form where one says all of it. */
  const take = (answer: { rule: Rule; source: string }, comments: boolean) => {
    setRule(answer.rule);
    setSource(answer.source);
    setKept(answer.source);
    setRefused(new Map());
    const f = opened(answer.rule);
    setForm(f);
    setKeptForm(f);
    setStays(undefined);
    if (f && !comments) setAsForm(true);
    else {
      setAsForm(false);
      setStays({ reason: f ? 'comments' : 'kind', rule: answer.rule });
    }
  };
  const read = async (name: string, signal?: AbortSignal) => {
    const answer = await rules.one(name, signal);
    // Whoever may not write loses no comments.
    const comments = may && (await rules.check(name, answer.source, signal)).comments;
    return { answer, comments };
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: read once for each rule
  useEffect(() => {
    const abort = new AbortController();
    if (id !== undefined)
      read(id, abort.signal).then(
        ({ answer, comments }) => take(answer, comments),
        (e: unknown) => {
          if (!abort.signal.aborted) setError(e);
        },
      );
    else box.current?.querySelector<HTMLElement>('[data-field="name.vi"] input')?.focus();
    return () => {
      abort.abort();
      running.current?.abort();
    };
  }, [id]);
  // What is wrong is where the focus goes.
  useEffect(() => {
    if (looked > 0) box.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [looked]);

  const taken = id === undefined ? book.rules.map((r) => r.id) : [];
  const counter = (q: string) => choices.quantities.find((x) => x.name === q)?.kind === 'counter';
  const wrongs = (f: Form) => problems(f, taken, counter);
  const now = asForm && form ? yamlOf(written(form)) : source;
  const named = id ?? (asForm && form ? form.id : idOf(source));
  const dirty = asForm
    ? !form || !keptForm || id === undefined || !same(written(form), written(keptForm))
    : source !== kept;
  const clash = !asForm && taken.includes(named);
  const found: ReadonlyMap<string, Problem | { said: string }> =
    looked > 0 && form ? new Map<string, Problem | { said: string }>([...refused, ...wrongs(form)]) : refused;

  const fail = (e: unknown) => {
    setError(e);
    if (asForm) {
      const detail = e instanceof ApiError && e.status === 422 ? e.detail : '';
      const at = detail && fieldOf(detail);
      if (at) {
        setRefused(new Map([[at, { said: detail }]]));
        setLooked((n) => n + 1);
      }
      return;
    }
    // The server names the line; the cursor goes there.
    const line = Number(/line (\d+)/.exec(e instanceof Error ? e.message : '')?.[1] ?? 0);
    const area = text.current;
    if (!line || !area) return;
    const all = source.split('\n');
    const start = all.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0);
    area.focus();
    area.setSelectionRange(start, start + (all[line - 1]?.length ?? 0));
  };
  /** Whether what is on the page can be sent; what cannot is said at its field. */
  const sound = (enabling = false): boolean => {
    setError(undefined);
    setSaid(false);
    setRefused(new Map());
    if (!asForm || !form) return true;
    const { disabled: _, ...rest } = form.rest;
    if (wrongs(enabling ? { ...form, rest } : form).size === 0) {
      setLooked(0);
      return true;
    }
    // A rule that is to judge must say more than one that is put away.
    if (enabling && wrongs(form).size === 0) {
      const more = wrongs({ ...form, rest });
      setRefused(new Map([...more].map(([k, p]) => [k, { said: t(`rules.wrong.${p}`) }])));
    }
    setLooked((n) => n + 1);
    return false;
  };
  const act = async (what: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await what();
      const { answer, comments } = await read(named);
      const form = asForm;
      take(answer, comments);
      if (!form) setAsForm(false);
      setLooked(0);
      setSaid(true);
      onChanged(named);
    } catch (e) {
      fail(e);
    } finally {
      setBusy(false);
    }
  };
  const test = async () => {
    if (!sound()) return;
    const abort = new AbortController();
    running.current = abort;
    setTrial(undefined);
    setDone(0);
    try {
      setTrial(await tryRule(named, now, `-${days}d`, '', setDone, abort.signal));
    } catch (e) {
      if (!abort.signal.aborted) fail(e);
    } finally {
      setDone(undefined);
    }
  };
  const toYaml = () => {
    if (id === undefined && form && same(written(form), written(blank()))) setSource(template(t));
    else setSource(dirty || kept === '' ? now : kept);
    setAsForm(false);
    setStays(undefined);
    setError(undefined);
  };
  const toForm = async (force = false) => {
    setError(undefined);
    if (source === kept && id !== undefined && stays?.reason === 'comments' && !force) return;
    setBusy(true);
    try {
      // The template of a new rule is no rule yet: the form begins anew.
      if (id === undefined && source === template(t)) {
        setForm(blank());
        setAsForm(true);
        return;
      }
      const read = await rules.check(named, source);
      const f = opened(read.rule);
      if (!f) setStays({ reason: 'kind', rule: read.rule });
      else if (read.comments && !force) setStays({ reason: 'comments', rule: read.rule });
      else {
        setForm(f);
        setStays(undefined);
        setAsForm(true);
      }
    } catch (e) {
      fail(e);
    } finally {
      setBusy(false);
    }
  };

  if (!rule && id !== undefined)
    return error === undefined ? <p className="empty">…</p> : <p className="problem">{why(t, error)}</p>;
  const count = form && looked > 0 ? new Set([...refused.keys(), ...wrongs(form).keys()]).size : 0;
  return (
    <section className="editor" aria-labelledby="rule-title" ref={box}>
      <div className="head">
        <h2 id="rule-title">{rule ? labelOf(rule.name, lang, '') : t('rules.new')}</h2>
        {rule?.disabled && <span className="off">{t('rules.disabled')}</span>}
        <span className="space" />
        <fieldset className="modes">
          <legend className="heard">{t('rules.shownAs')}</legend>
          <button
            type="button"
            aria-pressed={asForm}
            disabled={busy}
            onClick={() => !asForm && void toForm()}
          >
            {t('rules.asForm')}
          </button>
          <button type="button" aria-pressed={!asForm} disabled={busy} onClick={() => asForm && toYaml()}>
            YAML
          </button>
        </fieldset>
      </div>
      {stays && (
        <p className="stays" role="status">
          {t(`rules.stays.${stays.reason}`)}{' '}
          {stays.reason === 'comments' && may && (
            <button type="button" disabled={busy} onClick={() => void toForm(true)}>
              {t('rules.dropComments')}
            </button>
          )}
        </p>
      )}
      {!rule && <p>{t(asForm ? 'rules.newForm' : 'rules.newHelp')}</p>}
      {asForm && form ? (
        <RuleForm
          form={form}
          onChange={(f) => {
            setForm(f);
            if (refused.size > 0) setRefused(new Map());
          }}
          found={found}
          choices={choices}
          book={book}
          fresh={id === undefined}
          disabled={!may || busy}
        />
      ) : (
        <>
          <label htmlFor="rule-source">{t('rules.source')}</label>
          <textarea
            id="rule-source"
            className="source"
            ref={text}
            spellCheck={false}
            readOnly={!may}
            value={source}
            rows={Math.min(30, source.split('\n').length + 1)}
            onChange={(e) => {
              setSource(e.target.value);
              setStays(undefined);
            }}
          />
        </>
      )}
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
      {asForm && count > 0 && (
        <p className="problem" role="alert">
          {t('rules.wrongCount', { n: count })}
        </p>
      )}
      {clash && (
        <p className="problem" role="alert">
          {t('rules.taken', { id: named })}
        </p>
      )}
      <p role="status" className="done">
        {said && t('rules.saved')}
      </p>
      {may && (
        <div className="acts">
          <button
            type="button"
            className="main"
            disabled={busy || !dirty || clash || (!asForm && named === '')}
            onClick={() => sound() && void act(() => rules.put(named, now))}
          >
            {t(asForm && form?.rest.disabled ? 'rules.saveOff' : 'rules.save')}
          </button>
          {rule && (
            <>
              <button
                type="button"
                disabled={busy || !dirty}
                onClick={() => {
                  setSource(kept);
                  setForm(keptForm);
                  setLooked(0);
                  setRefused(new Map());
                  setError(undefined);
                }}
              >
                {t('rules.undo')}
              </button>
              <button
                type="button"
                disabled={busy || dirty}
                onClick={() =>
                  (!rule.disabled || sound(true)) &&
                  void act(() => rules.enable(rule.id, Boolean(rule.disabled)))
                }
              >
                {rule.disabled ? t('rules.enable') : t('rules.disable')}
              </button>
            </>
          )}
        </div>
      )}
      {may && (
        <fieldset className="trial">
          <legend>{t('rules.try')}</legend>
          <p>{t('rules.tryHelp')}</p>
          <div className="acts">
            {PERIODS.map((n) => (
              <button type="button" key={n} aria-pressed={days === n} onClick={() => setDays(n)}>
                {t('rules.days', { n })}
              </button>
            ))}
            {done === undefined ? (
              <button type="button" className="main" onClick={() => void test()}>
                {t('rules.run')}
              </button>
            ) : (
              <button type="button" onClick={() => running.current?.abort()}>
                {t('rules.stop', { n: Math.round(100 * done) })}
              </button>
            )}
          </div>
          {done !== undefined && <progress value={done} max={1} aria-label={t('rules.try')} />}
          {trial && (
            <TrialResult trial={trial} names={new Map(choices.devices.map((d) => [d.id, d.name || d.id]))} />
          )}
        </fieldset>
      )}
    </section>
  );
}
