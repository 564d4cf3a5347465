import { useEffect, useMemo, useState } from 'react';
import { useCell } from '../cell.ts';
import { age, date, elapsed, number } from '../format.ts';
import { type Translate, useLanguage } from '../i18n/index.ts';
import { type Alarm, needsAcknowledge } from '../live/alarms.ts';
import { labelOf } from '../live/dictionary.ts';
import { PRIORITY, SERIES } from '../palette.ts';
import { standsOn, subject, title } from '../panels/alarmlist.tsx';
import { Chart } from '../panels/chart.tsx';
import { ChartBody, start } from '../panels/charts.tsx';
import { useSecond, useWall } from '../panels/context.ts';
import { useHistory } from '../panels/history.ts';
import { PrioritySymbol } from '../panels/symbol.tsx';
import { type Limit, rules as rulesApi } from '../rules/api.ts';
import { CATEGORIES } from '../warnings/words.ts';
import { type ActName, type Detail, deskApi } from './api.ts';
import { fits, useDesk } from './desk.ts';
import { type Action, keyOf } from './keys.ts';
import { heldByOther, holds, sorted } from './model.ts';
import { ACT_KEY, eventWord, groupWord, keyWord, roleWord, why } from './words.ts';

const HOURS = [1, 6, 24] as const;
/** Alarms that the page of a group lists. */
const MOST_LISTED = 50;

const ACT_ACTION: Record<ActName, Action> = {
  acknowledge: 'acknowledge',
  claim: 'claim',
  release: 'claim',
  comment: 'comment',
  assign: 'assign',
  accept: 'accept',
  return: 'return',
  false: 'false',
  shelve: 'shelve',
  unshelve: 'unshelve',
  'out-of-service': 'outOfService',
  'return-to-service': 'returnToService',
};
/** In the order they are offered; what means nothing for the alarm is left out. */
const OFFERED: readonly ActName[] = [
  'acknowledge',
  'claim',
  'release',
  'accept',
  'return',
  'assign',
  'comment',
  'shelve',
  'unshelve',
  'false',
  'out-of-service',
  'return-to-service',
];

/** The register of thresholds changes a few times a year. */
let limits: Promise<Limit[]> | undefined;
function register(): Promise<Limit[]> {
  limits ??= rulesApi.thresholds().then(
    (a) => a.limits,
    (error: unknown) => {
      limits = undefined;
      throw error;
    },
  );
  return limits;
}

