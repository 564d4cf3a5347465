import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef, useState } from 'react';
import { age, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { type Entry, type Filter, type Life, type Profile, query, register } from './api.ts';
import { PRESENCE, why } from './words.ts';

const ROW = 46;
/** Lines asked for at once. */
const PAGE = 100;
/** How often what is on the screen is asked for again: presence ages by itself. */
const AGAIN = 5000;
/** Pages kept; a scroll through all of a large register does not keep all of it. */
const KEPT = 40;
/** Marked at once: each is a change of its own, and a person is to know what it was. */
const MOST_MARKED = 1000;

/**
 * The list shows a window of a register of any size: only the pages on the
 * screen are asked for, by their offset. Rows not here yet are drawn empty.
 */
export function List({
  filter,
  version,
  profiles,
  chosen,
  marked,
  mayMark,
  onChoose,
  onMark,
  onSums,
}: {
  filter: Filter;
  version: number;
  profiles: ReadonlyMap<string, Profile>;
  chosen: string | undefined;
  marked: ReadonlyMap<string, Life>;
  mayMark: boolean;
  onChoose: (id: string) => void;
  onMark: (marked: ReadonlyMap<string, Life>) => void;
  onSums: (sums: { total: number; states: Partial<Record<Life, number>> }) => void;
}) {
  const { lang, t } = useLanguage();
  const scroller = useRef<HTMLDivElement>(null);
  const pages = useRef(new Map<number, Entry[]>());
  const [total, setTotal] = useState<number | undefined>(undefined);
  const [, draw] = useState(0);
  const [at, setAt] = useState(0);
  const [error, setError] = useState<unknown>(undefined);
  const asked = query(filter).toString();

  const virtual = useVirtualizer({
    count: total ?? 0,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 12,
  });
  const items = virtual.getVirtualItems();
  const first = Math.floor((items[0]?.index ?? 0) / PAGE);
  const last = Math.floor((items[items.length - 1]?.index ?? 0) / PAGE);

  // Another question: what is here answers the one before.
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked is the question
  useEffect(() => {
    pages.current.clear();
    setTotal(undefined);
    setAt(0);
    scroller.current?.scrollTo(0, 0);
  }, [asked]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: asked stands for filter, version asks again
  useEffect(() => {
    const abort = new AbortController();
    const fetchAll = (again: boolean) => {
      for (let page = first; page <= last; page++) {
        if (!again && pages.current.has(page)) continue;
        register.page(filter, page * PAGE, PAGE, abort.signal).then(
          (answer) => {
            if (abort.signal.aborted) return;
            pages.current.delete(page);
            pages.current.set(page, answer.devices);
            for (const old of pages.current.keys()) {
              if (pages.current.size <= KEPT) break;
              if (old < first || old > last) pages.current.delete(old);
            }
            setTotal(answer.total);
            setError(undefined);
            onSums({ total: answer.total, states: answer.states });
            draw((n) => n + 1);
          },
          (e: unknown) => {
            if (!abort.signal.aborted) setError(e);
          },
        );
      }
    };
    fetchAll(version > 0);
    const timer = setInterval(() => {
      if (!document.hidden) fetchAll(true);
    }, AGAIN);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [asked, version, first, last]);

  const entry = (index: number) => pages.current.get(Math.floor(index / PAGE))?.[index % PAGE];
  const mark = (e: Entry) => {
    const now = new Map(marked);
    if (!now.delete(e.id)) now.set(e.id, e.state);
    onMark(now);
  };
  const go = (index: number) => {
    const to = Math.max(0, Math.min((total ?? 1) - 1, index));
    setAt(to);
    virtual.scrollToIndex(to);
  };
  const all = marked.size > 0 && marked.size === Math.min(total ?? 0, MOST_MARKED);
  const markAll = () => {
    if (all) {
      onMark(new Map());
      return;
    }
    register.page(filter, 0, MOST_MARKED).then(
      (answer) => onMark(new Map(answer.devices.map((e) => [e.id, e.state]))),
      (e: unknown) => setError(e),
    );
  };
  const current = entry(at);

  return (
    <div
      className="grid"
      role="grid"
      aria-rowcount={(total ?? 0) + 1}
      aria-labelledby="register-title"
      tabIndex={0}
      aria-activedescendant={current ? `entry-${current.id}` : undefined}
      onKeyDown={(e) => {
        if (e.target instanceof HTMLInputElement && e.key === ' ') return;
        const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? ROW) / ROW) - 1);
        const moves: Record<string, number> = {
          ArrowDown: at + 1,
          ArrowUp: at - 1,
          PageDown: at + page,
          PageUp: at - page,
          Home: 0,
          End: (total ?? 1) - 1,
        };
        const to = moves[e.key];
        if (to !== undefined) go(to);
        else if (e.key === 'Enter' && current) onChoose(current.id);
        else if (e.key === ' ' && current && mayMark) mark(current);
        else return;
        e.preventDefault();
      }}
    >
      <div className="line titles" role="row" aria-rowindex={1} tabIndex={-1}>
        <span role="columnheader" tabIndex={-1}>
          {mayMark && (
            <input
              type="checkbox"
              aria-label={t('register.markAll', { count: number(lang, MOST_MARKED) })}
              checked={all}
              onChange={markAll}
            />
          )}
        </span>
        {(
          [
            'register.device',
            'register.profile',
            'device.state',
            'device.presence',
            'device.owner',
            'device.upstream',
          ] as const
        ).map((key) => (
          <span key={key} role="columnheader" tabIndex={-1}>
            {t(key)}
          </span>
        ))}
      </div>
      <div className="rows" role="rowgroup" ref={scroller}>
        {total === 0 && (
          <div role="row" tabIndex={-1}>
            <div className="empty" role="gridcell" tabIndex={-1}>
              {t('register.none')}
            </div>
          </div>
        )}
        {error !== undefined && (
          <p className="problem" role="alert">
            {t('register.failed', { reason: why(t, error) })}
          </p>
        )}
        <div style={{ height: virtual.getTotalSize(), position: 'relative' }} role="presentation">
          {items.map((item) => {
            const e = entry(item.index);
            const style = { transform: `translateY(${item.start}px)`, height: ROW };
            if (!e) return <div key={item.key} className="line" style={style} aria-hidden="true" />;
            const profile = profiles.get(e.profile);
            return (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the rows answer to keys above
              <div
                key={item.key}
                id={`entry-${e.id}`}
                className={`line life-${e.state} ${item.index === at ? 'at' : ''}`}
                role="row"
                aria-rowindex={item.index + 2}
                aria-selected={e.id === chosen}
                tabIndex={-1}
                style={style}
                onClick={() => {
                  setAt(item.index);
                  onChoose(e.id);
                }}
              >
                <span role="gridcell" tabIndex={-1}>
                  {mayMark && (
                    <input
                      type="checkbox"
                      tabIndex={-1}
                      aria-label={t('register.mark', { id: e.id })}
                      checked={marked.has(e.id)}
                      onClick={(click) => click.stopPropagation()}
                      onChange={() => mark(e)}
                    />
                  )}
                </span>
                <span role="gridcell" tabIndex={-1} className="who">
                  <b>{e.name || e.id}</b>
                  <small>
                    {e.id}
                    {e.simulated && <i className="sim">{t('device.simulatedShort')}</i>}
                  </small>
                </span>
                <span role="gridcell" tabIndex={-1}>
                  {profile ? labelOf(profile.label, lang, e.profile) : e.profile}
                </span>
                <span role="gridcell" tabIndex={-1} className="life">
                  {t(`life.${e.state}`)}
                </span>
                <span role="gridcell" tabIndex={-1} className={`presence ${e.presence.state}`}>
                  {t(PRESENCE[e.presence.state])}
                  {e.presence.since && (
                    <small>
                      {t('figure.age', { age: age(lang, Date.now() - Date.parse(e.presence.since)) })}
                    </small>
                  )}
                </span>
                <span role="gridcell" tabIndex={-1} className="who">
                  <span>{e.owner}</span>
                  <small>{e.site}</small>
                </span>
                <span role="gridcell" tabIndex={-1}>
                  {e.upstream}
                </span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
