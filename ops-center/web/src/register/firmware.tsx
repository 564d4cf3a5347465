import '../device/device.css';
import { useState } from 'react';
import type { Session } from '../api.ts';
import { type Campaign, device, firmware, type Image, type Profile, type Progress } from '../device/api.ts';
import { bytes } from '../device/connection.tsx';
import { date, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { Gate, useAsked } from '../shell/gate.tsx';
import { Masthead } from '../shell/masthead.tsx';
import { why } from './words.ts';

/** Images, and the campaigns that bring them to devices ring by ring. */
export function FirmwarePage({ refused }: { refused: unknown }) {
  const { t } = useLanguage();
  return (
    <Gate refused={refused} title={t('device.firmware.title')}>
      {(session) => <Firmware session={session} />}
    </Gate>
  );
}

function Firmware({ session }: { session: Session }) {
  const { t } = useLanguage();
  const may = session.permissions.includes('manage_firmware');
  const images = useAsked('images', (signal) => firmware.images(signal), 30_000);
  const campaigns = useAsked('campaigns', (signal) => firmware.campaigns('', signal), 2000);
  const catalogue = useAsked('catalogue', (signal) => device.catalogue(signal));
  const [open, setOpen] = useState(() => decodeURIComponent(location.hash.slice(1)));
  const error = images.error ?? campaigns.error ?? catalogue.error;
  return (
    <div className="page firmware-page">
      <Masthead title={t('device.firmware.title')} session={session}>
        <a className="chip" href="/devices">
          {t('register.title')}
        </a>
      </Masthead>
      <main className="device-body">
        {error !== undefined && (
          <p className="problem" role="alert">
            {why(t, error)}
          </p>
        )}
        <section className="panel" aria-labelledby="campaigns-title">
          <div className="panel-head">
            <h2 id="campaigns-title">{t('device.firmware.campaigns')}</h2>
          </div>
          <div className="sheet">
            {may && <NewCampaign images={images.value ?? []} onCreated={campaigns.again} />}
            {campaigns.value?.length === 0 && <p className="empty">{t('device.firmware.noCampaigns')}</p>}
            {(campaigns.value ?? []).map((c) => (
              <One
                key={c.id}
                campaign={c}
                may={may}
                open={open === c.id}
                onOpen={() => setOpen(open === c.id ? '' : c.id)}
                onChanged={campaigns.again}
              />
            ))}
          </div>
        </section>
        <section className="panel" aria-labelledby="images-title">
          <div className="panel-head">
            <h2 id="images-title">{t('device.firmware.images')}</h2>
          </div>
          <div className="sheet">
            {may && <Upload profiles={catalogue.value?.profiles ?? []} onAdded={images.again} />}
            <Images list={images.value ?? []} profiles={catalogue.value?.profiles ?? []} />
          </div>
        </section>
      </main>
    </div>
  );
}

function Images({ list, profiles }: { list: readonly Image[]; profiles: readonly Profile[] }) {
  const { lang, t } = useLanguage();
  if (list.length === 0) return <p className="empty">{t('device.firmware.noImages')}</p>;
  return (
    <div className="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">{t('device.firmware.version')}</th>
            <th scope="col">{t('register.profile')}</th>
            <th scope="col">{t('device.size')}</th>
            <th scope="col">SHA-256</th>
            <th scope="col">{t('device.firmware.added')}</th>
          </tr>
        </thead>
        <tbody>
          {list.map((i) => (
            <tr key={i.name}>
              <th scope="row">{i.version}</th>
              <td>{labelOf(profiles.find((p) => p.name === i.profile)?.label, lang, i.profile)}</td>
              <td className="n">{bytes(lang, i.size)}</td>
              <td>
                <code title={i.sha256}>{i.sha256.slice(0, 16)}…</code>
              </td>
              <td>{i.added ? date(lang, 'full', Date.parse(i.added)) : '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Upload({ profiles, onAdded }: { profiles: readonly Profile[]; onAdded: () => void }) {
  const { lang, t } = useLanguage();
  const [file, setFile] = useState<File | undefined>(undefined);
  const [profile, setProfile] = useState('');
  const [version, setVersion] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  return (
    <form
      className="send"
      onSubmit={(e) => {
        e.preventDefault();
        if (!file) return;
        setBusy(true);
        firmware
          .upload(file, profile, version.trim())
          .then(() => {
            setError(undefined);
            setVersion('');
            onAdded();
          }, setError)
          .finally(() => setBusy(false));
      }}
    >
      <label>
        {t('device.firmware.file')}
        <input type="file" name="file" required onChange={(e) => setFile(e.target.files?.[0])} />
      </label>
      <label>
        {t('register.profile')}
        <select name="profile" required value={profile} onChange={(e) => setProfile(e.target.value)}>
          <option value="">{t('device.choose')}</option>
          {profiles.map((p) => (
            <option key={p.name} value={p.name}>
              {labelOf(p.label, lang, p.name)}
            </option>
          ))}
        </select>
      </label>
      <label>
        {t('device.firmware.version')}
        <input
          name="version"
          required
          maxLength={64}
          value={version}
          onChange={(e) => setVersion(e.target.value)}
        />
      </label>
      <button type="submit" disabled={busy || !file || !profile || !version.trim()}>
        {t('device.firmware.sign')}
      </button>
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
    </form>
  );
}

/** Rings as people write them: 1, 10, 100. */
export function ringsOf(text: string): { percent: number }[] | undefined {
  const list = text
    .split(/[\s;,]+/)
    .filter(Boolean)
    .map(Number);
  const rises = list.every((p, i) => Number.isFinite(p) && p > (list[i - 1] ?? 0) && p <= 100);
  return list.length > 0 && rises && list.at(-1) === 100 ? list.map((percent) => ({ percent })) : undefined;
}

function NewCampaign({ images, onCreated }: { images: readonly Image[]; onCreated: () => void }) {
  const { t } = useLanguage();
  const [image, setImage] = useState('');
  const [rings, setRings] = useState('1, 10, 100');
  const [failures, setFailures] = useState('5');
  const [soak, setSoak] = useState('1h');
  const [error, setError] = useState<unknown>(undefined);
  const read = ringsOf(rings);
  const create = (start: boolean) => {
    if (!read) return;
    firmware
      .create({
        image,
        rings: read,
        maxFailures: Number(failures),
        soak,
        patience: '24h',
        parallel: 100,
        start,
      })
      .then(() => {
        setError(undefined);
        setImage('');
        onCreated();
      }, setError);
  };
  return (
    <form
      className="send"
      onSubmit={(e) => {
        e.preventDefault();
        create(false);
      }}
    >
      <label>
        {t('device.firmware.image')}
        <select name="image" value={image} onChange={(e) => setImage(e.target.value)}>
          <option value="">{t('device.choose')}</option>
          {images.map((i) => (
            <option key={i.name} value={i.name}>
              {i.name}
            </option>
          ))}
        </select>
      </label>
      <label>
        {t('device.firmware.rings')}
        <input name="rings" value={rings} aria-invalid={!read} onChange={(e) => setRings(e.target.value)} />
      </label>
      <label>
        {t('device.firmware.failures')}
        <input
          name="failures"
          type="number"
          min={0}
          max={100}
          value={failures}
          onChange={(e) => setFailures(e.target.value)}
        />
      </label>
      <label>
        {t('device.firmware.soak')}
        <select name="soak" value={soak} onChange={(e) => setSoak(e.target.value)}>
          {(['10m', '1h', '24h'] as const).map((s) => (
            <option key={s} value={s}>
              {t(`device.firmware.soak.${s}`)}
            </option>
          ))}
        </select>
      </label>
      <button type="submit" disabled={!image || !read}>
        {t('device.firmware.plan')}
      </button>
      <button type="button" className="main" disabled={!image || !read} onClick={() => create(true)}>
        {t('device.firmware.start')}
      </button>
      <p className="hint">{t(read ? 'device.firmware.hint' : 'device.firmware.badRings')}</p>
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
    </form>
  );
}

const UNDER_WAY: readonly Progress[] = ['told', 'downloading', 'installing'];
const BAD: readonly Progress[] = ['failed', 'rolled_back', 'unreachable'];
const ALL: readonly Progress[] = ['installed', ...UNDER_WAY, ...BAD, 'pending'];

function One({
  campaign: c,
  may,
  open,
  onOpen,
  onChanged,
}: {
  campaign: Campaign;
  may: boolean;
  open: boolean;
  onOpen: () => void;
  onChanged: () => void;
}) {
  const { lang, t } = useLanguage();
  const [error, setError] = useState<unknown>(undefined);
  const [sure, setSure] = useState(false);
  const [why_, setWhy] = useState('');
  const act = (action: 'start' | 'pause' | 'resume' | 'abort') =>
    firmware.act(c.id, action, action === 'abort' ? why_ : '').then(() => {
      setError(undefined);
      setSure(false);
      onChanged();
    }, setError);
  const sum = (counts: Campaign['counts'][number], of: readonly Progress[]) =>
    of.reduce((n, p) => n + (counts[p] ?? 0), 0);
  return (
    <article className={`campaign ${c.state}`} data-campaign={c.image} data-state={c.state}>
      <header>
        <h3>{c.image}</h3>
        <b>{t(`device.campaignState.${c.state}`)}</b>
        <span className="hint">
          {t('device.firmware.by', { by: c.by, time: date(lang, 'full', Date.parse(c.changed)) })}
        </span>
        <span className="hint">{t('device.firmware.rule', { percent: number(lang, c.maxFailures) })}</span>
        {may && (
          <span className="acts">
            {c.state === 'draft' && (
              <button type="button" className="main" onClick={() => void act('start')}>
                {t('device.firmware.start')}
              </button>
            )}
            {c.state === 'running' && (
              <button type="button" onClick={() => void act('pause')}>
                {t('device.firmware.pause')}
              </button>
            )}
            {c.state === 'paused' && (
              <button type="button" onClick={() => void act('resume')}>
                {t('device.firmware.resume')}
              </button>
            )}
            {(c.state === 'running' || c.state === 'paused' || c.state === 'draft') && (
              <button type="button" onClick={() => setSure(true)}>
                {t('device.firmware.abort')}
              </button>
            )}
          </span>
        )}
        <button type="button" aria-expanded={open} onClick={onOpen}>
          {t('device.firmware.devices')}
        </button>
      </header>
      {c.reason && <p className="hint">{c.reason}</p>}
      {sure && (
        <form
          className="sure send"
          onSubmit={(e) => {
            e.preventDefault();
            void act('abort');
          }}
        >
          <label className="wide">
            {t('device.firmware.whyAbort')}
            <input
              name="reason"
              value={why_}
              maxLength={500}
              required
              onChange={(e) => setWhy(e.target.value)}
            />
          </label>
          <button type="submit">{t('device.firmware.abort')}</button>
          <button type="button" onClick={() => setSure(false)}>
            {t('alarms.cancel')}
          </button>
        </form>
      )}
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
      {c.counts.map((counts, i) => {
        const all = Math.max(1, sum(counts, ALL));
        const width = (of: readonly Progress[]) => ({ width: `${(sum(counts, of) / all) * 100}%` });
        const ring = i + 1;
        return (
          <div className="ringbar" key={`${c.id} ${ring}`}>
            <span>{t('device.firmware.ring', { n: ring })}</span>
            <span className="bar" aria-hidden="true">
              <i className="installed" style={width(['installed'])} />
              <i className="under" style={width(UNDER_WAY)} />
              <i className="bad" style={width(BAD)} />
            </span>
            <span>
              {ALL.filter((p) => counts[p])
                .map((p) => `${t(`device.progress.${p}`)} ${number(lang, counts[p] ?? 0)}`)
                .join(' · ') || t('device.none')}
            </span>
          </div>
        );
      })}
      {open && <Devices id={c.id} />}
    </article>
  );
}

function Devices({ id }: { id: string }) {
  const { lang, t } = useLanguage();
  const { value, error } = useAsked(`campaign ${id}`, (signal) => firmware.campaign(id, signal), 3000);
  if (error !== undefined) return <p className="problem">{why(t, error)}</p>;
  const list = value?.devices ?? [];
  const rank = (p: Progress) => (BAD.includes(p) ? 0 : UNDER_WAY.includes(p) ? 1 : p === 'pending' ? 3 : 2);
  const shown = [...list].sort((a, b) => rank(a.state) - rank(b.state)).slice(0, 500);
  return (
    <div className="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">{t('register.device')}</th>
            <th scope="col">{t('device.ring')}</th>
            <th scope="col">{t('device.state')}</th>
            <th scope="col">{t('device.fromTo')}</th>
            <th scope="col">{t('device.changed')}</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((d) => (
            <tr key={d.id}>
              <th scope="row">
                <a href={`/devices/${encodeURIComponent(d.id)}#software`}>{d.id}</a>
              </th>
              <td>{d.ring + 1}</td>
              <td>
                {t(`device.progress.${d.state}`)}
                {d.cause && <small lang="en">{d.cause}</small>}
              </td>
              <td>
                {d.from || '–'} → {d.version || '–'}
              </td>
              <td>{date(lang, 'full', Date.parse(d.changed))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {list.length > shown.length && (
        <p className="hint">
          {t('device.firmware.more', { count: number(lang, list.length - shown.length) })}
        </p>
      )}
    </div>
  );
}
