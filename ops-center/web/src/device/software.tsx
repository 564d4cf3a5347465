import { date } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import type { Dossier } from '../register/api.ts';
import { why } from '../register/words.ts';
import { useAsked } from '../shell/gate.tsx';
import { firmware, type Profile } from './api.ts';
import { bytes } from './connection.tsx';

/** What it runs, what it should run, and what campaigns do about it. */
export function Software({ entry, profile }: { entry: Dossier; profile: Profile }) {
  const { lang, t } = useLanguage();
  const images = useAsked('images', (signal) => firmware.images(signal));
  const campaigns = useAsked(`campaigns ${entry.id}`, (signal) => firmware.campaigns(entry.id, signal), 3000);
  const fitting = (images.value ?? []).filter((i) => i.profile === profile.name);
  const newest = [...fitting].sort((a, b) => (b.added ?? '').localeCompare(a.added ?? ''))[0];
  const norm = profile.norm;
  const error = images.error ?? campaigns.error;
  return (
    <>
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
      <dl className="facts">
        <dt>{t('device.runs')}</dt>
        <dd>{entry.firmware || t('device.notTold')}</dd>
        <dt>{t('device.normFirmware')}</dt>
        <dd>
          {norm?.oldestFirmware || norm?.newestFirmware
            ? `${norm.oldestFirmware ?? '…'} – ${norm.newestFirmware ?? '…'}`
            : t('device.noNorm')}
        </dd>
        <dt>{t('device.newestImage')}</dt>
        <dd>
          {newest ? (
            <>
              {newest.version} · {bytes(lang, newest.size)}
              <small>
                SHA-256 <code>{newest.sha256.slice(0, 16)}…</code>
                {newest.added && ` · ${date(lang, 'full', Date.parse(newest.added))}`}
              </small>
            </>
          ) : (
            t('device.noImage')
          )}
        </dd>
      </dl>
      <h3>{t('device.campaigns')}</h3>
      {campaigns.value?.length === 0 && <p className="empty">{t('device.noCampaigns')}</p>}
      {campaigns.value && campaigns.value.length > 0 && (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">{t('device.campaign')}</th>
                <th scope="col">{t('device.ring')}</th>
                <th scope="col">{t('device.state')}</th>
                <th scope="col">{t('device.fromTo')}</th>
                <th scope="col">{t('device.changed')}</th>
              </tr>
            </thead>
            <tbody>
              {campaigns.value.map((c) => {
                const own = c.devices?.[0];
                return (
                  <tr key={c.id}>
                    <td>
                      <a href={`/firmware#${encodeURIComponent(c.id)}`}>{c.image}</a>
                      <small>{t(`device.campaignState.${c.state}`)}</small>
                    </td>
                    <td>{own ? own.ring + 1 : '–'}</td>
                    <td>
                      {own ? t(`device.progress.${own.state}`) : '–'}
                      {own?.cause && <small lang="en">{own.cause}</small>}
                    </td>
                    <td>
                      {own?.from || '–'} → {own?.version || '–'}
                    </td>
                    <td>{own ? date(lang, 'full', Date.parse(own.changed)) : '–'}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      <p>
        <a href="/firmware">{t('device.toFirmware')}</a>
      </p>
    </>
  );
}
