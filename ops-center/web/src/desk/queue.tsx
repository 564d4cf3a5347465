import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useMemo, useRef } from 'react';
import { useCell } from '../cell.ts';
import { date, elapsed, number } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import { type Alarm, isOpen, needsAcknowledge } from '../live/alarms.ts';
import { standsOn, subject, title, zoneName } from '../panels/alarmlist.tsx';
import { useSecond, useWall } from '../panels/context.ts';
import { PrioritySymbol } from '../panels/symbol.tsx';
import type { Pending } from './acts.ts';
import { useDesk } from './desk.ts';
import {
  between,
  heldByOther,
  hold,
  holds,
  inTab,
  isFolded,
  lines,
  type Row,
  TABS,
  type Tab,
} from './model.ts';
import { groupWord } from './words.ts';

const ROW = 58;

const TAB: Record<Tab, Key> = {
  open: 'desk.tab.open',
  mine: 'desk.tab.mine',
  shelved: 'desk.tab.shelved',
  hidden: 'desk.tab.hidden',
  returned: 'desk.tab.returned',
  exercise: 'desk.tab.exercise',
};
const NONE: Record<Tab, Key> = {
  open: 'desk.none.open',
  mine: 'desk.none.mine',
  shelved: 'desk.none.shelved',
  hidden: 'desk.none.hidden',
  returned: 'desk.none.returned',
  exercise: 'desk.none.exercise',
};

/** What keys ask of the queue. */
export interface QueueKeys {
  step: (by: number, extend?: boolean) => void;
  fold: (open?: boolean) => void;
  mark: () => void;
  all: () => void;
  fresh: () => void;
}