/** One alarm: what, where, since when, against what, and what to do. */
export function AlarmPage({ id, onBack }: { id: string; onBack: () => void }) {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  useSecond();
  const alarms = useCell(wall.alarmBook.alarms);
  const link = useCell(wall.socket.link);
  const live = link.state === 'live';
  const [detail, setDetail] = useState<Detail | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const listed = alarms.get(id);
  const alarm = listed ?? (detail?.alarm.id === id ? detail.alarm : desk.alarm(id));
  const changes = listed?.changes ?? -1;

  // Asked again when the alarm changed; passing over the list asks about none.
  // biome-ignore lint/correctness/useExhaustiveDependencies: changes tells that there is more to read
  useEffect(() => {
    if (!live) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      deskApi.detail(id, abort.signal).then(
        (d) => {
          setDetail(d);
          setError(undefined);
          if (d.alarm.state !== 'normal' || !desk.wall.alarmBook.alarms.get().has(id)) {
            desk.remembered.set(id, d.alarm);
          }
        },
        (e: unknown) => {
          if (!abort.signal.aborted) setError(e);
        },
      );
    }, 150);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [id, changes, live, desk]);
  useEffect(() => setDetail((d) => (d?.alarm.id === id ? d : undefined)), [id]);

  if (!alarm) {
    return (
      <section className="panel alarm-page" aria-label={t('desk.page')}>
        <p className="empty">{error === undefined ? t('desk.loading') : why(t, error)}</p>
      </section>
    );
  }
  const own = detail?.alarm.id === id ? detail : undefined;
  const now = wall.clock.now();
  const over = alarm.state === 'returned' || alarm.state === 'normal';
  const value = standsOn(wall, alarm, lang);
  const limit =
    typeof alarm.threshold === 'number' ? standsOn(wall, { ...alarm, value: alarm.threshold }, lang) : '';
  const steps = own?.rule?.procedure?.[lang] ?? own?.rule?.procedure?.vi ?? [];
  const response = labelOf(alarm.response, lang, '');
  const category = CATEGORIES.find((c) => c === alarm.category);
  return (
    <section className="panel alarm-page" aria-label={t('desk.page')} data-alarm={alarm.id}>
      <div className="page-head">
        <button type="button" className="back" onClick={onBack}>
          ← {t('desk.back')}
        </button>
        <PrioritySymbol priority={alarm.priority} size={34} quiet={over} />
        <div>
          <h2>{title(alarm, lang)}</h2>
          <p>
            <b className={`word p${alarm.priority}`}>{t(`priority.${alarm.priority}`)}</b> ·{' '}
            {t(`state.${alarm.state}`)}
            {alarm.exercise && <i className="exercise">{t('desk.exercise')}</i>}
            {alarm.simulated && <i className="sim">{t('device.simulated')}</i>}
          </p>
        </div>
      </div>
      <ActButtons alarms={[alarm]} live={live} />
      <div className="page-scroll">
        {labelOf(alarm.message, lang, '') !== title(alarm, lang) && (
          <p className="message">{labelOf(alarm.message, lang, '')}</p>
        )}
        <Standing alarm={alarm} now={now} />
        <dl>
          <dt>{t('desk.where')}</dt>
          <dd>
            {alarm.device ? (
              <a href={`/devices/${encodeURIComponent(alarm.device)}`}>{wall.deviceName(alarm.device)}</a>
            ) : (
              subject(wall, alarm)
            )}
            {alarm.zones && alarm.zones.length > 0 && (
              <span className="sub">
                {[...new Set(alarm.zones.map((z) => z.name || z.code))].slice(0, 4).join(' · ')}
              </span>
            )}
          </dd>
          <dt>{t('desk.since')}</dt>
          <dd>
            {date(lang, 'full', Date.parse(alarm.raised))} ·{' '}
            {alarm.cleared
              ? t('desk.lasted', { time: elapsed(Date.parse(alarm.cleared) - Date.parse(alarm.raised)) })
              : t('desk.lasts', { time: age(lang, now - Date.parse(alarm.raised)) })}
          </dd>
          {value && (
            <>
              <dt>{t('desk.value')}</dt>
              <dd>
                <b>{value}</b>
                {limit && <> · {t('desk.limit', { value: limit })}</>}
              </dd>
            </>
          )}
          <dt>{t('desk.basis')}</dt>
          <dd>
            <Basis alarm={alarm} detail={own} />
          </dd>
          {(own?.rule?.owner || alarm.owner) && (
            <>
              <dt>{t('desk.owner')}</dt>
              <dd>
                {own?.rule?.owner || alarm.owner}
                {own?.rule?.head ? ` · ${own.rule.head}` : ''}
              </dd>
            </>
          )}
          {category && (
            <>
              <dt>{t('warnings.category')}</dt>
              <dd>{t(`warnings.category_${category}`)}</dd>
            </>
          )}
          {alarm.because && (
            <>
              <dt>{t('desk.because')}</dt>
              <dd>{wall.deviceName(alarm.because)}</dd>
            </>
          )}
        </dl>
        {(response || steps.length > 0) && (
          <div className="to-do">
            <h3>{t('alarms.response')}</h3>
            {response && <p>{response}</p>}
            {steps.length > 0 && (
              <ol>
                {steps.map((step) => (
                  <li key={step}>{step}</li>
                ))}
              </ol>
            )}
          </div>
        )}
        <AlarmChart alarm={alarm} />
        {(alarm.comments?.length ?? 0) > 0 && (
          <div>
            <h3>{t('desk.comments')}</h3>
            <ul className="comments">
              {alarm.comments?.toReversed().map((c) => (
                <li key={`${c.at} ${c.by}`}>
                  <p>{c.text}</p>
                  <span>
                    {c.by} · {date(lang, 'full', Date.parse(c.at))}
                  </span>
                </li>
              ))}
            </ul>
          </div>
        )}
        {own && own.neighbours.length > 0 && (
          <div>
            <h3>{t('desk.neighbours')}</h3>
            <ul className="neighbours">
              {own.neighbours.slice(0, 8).map((n) => (
                <li key={n.alarm.id}>
                  <button type="button" onClick={() => desk.open(n.alarm)}>
                    <PrioritySymbol
                      priority={n.alarm.priority}
                      size={18}
                      quiet={n.alarm.state !== 'unacknowledged'}
                    />
                    <span>
                      {title(n.alarm, lang)} · {subject(wall, n.alarm)}
                    </span>
                    <small>
                      {n.metres === null
                        ? t('desk.sameZone')
                        : t('desk.metres', { n: number(lang, n.metres) })}{' '}
                      · {after(t, lang, n.minutes)}
                    </small>
                  </button>
                </li>
              ))}
            </ul>
          </div>
        )}
        {own && (
          <div>
            <h3>{t('desk.history')}</h3>
            <ol className="story">
              {own.transitions.toReversed().map((tr) => (
                <li key={tr.n}>
                  <time>{date(lang, 'time', Date.parse(tr.recorded ?? tr.at))}</time>
                  <span>
                    <b>{eventWord(t, tr.event)}</b>
                    {tr.who.role !== 'machine' && (
                      <>
                        {' '}
                        · {tr.who.name} <small>({roleWord(t, tr.who.role)})</small>
                      </>
                    )}
                    {tr.why && tr.who.role !== 'machine' && <q>{tr.why}</q>}
                  </span>
                </li>
              ))}
            </ol>
          </div>
        )}
        {error !== undefined && <p className="problem">{why(t, error)}</p>}
      </div>
    </section>
  );
}

