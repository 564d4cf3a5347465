import '../register.css';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import type { Session } from '../api.ts';
import { number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { Gate } from '../shell/gate.tsx';
import { Masthead } from '../shell/masthead.tsx';
import { AddDialog } from './add.tsx';
import {
  type Department,
  type Filter,
  LIVES,
  type Life,
  NO_FILTER,
  PRESENCES,
  type Profile,
  query,
  register,
  type Ward,
} from './api.ts';
import { Detail } from './detail.tsx';
import { ImportDialog } from './import.tsx';
import { List } from './list.tsx';
import { PRESENCE, why } from './words.ts';

export interface Choices {
  profiles: Profile[];
  departments: Department[];
  wards: Ward[];
}

/** The register of devices: find one among a hundred thousand, change it, add one or a table of them. */
export function RegisterPage({ refused }: { refused: unknown }) {
  const { t } = useLanguage();
  return (
    <Gate refused={refused} title={t('register.title')}>
      {(session) => <Register session={session} />}
    </Gate>
  );
}

/** The filter is in the address: a list can be sent to a colleague. */
function filterOfAddress(): Filter {
  const params = new URLSearchParams(location.search);
  const filter: Record<string, string> = { ...NO_FILTER };
  for (const key of Object.keys(NO_FILTER)) filter[key] = params.get(key) ?? '';
  return filter as unknown as Filter;
}

function Register({ session }: { session: Session }) {
  const { lang, t } = useLanguage();
  const may = session.permissions.includes('manage_devices');
  const [filter, setFilter] = useState(filterOfAddress);
  const [typed, setTyped] = useState(filter.q);
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  const [marked, setMarked] = useState<ReadonlyMap<string, Life>>(new Map());
  const [dialog, setDialog] = useState<'add' | 'import' | undefined>(undefined);
  const [choices, setChoices] = useState<Choices>({ profiles: [], departments: [], wards: [] });
  const [version, setVersion] = useState(0);
  const [sums, setSums] = useState<{ total: number; states: Partial<Record<Life, number>> } | undefined>();
  const [said, setSaid] = useState('');
  const search = useRef<HTMLInputElement>(null);

  const changed = useCallback(() => setVersion((v) => v + 1), []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what can be chosen changes with the register
  useEffect(() => {
    const take = (part: Partial<Choices>) => setChoices((c) => ({ ...c, ...part }));
    // A list that cannot be had leaves its field to be typed into.
    register.profiles().then(
      (profiles) => take({ profiles }),
      () => undefined,
    );
    register.departments().then(
      (departments) => take({ departments }),
      () => undefined,
    );
    register.wards().then(
      (wards) => take({ wards }),
      () => undefined,
    );
  }, [version]);

  useEffect(() => {
    const timer = setTimeout(() => setFilter((f) => (f.q === typed ? f : { ...f, q: typed })), 120);
    return () => clearTimeout(timer);
  }, [typed]);
  useEffect(() => {
    const text = query(filter).toString();
    history.replaceState(null, '', location.pathname + (text ? `?${text}` : ''));
    setMarked(new Map());
  }, [filter]);

  useEffect(() => {
    const listen = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.target instanceof HTMLInputElement) return;
      if (e.target instanceof HTMLElement && e.target.closest('dialog, select, textarea')) return;
      if (e.key === '/') {
        e.preventDefault();
        search.current?.focus();
      } else if (e.key === 'Escape') setChosen(undefined);
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);

  const set = <K extends keyof Filter>(key: K, value: Filter[K]) =>
    setFilter((f) => ({ ...f, [key]: value }));
  const nodes = useMemo(() => new Map(choices.profiles.map((p) => [p.name, p])), [choices.profiles]);
  const waiting = (sums?.states.quarantined ?? 0) + (sums?.states.announced ?? 0);
  const to = next([...marked.values()]);

  const moveOn = async (state: Life) => {
    let done = 0;
    let failed: unknown;
    for (const id of marked.keys()) {
      try {
        await register.change(id, { state });
        done++;
      } catch (error) {
        failed = error;
      }
    }
    setSaid(
      failed === undefined
        ? t('register.changed', { count: number(lang, done) })
        : t('register.changedPart', {
            count: number(lang, done),
            all: number(lang, marked.size),
            reason: why(t, failed),
          }),
    );
    setMarked(new Map());
    changed();
  };

  return (
    <div className="page register">
      <Masthead title={t('register.title')} session={session}>
        {waiting > 0 && filter.state !== 'quarantined' && may && (
          <button
            type="button"
            className="chip warn"
            onClick={() => set('state', (sums?.states.quarantined ?? 0) > 0 ? 'quarantined' : 'announced')}
          >
            {t('register.waiting', { count: number(lang, waiting) })}
          </button>
        )}
        {may && (
          <a className="chip" href="/enrolment">
            {t('device.enrol.title')}
          </a>
        )}
        <a className="chip" href="/firmware">
          {t('device.tab.software')}
        </a>
        <a className="chip" href={`/v1/export/devices?format=csv&${query(filter)}`} download>
          {t('register.export')}
        </a>
        {may && (
          <>
            <button type="button" onClick={() => setDialog('import')}>
              {t('register.import')}
            </button>
            <button type="button" className="main" onClick={() => setDialog('add')}>
              {t('register.add')}
            </button>
          </>
        )}
      </Masthead>

      <search className="panel tools" aria-label={t('register.find')}>
        <input
          type="search"
          ref={search}
          value={typed}
          placeholder={t('register.search')}
          aria-label={t('register.search')}
          onChange={(e) => setTyped(e.target.value)}
          maxLength={100}
        />
        <Choice
          label={t('register.profile')}
          value={filter.profile}
          onChoose={(v) => set('profile', v)}
          options={choices.profiles.map((p) => [p.name, labelOf(p.label, lang, p.name)])}
        />
        <Choice
          label={t('device.state')}
          value={filter.state}
          onChoose={(v) => set('state', v as Life | '')}
          options={LIVES.map((s) => [s, `${t(`life.${s}`)} (${number(lang, sums?.states[s] ?? 0)})`])}
        />
        <Choice
          label={t('device.presence')}
          value={filter.presence}
          onChoose={(v) => set('presence', v as Filter['presence'])}
          options={PRESENCES.map((p) => [p, t(PRESENCE[p])])}
        />
        <Choice
          label={t('device.owner')}
          value={filter.owner}
          onChoose={(v) => set('owner', v)}
          options={choices.departments.map((d) => [d.name, d.name])}
        />
        <Choice
          label={t('register.ward')}
          value={filter.ward}
          onChoose={(v) => set('ward', v)}
          options={choices.wards.map((w) => [w.code, w.name || w.code])}
        />
        {filter.upstream && (
          <button type="button" className="chip" onClick={() => set('upstream', '')}>
            {t('device.upstream')}: <b>{filter.upstream}</b> ×
          </button>
        )}
        <label className="tick">
          <input
            type="checkbox"
            checked={filter.deviating !== ''}
            onChange={(e) => set('deviating', e.target.checked ? 'true' : '')}
          />
          {t('register.deviating')}
        </label>
      </search>

      <main className={`shelf ${chosen ? 'open' : ''}`}>
        <section className="panel catalogue" aria-labelledby="register-title">
          <div className="panel-head">
            <h2 id="register-title">{t('register.devices')}</h2>
            <span role="status" id="register-total">
              {sums && t('register.total', { count: number(lang, sums.total) })}
            </span>
          </div>
          <List
            filter={filter}
            version={version}
            profiles={nodes}
            chosen={chosen}
            marked={marked}
            mayMark={may}
            onChoose={setChosen}
            onMark={setMarked}
            onSums={setSums}
          />
          {marked.size > 0 && (
            <div className="bulk">
              <span>{t('register.marked', { count: number(lang, marked.size) })}</span>
              {to.map((state) => (
                <button key={state} type="button" onClick={() => void moveOn(state)}>
                  {t(`become.${state}`)}
                </button>
              ))}
              <button type="button" onClick={() => setMarked(new Map())}>
                {t('alarms.cancel')}
              </button>
            </div>
          )}
          <p className="said" role="status">
            {said}
          </p>
        </section>
        {chosen && (
          <Detail
            key={chosen}
            id={chosen}
            may={may}
            choices={choices}
            onClose={() => setChosen(undefined)}
            onChanged={changed}
            onChildren={(id) => setFilter({ ...NO_FILTER, upstream: id })}
            onChoose={setChosen}
          />
        )}
      </main>
      {dialog === 'add' && (
        <AddDialog
          choices={choices}
          onDone={(id) => {
            setDialog(undefined);
            if (id) setChosen(id);
          }}
          onAdded={changed}
        />
      )}
      {dialog === 'import' && <ImportDialog onDone={() => setDialog(undefined)} onImported={changed} />}
    </div>
  );
}

const WAYS: Record<Life, readonly Life[]> = {
  announced: ['active', 'quarantined', 'retired'],
  quarantined: ['active', 'retired'],
  active: ['maintenance', 'quarantined', 'retired'],
  maintenance: ['active', 'quarantined', 'retired'],
  retired: ['quarantined'],
};

/** The states that all of these may go on to; the server has the last word. */
function next(states: readonly Life[]): readonly Life[] {
  const first = states[0];
  if (!first) return [];
  return WAYS[first].filter((s) => states.every((from) => WAYS[from].includes(s)));
}

function Choice({
  label,
  value,
  options,
  onChoose,
}: {
  label: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onChoose: (value: string) => void;
}) {
  const { t } = useLanguage();
  return (
    <label className={`choice ${value ? 'set' : ''}`}>
      <span>{label}</span>
      <select value={value} onChange={(e) => onChoose(e.target.value)}>
        <option value="">{t('register.all')}</option>
        {value && !options.some(([key]) => key === value) && <option value={value}>{value}</option>}
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
