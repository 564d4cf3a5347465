import { useState } from 'react';
import { date } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import type { Dossier } from '../register/api.ts';
import { why } from '../register/words.ts';
import { useAsked } from '../shell/gate.tsx';
import { device, type Secret } from './api.ts';

const KINDS = ['token', 'psk', 'x509'] as const;
const OVERLAPS = ['', '0s', '1h', '24h', '168h'] as const;

/** What it may prove itself by. A secret is on this page once, when it is made. */
export function Credentials({ entry }: { entry: Dossier }) {
  const { lang, t } = useLanguage();
  const { id } = entry;
  const list = useAsked(`credentials ${id}`, (signal) => device.credentials(id, signal), 10_000);
  const [kind, setKind] = useState<(typeof KINDS)[number]>('token');
  const [overlap, setOverlap] = useState<(typeof OVERLAPS)[number]>('24h');
  const [secret, setSecret] = useState<string | undefined>(undefined);
  const [sure, setSure] = useState<string | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const act = async (what: () => Promise<string | undefined>) => {
    setSure(undefined);
    try {
      setSecret(await what());
      setError(undefined);
    } catch (e) {
      setError(e);
    }
    list.again();
  };
  const announced = entry.state === 'announced';
  return (
    <>
      {secret !== undefined && <Once text={secret} onDone={() => setSecret(undefined)} />}
      {(error ?? list.error) !== undefined && (
        <p className="problem" role="alert">
          {why(t, error ?? list.error)}
        </p>
      )}
      <form
        className="send"
        onSubmit={(e) => {
          e.preventDefault();
          void act(async () => secretText(await device.give(id, kind, overlap)));
        }}
      >
        <label>
          {t('device.credentialKind')}
          <select name="kind" value={kind} onChange={(e) => setKind(e.target.value as typeof kind)}>
            {KINDS.map((k) => (
              <option key={k} value={k}>
                {t(`device.credential.${k}`)}
              </option>
            ))}
          </select>
        </label>
        <label>
          {t('device.overlap')}
          <select
            name="overlap"
            value={overlap}
            onChange={(e) => setOverlap(e.target.value as typeof overlap)}
          >
            {OVERLAPS.map((o, i) => (
              <option key={o} value={o}>
                {t(`device.overlap.${i as 0 | 1 | 2 | 3 | 4}`)}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" className="main">
          {t('device.give')}
        </button>
        {announced && (
          <button
            type="button"
            onClick={() =>
              void act(async () => {
                const answer = await device.claim(id);
                return answer.claim;
              })
            }
          >
            {t('device.claim')}
          </button>
        )}
        <p className="hint">{t('device.overlapHint')}</p>
      </form>
      <h3>{t('device.credentialsHeld')}</h3>
      {list.value?.credentials.length === 0 && <p className="empty">{t('device.noCredentials')}</p>}
      {list.value && list.value.credentials.length > 0 && (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">{t('device.credentialKind')}</th>
                <th scope="col">{t('device.credentialName')}</th>
                <th scope="col">{t('device.givenAt')}</th>
                <th scope="col">{t('device.endsAt')}</th>
                <th scope="col">{t('device.act')}</th>
              </tr>
            </thead>
            <tbody>
              {list.value.credentials.map((c) => (
                <tr key={c.id}>
                  <td>{t(`device.credential.${c.kind}`)}</td>
                  <td>
                    <code>{c.identity || c.id}</code>
                  </td>
                  <td>{date(lang, 'full', Date.parse(c.added))}</td>
                  <td>{c.expires ? date(lang, 'full', Date.parse(c.expires)) : t('device.noEnd')}</td>
                  <td>
                    <button type="button" onClick={() => setSure(c.id)}>
                      {t('device.revoke')}
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {list.value && list.value.credentials.length > 1 && (
        <p>
          <button type="button" onClick={() => setSure('')}>
            {t('device.revokeAll')}
          </button>
        </p>
      )}
      {sure !== undefined && (
        <p className="sure" role="alert">
          {t(sure ? 'device.sureRevoke' : 'device.sureRevokeAll', { id: sure })}{' '}
          <button
            type="button"
            className="danger"
            onClick={() =>
              void act(async () => {
                await device.revoke(id, sure);
                return undefined;
              })
            }
          >
            {t('device.revokeNow')}
          </button>{' '}
          <button type="button" onClick={() => setSure(undefined)}>
            {t('alarms.cancel')}
          </button>
        </p>
      )}
      {list.value?.revoked && (
        <p className="hint">
          {t('device.revokedAt', { time: date(lang, 'full', Date.parse(list.value.revoked)) })}
        </p>
      )}
    </>
  );
}

function secretText(s: Secret): string {
  if (s.token) return s.token;
  if (s.psk) return `identity: ${s.psk.identity}\nkey: ${s.psk.key}`;
  return [s.x509?.certificate, s.x509?.key, s.x509?.ca].filter(Boolean).join('\n');
}

/** A secret, shown this once. */
export function Once({ text, onDone }: { text: string; onDone: () => void }) {
  const { t } = useLanguage();
  const [copied, setCopied] = useState(false);
  return (
    <div className="once" role="alert">
      <p>{t('device.once')}</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
      <pre className="token" tabIndex={0}>
        {text}
      </pre>
      <p className="acts">
        <button
          type="button"
          disabled={!navigator.clipboard}
          onClick={() => {
            navigator.clipboard.writeText(text).then(
              () => setCopied(true),
              () => setCopied(false),
            );
          }}
        >
          {t(copied ? 'register.copied' : 'register.copy')}
        </button>
        <button type="button" className="main" onClick={onDone}>
          {t('device.kept')}
        </button>
      </p>
    </div>
  );
}
