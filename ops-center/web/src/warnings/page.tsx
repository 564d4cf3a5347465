import './page.css';
import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError, type Session } from '../api.ts';
import { date, elapsed } from '../format.ts';
import { type Key, phrase, useLanguage } from '../i18n/index.ts';
import { asked as askedFor } from '../links/linked.tsx';
import { Gate } from '../shell/gate.tsx';
import { Masthead } from '../shell/masthead.tsx';
import {
  type Drill,
  overtaken,
  type Preview,
  type Template,
  type Text,
  type Warning,
  warnings,
} from './api.ts';
import { Editor, Problems } from './editor.tsx';
import { refusal } from './words.ts';

/** Public warnings: what is drafted, what waits for a second person, what is in force, what is over. */
export function WarningsPage({ refused }: { refused: unknown }) {
  const { t } = useLanguage();
  return (
    <Gate refused={refused} title={t('warnings.title')}>
      {(session) => <Board session={session} />}
    </Gate>
  );
}

type Column = 'draft' | 'waiting' | 'in_force' | 'ended';
const COLUMNS: readonly Column[] = ['draft', 'waiting', 'in_force', 'ended'];

function columnOf(w: Warning): Column {
  switch (w.state) {
    case 'draft':
    case 'waiting':
    case 'in_force':
      return w.state;
  }
  return 'ended';
}

function contentOf(w: Warning) {
  return w.draft?.content ?? w.messages.at(-1)?.content;
}

type Asked =
  | { kind: 'approve'; warning: Warning; preview: Preview }
  | { kind: 'cancel' | 'return' | 'lapse'; warning: Warning };

