import { type ReactNode, useEffect, useId, useState } from 'react';
import type { Session } from '../api.ts';
import { number } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import { register } from '../register/api.ts';
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
import { reasonOf } from './page.tsx';

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
  zones: string;
  quantities: string;
  rules: string;
  owners: string;
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
    zones: (f.zones ?? []).map((z) => (z.code ? `${z.layer}:${z.code}` : z.layer)).join(', '),
    quantities: (f.quantities ?? []).join(', '),
    rules: (f.rules ?? []).join(', '),
    owners: (f.owners ?? []).join(', '),
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
  const zones = words(d.zones).map((z) => {
    const [layer = '', code = ''] = z.split(':');
    return code ? { layer, code } : { layer };
  });
  if (zones.length) f.zones = zones;
  for (const key of ['quantities', 'rules', 'owners', 'incidents'] as const) {
    const list = words(d[key].normalize('NFC'));
    if (list.length) f[key] = list;
  }
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
  if (kind === 'webhook' || kind === 'email') {
    if (d.from && d.until) s.quiet = { from: d.from, to: d.until };
    if (d.digest) s.digest = d.digest;
  }
  if (d.next && kind !== 'atom') {
    s.escalation = { to: d.next, after: `${d.after}m`, until: d.unless };
  }
  return s;
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
  const [departments, setDepartments] = useState<string[]>([]);
  const [preview, setPreview] = useState<Preview | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [sure, setSure] = useState(false);
  const id = useId();
  const every = session.permissions.includes('manage_people');
  const set = (part: Partial<Draft>) => setDraft((d) => ({ ...d, ...part }));

  useEffect(() => {
    if (!every) return;
    register.departments().then(
      (list) => setDepartments(list.map((d) => d.name)),
      () => undefined,
    );
  }, [every]);
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
  const text = (
    field: 'name' | 'url' | 'zones' | 'quantities' | 'rules' | 'owners' | 'incidents',
    label: Key,
    required = false,
    list?: string,
  ) => (
    <label>
      {t(label)}
      <input
        value={draft[field]}
        required={required}
        maxLength={2000}
        autoComplete="off"
        spellCheck={false}
        list={list}
        onChange={(e) => set({ [field]: e.target.value } as Partial<Draft>)}
      />
    </label>
  );
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
      {text('zones', 'departments.zones')}
      {text('quantities', 'departments.quantities')}
      {text('rules', 'departments.rules')}
      {text('owners', 'departments.owners', false, `${id}-departments`)}
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
            role="img"
            aria-label={t('departments.previewDays')}
          >
            {preview.byDay.map((d, i) => {
              const h = d.count === 0 ? 1 : Math.max(2, (d.count / most) * 38);
              return (
                <rect key={d.day} x={i * 14 + 1} y={40 - h} width="12" height={h}>
                  <title>{`${d.day}: ${d.count}`}</title>
                </rect>
              );
            })}
          </svg>
        </div>
      )}

      {kind !== 'atom' && <h3>{t('departments.when')}</h3>}
      {(kind === 'webhook' || kind === 'email') && draft.format === 'json' && (
        <>
          <fieldset className="pair">
            <legend>{t('departments.quiet')}</legend>
            <label>
              {t('departments.from')}
              <input type="time" value={draft.from} onChange={(e) => set({ from: e.target.value })} />
            </label>
            <label>
              {t('departments.until')}
              <input type="time" value={draft.until} onChange={(e) => set({ until: e.target.value })} />
            </label>
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
          {t('departments.failed', { reason: reasonOf(error) })}
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