export function Queue({ keys }: { keys: { current: QueueKeys | undefined } }) {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const alarms = useCell(wall.alarmBook.alarms);
  const tab = useCell(desk.tab);
  const grouped = useCell(desk.grouped);
  const folds = useCell(desk.folds);
  const cursor = useCell(desk.cursor);
  const marked = useCell(desk.marked);
  const pending = useCell(desk.acts.pending);
  const drills = useCell(desk.drills);
  // Claims run out: whose an alarm is depends on the time, a quarter of a minute is near enough.
  const second = useSecond();
  const quarter = Math.floor(second / 15);

  const counts = useMemo(() => {
    void quarter;
    const now = wall.clock.now();
    const found: Record<Tab, number> = { open: 0, mine: 0, shelved: 0, hidden: 0, returned: 0, exercise: 0 };
    for (const a of alarms.values()) for (const name of TABS) if (inTab(a, name, desk.me, now)) found[name]++;
    return found;
  }, [alarms, desk, wall, quarter]);
  const fresh = useMemo(() => {
    void quarter;
    const now = wall.clock.now();
    const list = [...alarms.values()].filter((a) => inTab(a, tab, desk.me, now));
    return lines(list, grouped, folds);
  }, [alarms, tab, grouped, folds, desk, wall, quarter]);

  // Lines keep their places while one is chosen.
  const shown = useRef<{ of: string; rows: readonly Row[] }>({ of: '', rows: [] });
  const of = `${tab} ${grouped}`;
  const foldsAt = useRef(folds);
  if (shown.current.of !== of || foldsAt.current !== folds) shown.current = { of, rows: [] };
  foldsAt.current = folds;
  const kept = cursor !== undefined && shown.current.rows.some((r) => r.key === cursor);
  const { rows, pending: waiting } = useMemo(
    () => (kept ? hold(shown.current.rows, fresh) : { rows: fresh, pending: [] }),
    [kept, fresh],
  );
  shown.current.rows = rows;
  for (const row of rows) {
    for (const id of row.ids) {
      const alarm = alarms.get(id);
      if (alarm) desk.remembered.set(id, alarm);
    }
  }
  useEffect(() => {
    if (cursor !== undefined) return;
    for (const id of desk.remembered.keys()) if (!alarms.has(id)) desk.remembered.delete(id);
  }, [desk, alarms, cursor]);

  useEffect(() => {
    let open = 0;
    for (const a of alarms.values()) if (isOpen(a)) open++;
    document.documentElement.dataset.alarms = String(open);
  }, [alarms]);

  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 8,
    getItemKey: (i) => rows[i].key,
  });

  const anchor = useRef<string>(undefined);
  const at = cursor === undefined ? -1 : rows.findIndex((r) => r.key === cursor);
  // Chosen elsewhere on the page: brought into sight, once.
  // biome-ignore lint/correctness/useExhaustiveDependencies: when another line is chosen, not when lines move
  useEffect(() => {
    if (at >= 0) virtual.scrollToIndex(at);
  }, [cursor]);
  const go = (index: number, extend = false) => {
    const row = rows[index];
    if (!row) return;
    if (extend && anchor.current !== undefined && rows.some((r) => r.key === anchor.current)) {
      desk.marked.set(new Set(between(rows, anchor.current, row.key)));
    } else {
      anchor.current = row.key;
      desk.marked.set(new Set());
    }
    desk.choose(row.key, row.ids);
    virtual.scrollToIndex(index);
  };
  const fold = (row: Row, closed: boolean) => {
    if (row.group === undefined) return;
    desk.folds.set(new Map(desk.folds.get()).set(row.group, closed));
  };
  keys.current = {
    step: (by, extend) => {
      if (rows.length === 0) return;
      const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
      if (extend && anchor.current === undefined) anchor.current = rows[next].key;
      go(next, extend);
    },
    fold: (open) => {
      const row = rows[at];
      if (!row) return;
      if (row.group === undefined) {
        // Left, inside a group, goes to its head.
        const head = rows.slice(0, at).findLastIndex((r) => r.group !== undefined);
        if (row.inside && open === false && head >= 0) go(head);
        return;
      }
      const closed = isFolded(folds, row.group, row.ids.length);
      if (open === undefined || open === closed) fold(row, !closed);
    },
    mark: () => {
      const row = rows[at];
      if (!row) return;
      const next = new Set(desk.marked.get());
      const there = row.ids.every((id) => next.has(id));
      for (const id of row.ids) {
        if (there) next.delete(id);
        else next.add(id);
      }
      desk.marked.set(next);
    },
    all: () => {
      desk.marked.set(new Set(rows.flatMap((r) => r.ids)));
      if (at < 0 && rows[0]) desk.choose(rows[0].key, rows[0].ids);
    },
    fresh: () => {
      shown.current = { of: '', rows: [] };
      desk.marked.set(new Set());
      desk.choose(undefined, []);
      virtual.scrollToIndex(0);
    },
  };

  const click = (e: React.MouseEvent, row: Row, index: number) => {
    if (e.shiftKey) go(index, true);
    else if (e.ctrlKey || e.metaKey) {
      const next = new Set(desk.marked.get());
      if (next.size === 0) for (const id of desk.under.get()) next.add(id);
      const there = row.ids.every((id) => next.has(id));
      for (const id of row.ids) {
        if (there) next.delete(id);
        else next.add(id);
      }
      anchor.current = row.key;
      desk.choose(row.key, row.ids);
      desk.marked.set(next);
    } else go(index);
  };

  const urgent = waiting.some((id) => alarms.get(id)?.priority === 1);
  const tabs = TABS.filter((x) => x !== 'exercise' || counts.exercise > 0 || drills.length > 0 || tab === x);
  return (
    <section className="panel queue" aria-labelledby="queue-title" id="alarms">
      <div className="panel-head">
        <h2 id="queue-title">{t('desk.queue')}</h2>
        <label className="tick">
          <input
            type="checkbox"
            checked={grouped}
            onChange={(e) => {
              desk.choose(undefined, []);
              desk.grouped.set(e.target.checked);
            }}
          />
          {t('desk.grouped')}
        </label>
      </div>
      <fieldset className="filters" aria-label={t('desk.tabs')}>
        {tabs.map((x) => (
          <button
            key={x}
            type="button"
            aria-pressed={x === tab}
            data-tab={x}
            onClick={() => {
              desk.choose(undefined, []);
              desk.marked.set(new Set());
              desk.tab.set(x);
            }}
          >
            {t(TAB[x])} <b>{number(lang, counts[x])}</b>
          </button>
        ))}
      </fieldset>
      {waiting.length > 0 && (
        <button
          type="button"
          className={`new ${urgent ? 'urgent' : ''}`}
          onClick={() => keys.current?.fresh()}
        >
          {t(urgent ? 'alarms.newUrgent' : 'alarms.new', { count: number(lang, waiting.length) })} ·{' '}
          {t('alarms.show')}
        </button>
      )}
      {rows.length === 0 && <p className="empty">{t(NONE[tab])}</p>}
      <div
        className="rows"
        ref={scroller}
        role="listbox"
        aria-multiselectable="true"
        aria-labelledby="queue-title"
        aria-activedescendant={at >= 0 ? rowId(rows[at].key) : undefined}
        tabIndex={0}
      >
        <div style={{ height: virtual.getTotalSize(), position: 'relative' }} role="presentation">
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index];
            const first = desk.alarm(row.ids[0]);
            if (!first) return null;
            const chosen = row.key === cursor;
            const isMarked = marked.size > 0 && row.ids.every((id) => marked.has(id));
            return (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the desk has the keys
              <div
                key={item.key}
                id={rowId(row.key)}
                data-alarm={row.group === undefined ? row.key : undefined}
                role="option"
                aria-selected={chosen || isMarked}
                aria-posinset={item.index + 1}
                aria-setsize={rows.length}
                tabIndex={-1}
                className={classOf(row, first, chosen, isMarked)}
                style={{ transform: `translateY(${item.start}px)`, height: ROW }}
                onClick={(e) => click(e, row, item.index)}
                onDoubleClick={() => {
                  if (row.group !== undefined) fold(row, !isFolded(folds, row.group, row.ids.length));
                  else if (first.device) wall.showOnMap(first.device);
                }}
              >
                {row.group === undefined ? (
                  <AlarmRow alarm={first} pending={pending.get(first.id)} />
                ) : (
                  <GroupRow
                    row={row}
                    closed={isFolded(folds, row.group, row.ids.length)}
                    onFold={(closed) => fold(row, closed)}
                  />
                )}
              </div>
            );
          })}
        </div>
      </div>
      {marked.size > 1 && (
        <p className="marked" role="status">
          {t('desk.marked', { count: number(lang, marked.size) })}{' '}
          <button type="button" className="link" onClick={() => desk.marked.set(new Set())}>
            {t('desk.unmark')}
          </button>
        </p>
      )}
    </section>
  );
}