function Board({ session }: { session: Session }) {
  const { t } = useLanguage();
  const mayDraft = session.permissions.includes('draft_warnings');
  const mayApprove = session.permissions.includes('approve_warnings');
  const [list, setList] = useState<Warning[]>([]);
  const [expiring, setExpiring] = useState<ReadonlySet<string>>(new Set());
  const [drills, setDrills] = useState<Drill[]>([]);
  const [templates, setTemplates] = useState<Template[]>([]);
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  const [asked, setAsked] = useState<Asked | undefined>(undefined);
  const [problem, setProblem] = useState<unknown>(undefined);
  const [missing, setMissing] = useState('');
  const [now, setNow] = useState(Date.now());

  // The message that a link asked for, until it was looked for.
  const linked = useRef(askedFor('message'));

  const load = useCallback(async (signal?: AbortSignal) => {
    try {
      const [board, running] = await Promise.all([warnings.list(signal), warnings.drills(signal)]);
      const id = linked.current;
      if (id) {
        linked.current = '';
        const named = board.warnings.find((w) => w.messages.some((m) => m.identifier === id));
        if (named) setChosen(named.id);
        else setMissing(id);
      }
      setList(board.warnings);
      setExpiring(new Set(board.expiring));
      setDrills(running.filter((d) => !d.ended));
    } catch (e) {
      if (!signal?.aborted) setProblem(e);
    }
  }, []);
  useEffect(() => {
    const abort = new AbortController();
    void load(abort.signal);
    warnings.templates().then(setTemplates, setProblem);
    const again = setInterval(() => void load(abort.signal), 10_000);
    const tick = setInterval(() => setNow(Date.now()), 1000);
    return () => {
      abort.abort();
      clearInterval(again);
      clearInterval(tick);
    };
  }, [load]);

  /** What came of an act: the warning as it is now, or why it was not done. */
  const done = useCallback(
    async (act: () => Promise<Warning>): Promise<boolean> => {
      try {
        const w = await act();
        setList((all) => [w, ...all.filter((x) => x.id !== w.id)].sort((a, b) => b.id.localeCompare(a.id)));
        setProblem(undefined);
        return true;
      } catch (e) {
        setProblem(e);
        if (overtaken(e)) void load();
        return false;
      }
    },
    [load],
  );

  const open = list.find((w) => w.id === chosen);
  return (
    <div className="page warnings">
      {drills.length > 0 && (
        <div className="exercise-banner" role="status">
          <b>{t('warnings.exercise')}</b>
          <span>{drills.map((d) => `${d.name} (${d.id})`).join(' · ')}</span>
          {mayDraft &&
            drills.map((d) => (
              <button
                type="button"
                key={d.id}
                onClick={() => warnings.endDrill(d.id).then(() => load(), setProblem)}
              >
                {t('warnings.endDrill', { id: d.id })}
              </button>
            ))}
        </div>
      )}
      <Masthead title={t('warnings.title')} session={session}>
        {mayDraft && (
          <Begin templates={templates} drills={drills} onBegin={done} onOpen={setChosen} onDrill={load} />
        )}
      </Masthead>
      {problem !== undefined && (
        <p className="problem" role="alert">
          {refusal(t, problem)}{' '}
          <button type="button" onClick={() => setProblem(undefined)}>
            {t('warnings.close')}
          </button>
        </p>
      )}
      {missing && (
        <p className="problem" role="alert">
          {t('warnings.noMessage', { id: missing })}{' '}
          <button type="button" onClick={() => setMissing('')}>
            {t('warnings.close')}
          </button>
        </p>
      )}
      <main className={open ? 'warnings-body open' : 'warnings-body'}>
        <div className="board">
          {COLUMNS.map((column) => {
            const own = list.filter((w) => columnOf(w) === column).slice(0, column === 'ended' ? 50 : 200);
            return (
              <section className="panel" key={column} aria-labelledby={`column-${column}`}>
                <div className="panel-head">
                  <h2 id={`column-${column}`}>{t(`warnings.column_${column}` as Key)}</h2>
                  <span>{own.length}</span>
                </div>
                <ul>
                  {own.map((w) => (
                    <li key={w.id}>
                      <Card
                        warning={w}
                        now={now}
                        expiring={expiring.has(w.id)}
                        chosen={w.id === chosen}
                        onChoose={() => setChosen(w.id === chosen ? undefined : w.id)}
                      />
                    </li>
                  ))}
                  {own.length === 0 && <li className="hint">{t(`warnings.none_${column}` as Key)}</li>}
                </ul>
              </section>
            );
          })}
        </div>
        {open && (
          <Editor
            key={`${open.id}.${open.draft ? open.draft.msgType : 'sent'}`}
            warning={open}
            mayDraft={mayDraft}
            mayApprove={mayApprove}
            onAct={done}
            onClose={() => setChosen(undefined)}
            onApprove={() =>
              warnings
                .preview(open.id)
                .then((preview) => setAsked({ kind: 'approve', warning: open, preview }), setProblem)
            }
            onAsk={(kind) => setAsked({ kind, warning: open })}
          />
        )}
      </main>
      {asked && <Ask asked={asked} onAct={done} onClose={() => setAsked(undefined)} />}
    </div>
  );
}

function Card({
  warning,
  now,
  expiring,
  chosen,
  onChoose,
}: {
  warning: Warning;
  now: number;
  expiring: boolean;
  chosen: boolean;
  onChoose: () => void;
}) {
  const { lang, t } = useLanguage();
  const content = contentOf(warning);
  const last = warning.messages.at(-1);
  return (
    <button
      type="button"
      className={`card severity-${content?.severity.toLowerCase() ?? 'unknown'}`}
      aria-pressed={chosen}
      onClick={onChoose}
    >
      <span className="line">
        <b>{warning.id}</b>
        {warning.exercise && <i className="exercise">{t('warnings.exercise')}</i>}
        <span>{t(`warnings.severity_${content?.severity ?? 'Unknown'}` as Key)}</span>
      </span>
      <span className="head">
        {content?.headline[lang] || content?.headline.vi || t('warnings.untitled')}
      </span>
      <span className="line">
        {warning.state === 'in_force' && last && (
          <span className={expiring ? 'late' : ''}>
            {t('warnings.left', { time: elapsed(Date.parse(last.expires) - now) })}
          </span>
        )}
        {warning.state !== 'in_force' && <span>{t(`warnings.state_${warning.state}` as Key)}</span>}
        {warning.state === 'in_force' && warning.draft && (
          <span>
            {t(`warnings.type_${warning.draft.msgType}` as Key)}:{' '}
            {t(warning.draft.submitted ? 'warnings.state_waiting' : 'warnings.state_draft')}
          </span>
        )}
        {expiring && <span className="late">{t('warnings.undecided')}</span>}
        <span>{date(lang, 'minute', Date.parse(warning.changed))}</span>
      </span>
    </button>
  );
}