/** Alarms with one cause: what is in it, and what is done to all of them at once. */
export function GroupPage({ ids, onBack }: { ids: readonly string[]; onBack: () => void }) {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  useSecond();
  useCell(wall.alarmBook.alarms);
  const live = useCell(wall.socket.link).state === 'live';
  const alarms = sorted(ids.flatMap((id) => desk.alarm(id) ?? []));
  const worst = alarms[0];
  if (!worst) return null;
  const now = wall.clock.now();
  const unseen = alarms.filter(needsAcknowledge).length;
  // What to do is the rule's: said once for all of its alarms.
  const toDo = new Map(alarms.map((a) => [a.rule, a])).values();
  return (
    <section className="panel alarm-page" aria-label={t('desk.page')}>
      <div className="page-head">
        <button type="button" className="back" onClick={onBack}>
          ← {t('desk.back')}
        </button>
        <PrioritySymbol priority={worst.priority} size={34} quiet={unseen === 0} />
        <div>
          <h2>{groupWord(t, lang, wall, worst.group ?? '', worst)}</h2>
          <p>
            <b className={`word p${worst.priority}`}>{t(`priority.${worst.priority}`)}</b> ·{' '}
            {t('desk.group.count', { count: number(lang, alarms.length), unseen: number(lang, unseen) })}
            {worst.exercise && <i className="exercise">{t('desk.exercise')}</i>}
            {worst.simulated && <i className="sim">{t('device.simulated')}</i>}
          </p>
        </div>
      </div>
      <ActButtons alarms={alarms} live={live} />
      <div className="page-scroll">
        <ul className="neighbours">
          {alarms.slice(0, MOST_LISTED).map((a) => (
            <li key={a.id}>
              <button type="button" onClick={() => desk.open(a)}>
                <PrioritySymbol priority={a.priority} size={18} quiet={a.state !== 'unacknowledged'} />
                <span>
                  {subject(wall, a)} <b>{standsOn(wall, a, lang)}</b>
                </span>
                <small>
                  {elapsed(now - Date.parse(a.raised))} · {t(`state.${a.state}`)}
                </small>
              </button>
            </li>
          ))}
          {alarms.length > MOST_LISTED && (
            <li>{t('desk.andMore', { count: alarms.length - MOST_LISTED })}</li>
          )}
        </ul>
        {[...toDo].slice(0, 3).map((a) => {
          const response = labelOf(a.response, lang, '');
          return (
            response && (
              <div className="to-do" key={a.rule}>
                <h3>
                  {t('alarms.response')} · {title(a, lang)}
                </h3>
                <p>{response}</p>
              </div>
            )
          );
        })}
      </div>
    </section>
  );
}

function after(t: Translate, lang: 'vi' | 'en', minutes: number): string {
  if (Math.abs(minutes) < 0.5) return t('desk.atOnce');
  const n = number(lang, Math.abs(minutes), 0);
  return minutes > 0 ? t('desk.later', { n }) : t('desk.earlier', { n });
}

