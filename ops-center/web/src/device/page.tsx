import './device.css';
import { useEffect, useState } from 'react';
import { ApiError, api, type Session } from '../api.ts';
import { age, date, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { type Dossier, type Life, register } from '../register/api.ts';
import { PRESENCE, ruleText, why } from '../register/words.ts';
import { NotThePast } from '../replay/links.tsx';
import { Gate, useAsked } from '../shell/gate.tsx';
import { Masthead } from '../shell/masthead.tsx';
import { Air } from './air.tsx';
import { Alarms } from './alarms.tsx';
import { device, type Latest, type Profile, type Quantity } from './api.ts';
import { Commands } from './commands.tsx';
import { Connection } from './connection.tsx';
import { Credentials } from './credentials.tsx';
import { History, qualityText } from './history.tsx';
import { Messages } from './messages.tsx';
import { Software } from './software.tsx';

const TABS = ['alarms', 'connection', 'messages', 'commands', 'software', 'credentials'] as const;
type Tab = (typeof TABS)[number];

const NEEDS: Partial<Record<Tab, string>> = {
  connection: 'view_evidence',
  messages: 'view_evidence',
  credentials: 'manage_devices',
};

/** Everything that is known of one device, at /devices/ID. */
export function DevicePage({ refused }: { refused: unknown }) {
  const { t } = useLanguage();
  const id = idOfAddress();
  return (
    <Gate refused={refused} title={`${id} · ${t('device.panel')}`}>
      {(session) => <Device id={id} session={session} />}
    </Gate>
  );
}

function idOfAddress(): string {
  try {
    return decodeURIComponent(location.pathname.slice('/devices/'.length));
  } catch {
    return location.pathname.slice('/devices/'.length);
  }
}

function Device({ id, session }: { id: string; session: Session }) {
  const { t } = useLanguage();
  const known = useAsked(id, (signal) => register.device(id, signal), 5000);
  const catalogue = useAsked('catalogue', (signal) => device.catalogue(signal));
  const entry = known.value?.device;
  const profile = catalogue.value?.profiles.find((p) => p.name === entry?.profile);
  const missing = known.error instanceof ApiError && known.error.status === 404;
  return (
    <div className="page device-page">
      <Masthead title={entry?.name || id} session={session}>
        <a className="chip" href={`/devices?q=${encodeURIComponent(id)}`}>
          {t('device.inRegister')}
        </a>
      </Masthead>
      <main className="device-body">
        <NotThePast of="device" />
        {missing && (
          <p className="problem" role="alert">
            {t('device.unknown', { id })} <a href="/devices">{t('register.title')}</a>
          </p>
        )}
        {!missing && (known.error ?? catalogue.error) !== undefined && (
          <p className="problem" role="alert">
            {t('device.failed', { reason: why(t, known.error ?? catalogue.error) })}
          </p>
        )}
        {entry && profile && catalogue.value && (
          <Whole
            entry={entry}
            tag={known.value?.tag ?? ''}
            profile={profile}
            quantities={catalogue.value.quantities}
            session={session}
            onChanged={known.again}
          />
        )}
      </main>
    </div>
  );
}

function Whole({
  entry,
  tag,
  profile,
  quantities,
  session,
  onChanged,
}: {
  entry: Dossier;
  tag: string;
  profile: Profile;
  quantities: readonly Quantity[];
  session: Session;
  onChanged: () => void;
}) {
  const { t } = useLanguage();
  const id = entry.id;
  const latest = useAsked(id, (signal) => device.latest(id, signal), 5000);
  const values = latest.value ?? {};
  const told = Object.keys(values);
  const fields = (profile.fields ?? []).map((f) => f.quantity);
  const names = [...fields, ...told.filter((q) => !fields.includes(q))];
  const [chosen, setChosen] = useState(() => new URLSearchParams(location.search).get('q') ?? '');
  const quantity = names.includes(chosen) ? chosen : profile.main || told[0] || names[0];
  const info = quantities.find((q) => q.name === quantity);
  const may = (tab: Tab) => {
    const need = NEEDS[tab];
    return need === undefined || session.permissions.includes(need);
  };
  const tabs = TABS.filter(may);
  const [tab, setTab] = useState<Tab>(() => tabs.find((n) => `#${n}` === location.hash) ?? 'alarms');
  useEffect(() => {
    history.replaceState(null, '', `${location.pathname}${location.search}#${tab}`);
  }, [tab]);

  return (
    <>
      <Identity
        entry={entry}
        tag={tag}
        profile={profile}
        latest={values}
        session={session}
        onChanged={onChanged}
      />
      <div className="device-columns">
        <section className="panel now" aria-labelledby="now-title">
          <div className="panel-head">
            <h2 id="now-title">{t('device.values')}</h2>
          </div>
          <Values
            names={names}
            values={values}
            quantities={quantities}
            interval={profile.interval}
            chosen={quantity}
            onChoose={setChosen}
          />
          {names.some((q) => q === 'pm25' || q === 'pm10') && <Air id={id} />}
        </section>
        {info && <History key={`${id} ${info.name}`} id={id} profile={profile} info={info} />}
      </div>
      <section className="panel parts">
        <div className="panel-head" role="tablist" aria-label={t('device.parts')}>
          {tabs.map((name) => (
            <button
              key={name}
              type="button"
              role="tab"
              id={`tab-${name}`}
              aria-selected={tab === name}
              aria-controls="part"
              tabIndex={tab === name ? 0 : -1}
              onClick={() => setTab(name)}
              onKeyDown={(e) => {
                const by = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
                if (!by) return;
                e.preventDefault();
                const next = tabs[(tabs.indexOf(name) + by + tabs.length) % tabs.length];
                setTab(next);
                document.getElementById(`tab-${next}`)?.focus();
              }}
            >
              {t(`device.tab.${name}`)}
            </button>
          ))}
        </div>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a panel of a tab list is reached by keyboard */}
        <div id="part" role="tabpanel" aria-labelledby={`tab-${tab}`} className="part" tabIndex={0}>
          {tab === 'alarms' && <Alarms id={id} />}
          {tab === 'connection' && <Connection id={id} />}
          {tab === 'messages' && <Messages id={id} quantities={quantities} />}
          {tab === 'commands' && (
            <Commands
              id={id}
              profile={profile}
              session={session}
              may={session.permissions.includes('send_commands')}
            />
          )}
          {tab === 'software' && <Software entry={entry} profile={profile} />}
          {tab === 'credentials' && <Credentials entry={entry} />}
        </div>
      </section>
    </>
  );
}