/** Begins a warning from a template, or a drill. */
function Begin({
  templates,
  drills,
  onBegin,
  onOpen,
  onDrill,
}: {
  templates: Template[];
  drills: Drill[];
  onBegin: (act: () => Promise<Warning>) => Promise<boolean>;
  onOpen: (id: string) => void;
  onDrill: () => Promise<void>;
}) {
  const { lang, t } = useLanguage();
  const [asking, setAsking] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const [tokens, setTokens] = useState<Record<string, string> | undefined>(undefined);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (asking) dialog.current?.showModal();
  }, [asking]);
  return (
    <>
      <label className="begin">
        <span>{t('warnings.begin')}</span>
        <select
          value=""
          onChange={(e) => {
            const [template, drill] = e.target.value.split('|');
            void onBegin(async () => {
              const w = await warnings.draft({ template, ...(drill ? { drill } : {}) });
              onOpen(w.id);
              return w;
            });
          }}
        >
          <option value="" disabled>
            {t('warnings.choose')}
          </option>
          {templates.map((x) => (
            <option key={x.key} value={x.key}>
              {x.name[lang]}
            </option>
          ))}
          {drills.map((d) => (
            <optgroup key={d.id} label={`${t('warnings.exercise')} ${d.id}`}>
              {templates.map((x) => (
                <option key={x.key} value={`${x.key}|${d.id}`}>
                  {t('warnings.exercise')}: {x.name[lang]}
                </option>
              ))}
            </optgroup>
          ))}
        </select>
      </label>
      <button type="button" className="chip" onClick={() => setAsking(true)}>
        {t('warnings.startDrill')}
      </button>
      {asking && (
        <dialog
          className="note"
          ref={dialog}
          onClose={() => setAsking(false)}
          aria-label={t('warnings.startDrill')}
        >
          {tokens ? (
            <form method="dialog">
              <h2>{t('warnings.tokens')}</h2>
              <pre>
                {Object.entries(tokens)
                  .map(([id, token]) => `${id} ${token}`)
                  .join('\n')}
              </pre>
              <button type="submit" className="main" onClick={() => setTokens(undefined)}>
                {t('warnings.close')}
              </button>
            </form>
          ) : (
            <form
              onSubmit={(e) => {
                e.preventDefault();
                const form = new FormData(e.currentTarget);
                const like = String(form.get('like'))
                  .split(/[\s,]+/)
                  .filter(Boolean);
                const ends = new Date(Date.now() + Number(form.get('hours')) * 3_600_000).toISOString();
                warnings.startDrill({ name: String(form.get('name')), ends, like }).then((d) => {
                  setTokens(d.tokens);
                  setError(undefined);
                  void onDrill();
                }, setError);
              }}
            >
              <h2>{t('warnings.startDrill')}</h2>
              <label>
                {t('warnings.drillName')}
                <input name="name" required maxLength={200} />
              </label>
              <label>
                {t('warnings.drillHours')}
                <input name="hours" type="number" min="0.5" max="168" step="0.5" defaultValue="2" required />
              </label>
              <label>
                {t('warnings.drillLike')}
                <textarea name="like" rows={3} required />
              </label>
              {error !== undefined && (
                <p className="problem" role="alert">
                  {error instanceof ApiError && error.status === 422
                    ? t('warnings.drillBad')
                    : refusal(t, error)}
                </p>
              )}
              <div className="buttons">
                <button type="button" onClick={() => dialog.current?.close()}>
                  {t('warnings.close')}
                </button>
                <button type="submit" className="main">
                  {t('warnings.startDrill')}
                </button>
              </div>
            </form>
          )}
        </dialog>
      )}
    </>
  );
}