/** What can be done now, with the key for it; why not, when nothing can. What is of one alarm only is left out for many. */
function ActButtons({ alarms, live }: { alarms: readonly Alarm[]; live: boolean }) {
  const wall = useWall();
  const desk = useDesk();
  const { t } = useLanguage();
  const keys = useCell(desk.keys);
  const all = useCell(desk.acts.pending);
  const pending = alarms.map((a) => all.get(a.id)).find((p) => p !== undefined);
  const now = wall.clock.now();
  const alarm = alarms.length === 1 ? alarms[0] : undefined;
  const other = alarms.find((a) => heldByOther(a, desk.me, now));
  const offered = OFFERED.filter((act) => desk.may(act) && alarms.some((a) => fits(act, a, desk.me, now)));
  const button = (action: Action, label: string, run: () => void, main = false, off = false) => (
    <button
      key={action + label}
      type="button"
      className={main ? 'main' : ''}
      disabled={off}
      aria-describedby={off ? 'why-off' : undefined}
      onClick={run}
    >
      {label}
      {!keys.off && <kbd>{keyWord(keyOf(keys, action))}</kbd>}
    </button>
  );
  let reason = '';
  if (!live) reason = t('desk.lostActs');
  else if (pending) reason = t(pending.state === 'sending' ? 'desk.waiting' : 'desk.waitingUnsure');
  return (
    <div className="acts">
      <div className="act-row">
        {offered.map((act) =>
          button(
            ACT_ACTION[act],
            t(ACT_KEY[act]),
            () => desk.ask(act, alarms),
            act === 'acknowledge' || act === 'accept',
            !live,
          ),
        )}
        {alarm?.device && button('map', t('alarms.toMap'), () => wall.showOnMap(alarm.device))}
        {alarm &&
          desk.permissions.has('push_scenes') &&
          button('push', t('desk.push'), () => desk.askPush(), false, !live)}
        {alarm &&
          desk.permissions.has('draft_warnings') &&
          button('warning', t('desk.draft'), () => void desk.draftWarning(alarm), false, !live)}
      </div>
      <p id="why-off" className={reason ? 'why-off' : ''}>
        {reason}
      </p>
      {other && <p className="why-off">{t('desk.heldBy', { name: other.claimed?.by ?? '' })}</p>}
    </div>
  );
}

/** Who has it: seen, held, given, put aside. */
function Standing({ alarm, now }: { alarm: Alarm; now: number }) {
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const time = (at: string) => date(lang, 'full', Date.parse(at));
  const lines: { key: string; text: string; more?: string | undefined; late?: boolean }[] = [];
  if (holds(alarm, desk.me, now)) lines.push({ key: 'mine', text: t('desk.stand.mine') });
  const seen = alarm.acknowledged;
  if (seen) {
    lines.push({
      key: 'seen',
      text: t('alarms.by', { name: seen.by, time: time(seen.at) }),
      more: seen.note,
    });
  }
  const a = alarm.assigned;
  if (a) {
    const whom = a.person ? `${a.department} (${a.person})` : a.department;
    const due = a.due ? Date.parse(a.due) : undefined;
    lines.push({
      key: 'given',
      text:
        t('desk.stand.assigned', { whom, name: a.by, time: time(a.at) }) +
        (due ? ` · ${t('desk.stand.due', { time: date(lang, 'full', due) })}` : ''),
      more: a.note,
      late: due !== undefined && due < now && a.answer !== 'returned',
    });
    if (a.answer === 'accepted')
      lines.push({ key: 'answer', text: t('desk.stand.accepted', { name: a.answeredBy ?? '' }) });
    if (a.answer === 'returned') {
      lines.push({
        key: 'answer',
        text: t('desk.stand.returned', { name: a.answeredBy ?? '' }),
        more: a.reason,
        late: true,
      });
    }
  }
  if (alarm.shelved) {
    const left = elapsed(Date.parse(alarm.shelved.until) - now);
    lines.push({
      key: 'shelved',
      text: t('desk.stand.shelved', { name: alarm.shelved.by, left, time: time(alarm.shelved.until) }),
      more: alarm.shelved.reason,
    });
  }
  if (alarm.suppressed) {
    lines.push({
      key: 'suppressed',
      text: t(alarm.suppressed.by === 'plan' ? 'desk.stand.plan' : 'desk.stand.rule'),
      more: alarm.suppressed.reason,
    });
  }
  if (alarm.outOfService) {
    lines.push({
      key: 'service',
      text: t('desk.stand.service', { name: alarm.outOfService.by, time: time(alarm.outOfService.at) }),
      more: alarm.outOfService.text,
    });
  }
  if (alarm.falseAlarm) {
    lines.push({
      key: 'false',
      text: t('desk.stand.false', { name: alarm.falseAlarm.by, time: time(alarm.falseAlarm.at) }),
      more: alarm.falseAlarm.text,
    });
  }
  if (lines.length === 0) return null;
  return (
    <ul className="standing">
      {lines.map((l) => (
        <li key={l.key} className={l.late ? 'late' : ''}>
          {l.text}
          {l.more && <q>{l.more}</q>}
        </li>
      ))}
    </ul>
  );
}

