import { useVirtualizer } from '@tanstack/react-virtual';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useCell } from '../cell.ts';
import { date, elapsed, number } from '../format.ts';
import { type Language, type Translate, useLanguage } from '../i18n/index.ts';
import { type Alarm, arrange, isOpen, needsAcknowledge } from '../live/alarms.ts';
import { labelOf } from '../live/dictionary.ts';
import type { Wall } from '../wall.ts';
import { reason, useMay, useSecond, useWall } from './context.ts';
import { PrioritySymbol } from './symbol.tsx';

type Filter = 'open' | 'unacknowledged' | 'acknowledged';

const FILTERS: Record<Filter, (alarm: Alarm) => boolean> = {
  open: isOpen,
  unacknowledged: (a) => isOpen(a) && needsAcknowledge(a),
  acknowledged: (a) => a.state === 'acknowledged',
};

const ROW = 62;
/** More than this in ten minutes and one person can no longer look at each (EEMUA 191). */
const FLOOD = 10;

export function AlarmList() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const alarms = useCell(wall.alarmBook.alarms);
  const selection = useCell(wall.selection);
  const figures = useCell(wall.figures);
  const [filter, setFilter] = useState<Filter>('open');
  const noting = useCell(wall.noting);
  const [focused, setFocused] = useState(false);
  useSecond();

  const all = useMemo(() => [...alarms.values()], [alarms]);
  const matching = useMemo(() => all.filter(FILTERS[filter]), [all, filter]);
  const counts = useMemo(
    () => ({
      open: all.filter(FILTERS.open).length,
      unacknowledged: all.filter(FILTERS.unacknowledged).length,
      acknowledged: all.filter(FILTERS.acknowledged).length,
    }),
    [all],
  );

  // Rows keep their places while one is selected; what was shown is remembered
  // with the alarms' last words, so that one that closed meanwhile can be read.
  const shown = useRef<string[]>([]);
  const remembered = useRef(new Map<string, Alarm>());
  const held = selection.alarm !== undefined && shown.current.includes(selection.alarm);
  const { rows, pending } = arrange(shown.current, matching, held);
  shown.current = rows;
  for (const id of rows) {
    const alarm = alarms.get(id);
    if (alarm) remembered.current.set(id, alarm);
  }
  if (!held) for (const id of remembered.current.keys()) if (!alarms.has(id)) remembered.current.delete(id);
  const alarmOf = (id: string): Alarm | undefined => {
    const now = alarms.get(id);
    if (now) return now;
    const last = remembered.current.get(id);
    return last && { ...last, state: 'normal' };
  };

  useEffect(() => {
    document.documentElement.dataset.alarms = String(rows.filter((id) => alarms.has(id)).length);
  }, [rows, alarms]);

  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 6,
    getItemKey: (i) => rows[i],
  });

  const choose = useCallback(
    (alarm: Alarm | undefined) => {
      if (!alarm) wall.select({});
      else wall.select({ alarm: alarm.id, ...(alarm.device ? { device: alarm.device } : {}) });
    },
    [wall],
  );

  const step = (by: number) => {
    if (rows.length === 0) return;
    const at = selection.alarm ? rows.indexOf(selection.alarm) : -1;
    const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
    virtual.scrollToIndex(next);
    choose(alarmOf(rows[next]));
  };

  const keys = useRef<(e: KeyboardEvent) => void>(undefined);
  keys.current = (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target)) return;
    const chosen = selection.alarm ? alarmOf(selection.alarm) : undefined;
    switch (e.key) {
      case 'j':
      case 'J':
        step(1);
        break;
      case 'k':
      case 'K':
        step(-1);
        break;
      case 'ArrowDown':
      case 'ArrowUp':
        if (!focused) return;
        step(e.key === 'ArrowDown' ? 1 : -1);
        break;
      case 'a':
      case 'A':
        if (!chosen) return;
        wall.askAcknowledge(chosen);
        break;
      case 'm':
      case 'M':
        if (!selection.device) return;
        wall.showOnMap(selection.device);
        break;
      default:
        return;
    }
    e.preventDefault();
  };
  useEffect(() => {
    const listen = (e: KeyboardEvent) => keys.current?.(e);
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);

  const urgentPending = pending.some((id) => alarms.get(id)?.priority === 1);
  const rising = figures?.rising ?? 0;
  return (
    <section className="panel alarms" aria-labelledby="alarms-title" id="alarms">
      <div className="panel-head">
        <h2 id="alarms-title">{t('alarms.title')}</h2>
        <span>{t('alarms.order')}</span>
      </div>
      <fieldset className="filters" aria-labelledby="alarms-title">
        {(Object.keys(FILTERS) as Filter[]).map((f) => (
          <button
            key={f}
            type="button"
            aria-pressed={filter === f}
            onClick={() => {
              choose(undefined);
              shown.current = [];
              setFilter(f);
            }}
          >
            {t(`alarms.${f}`)} <b>{number(lang, counts[f])}</b>
          </button>
        ))}
      </fieldset>
      {pending.length > 0 && (
        <button
          type="button"
          className={`new ${urgentPending ? 'urgent' : ''}`}
          onClick={() => {
            choose(undefined);
          }}
        >
          {t(urgentPending ? 'alarms.newUrgent' : 'alarms.new', { count: number(lang, pending.length) })} ·{' '}
          {t('alarms.show')}
        </button>
      )}
      {rows.length === 0 && (
        <p className="empty">{t(filter === 'open' ? 'alarms.none' : 'alarms.noneFiltered')}</p>
      )}
      <div
        className="rows"
        ref={scroller}
        role="listbox"
        aria-labelledby="alarms-title"
        aria-activedescendant={selection.alarm ? `alarm-${selection.alarm}` : undefined}
        tabIndex={0}
        onFocus={() => setFocused(true)}
        onBlur={() => setFocused(false)}
      >
        <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
          {virtual.getVirtualItems().map((item) => {
            const alarm = alarmOf(rows[item.index]);
            return (
              alarm && (
                <Row
                  key={item.key}
                  alarm={alarm}
                  top={item.start}
                  selected={alarm.id === selection.alarm}
                  index={item.index}
                  count={rows.length}
                  onChoose={choose}
                  t={t}
                />
              )
            );
          })}
        </div>
      </div>
      <AckLine />
      <div className="rate">
        <span>
          {t('alarms.rate')}: {t('alarms.rateNote', { count: number(lang, rising), limit: FLOOD })}
        </span>
        <span className="bar" aria-hidden="true">
          <i
            className={rising > FLOOD ? 'over' : ''}
            style={{ width: `${Math.min(100, (rising / (FLOOD * 1.5)) * 100)}%` }}
          />
          <s style={{ left: `${100 / 1.5}%` }} />
        </span>
      </div>
      <Keys t={t} />
      {noting && <NoteDialog alarm={noting} onDone={() => wall.noting.set(undefined)} />}
      <div className="heard" aria-live="assertive" role="alert">
        <Urgent />
      </div>
    </section>
  );
}