/** Who it is, whose, where, and how it fares. */
function Identity({
  entry,
  tag,
  profile,
  latest,
  session,
  onChanged,
}: {
  entry: Dossier;
  tag: string;
  profile: Profile;
  latest: Record<string, Latest>;
  session: Session;
  onChanged: () => void;
}) {
  const { lang, t } = useLanguage();
  const [sure, setSure] = useState<Life | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const at = entry.at ?? Object.values(latest)[0]?.at;
  const [lon, lat] = at ?? [];
  const zones = useAsked(`${lon?.toFixed(4)},${lat?.toFixed(4)}`, (signal) =>
    at ? api.place(at[0], at[1], signal) : Promise.resolve([]),
  );
  const become = async (state: Life) => {
    setSure(undefined);
    try {
      await register.change(entry.id, { state }, tag);
      setError(undefined);
      onChanged();
    } catch (e) {
      setError(e);
    }
  };
  const may = session.permissions.includes('manage_devices');
  return (
    <section className="panel identity" aria-label={t('device.identity')}>
      <div className="who">
        <h2>{entry.name || entry.id}</h2>
        <p>
          <code>{entry.id}</code> · {labelOf(profile.label, lang, profile.name)}
          {entry.simulated && <i className="sim">{t('device.simulated')}</i>}
        </p>
        <p>
          <b className={`presence ${entry.presence.state}`}>{t(PRESENCE[entry.presence.state])}</b>
          {entry.presence.since && (
            <> · {t('device.heard', { age: age(lang, Date.now() - Date.parse(entry.presence.since)) })}</>
          )}{' '}
          · {t('device.every', { interval: age(lang, profile.interval * 1000) })}
        </p>
      </div>
      <dl>
        <dt>{t('device.owner')}</dt>
        <dd>
          {entry.owner || t('device.nobody')}
          {entry.head && <small>{entry.head}</small>}
        </dd>
        <dt>{t('device.position')}</dt>
        <dd>
          {entry.site}
          <small>
            {at ? `${at[1].toFixed(5)}, ${at[0].toFixed(5)}` : t('device.unplaced')}
            {(zones.value ?? []).map((z) => ` · ${z.name || z.code}`).join('')}
          </small>
        </dd>
        <dt>{t('device.model')}</dt>
        <dd>
          {entry.model || '–'}
          <small>{t('device.added', { time: date(lang, 'full', Date.parse(entry.added)) })}</small>
        </dd>
        <dt>{t('device.norm')}</dt>
        <dd>
          {entry.deviations.length === 0 ? (
            t('device.conforms')
          ) : (
            <ul className="deviations">
              {entry.deviations.map((d) => (
                <li key={d.rule} title={d.detail}>
                  {ruleText(t, d.rule, d.detail)}
                </li>
              ))}
            </ul>
          )}
        </dd>
      </dl>
      <div className="life">
        <p>
          {t('device.state')}: <b>{t(`life.${entry.state}`)}</b>
        </p>
        {may && (
          <p className="acts">
            {entry.next.map((state) => (
              <button
                key={state}
                type="button"
                className={state === 'active' ? 'main' : ''}
                onClick={() => (state === 'retired' ? setSure(state) : void become(state))}
              >
                {t(`become.${state}`)}
              </button>
            ))}
          </p>
        )}
        {sure && (
          <p className="sure" role="alert">
            {t('register.sure')}{' '}
            <button type="button" onClick={() => void become(sure)}>
              {t(`become.${sure}`)}
            </button>{' '}
            <button type="button" onClick={() => setSure(undefined)}>
              {t('alarms.cancel')}
            </button>
          </p>
        )}
        {error !== undefined && (
          <p className="problem" role="alert">
            {why(t, error)}
          </p>
        )}
      </div>
    </section>
  );
}

