import { type FormEvent, useCallback, useEffect, useMemo, useState } from 'react';
import { createPortal } from 'react-dom';
import { useCell } from '../cell.ts';
import { age, date, elapsed, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { isActive, isOpen } from '../live/alarms.ts';
import { labelOf } from '../live/dictionary.ts';
import { standsOn, subject, title, zoneName } from '../panels/alarmlist.tsx';
import { useWall } from '../panels/context.ts';
import { deskApi, type LogEntry } from './api.ts';
import { useDesk } from './desk.ts';
import { Modal } from './dialogs.tsx';
import { isMe, sorted } from './model.ts';
import { roleWord, why } from './words.ts';

const AT_ONCE = '100';

/** The shift: who is on, the log, what is handed over. */
export function ShiftDialog() {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const duty = useCell(desk.onShift);
  const link = useCell(wall.socket.link);
  const live = link.state === 'live';
  const [entries, setEntries] = useState<LogEntry[] | undefined>(undefined);
  const [text, setText] = useState('');
  const [corrects, setCorrects] = useState<LogEntry | undefined>(undefined);
  const [about, setAbout] = useState(wall.selection.get().alarm);
  const [error, setError] = useState<unknown>(undefined);
  const [busy, setBusy] = useState(false);
  const [printing, setPrinting] = useState(false);
  const mine = duty.find((d) => isMe(desk.me, d.id, d.name));
  const may = desk.permissions.has('handle_alarms');

  const load = useCallback(async () => {
    try {
      setEntries(await deskApi.log({ limit: AT_ONCE }));
    } catch (e) {
      setError(e);
    }
  }, []);
  useEffect(() => {
    void load();
    void desk.refresh();
  }, [load, desk]);
  useEffect(() => {
    if (!printing) return;
    const done = () => setPrinting(false);
    window.addEventListener('afterprint', done);
    window.print();
    return () => window.removeEventListener('afterprint', done);
  }, [printing]);

  const close = () => desk.dialog.set(undefined);
  /** What was typed is cleared when the server has it, not before. */
  const act = async (what: Promise<unknown>) => {
    setBusy(true);
    setError(undefined);
    try {
      await what;
      setText('');
      setCorrects(undefined);
      await Promise.all([load(), desk.refresh()]);
    } catch (e) {
      setError(e);
    } finally {
      setBusy(false);
    }
  };
  const words = text.trim().normalize('NFC');
  const submit = (e: FormEvent) => {
    e.preventDefault();
    if (!words || !live) return;
    void act(
      deskApi.write({
        text: words,
        ...(about && !corrects ? { alarm: about } : {}),
        ...(corrects ? { corrects: corrects.n } : {}),
      }),
    );
  };
  const named = about ? desk.alarm(about) : undefined;
  return (
    <Modal label={t('desk.shift')} className="shift" onClose={close}>
      <div className="shift-head">
        <h2>{t('desk.shift')}</h2>
        <button type="button" onClick={() => setPrinting(true)} disabled={!entries}>
          {t('desk.print')}
        </button>
        <button type="button" className="icon" aria-label={t('device.close')} onClick={close}>
          ×
        </button>
      </div>
      <p className="duty">
        {duty.length === 0
          ? t('desk.nobodyOn')
          : duty.map((d) => (
              <span key={`${d.id ?? ''} ${d.name}`} className="chip">
                <b>{d.name}</b> {roleWord(t, d.role)} ·{' '}
                {t('chart.since', { time: date(lang, 'minute', Date.parse(d.since)) })}
              </span>
            ))}
      </p>
      {may && (
        <form onSubmit={submit}>
          <label>
            {corrects ? t('desk.correcting', { n: corrects.n }) : t('desk.entry')}
            <textarea
              rows={2}
              value={text}
              maxLength={4000}
              onChange={(e) => setText(e.target.value)}
              onKeyDown={(e) => {
                if (e.key !== 'Enter' || e.shiftKey || e.nativeEvent.isComposing) return;
                e.preventDefault();
                e.currentTarget.form?.requestSubmit();
              }}
            />
          </label>
          <div className="buttons">
            {named && !corrects && (
              <label className="tick">
                <input type="checkbox" checked={about !== undefined} onChange={() => setAbout(undefined)} />
                {t('desk.aboutAlarm', { name: title(named, lang) })}
              </label>
            )}
            {corrects && (
              <button type="button" onClick={() => setCorrects(undefined)}>
                {t('alarms.cancel')}
              </button>
            )}
            <button type="submit" disabled={!words || !live || busy}>
              {t('desk.write')}
            </button>
            <button
              type="button"
              className="main"
              disabled={!live || busy}
              onClick={() => void act(mine ? deskApi.end(words) : deskApi.begin(words))}
            >
              {t(mine ? 'desk.endShift' : 'desk.beginShift')}
            </button>
          </div>
        </form>
      )}
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
      <ol className="log" aria-label={t('desk.log')}>
        {entries?.length === 0 && <li className="empty">{t('desk.logEmpty')}</li>}
        {entries?.map((e) => (
          <li key={e.n} className={`${e.kind} ${e.correctedBy ? 'corrected' : ''}`}>
            <span className="facts">
              {t('desk.entryNumber', { n: e.n })} · {date(lang, 'full', Date.parse(e.at))} ·{' '}
              <b>{e.by.name}</b> · {t(`desk.log.${e.kind}`)}
              {e.corrects ? ` ${t('desk.entryNumber', { n: e.corrects })}` : ''}
              {e.exercise && <i className="exercise">{t('desk.exercise')}</i>}
            </span>
            {e.text && <p>{e.text}</p>}
            {e.correctedBy ? (
              <span className="facts">{t('desk.correctedBy', { n: e.correctedBy })}</span>
            ) : (
              may &&
              (e.kind === 'note' || e.kind === 'correction') && (
                <button
                  type="button"
                  className="link"
                  onClick={() => {
                    setCorrects(e);
                    setText(e.text ?? '');
                  }}
                >
                  {t('desk.correct')}
                </button>
              )
            )}
          </li>
        ))}
      </ol>
      {printing && entries && createPortal(<Handover entries={entries} since={mine?.since} />, document.body)}
    </Modal>
  );
}

/** What the next shift has to know, on paper. */
function Handover({ entries, since }: { entries: readonly LogEntry[]; since: string | undefined }) {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const now = wall.clock.now();
  const from = since ? Date.parse(since) : now - 12 * 3_600_000;
  const all = useMemo(() => sorted([...wall.alarmBook.alarms.get().values()]), [wall]);
  const real = all.filter((a) => !a.exercise);
  const open = real.filter(isOpen);
  const parts = [
    { key: 'desk.hand.urgent' as const, list: open.filter((a) => a.priority <= 2) },
    { key: 'desk.hand.assigned' as const, list: open.filter((a) => a.assigned && a.priority > 2) },
    { key: 'desk.hand.shelved' as const, list: real.filter((a) => a.state === 'shelved') },
    { key: 'desk.hand.service' as const, list: real.filter((a) => a.state === 'out_of_service') },
  ];
  const log = entries.filter((e) => Date.parse(e.at) >= from && !e.correctedBy).toReversed();
  return (
    <section className="handover" lang={lang}>
      <h1>{t('desk.hand.title')}</h1>
      <p>
        {t('desk.hand.span', { from: date(lang, 'full', from), to: date(lang, 'full', now) })} (UTC+7) ·{' '}
        {t('desk.hand.by', { name: desk.me.name })}
      </p>
      <p>
        {t('desk.hand.open', {
          count: number(lang, open.length),
          active: number(lang, open.filter(isActive).length),
          unseen: number(lang, open.filter((a) => a.state !== 'acknowledged').length),
        })}{' '}
        {([1, 2, 3, 4] as const)
          .map((p) => `${t(`priority.${p}`)}: ${number(lang, open.filter((a) => a.priority === p).length)}`)
          .join(' · ')}
      </p>
      {parts.map((part) => (
        <div key={part.key}>
          <h2>
            {t(part.key)} ({number(lang, part.list.length)})
          </h2>
          <table>
            <tbody>
              {part.list.slice(0, 100).map((a) => (
                <tr key={a.id}>
                  <td>{t('desk.hand.level', { p: a.priority })}</td>
                  <td>
                    <b>{title(a, lang)}</b> {standsOn(wall, a, lang)}
                    <br />
                    {subject(wall, a)} · {zoneName(a)}
                  </td>
                  <td>
                    {t(`state.${a.state}`)} · {elapsed(now - Date.parse(a.raised))}
                    {a.acknowledged && (
                      <>
                        <br />
                        {a.acknowledged.by}: {a.acknowledged.note}
                      </>
                    )}
                    {a.shelved && (
                      <>
                        <br />
                        {a.shelved.by}: {a.shelved.reason} ({age(lang, Date.parse(a.shelved.until) - now)})
                      </>
                    )}
                    {a.assigned && (
                      <>
                        <br />→ {a.assigned.department} {a.assigned.person}{' '}
                        {a.assigned.due && date(lang, 'full', Date.parse(a.assigned.due))}
                      </>
                    )}
                    {a.outOfService && (
                      <>
                        <br />
                        {a.outOfService.by}: {a.outOfService.text}
                      </>
                    )}
                  </td>
                  <td>{labelOf(a.response, lang, '')}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ))}
      <h2>{t('desk.log')}</h2>
      <table>
        <tbody>
          {log.map((e) => (
            <tr key={e.n}>
              <td>{date(lang, 'full', Date.parse(e.at))}</td>
              <td>{e.by.name}</td>
              <td>
                {t(`desk.log.${e.kind}`)}
                {e.text ? `: ${e.text}` : ''}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="signed">
        {t('desk.hand.gives')}: ______________________ &emsp; {t('desk.hand.takes')}: ______________________
      </p>
    </section>
  );
}