/** Ids of alarms have dots and colons in them; in an element's id they are fine. */
function rowId(key: string): string {
  return `row-${key.replace(/\s/g, '_')}`;
}

function classOf(row: Row, a: Alarm, chosen: boolean, isMarked: boolean): string {
  const over = a.state === 'returned' || a.state === 'normal';
  return [
    'row',
    `p${a.priority}`,
    row.group === undefined && needsAcknowledge(a) ? 'waiting' : '',
    over ? 'over' : '',
    row.group === undefined ? '' : 'head',
    row.inside ? 'inside' : '',
    chosen ? 'chosen' : '',
    isMarked ? 'ticked' : '',
  ]
    .filter(Boolean)
    .join(' ');
}

function AlarmRow({ alarm, pending }: { alarm: Alarm; pending: Pending | undefined }) {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const now = wall.clock.now();
  const value = standsOn(wall, alarm, lang);
  const quiet = alarm.state !== 'unacknowledged' && alarm.state !== 'acknowledged';
  const where = [...new Set([subject(wall, alarm), zoneName(alarm)])].filter(Boolean).join(' · ');
  const assigned = alarm.assigned;
  const due = assigned?.due ? Date.parse(assigned.due) : undefined;
  return (
    <>
      <PrioritySymbol priority={alarm.priority} size={25} quiet={quiet} />
      <span className="what">
        <b>
          <span>{title(alarm, lang)}</span>
          {value && <span>· {value}</span>}
        </b>
        <span className="where">
          <span>{where}</span>
          {alarm.exercise && <i className="exercise">{t('desk.exercise')}</i>}
          {alarm.simulated && (
            <i className="sim" title={t('device.simulated')}>
              {t('device.simulatedShort')}
            </i>
          )}
          {alarm.chattering && <i className="mark">{t('desk.chattering')}</i>}
          {(alarm.unreachable ?? 0) > 0 && (
            <i className="mark">{t('desk.unreachable', { count: number(lang, alarm.unreachable ?? 0) })}</i>
          )}
          {alarm.falseAlarm && <i className="mark">{t('desk.falseMark')}</i>}
          {holds(alarm, desk.me, now) && <i className="mark own">{t('desk.mineMark')}</i>}
          {heldByOther(alarm, desk.me, now) && <i className="mark held">{alarm.claimed?.by}</i>}
          {assigned && (
            <i
              className={`mark ${assigned.answer === 'returned' || (due !== undefined && due < now) ? 'late' : ''}`}
            >
              {assigned.answer === 'returned'
                ? t('desk.gaveBack', { name: assigned.department })
                : `${assigned.answer === 'accepted' ? '✓ ' : ''}${assigned.department}`}
            </i>
          )}
        </span>
      </span>
      <span className="when">
        <Age alarm={alarm} />
        <span className="state">
          {pending ? (
            <em className="sending">{t(pending.state === 'sending' ? 'desk.sending' : 'desk.unsure')}</em>
          ) : alarm.state === 'acknowledged' && alarm.acknowledged ? (
            `${t('state.acknowledged')} · ${alarm.acknowledged.by}`
          ) : (
            t(`state.${alarm.state}`)
          )}
        </span>
      </span>
    </>
  );
}