/** The newest value of each quantity; one that is old is never shown as current. */
function Values({
  names,
  values,
  quantities,
  interval,
  chosen,
  onChoose,
}: {
  names: readonly string[];
  values: Record<string, Latest>;
  quantities: readonly Quantity[];
  interval: number;
  chosen: string;
  onChoose: (quantity: string) => void;
}) {
  const { lang, t } = useLanguage();
  if (names.length === 0) return <p className="empty">{t('device.noValues')}</p>;
  return (
    <ul className="latest">
      {names.map((name) => {
        const info = quantities.find((q) => q.name === name);
        const value = values[name];
        const old = value ? Date.now() - Date.parse(value.time) : 0;
        const stale = value !== undefined && old > 4 * interval * 1000;
        const flags = (value?.qualities ?? []).filter((q) => q !== 'simulated');
        return (
          <li key={name}>
            <button
              type="button"
              aria-pressed={name === chosen}
              className={stale ? 'stale' : ''}
              onClick={() => onChoose(name)}
            >
              <span className="name">{labelOf(info?.label, lang, name)}</span>
              <span className="value">
                <b>{value && !stale ? number(lang, value.value, info?.digits ?? 1) : '–'}</b>{' '}
                {info?.display || info?.unit}
              </span>
              <small>
                {value
                  ? stale
                    ? t('device.was', {
                        value: number(lang, value.value, info?.digits ?? 1),
                        age: age(lang, old),
                      })
                    : t('figure.age', { age: age(lang, old) })
                  : t('device.noValue')}
                {flags.map((q) => ` · ${qualityText(t, q)}`).join('')}
              </small>
            </button>
          </li>
        );
      })}
    </ul>
  );
}
