import { useState } from 'react';
import { date } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { type Me, people } from './api.ts';
import { Box } from './dialogs.tsx';
import { roleKey } from './page.tsx';
import { PasswordForm, said } from './password.tsx';
import { QrCode } from './qr.tsx';
import { TokensPanel } from './tokens.tsx';

type Open = 'password' | 'totp' | 'off';

/** One's own account: password, second factor, sessions, tokens. */
export function AccountPanel({ me, onChange }: { me: Me; onChange: () => void }) {
  const { lang, t } = useLanguage();
  const [open, setOpen] = useState<Open | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const account = me.account;
  if (!account) {
    return (
      <section aria-labelledby="me">
        <div className="panel-head">
          <h2 id="me">{me.principal.name}</h2>
        </div>
        <p className="hint">{t('people.isToken', { role: t(roleKey(me.principal.role)) })}</p>
      </section>
    );
  }
  const close = () => {
    setOpen(undefined);
    onChange();
  };
  return (
    <div className="own">
      <section aria-labelledby="me">
        <div className="panel-head">
          <h2 id="me">{account.name}</h2>
        </div>
        <dl>
          <dt>{t('people.id')}</dt>
          <dd>{account.id}</dd>
          <dt>{t('people.role')}</dt>
          <dd>{t(roleKey(account.role))}</dd>
          {account.department && (
            <>
              <dt>{t('people.department')}</dt>
              <dd>{account.department}</dd>
            </>
          )}
          <dt>{t('people.security')}</dt>
          <dd>
            {account.origin === 'oidc'
              ? t('people.byProvider')
              : t(account.totp ? 'people.twoFactors' : 'people.passwordOnly')}
          </dd>
        </dl>
        {account.origin === 'local' && (
          <div className="buttons">
            <button type="button" onClick={() => setOpen('password')}>
              {t('people.changePassword')}
            </button>
            <button type="button" onClick={() => setOpen(account.totp ? 'off' : 'totp')}>
              {t(account.totp ? 'people.totpOff' : 'people.totpOn')}
            </button>
          </div>
        )}
      </section>
      <section aria-labelledby="sessions">
        <div className="panel-head">
          <h2 id="sessions">{t('people.sessions')}</h2>
        </div>
        {error !== undefined && (
          <p className="problem" role="alert">
            {said(t, error)}
          </p>
        )}
        <table>
          <thead>
            <tr>
              <th scope="col">{t('people.begun')}</th>
              <th scope="col">{t('people.used')}</th>
              <th scope="col">{t('people.from')}</th>
              <th scope="col">{t('people.how')}</th>
              <th scope="col">
                <span className="heard">{t('people.end')}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {(me.sessions ?? []).map((s) => (
              <tr key={s.id}>
                <td>{date(lang, 'full', Date.parse(s.begun))}</td>
                <td>{date(lang, 'full', Date.parse(s.used))}</td>
                <td>
                  {host(s.from ?? '')}
                  <small title={s.agent}>{browser(s.agent ?? '')}</small>
                </td>
                <td>
                  {t(
                    s.assurance.startsWith('oidc')
                      ? 'people.byProvider'
                      : s.assurance === 'password+totp'
                        ? 'people.twoFactors'
                        : 'people.passwordOnly',
                  )}
                </td>
                <td>
                  {s.current ? (
                    t('people.current')
                  ) : (
                    <button type="button" onClick={() => people.endSession(s.id).then(onChange, setError)}>
                      {t('people.end')}
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <TokensPanel own />
      {open === 'password' && (
        <Box title={t('people.changePassword')} onClose={() => setOpen(undefined)}>
          <p className="hint">{t('people.othersEnd')}</p>
          <PasswordForm
            onDone={close}
            aside={
              <button type="button" onClick={() => setOpen(undefined)}>
                {t('people.cancel')}
              </button>
            }
          />
        </Box>
      )}
      {open === 'totp' && <TotpDialog onClose={close} />}
      {open === 'off' && <TotpOffDialog onClose={close} />}
    </div>
  );
}

/** The host of [address]:port. */
function host(from: string): string {
  const end = from.lastIndexOf(':');
  return from.slice(0, end).replace(/^\[|\]$/g, '') || from;
}

const BROWSERS: readonly [RegExp, string][] = [
  [/Edg\//, 'Edge'],
  [/Firefox\//, 'Firefox'],
  [/Chrome\//, 'Chrome'],
  [/Safari\//, 'Safari'],
];

function browser(agent: string): string {
  return BROWSERS.find(([pattern]) => pattern.test(agent))?.[1] ?? agent.split('/')[0] ?? '';
}

/** Sets up a second factor: the password again, the app's secret, a code, the recovery codes. */
function TotpDialog({ onClose }: { onClose: () => void }) {
  const { t } = useLanguage();
  const [password, setPassword] = useState('');
  const [secret, setSecret] = useState<{ secret: string; link: string } | undefined>(undefined);
  const [code, setCode] = useState('');
  const [recovery, setRecovery] = useState<string[] | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [busy, setBusy] = useState(false);
  const run = (work: Promise<void>) => {
    setBusy(true);
    setError(undefined);
    work.catch(setError).finally(() => setBusy(false));
  };
  if (recovery) {
    return (
      <Box title={t('people.recovery')} onClose={onClose} keep>
        <p>{t('people.recoveryText')}</p>
        <output className="secret codes">
          {recovery.map((c) => (
            <span key={c}>{c}</span>
          ))}
        </output>
        <div className="buttons">
          <button type="button" className="main" onClick={onClose}>
            {t('people.kept')}
          </button>
        </div>
      </Box>
    );
  }
  return (
    <Box title={t('people.totpOn')} onClose={onClose}>
      <form
        className="fields"
        onSubmit={(e) => {
          e.preventDefault();
          if (secret) run(people.confirmTOTP(code).then((r) => setRecovery(r.recovery)));
          else run(people.beginTOTP(password).then(setSecret));
        }}
      >
        {secret ? (
          <>
            <p>{t('people.totpText')}</p>
            <QrCode text={secret.link} label={t('people.totpCode')} />
            <output className="secret">{(secret.secret.match(/.{1,4}/g) ?? []).join(' ')}</output>
            <a href={secret.link}>{t('people.totpLink')}</a>
            <label>
              {t('login.code')}
              <input
                name="code"
                inputMode="numeric"
                autoComplete="one-time-code"
                value={code}
                onChange={(e) => setCode(e.target.value)}
                required
              />
            </label>
          </>
        ) : (
          <label>
            {t('people.oldPassword')}
            <input
              type="password"
              name="password"
              autoComplete="current-password"
              value={password}
              onChange={(e) => setPassword(e.target.value)}
              required
            />
          </label>
        )}
        <p className="problem" role="alert">
          {said(t, error)}
        </p>
        <div className="buttons">
          <button type="button" onClick={onClose}>
            {t('people.cancel')}
          </button>
          <button type="submit" className="main" disabled={busy || (secret ? !code.trim() : !password)}>
            {t(secret ? 'people.confirm' : 'people.next')}
          </button>
        </div>
      </form>
    </Box>
  );
}

function TotpOffDialog({ onClose }: { onClose: () => void }) {
  const { t } = useLanguage();
  const [password, setPassword] = useState('');
  const [error, setError] = useState<unknown>(undefined);
  return (
    <Box title={t('people.totpOff')} onClose={onClose}>
      <form
        className="fields"
        onSubmit={(e) => {
          e.preventDefault();
          setError(undefined);
          people.removeTOTP(password).then(onClose, setError);
        }}
      >
        <p className="hint">{t('people.totpOffText')}</p>
        <label>
          {t('people.oldPassword')}
          <input
            type="password"
            autoComplete="current-password"
            value={password}
            onChange={(e) => setPassword(e.target.value)}
            required
          />
        </label>
        <p className="problem" role="alert">
          {said(t, error)}
        </p>
        <div className="buttons">
          <button type="button" onClick={onClose}>
            {t('people.cancel')}
          </button>
          <button type="submit" className="main" disabled={!password}>
            {t('people.totpOff')}
          </button>
        </div>
      </form>
    </Box>
  );
}
