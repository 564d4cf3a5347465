import { type ReactNode, useEffect, useId, useState } from 'react';
import type { Session } from '../api.ts';
import { type Choice, Choose } from '../fields/choose.tsx';
import { dayText } from '../fields/clock.ts';
import { ClockInput } from '../fields/written.tsx';
import { type ZoneSet, ZonesInput } from '../fields/zones.tsx';
import { number } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import {
  type Credentials,
  type Filter,
  KINDS,
  type Kind,
  type Listing,
  PRIORITIES,
  type Preview,
  type Settings,
  type Subscription,
  subscriptions,
} from './api.ts';
import { type Known, useKnown } from './known.ts';
import { reasonOf } from './reasons.ts';

const words = (text: string) =>
  text
    .split(/[,\n]/)
    .map((w) => w.trim())
    .filter(Boolean);

/** What people write, before it is what is sent. */
interface Draft {
  name: string;
  url: string;
  format: 'json' | 'cap';
  to: string;
  language: 'vi' | 'en';
  paused: boolean;
  priorities: number[];
  categories: string[];
  events: string[];
  zones: ZoneSet[];
  quantities: string[];
  rules: string[];
  owners: string[];
  incidents: string;
  exercises: boolean;
  from: string;
  until: string;
  digest: '' | 'hour' | 'day';
  next: string;
  after: string;
  unless: 'receipt' | 'acknowledged';
}

function draftOf(s?: Subscription): Draft {
  const f = s?.filter ?? {};
  return {
    name: s?.name ?? '',
    url: s?.url ?? '',
    format: s?.format ?? 'json',
    to: (s?.to ?? []).join('\n'),
    language: s?.language ?? 'vi',
    paused: s?.paused ?? false,
    priorities: f.priorities ?? [],
    categories: f.categories ?? [],
    events: f.events ?? [],
    zones: zoneSets(f.zones ?? []),
    quantities: f.quantities ?? [],
    rules: f.rules ?? [],
    owners: f.owners ?? [],
    incidents: (f.incidents ?? []).join(', '),
    exercises: f.exercises ?? false,
    from: s?.quiet?.from ?? '',
    until: s?.quiet?.to ?? '',
    digest: s?.digest ?? '',
    next: s?.escalation?.to ?? '',
    after: s?.escalation ? String(minutes(s.escalation.after)) : '5',
    unless: s?.escalation?.until ?? 'receipt',
  };
}

/** By layer; a layer that is meant whole has no codes. */
function zoneSets(zones: readonly { layer: string; code?: string }[]): ZoneSet[] {
  const layers = [...new Set(zones.map((z) => z.layer))];
  return layers.map((layer) => {
    const own = zones.filter((z) => z.layer === layer);
    return { layer, codes: own.some((z) => !z.code) ? [] : own.map((z) => z.code ?? '') };
  });
}

/** A duration such as 1h5m in minutes. */
function minutes(text: string): number {
  const part = (unit: string) => Number(new RegExp(`(\\d+)${unit}(?![a-z])`).exec(text)?.[1] ?? 0);
  return part('h') * 60 + part('m');
}

function filterOf(d: Draft): Filter {
  const f: Filter = { exercises: d.exercises };
  if (d.priorities.length) f.priorities = d.priorities;
  if (d.categories.length) f.categories = d.categories;
  if (d.events.length) f.events = d.events;
  const zones = d.zones.flatMap(({ layer, codes }) =>
    codes.length ? codes.map((code) => ({ layer, code })) : [{ layer }],
  );
  if (zones.length) f.zones = zones;
  for (const key of ['quantities', 'rules', 'owners'] as const) if (d[key].length) f[key] = d[key];
  const incidents = words(d.incidents.normalize('NFC'));
  if (incidents.length) f.incidents = incidents;
  return f;
}

