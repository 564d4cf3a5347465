import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { useCell } from '../cell.ts';
import { age, date } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { subject, title } from '../panels/alarmlist.tsx';
import { useWall } from '../panels/context.ts';
import { PrioritySymbol } from '../panels/symbol.tsx';
import { type DisplayState, scenesApi } from '../scenes/api.ts';
import { DEFAULT_SCENE, type Focus, type Scene } from '../scenes/model.ts';
import { type ActName, type Details, deskApi } from './api.ts';
import { type Dialog, useDesk } from './desk.ts';
import { shelfTimes, sorted } from './model.ts';
import { ACT_KEY, why } from './words.ts';

/** A dialog over the page; Escape closes it, the focus goes back where it was. */
export function Modal({
  label,
  className = '',
  onClose,
  children,
}: {
  label: string;
  className?: string;
  onClose: () => void;
  children: ReactNode;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      className={`note desk-dialog ${className}`}
      aria-label={label}
      onCancel={onClose}
      onClose={onClose}
    >
      {children}
    </dialog>
  );
}

/** Reasons people give most, to be chosen by one key. */
const SHELVE_REASONS = [
  'desk.reason.known',
  'desk.reason.repair',
  'desk.reason.sensor',
  'desk.reason.test',
] as const;

/** Asks for what an act needs: a note, a time, a department. What was typed stays while the connection is away. */
export function ActDialog({ ask }: { ask: Extract<Dialog, { kind: 'act' }> }) {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const link = useCell(wall.socket.link);
  const { act } = ask;
  const alarms = sorted(ask.alarms);
  const worst = alarms[0];
  const [note, setNote] = useState('');
  const [minutes, setMinutes] = useState(0);
  const [most, setMost] = useState<number | undefined>(undefined);
  const [department, setDepartment] = useState(
    (act === 'assign' && (worst.assigned?.department || worst.owner)) || '',
  );
  const [person, setPerson] = useState('');
  const [due, setDue] = useState(60);
  const [departments, setDepartments] = useState<string[]>([]);
  const list = useId();
  const close = () => desk.dialog.set(undefined);

  // biome-ignore lint/correctness/useExhaustiveDependencies: asked once, for the alarms the dialog was opened with
  useEffect(() => {
    if (act === 'assign') deskApi.departments().then(setDepartments, () => undefined);
    if (act !== 'shelve') return;
    // The shortest of what the priorities among them allow.
    const each = new Map(alarms.map((a) => [a.priority, a.id]));
    Promise.all([...each.values()].map((id) => deskApi.detail(id).then((d) => d.maxShelveSeconds))).then(
      (all) => setMost(Math.min(...all)),
      () => setMost(1800), // the server says when it is too long
    );
  }, [act]);
  const times = most === undefined ? [] : shelfTimes(most);
  const lasting = times.includes(minutes) ? minutes : (times[0] ?? 0);

  const needsNote = act !== 'assign';
  const live = link.state === 'live';
  const ready =
    live &&
    (!needsNote || note.trim() !== '') &&
    (act !== 'assign' || department.trim() !== '') &&
    (act !== 'shelve' || lasting > 0);
  const submit = (e: FormEvent) => {
    e.preventDefault();
    if (!ready) return;
    const details: Details = {};
    const words = note.trim().normalize('NFC');
    if (words) details.note = words;
    if (act === 'shelve') details.for = `${lasting}m`;
    if (act === 'assign') {
      details.department = department.trim().normalize('NFC');
      if (person.trim()) details.person = person.trim().normalize('NFC');
      if (due > 0) details.due = new Date(wall.clock.now() + due * 60_000).toISOString();
    }
    close();
    void desk.send(alarms, act, details);
  };
  const label = t(ACT_KEY[act]);
  return (
    <Modal label={label} onClose={close}>
      <form onSubmit={submit}>
        <h2>
          <PrioritySymbol priority={worst.priority} />{' '}
          {alarms.length === 1
            ? `${label}: ${title(worst, lang)}`
            : t('desk.actOnMany', { act: label, count: alarms.length })}
        </h2>
        {alarms.length === 1 ? (
          <>
            <p>{labelOf(worst.message, lang, '')}</p>
            <p className="facts">
              {subject(wall, worst)} ·{' '}
              {t('alarms.raised', { time: date(lang, 'full', Date.parse(worst.raised)) })}
            </p>
            {act === 'acknowledge' && labelOf(worst.response, lang, '') && (
              <p>
                <b>{t('alarms.response')}:</b> {labelOf(worst.response, lang, '')}
              </p>
            )}
          </>
        ) : (
          <ul className="meant">
            {alarms.slice(0, 5).map((a) => (
              <li key={a.id}>
                <PrioritySymbol priority={a.priority} size={18} /> {title(a, lang)} · {subject(wall, a)}
              </li>
            ))}
            {alarms.length > 5 && <li>{t('desk.andMore', { count: alarms.length - 5 })}</li>}
          </ul>
        )}
        {act === 'shelve' && (
          <fieldset className="choices">
            <legend>{t('desk.howLong')}</legend>
            {most === undefined && <span>…</span>}
            {most !== undefined && times.length === 0 && (
              <p className="problem">{t('desk.why.never_shelved')}</p>
            )}
            {times.map((m) => (
              <label key={m} className="tick">
                <input type="radio" name="minutes" checked={m === lasting} onChange={() => setMinutes(m)} />
                {m < 120 ? t('age.minutes', { n: m }) : t('age.hours', { n: m / 60 })}
              </label>
            ))}
          </fieldset>
        )}
        {act === 'assign' && (
          <>
            <label>
              {t('desk.department')}
              <input
                list={list}
                required
                maxLength={200}
                value={department}
                onChange={(e) => setDepartment(e.target.value)}
              />
              <datalist id={list}>
                {departments.map((d) => (
                  <option key={d} value={d} />
                ))}
              </datalist>
            </label>
            <label>
              {t('desk.person')}
              <input maxLength={200} value={person} onChange={(e) => setPerson(e.target.value)} />
            </label>
            <label>
              {t('desk.due')}
              <select value={due} onChange={(e) => setDue(Number(e.target.value))}>
                {[15, 30, 60, 120, 240, 480, 1440].map((m) => (
                  <option key={m} value={m}>
                    {t('desk.dueIn', {
                      time: age(lang, m * 60_000),
                      clock: date(lang, 'minute', wall.clock.now() + m * 60_000),
                    })}
                  </option>
                ))}
                <option value={0}>{t('desk.noDue')}</option>
              </select>
            </label>
          </>
        )}
        <Words act={act} note={note} onNote={setNote} />
        {act === 'shelve' && (
          <p className="usual">
            {SHELVE_REASONS.map((r) => (
              <button key={r} type="button" className="chip" onClick={() => setNote(t(r))}>
                {t(r)}
              </button>
            ))}
          </p>
        )}
        {!live && (
          <p className="problem" role="status">
            {t('desk.lostKept')}
          </p>
        )}
        <div className="buttons">
          <button type="button" onClick={close}>
            {t('alarms.cancel')}
          </button>
          <button type="submit" className="main" disabled={!ready}>
            {label}
          </button>
        </div>
      </form>
    </Modal>
  );
}