/** How long it lasts; of a shelved one, how long it stays so. */
function Age({ alarm }: { alarm: Alarm }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const now = wall.clock.now();
  if (alarm.shelved) {
    const until = Date.parse(alarm.shelved.until);
    return (
      <time className="until" title={t('desk.shelvedUntil', { time: date(lang, 'time', until) })}>
        −{elapsed(until - now)}
      </time>
    );
  }
  return <time>{elapsed(now - Date.parse(alarm.raised))}</time>;
}

function GroupRow({ row, closed, onFold }: { row: Row; closed: boolean; onFold: (closed: boolean) => void }) {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const alarms = row.ids.flatMap((id) => desk.alarm(id) ?? []);
  const first = alarms[0];
  const unseen = alarms.filter(needsAcknowledge).length;
  const name = groupWord(t, lang, wall, row.group ?? '', first);
  return (
    <>
      <PrioritySymbol priority={first.priority} size={25} quiet={unseen === 0} />
      <span className="what">
        <b>
          <span>{name}</span>
        </b>
        <span className="where">
          <span>
            {t('desk.group.count', { count: number(lang, alarms.length), unseen: number(lang, unseen) })}
          </span>
          {first.exercise && <i className="exercise">{t('desk.exercise')}</i>}
        </span>
      </span>
      <span className="when">
        {/* The head's keys are Enter and the arrows; inside an option nothing else takes the focus. */}
        {/* biome-ignore lint/a11y/useKeyWithClickEvents: as said above */}
        {/* biome-ignore lint/a11y/noStaticElementInteractions: as said above */}
        <span
          className="fold"
          onClick={(e) => {
            e.stopPropagation();
            onFold(!closed);
          }}
        >
          {closed ? '▸' : '▾'} {t(closed ? 'desk.group.open' : 'desk.group.close')}
        </span>
      </span>
    </>
  );
}