function settingsOf(d: Draft, kind: Kind): Settings {
  const s: Settings = {
    name: d.name.trim().normalize('NFC'),
    filter: filterOf(d),
    paused: d.paused,
    language: d.language,
  };
  if (kind === 'webhook') {
    s.url = d.url.trim();
    s.format = d.format;
  }
  if (kind === 'email') s.to = words(d.to);
  // A CAP message goes by itself and at once.
  if (kind === 'email' || (kind === 'webhook' && d.format === 'json')) {
    if (d.from && d.until) s.quiet = { from: d.from, to: d.until };
    if (d.digest) s.digest = d.digest;
  }
  if (d.next && kind !== 'atom') {
    s.escalation = { to: d.next, after: `${d.after}m`, until: d.unless };
  }
  return s;
}

function quantitiesOf(known: Known, lang: 'vi' | 'en'): Choice[] {
  return known.quantities.map((q) => ({ code: q.name, name: labelOf(q.label, lang, q.name) }));
}

/** Departments of the register, and those that a rule names and nobody has entered. */
function ownersOf(known: Known): Choice[] {
  const names = new Set([...known.departments.map((d) => d.name), ...known.rules.map((r) => r.owner)]);
  return [...names].filter(Boolean).map((name) => ({ code: name, name }));
}