function Urgent() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const urgent = useCell(wall.urgent);
  return urgent ? t('alarms.assertive', { name: title(urgent, lang) }) : null;
}

/** What is wrong, in the rule's words: short, and without the device's name, which stands beside it. */
export function title(alarm: Alarm, lang: Language): string {
  return labelOf(alarm.ruleName, lang, '') || labelOf(alarm.message, lang, alarm.rule);
}

/** The value it stands on, as people write it. */
export function standsOn(wall: Wall, alarm: Alarm, lang: Language): string {
  if (typeof alarm.value !== 'number') return '';
  // How many there are is a bare number.
  if (!alarm.unit) return number(lang, alarm.value, Number.isInteger(alarm.value) ? 0 : 1);
  const info = wall.city.quantities.find((q) => q.name === alarm.quantity || q.unit === alarm.unit);
  return `${number(lang, alarm.value, info?.digits ?? 1)} ${info?.display || alarm.unit || ''}`.trimEnd();
}

/** What an alarm is about, as people call it: a device, a zone, or where several devices are. */
export function subject(wall: Wall, alarm: Alarm): string {
  if (alarm.device) return wall.deviceName(alarm.device);
  const entity = alarm.entity.replace(/~.*$/, ''); // a drill's own
  const name = entity.slice(entity.indexOf(':') + 1);
  if (entity.startsWith('cluster:')) return wall.deviceName(name);
  if (!entity.startsWith('zone:')) return '';
  const zone = alarm.zones?.find((z) => `${z.layer}/${z.code}` === name);
  return zone?.name || name.slice(name.indexOf('/') + 1);
}

/** The ward of an alarm, when its zones have one. */
export function zoneName(alarm: Alarm): string {
  const ward = alarm.zones?.find((z) => z.layer === 'wards') ?? alarm.zones?.[0];
  return ward?.name ?? '';
}