const WORDS: Partial<
  Record<ActName, 'alarms.noteNeeded' | 'desk.ask.comment' | 'desk.ask.reason' | 'desk.ask.false'>
> = {
  acknowledge: 'alarms.noteNeeded',
  comment: 'desk.ask.comment',
  false: 'desk.ask.false',
};

function Words({ act, note, onNote }: { act: ActName; note: string; onNote: (note: string) => void }) {
  const { t } = useLanguage();
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (act !== 'assign') area.current?.focus();
  }, [act]);
  return (
    <label>
      {act === 'assign' ? t('desk.ask.note') : t(WORDS[act] ?? 'desk.ask.reason')}
      <textarea
        ref={area}
        rows={3}
        value={note}
        maxLength={1900}
        onChange={(e) => onNote(e.target.value)}
        onKeyDown={(e) => {
          // Enter also ends a syllable in an input method: that one is not ours.
          if (e.key !== 'Enter' || e.shiftKey || e.nativeEvent.isComposing) return;
          e.preventDefault();
          e.currentTarget.form?.requestSubmit();
        }}
      />
    </label>
  );
}

/** Puts a scene on displays, with what is chosen here in its middle. */
export function PushDialog({ focus, name, scene: wanted }: { focus: Focus; name: string; scene?: string }) {
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const [scenes, setScenes] = useState<Scene[]>([DEFAULT_SCENE]);
  const [displays, setDisplays] = useState<DisplayState[] | undefined>(undefined);
  const [scene, setScene] = useState(wanted ?? 'default');
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [minutes, setMinutes] = useState(10);
  const [error, setError] = useState<unknown>(undefined);
  const [sending, setSending] = useState(false);
  useEffect(() => {
    scenesApi.scenes().then((all) => {
      setScenes(all.some((s) => s.id === 'default') ? all : [DEFAULT_SCENE, ...all]);
    }, setError);
    scenesApi.displays().then((all) => {
      setDisplays(all);
      if (all.length === 1) setChosen(new Set([all[0].id]));
    }, setError);
  }, []);
  const close = () => desk.dialog.set(undefined);
  const submit = (e: FormEvent) => {
    e.preventDefault();
    if (chosen.size === 0 || sending) return;
    setSending(true);
    scenesApi
      .push({
        scene,
        displays: [...chosen],
        ...(focus.alarm || focus.device || focus.view ? { focus } : {}),
        ...(minutes > 0 ? { until: new Date(desk.wall.clock.now() + minutes * 60_000).toISOString() } : {}),
      })
      .then(
        (p) => {
          close();
          desk.pushed(p.displays.length, p.waiting?.length ?? 0, p.id);
        },
        (e2: unknown) => {
          setSending(false);
          setError(e2);
        },
      );
  };
  return (
    <Modal label={t('desk.pushTitle')} onClose={close}>
      <form onSubmit={submit}>
        <h2>{t('desk.pushTitle')}</h2>
        <p>
          {focus.alarm
            ? t('desk.pushAlarm', { name })
            : focus.device
              ? t('desk.pushDevice', { name })
              : t(focus.view ? 'desk.pushView' : 'desk.pushScene')}
        </p>
        <fieldset className="choices">
          <legend>{t('desk.pushWhere')}</legend>
          {displays?.length === 0 && <p>{t('scenes.noDisplays')}</p>}
          {displays && displays.length > 1 && (
            <label className="tick">
              <input
                type="checkbox"
                checked={chosen.size === displays.length}
                onChange={(e) => setChosen(new Set(e.target.checked ? displays.map((d) => d.id) : []))}
              />
              {t('scenes.all', { count: displays.length })}
            </label>
          )}
          {displays?.map((d) => (
            <label key={d.id} className="tick">
              <input
                type="checkbox"
                checked={chosen.has(d.id)}
                onChange={() => {
                  const next = new Set(chosen);
                  if (!next.delete(d.id)) next.add(d.id);
                  setChosen(next);
                }}
              />
              {labelOf(d.name, lang, d.id)} <small>{t(`scenes.condition.${d.condition}`)}</small>
            </label>
          ))}
        </fieldset>
        <label>
          {t('scenes.scene')}
          <select value={scene} onChange={(e) => setScene(e.target.value)}>
            {scenes.map((s) => (
              <option key={s.id} value={s.id}>
                {labelOf(s.name, lang, s.id)}
              </option>
            ))}
          </select>
        </label>
        <label>
          {t('desk.pushFor')}
          <select value={minutes} onChange={(e) => setMinutes(Number(e.target.value))}>
            {[5, 10, 30, 60].map((m) => (
              <option key={m} value={m}>
                {t('age.minutes', { n: m })}
              </option>
            ))}
            <option value={0}>{t('desk.pushOpen')}</option>
          </select>
        </label>
        {error !== undefined && (
          <p className="problem" role="alert">
            {why(t, error)}
          </p>
        )}
        <div className="buttons">
          <button type="button" onClick={close}>
            {t('alarms.cancel')}
          </button>
          <button type="submit" className="main" disabled={chosen.size === 0 || sending}>
            {t('desk.push')}
          </button>
        </div>
      </form>
    </Modal>
  );
}