/** What the limit rests on; that nobody has said it is said too. */
function Basis({ alarm, detail }: { alarm: Alarm; detail: Detail | undefined }) {
  const { t } = useLanguage();
  const [found, setFound] = useState<Limit | undefined>(undefined);
  const ref = detail?.rule?.when.threshold?.ref;
  const level = detail?.rule?.when.threshold?.level;
  useEffect(() => {
    setFound(undefined);
    if (!ref) return;
    let gone = false;
    register().then(
      (all) => {
        const of = all.filter((l) => l.set === ref && (!level || l.level === level));
        if (!gone) setFound(of.find((l) => l.value === alarm.threshold) ?? of[0]);
      },
      () => undefined, // the rule's own words stand
    );
    return () => {
      gone = true;
    };
  }, [ref, level, alarm.threshold]);
  if (!detail) return <>…</>;
  if (found) {
    return (
      <>
        {found.basis}
        {found.authority && <span className="sub">{found.authority}</span>}
        {found.doubt && <span className="sub">{t('desk.doubt', { text: found.doubt })}</span>}
      </>
    );
  }
  return <>{detail.rule?.basis || t('desk.noBasis')}</>;
}

function AlarmChart({ alarm }: { alarm: Alarm }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const [hours, setHours] = useState<number>(6);
  const { device, quantity = '' } = alarm;
  const wanted = useMemo(() => (device && quantity ? [{ device, label: device }] : []), [device, quantity]);
  const step = hours <= 1 ? 15_000 : hours <= 6 ? 60_000 : 300_000;
  const history = useHistory(wall, wanted, quantity, hours, step);
  const info = wall.city.quantities.find((q) => q.name === quantity);
  if (wanted.length === 0) return null;
  const now = wall.clock.now();
  const index = wall.city.index(device);
  const interval = index === undefined ? 60_000 : wall.city.interval[index];
  const name = info ? labelOf(info.label, lang, info.name) : quantity;
  const thresholds =
    typeof alarm.threshold === 'number'
      ? [
          {
            value: alarm.threshold,
            colour: PRIORITY[alarm.priority],
            label: t('chart.threshold', { value: number(lang, alarm.threshold, info?.digits ?? 1) }),
          },
        ]
      : [];
  return (
    <div>
      <div className="history-head">
        <h3>
          {name}
          {info ? ` (${info.display || info.unit})` : ''}
        </h3>
        <fieldset className="ranges" aria-label={t('device.history')}>
          {HOURS.map((h) => (
            <button key={h} type="button" aria-pressed={h === hours} onClick={() => setHours(h)}>
              {t('age.hours', { n: h })}
            </button>
          ))}
        </fieldset>
      </div>
      <div className="device-chart alarm-chart">
        <ChartBody history={history} lines={history.series} missing={false}>
          <Chart
            lines={history.series}
            gap={Math.max(step * 2.5, interval * 4)}
            from={start(history.series, now, hours)}
            to={now}
            digits={info?.digits ?? 1}
            band
            thresholds={thresholds}
            allThresholds
            label={`${t('device.history')}: ${name}`}
          />
        </ChartBody>
      </div>
      <ul className="lines" aria-hidden="true">
        <li>
          <i style={{ background: SERIES[0] }} /> {t('chart.mean')}
        </li>
        <li>
          <i className="range" /> {t('chart.range')}
        </li>
      </ul>
    </div>
  );
}