function Row({
  alarm,
  top,
  selected,
  index,
  count,
  onChoose,
  t,
}: {
  alarm: Alarm;
  top: number;
  selected: boolean;
  index: number;
  count: number;
  onChoose: (alarm: Alarm) => void;
  t: Translate;
}) {
  const wall = useWall();
  const { lang } = useLanguage();
  const waiting = needsAcknowledge(alarm);
  const value = standsOn(wall, alarm, lang);
  const over = alarm.state === 'returned' || alarm.state === 'normal';
  const where = [...new Set([zoneName(alarm), subject(wall, alarm)])].filter(Boolean).join(' · ');
  const who = alarm.state === 'acknowledged' ? alarm.acknowledged?.by : undefined;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the list answers to J, K and the arrows
    <div
      id={`alarm-${alarm.id}`}
      className={`row p${alarm.priority} ${waiting ? 'waiting' : ''} ${over ? 'over' : ''}`}
      role="option"
      aria-selected={selected}
      aria-posinset={index + 1}
      aria-setsize={count}
      tabIndex={-1}
      style={{ transform: `translateY(${top}px)`, height: ROW }}
      onClick={() => onChoose(alarm)}
      onDoubleClick={() => alarm.device && wall.showOnMap(alarm.device)}
    >
      <PrioritySymbol priority={alarm.priority} size={26} quiet={over} />
      <span className="what">
        <b>
          <span>{title(alarm, lang)}</span>
          {value && <span>· {value}</span>}
        </b>
        <span className="where">
          <span>{where}</span>
          {alarm.exercise && <i className="exercise">{t('desk.exercise')}</i>}
          {alarm.simulated ? (
            <i className="sim" title={t('device.simulated')}>
              {t('device.simulatedShort')}
            </i>
          ) : null}
        </span>
      </span>
      <span className="when">
        <time>{elapsed(wall.clock.now() - Date.parse(alarm.raised))}</time>
        <span className="state">
          {who ? `${t('state.acknowledged')} · ${who}` : t(`state.${alarm.state}`)}
        </span>
      </span>
    </div>
  );
}

/** What became of the last acknowledgement; done shows in the row itself. */
function AckLine() {
  const wall = useWall();
  const { t } = useLanguage();
  const ack = useCell(wall.ack);
  return (
    <p className={`ack-line ${ack?.state ?? ''}`} role="status">
      {ack?.state === 'sending' && t('alarms.acking')}
      {ack?.state === 'failed' && t('alarms.ackFailed', { reason: reason(t, ack.error) })}
    </p>
  );
}

function Keys({ t }: { t: Translate }) {
  const may = useMay();
  return (
    <p className="keys" aria-hidden="true">
      <kbd>J</kbd>
      <kbd>K</kbd> {t('keys.choose')}{' '}
      {may('handle_alarms') && (
        <>
          <kbd>A</kbd> {t('keys.ack')}{' '}
        </>
      )}
      <kbd>M</kbd> {t('keys.map')} <kbd>L</kbd> {t('keys.layers')} <kbd>Esc</kbd> {t('keys.close')}
    </p>
  );
}

/** A priority-1 alarm is acknowledged with a word on what is being done. */
function NoteDialog({ alarm, onDone }: { alarm: Alarm; onDone: () => void }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const dialog = useRef<HTMLDialogElement>(null);
  const [note, setNote] = useState('');
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} className="note" onClose={onDone} aria-labelledby="note-title">
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (!note.trim()) return;
          void wall.acknowledge(alarm, note.trim().normalize('NFC'));
          onDone();
        }}
      >
        <h2 id="note-title">
          <PrioritySymbol priority={alarm.priority} /> {title(alarm, lang)}
        </h2>
        <p>{labelOf(alarm.message, lang, '')}</p>
        <p className="facts">{t('alarms.raised', { time: date(lang, 'full', Date.parse(alarm.raised)) })}</p>
        {labelOf(alarm.response, lang, '') && (
          <p>
            <b>{t('alarms.response')}:</b> {labelOf(alarm.response, lang, '')}
          </p>
        )}
        <label>
          {t('alarms.noteNeeded')}
          <textarea
            rows={3}
            value={note}
            maxLength={1000}
            onChange={(e) => setNote(e.target.value)}
            onKeyDown={(e) => {
              if (e.key === 'Enter' && !e.shiftKey) e.currentTarget.form?.requestSubmit();
              if (e.key === 'Enter' && !e.shiftKey) e.preventDefault();
            }}
          />
        </label>
        <div className="buttons">
          <button type="button" onClick={onDone}>
            {t('alarms.cancel')}
          </button>
          <button type="submit" className="main" disabled={!note.trim()}>
            {t('alarms.send')}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** Letters typed into a field are text, not commands. */
export function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable ||
      /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) ||
      target.closest('dialog') !== null)
  );
}
