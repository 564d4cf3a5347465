import './login.css';
import { useEffect, useState } from 'react';
import { ApiError, api } from '../api.ts';
import { type Key, setLanguage, useLanguage } from '../i18n/index.ts';
import { LoginError, people } from '../people/api.ts';
import { PasswordForm } from '../people/password.tsx';
import { reason } from './context.ts';

/** Why a log-in by the identity provider did not hold, from the address it came back to. */
function takeReason(): string {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const why = fragment.get('login') ?? '';
  if (why) {
    fragment.delete('login');
    const rest = fragment.toString();
    history.replaceState(null, '', location.pathname + location.search + (rest ? `#${rest}` : ''));
  }
  return why;
}

const REASONS: Record<string, Key> = {
  oidc_no_role: 'login.noRole',
  disabled: 'login.disabled',
  oidc_state: 'login.stale',
  provider_down: 'login.providerDown',
};

/** Asks who is there: a person by name and password or by the provider, a screen by its token. */
export function Login({ onOpen, refused }: { onOpen: () => void; refused: unknown }) {
  const { lang, t } = useLanguage();
  const [byToken, setByToken] = useState(refused !== undefined);
  const [token, setToken] = useState('');
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [codeAsked, setCodeAsked] = useState(false);
  const [mustChange, setMustChange] = useState(false);
  const [oidc, setOidc] = useState(false);
  const [busy, setBusy] = useState(false);
  // What the server said of the last attempt: the link's token at first.
  const [error, setError] = useState<unknown>(refused);
  const [returned, setReturned] = useState(takeReason);

  useEffect(() => {
    people.ways().then(
      (w) => setOidc(w.oidc),
      () => undefined,
    );
  }, []);

  let problem = '';
  if (error instanceof LoginError) {
    if (error.reason === 'code_needed') problem = '';
    else if (error.reason === 'too_many') problem = t('login.wait', { seconds: error.retryAfter });
    else if (error.reason === 'busy') problem = t('login.busy');
    else problem = t(codeAsked ? 'login.wrongCode' : 'login.wrongPerson');
  } else if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
    problem = t('login.wrong');
  } else if (error !== undefined) problem = t('login.failed', { reason: reason(t, error) });
  else if (returned) problem = t(REASONS[returned] ?? 'login.provider');

  const open = () => {
    setBusy(true);
    setError(undefined);
    setReturned('');
    const opened = byToken
      ? api.openSession(token.trim()).then(onOpen)
      : people.logIn(name.trim(), password, code.trim()).then((who) => {
          if (who.mustChange) setMustChange(true);
          else onOpen();
        });
    opened
      .catch((e: unknown) => {
        if (e instanceof LoginError && e.reason === 'code_needed') setCodeAsked(true);
        setError(e);
      })
      .finally(() => setBusy(false));
  };
  const ready = byToken ? token.trim() : name.trim() && password && (!codeAsked || code.trim());

  const head = (
    <>
      <svg className="logo" viewBox="0 0 32 32" aria-hidden="true">
        <path d="M5 13 16 6l11 7M8 13.5v12M24 13.5v12M5 25.5h22M12 25.5v-7h8v7M11 13.5h10" />
      </svg>
      <h1>
        {t('app.name')} <span>· {t('app.title')}</span>
      </h1>
    </>
  );
  const other = (
    <button type="button" onClick={() => setLanguage(lang === 'vi' ? 'en' : 'vi')}>
      {lang === 'vi' ? 'English' : 'Tiếng Việt'}
    </button>
  );

  if (mustChange) {
    return (
      <main className="login">
        <div className="panel box">
          {head}
          <h2>{t('login.change')}</h2>
          <p>{t('login.changeText')}</p>
          <PasswordForm known={password} onDone={onOpen} aside={other} />
        </div>
      </main>
    );
  }
  return (
    <main className="login">
      <form
        className="panel"
        onSubmit={(e) => {
          e.preventDefault();
          open();
        }}
      >
        {head}
        <h2>{t(byToken ? 'login.title' : 'login.person')}</h2>
        {byToken ? (
          <>
            <p>{t('login.text')}</p>
            <label>
              {t('login.token')}
              <input
                type="password"
                name="token"
                autoComplete="off"
                spellCheck={false}
                value={token}
                onChange={(e) => setToken(e.target.value)}
                required
              />
            </label>
          </>
        ) : (
          <>
            {oidc && (
              <>
                <a
                  className="provider"
                  href={`/v1/oidc/login?page=${encodeURIComponent(location.pathname + location.search)}`}
                >
                  {t('login.oidc')}
                </a>
                <p className="or">{t('login.or')}</p>
              </>
            )}
            <label>
              {t('login.name')}
              <input
                name="name"
                autoComplete="username"
                autoCapitalize="none"
                spellCheck={false}
                value={name}
                onChange={(e) => setName(e.target.value)}
                required
              />
            </label>
            <label>
              {t('login.password')}
              <input
                type="password"
                name="password"
                autoComplete="current-password"
                value={password}
                onChange={(e) => setPassword(e.target.value)}
                required
              />
            </label>
            {codeAsked && (
              <label>
                {t('login.code')}
                <input
                  // biome-ignore lint/a11y/noAutofocus: the code is what is asked for now
                  autoFocus
                  name="code"
                  inputMode="text"
                  autoComplete="one-time-code"
                  spellCheck={false}
                  value={code}
                  onChange={(e) => setCode(e.target.value)}
                  required
                />
                <small>{t('login.codeHint')}</small>
              </label>
            )}
          </>
        )}
        <p className="problem" role="alert">
          {problem}
        </p>
        <div className="buttons">
          {other}
          <button type="submit" className="main" disabled={busy || !ready}>
            {t(busy ? 'login.opening' : 'login.open')}
          </button>
        </div>
        <button
          type="button"
          className="link"
          onClick={() => {
            setByToken(!byToken);
            setError(undefined);
          }}
        >
          {t(byToken ? 'login.byName' : 'login.byToken')}
        </button>
      </form>
    </main>
  );
}