export function Form({
  subscription,
  listing,
  session,
  onSaved,
  onRemoved,
  onCancel,
}: {
  subscription?: Subscription | undefined;
  listing: Listing;
  session: Session;
  onSaved: (s: Subscription, cred: Credentials) => void;
  onRemoved: () => void;
  onCancel: () => void;
}) {
  const { lang, t } = useLanguage();
  const [draft, setDraft] = useState(() => draftOf(subscription));
  const [kind, setKind] = useState<Kind>(subscription?.kind ?? 'webhook');
  const [department, setDepartment] = useState(subscription?.department ?? '');
  const known = useKnown();
  const [preview, setPreview] = useState<Preview | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [sure, setSure] = useState(false);
  const id = useId();
  const every = session.permissions.includes('manage_people');
  const set = (part: Partial<Draft>) => setDraft((d) => ({ ...d, ...part }));

  const filter = JSON.stringify(filterOf(draft));
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      subscriptions.preview(JSON.parse(filter) as Filter, stop.signal).then(setPreview, () => {
        if (!stop.signal.aborted) setPreview(undefined);
      });
    }, 250);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [filter]);

  const save = async () => {
    setError(undefined);
    try {
      const settings = settingsOf(draft, kind);
      if (subscription) onSaved(await subscriptions.change(subscription.id, settings), {});
      else {
        const made = await subscriptions.add(department.trim().normalize('NFC'), kind, settings);
        onSaved(made, made);
      }
    } catch (e) {
      setError(e);
    }
  };
  const remove = async () => {
    if (!subscription) return;
    if (!sure) {
      setSure(true);
      return;
    }
    try {
      await subscriptions.remove(subscription.id);
      onRemoved();
    } catch (e) {
      setError(e);
    }
  };
  const toggle = <T,>(list: T[], v: T) => (list.includes(v) ? list.filter((x) => x !== v) : [...list, v]);
  const ticks = <T extends string | number>(
    label: string,
    all: readonly T[],
    chosen: T[],
    name: (v: T) => string,
    change: (list: T[]) => void,
  ): ReactNode => (
    <fieldset className="ticks">
      <legend>{label}</legend>
      {all.map((v) => (
        <label key={v} className={chosen.includes(v) ? 'on' : ''}>
          <input type="checkbox" checked={chosen.includes(v)} onChange={() => change(toggle(chosen, v))} />
          {name(v)}
        </label>
      ))}
    </fieldset>
  );
  const text = (field: 'name' | 'url' | 'incidents', label: Key, required = false) => (
    <label>
      {t(label)}
      <input
        value={draft[field]}
        required={required}
        maxLength={2000}
        autoComplete="off"
        spellCheck={false}
        onChange={(e) => set({ [field]: e.target.value } as Partial<Draft>)}
      />
    </label>
  );
  const choose = (field: 'quantities' | 'rules' | 'owners', label: Key, all: readonly Choice[]) => (
    <div className="field">
      <span aria-hidden="true">{t(label)}</span>
      <Choose label={t(label)} all={all} chosen={draft[field]} onChange={(list) => set({ [field]: list })} />
    </div>
  );
  const departments = known.departments.map((d) => d.name);
  const most = Math.max(1, ...(preview?.byDay.map((d) => d.count) ?? [1]));

  return (
    <form
      className="fields"
      onSubmit={(e) => {
        e.preventDefault();
        void save();
      }}
    >
      <datalist id={`${id}-departments`}>
        {departments.map((d) => (
          <option key={d} value={d} />
        ))}
      </datalist>
      {!subscription && (
        <>
          {every && (
            <label>
              {t('departments.department')}
              <input
                list={`${id}-departments`}
                value={department}
                required
                maxLength={200}
                autoComplete="off"
                onChange={(e) => setDepartment(e.target.value)}
              />
            </label>
          )}
          <label>
            {t('departments.kind')}
            <select value={kind} onChange={(e) => setKind(e.target.value as Kind)}>
              {KINDS.filter((k) => k !== 'email' || listing.mail).map((k) => (
                <option key={k} value={k}>
                  {t(`departments.kind.${k}`)}
                </option>
              ))}
            </select>
          </label>
        </>
      )}
      {text('name', 'departments.name')}
      {kind === 'webhook' && (
        <>
          {text('url', 'departments.url', true)}
          <label>
            {t('departments.format')}
            <select value={draft.format} onChange={(e) => set({ format: e.target.value as Draft['format'] })}>
              <option value="json">JSON</option>
              <option value="cap">CAP 1.2</option>
            </select>
          </label>
        </>
      )}
      {kind === 'email' && (
        <>
          <label>
            {t('departments.to')}
            <textarea rows={3} value={draft.to} required onChange={(e) => set({ to: e.target.value })} />
          </label>
          <label>
            {t('departments.language')}
            <select
              value={draft.language}
              onChange={(e) => set({ language: e.target.value as Draft['language'] })}
            >
              <option value="vi">Tiếng Việt</option>
              <option value="en">English</option>
            </select>
          </label>
        </>
      )}
      {subscription?.stream && (
        <p className="where">
          {t('departments.topic')}: <code>{subscription.stream}</code>
        </p>
      )}
      {subscription?.feed && (
        <p className="where">
          {t('departments.feed')}: <code>{subscription.feed}</code>
        </p>
      )}

      <h3>{t('departments.filter')}</h3>
      <p className="hint">{t('departments.all')}</p>
      {ticks(
        t('departments.priorities'),
        PRIORITIES,
        draft.priorities as (typeof PRIORITIES)[number][],
        (n) => t('departments.priority', { n }),
        (priorities) => set({ priorities }),
      )}
      {ticks(
        t('departments.categories'),
        listing.categories,
        draft.categories,
        (c) => t(`departments.category.${c}` as Key),
        (categories) => set({ categories }),
      )}
      {ticks(
        t('departments.events'),
        listing.events,
        draft.events,
        (e) => t(`departments.event.${e}` as Key),
        (events) => set({ events }),
      )}
      {(known.layers.length > 0 || draft.zones.length > 0) && (
        <div className="field">
          <ZonesInput
            label={t('departments.zones')}
            layers={known.layers}
            zones={draft.zones}
            onChange={(zones) => set({ zones })}
          />
        </div>
      )}
      {choose('quantities', 'departments.quantities', quantitiesOf(known, lang))}
      {choose(
        'rules',
        'departments.rules',
        known.rules.map((r) => ({ code: r.id, name: labelOf(r.name, lang, r.id) })),
      )}
      {choose('owners', 'departments.owners', ownersOf(known))}
      {text('incidents', 'departments.incidents')}
      <label className="tick">
        <input
          type="checkbox"
          checked={draft.exercises}
          onChange={(e) => set({ exercises: e.target.checked })}
        />
        {t('departments.exercises')}
      </label>
      {preview && (
        <div className="preview" role="status">
          <b>{t('departments.preview', { count: number(lang, preview.count) })}</b>
          <svg
            viewBox={`0 0 ${preview.byDay.length * 14} 40`}
            preserveAspectRatio="xMinYMax"
            role="img"
            aria-label={t('departments.previewDays')}
          >
            {preview.byDay.map((d, i) => {
              const h = d.count === 0 ? 1 : Math.max(2, (d.count / most) * 38);
              return (
                <rect key={d.day} x={i * 14 + 1} y={40 - h} width="12" height={h}>
                  <title>{`${dayText(d.day)}: ${number(lang, d.count)}`}</title>
                </rect>
              );
            })}
          </svg>
        </div>
      )}

      {kind !== 'atom' && <h3>{t('departments.when')}</h3>}
      {(kind === 'email' || (kind === 'webhook' && draft.format === 'json')) && (
        <>
          <fieldset className="pair">
            <legend>{t('departments.quiet')}</legend>
            <div className="field">
              <span aria-hidden="true">{t('departments.from')}</span>
              <ClockInput
                label={t('departments.quietFrom')}
                value={draft.from}
                needed={draft.until ? t('departments.quietBoth') : undefined}
                onChange={(from) => set({ from })}
              />
            </div>
            <div className="field">
              <span aria-hidden="true">{t('departments.until')}</span>
              <ClockInput
                label={t('departments.quietUntil')}
                value={draft.until}
                needed={draft.from ? t('departments.quietBoth') : undefined}
                onChange={(until) => set({ until })}
              />
            </div>
          </fieldset>
          <label>
            {t('departments.digest')}
            <select value={draft.digest} onChange={(e) => set({ digest: e.target.value as Draft['digest'] })}>
              <option value="">{t('departments.digest.none')}</option>
              <option value="hour">{t('departments.digest.hour')}</option>
              <option value="day">{t('departments.digest.day')}</option>
            </select>
          </label>
        </>
      )}
      {kind !== 'atom' && (
        <label>
          {t('departments.escalation')}
          <select value={draft.next} onChange={(e) => set({ next: e.target.value })}>
            <option value="">{t('departments.escalation.none')}</option>
            {listing.subscriptions
              .filter((s) => s.id !== subscription?.id && s.kind !== 'atom')
              .map((s) => (
                <option key={s.id} value={s.id}>
                  {s.department} · {s.name}
                </option>
              ))}
          </select>
        </label>
      )}
      {draft.next && (
        <div className="pair">
          <label>
            {t('departments.after')}
            <input
              type="number"
              min={1}
              max={1440}
              value={draft.after}
              required
              onChange={(e) => set({ after: e.target.value })}
            />
          </label>
          <label>
            {t('departments.untilWhat')}
            <select value={draft.unless} onChange={(e) => set({ unless: e.target.value as Draft['unless'] })}>
              <option value="receipt">{t('departments.until.receipt')}</option>
              <option value="acknowledged">{t('departments.until.acknowledged')}</option>
            </select>
          </label>
        </div>
      )}
      <label className="tick">
        <input type="checkbox" checked={draft.paused} onChange={(e) => set({ paused: e.target.checked })} />
        {t('departments.paused')}
      </label>
      {error !== undefined && (
        <p className="problem" role="alert">
          {t('departments.failed', { reason: reasonOf(t, error) })}
        </p>
      )}
      <div className="buttons">
        {subscription && (
          <button
            type="button"
            className="danger"
            onClick={() => void remove()}
            onBlur={() => setSure(false)}
          >
            {t(sure ? 'departments.removeSure' : 'departments.remove')}
          </button>
        )}
        <button type="button" onClick={onCancel}>
          {t('departments.cancel')}
        </button>
        <button type="submit" className="main">
          {t('departments.save')}
        </button>
      </div>
    </form>
  );
}
