import '../device/device.css';
import { useState } from 'react';
import type { Session } from '../api.ts';
import { device, enrolment, type Group, type Profile } from '../device/api.ts';
import { Once } from '../device/credentials.tsx';
import { date, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { Gate, useAsked } from '../shell/gate.tsx';
import { Masthead } from '../shell/masthead.tsx';
import { type Department, NO_FILTER, register } from './api.ts';
import { why } from './words.ts';

/** How devices come in: by a claim code each, or by a group's secret into quarantine. */
export function EnrolmentPage({ refused }: { refused: unknown }) {
  const { t } = useLanguage();
  return (
    <Gate refused={refused} title={t('device.enrol.title')}>
      {(session) =>
        session.permissions.includes('manage_devices') ? (
          <Enrolment session={session} />
        ) : (
          <main className="login">
            <p className="problem" role="alert">
              {t('error.forbidden')} <a href="/devices">{t('register.title')}</a>
            </p>
          </main>
        )
      }
    </Gate>
  );
}

function Enrolment({ session }: { session: Session }) {
  const { t } = useLanguage();
  const catalogue = useAsked('catalogue', (signal) => device.catalogue(signal));
  const departments = useAsked('departments', () => register.departments());
  const [secret, setSecret] = useState<string | undefined>(undefined);
  const profiles = catalogue.value?.profiles ?? [];
  return (
    <div className="page enrolment-page">
      <Masthead title={t('device.enrol.title')} session={session}>
        <a className="chip" href="/devices">
          {t('register.title')}
        </a>
      </Masthead>
      <main className="device-body">
        {secret !== undefined && <Once text={secret} onDone={() => setSecret(undefined)} />}
        <Quarantine profiles={profiles} />
        <Claims profiles={profiles} onSecret={setSecret} />
        <Groups profiles={profiles} departments={departments.value ?? []} onSecret={setSecret} />
        <Expiring />
      </main>
    </div>
  );
}

function Quarantine({ profiles }: { profiles: readonly Profile[] }) {
  const { lang, t } = useLanguage();
  const list = useAsked(
    'quarantine',
    (signal) => register.page({ ...NO_FILTER, state: 'quarantined' }, 0, 200, signal),
    5000,
  );
  const [failed, setFailed] = useState<unknown>(undefined);
  const error = failed ?? list.error;
  const become = (id: string, state: 'active' | 'retired') =>
    register.change(id, { state }).then(() => {
      setFailed(undefined);
      list.again();
    }, setFailed);
  return (
    <section className="panel" aria-labelledby="quarantine-title">
      <div className="panel-head">
        <h2 id="quarantine-title">{t('device.enrol.quarantine')}</h2>
        <span role="status">
          {list.value && t('register.total', { count: number(lang, list.value.total) })}
        </span>
      </div>
      <div className="sheet">
        {error !== undefined && (
          <p className="problem" role="alert">
            {why(t, error)}
          </p>
        )}
        {list.value?.devices.length === 0 && <p className="empty">{t('device.enrol.noQuarantine')}</p>}
        {list.value && list.value.devices.length > 0 && (
          <div className="scroll">
            <table>
              <thead>
                <tr>
                  <th scope="col">{t('register.device')}</th>
                  <th scope="col">{t('register.profile')}</th>
                  <th scope="col">{t('device.enrol.cameBy')}</th>
                  <th scope="col">{t('device.address')}</th>
                  <th scope="col">{t('device.firmware.added')}</th>
                  <th scope="col">{t('device.act')}</th>
                </tr>
              </thead>
              <tbody>
                {list.value.devices.map((d) => (
                  <tr key={d.id} data-device={d.id}>
                    <th scope="row">
                      <a href={`/devices/${encodeURIComponent(d.id)}`}>{d.id}</a>
                      <small>{d.name}</small>
                    </th>
                    <td>{labelOf(profiles.find((p) => p.name === d.profile)?.label, lang, d.profile)}</td>
                    <td>{(d as { group?: string }).group ?? '–'}</td>
                    <td>
                      <code>{d.presence.from ?? '–'}</code>
                    </td>
                    <td>{date(lang, 'full', Date.parse(d.added))}</td>
                    <td>
                      <p className="acts">
                        <button type="button" className="main" onClick={() => void become(d.id, 'active')}>
                          {t('become.active')}
                        </button>
                        <button type="button" onClick={() => void become(d.id, 'retired')}>
                          {t('device.enrol.reject')}
                        </button>
                      </p>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </div>
    </section>
  );
}

const CLAIM_TIMES = ['24h', '168h', '720h'] as const;

function Claims({
  profiles,
  onSecret,
}: {
  profiles: readonly Profile[];
  onSecret: (secret: string) => void;
}) {
  const { lang, t } = useLanguage();
  const [id, setId] = useState('');
  const [profile, setProfile] = useState('');
  const [ttl, setTtl] = useState<string>('720h');
  const [error, setError] = useState<unknown>(undefined);
  return (
    <section className="panel" aria-labelledby="claims-title">
      <div className="panel-head">
        <h2 id="claims-title">{t('device.enrol.claims')}</h2>
      </div>
      <div className="sheet">
        <p className="hint">{t('device.enrol.claimsHint')}</p>
        <form
          className="send"
          onSubmit={(e) => {
            e.preventDefault();
            enrolment.announce({ id: id.trim(), profile, claimTTL: ttl }).then((answer) => {
              setError(undefined);
              setId('');
              onSecret(answer.claim);
            }, setError);
          }}
        >
          <label>
            {t('register.id')}
            <input
              name="claim-id"
              required
              maxLength={64}
              pattern="[A-Za-z0-9][A-Za-z0-9_\-]*"
              spellCheck={false}
              value={id}
              onChange={(e) => setId(e.target.value)}
            />
          </label>
          <ProfileChoice name="claim-profile" profiles={profiles} value={profile} onChoose={setProfile} />
          <label>
            {t('device.ttl')}
            <select name="claim-ttl" value={ttl} onChange={(e) => setTtl(e.target.value)}>
              {CLAIM_TIMES.map((v) => (
                <option key={v} value={v}>
                  {t('device.enrol.days.count', { count: number(lang, Number.parseInt(v, 10) / 24) })}
                </option>
              ))}
            </select>
          </label>
          <button type="submit" disabled={!id.trim() || !profile}>
            {t('device.claim')}
          </button>
          {error !== undefined && (
            <p className="problem" role="alert">
              {why(t, error)}
            </p>
          )}
        </form>
      </div>
    </section>
  );
}

function ProfileChoice({
  name,
  profiles,
  value,
  onChoose,
}: {
  name: string;
  profiles: readonly Profile[];
  value: string;
  onChoose: (profile: string) => void;
}) {
  const { lang, t } = useLanguage();
  return (
    <label>
      {t('register.profile')}
      <select name={name} required value={value} onChange={(e) => onChoose(e.target.value)}>
        <option value="">{t('device.choose')}</option>
        {profiles.map((p) => (
          <option key={p.name} value={p.name}>
            {labelOf(p.label, lang, p.name)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Groups({
  profiles,
  departments,
  onSecret,
}: {
  profiles: readonly Profile[];
  departments: readonly Department[];
  onSecret: (secret: string) => void;
}) {
  const { lang, t } = useLanguage();
  const list = useAsked('groups', (signal) => enrolment.groups(signal), 5000);
  const [name, setName] = useState('');
  const [profile, setProfile] = useState('');
  const [owner, setOwner] = useState('');
  const [max, setMax] = useState('100');
  const [days, setDays] = useState('30');
  const [sure, setSure] = useState<Group | undefined>(undefined);
  const [failed, setFailed] = useState<unknown>(undefined);
  const error = failed ?? list.error;
  return (
    <section className="panel" aria-labelledby="groups-title">
      <div className="panel-head">
        <h2 id="groups-title">{t('device.enrol.groups')}</h2>
      </div>
      <div className="sheet">
        <p className="hint">{t('device.enrol.groupsHint')}</p>
        <form
          className="send"
          onSubmit={(e) => {
            e.preventDefault();
            const until = new Date(Date.now() + Number(days) * 86_400_000).toISOString();
            enrolment
              .add({ name: name.trim(), profile, max: Number(max), until, ...(owner ? { owner } : {}) })
              .then((g) => {
                setFailed(undefined);
                setName('');
                onSecret(g.secret);
                list.again();
              }, setFailed);
          }}
        >
          <label>
            {t('device.enrol.group')}
            <input
              name="group"
              required
              maxLength={64}
              pattern="[A-Za-z0-9][A-Za-z0-9_\-]*"
              spellCheck={false}
              value={name}
              onChange={(e) => setName(e.target.value)}
            />
          </label>
          <ProfileChoice name="group-profile" profiles={profiles} value={profile} onChoose={setProfile} />
          <label>
            {t('device.owner')}
            <select name="group-owner" value={owner} onChange={(e) => setOwner(e.target.value)}>
              <option value="">–</option>
              {departments.map((d) => (
                <option key={d.name} value={d.name}>
                  {d.name}
                </option>
              ))}
            </select>
          </label>
          <label>
            {t('device.enrol.most')}
            <input
              name="max"
              type="number"
              min={1}
              max={100000}
              value={max}
              onChange={(e) => setMax(e.target.value)}
            />
          </label>
          <label>
            {t('device.enrol.days')}
            <input
              name="days"
              type="number"
              min={1}
              max={365}
              value={days}
              onChange={(e) => setDays(e.target.value)}
            />
          </label>
          <button type="submit" disabled={!name.trim() || !profile}>
            {t('device.enrol.addGroup')}
          </button>
        </form>
        {error !== undefined && (
          <p className="problem" role="alert">
            {why(t, error)}
          </p>
        )}
        {sure && (
          <p className="sure" role="alert">
            {t('device.enrol.sureRevoke', { name: sure.name })}{' '}
            <button
              type="button"
              onClick={() => {
                enrolment.revoke(sure.name).then(() => list.again(), setFailed);
                setSure(undefined);
              }}
            >
              {t('device.revokeNow')}
            </button>{' '}
            <button type="button" onClick={() => setSure(undefined)}>
              {t('alarms.cancel')}
            </button>
          </p>
        )}
        {list.value?.length === 0 && <p className="empty">{t('device.enrol.noGroups')}</p>}
        {list.value && list.value.length > 0 && (
          <div className="scroll">
            <table>
              <thead>
                <tr>
                  <th scope="col">{t('device.enrol.group')}</th>
                  <th scope="col">{t('register.profile')}</th>
                  <th scope="col">{t('device.owner')}</th>
                  <th scope="col">{t('device.enrol.enrolled')}</th>
                  <th scope="col">{t('device.endsAt')}</th>
                  <th scope="col">{t('device.state')}</th>
                  <th scope="col">{t('device.act')}</th>
                </tr>
              </thead>
              <tbody>
                {list.value.map((g) => (
                  <tr key={g.name}>
                    <th scope="row">
                      {g.name}
                      <small>{g.prefix}…</small>
                    </th>
                    <td>{labelOf(profiles.find((p) => p.name === g.profile)?.label, lang, g.profile)}</td>
                    <td>{g.owner ?? '–'}</td>
                    <td className="n">
                      {number(lang, g.enrolled)} / {number(lang, g.max)}
                    </td>
                    <td>{date(lang, 'full', Date.parse(g.until))}</td>
                    <td>{t(`device.enrol.state.${g.state}`)}</td>
                    <td>
                      {g.state !== 'revoked' && (
                        <button type="button" onClick={() => setSure(g)}>
                          {t('device.revoke')}
                        </button>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </div>
    </section>
  );
}

/** What ends within thirty days and nothing replaces. */
function Expiring() {
  const { lang, t } = useLanguage();
  const { value, error } = useAsked('expiring', (signal) => enrolment.expiring(signal), 60_000);
  if (error !== undefined) return <p className="problem">{why(t, error)}</p>;
  return (
    <section className="panel" aria-labelledby="expiring-title">
      <div className="panel-head">
        <h2 id="expiring-title">{t('device.enrol.expiring')}</h2>
      </div>
      <div className="sheet">
        {value?.length === 0 && <p className="empty">{t('device.enrol.noExpiring')}</p>}
        {value && value.length > 0 && (
          <table>
            <tbody>
              {value.slice(0, 200).map((x) => (
                <tr key={`${x.device} ${x.credential.id}`}>
                  <th scope="row">
                    <a href={`/devices/${encodeURIComponent(x.device)}#credentials`}>{x.device}</a>
                  </th>
                  <td>{t(`device.credential.${x.credential.kind}`)}</td>
                  <td>{x.credential.expires ? date(lang, 'full', Date.parse(x.credential.expires)) : '–'}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
    </section>
  );
}