/** The second confirmation of what cannot be taken back. */
function Ask({
  asked,
  onAct,
  onClose,
}: {
  asked: Asked;
  onAct: (act: () => Promise<Warning>) => Promise<boolean>;
  onClose: () => void;
}) {
  const { lang, t } = useLanguage();
  const dialog = useRef<HTMLDialogElement>(null);
  const [typed, setTyped] = useState('');
  const [text, setText] = useState<Text>({ vi: '', en: '' });
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const { kind, warning } = asked;
  const bad = asked.kind === 'approve' && asked.preview.problems.some((p) => p.level === 'error');
  const ready =
    kind === 'approve'
      ? typed.trim() === warning.id && !bad
      : kind === 'cancel'
        ? text.vi.trim() !== '' && text.en.trim() !== ''
        : typed.trim() !== '';
  const act = async () => {
    setBusy(true);
    await onAct(() =>
      warnings.act(
        warning,
        kind,
        kind === 'approve'
          ? { confirm: typed.trim() }
          : kind === 'cancel'
            ? { text }
            : { reason: typed.trim() },
      ),
    );
    onClose();
  };
  return (
    <dialog className="note ask" ref={dialog} onClose={onClose} aria-label={t(`warnings.ask_${kind}`)}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (ready && !busy) void act();
        }}
      >
        <h2>{t(`warnings.ask_${kind}`)}</h2>
        {asked.kind === 'approve' && (
          <>
            <Citizen preview={asked.preview} />
            <Problems list={asked.preview.problems} />
            <p className={warning.exercise ? 'exercise-banner' : 'stern'}>
              {t(warning.exercise ? 'warnings.goesExercise' : 'warnings.goesPublic')}
            </p>
          </>
        )}
        {kind === 'cancel' ? (
          (['vi', 'en'] as const).map((l) => (
            <label key={l}>
              {t('warnings.why')} ({t(`warnings.${l}`)})
              <textarea
                lang={l}
                rows={3}
                value={text[l]}
                onChange={(e) => setText({ ...text, [l]: e.target.value })}
              />
            </label>
          ))
        ) : (
          <label>
            {kind === 'approve' ? t('warnings.typeNumber', { id: warning.id }) : t('warnings.why')}
            <input value={typed} autoComplete="off" onChange={(e) => setTyped(e.target.value)} lang={lang} />
          </label>
        )}
        <div className="buttons">
          <button type="button" onClick={() => dialog.current?.close()}>
            {t('warnings.back')}
          </button>
          <button type="submit" className="main" disabled={!ready || busy}>
            {t(`warnings.do_${kind}`)}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** A message as people outside read it, in both languages. */
export function Citizen({ preview }: { preview: Preview }) {
  return (
    <div className="citizen">
      {preview.alert.infos.map((i) => {
        const l = i.language.startsWith('vi') ? 'vi' : 'en';
        return (
          <article key={i.language} lang={l} className={`severity-${i.severity.toLowerCase()}`}>
            <h3>{i.headline}</h3>
            <p>{i.areas?.map((a) => a.description).join(', ')}</p>
            <p className="lines">{i.description}</p>
            {i.instruction && <p className="lines strong">{i.instruction}</p>}
            <footer>
              {i.senderName}
              {i.contact ? ` · ${i.contact}` : ''} · {phrase(l, 'warnings.until')}{' '}
              {date(l, 'full', Date.parse(i.expires))}
            </footer>
          </article>
        );
      })}
    </div>
  );
}
