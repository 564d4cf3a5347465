import { useState } from 'react';
import { ApiError, api } from '../api.ts';
import { setLanguage, useLanguage } from '../i18n/index.ts';
import { reason } from './context.ts';

/** Asks for the screen's token once; after that the browser has a session cookie. */
export function Login({ onOpen, refused }: { onOpen: () => void; refused: unknown }) {
  const { lang, t } = useLanguage();
  const [token, setToken] = useState('');
  const [busy, setBusy] = useState(false);
  // What the server said of the last token: the link's at first.
  const [error, setError] = useState<unknown>(refused);
  const wrong = error instanceof ApiError && (error.status === 401 || error.status === 403);
  let problem = '';
  if (wrong) problem = t('login.wrong');
  else if (error !== undefined) problem = t('login.failed', { reason: reason(t, error) });
  return (
    <main className="login">
      <form
        className="panel"
        onSubmit={(e) => {
          e.preventDefault();
          setBusy(true);
          setError(undefined);
          api
            .openSession(token.trim())
            .then(onOpen, setError)
            .finally(() => setBusy(false));
        }}
      >
        <svg className="logo" viewBox="0 0 32 32" aria-hidden="true">
          <path d="M5 13 16 6l11 7M8 13.5v12M24 13.5v12M5 25.5h22M12 25.5v-7h8v7M11 13.5h10" />
        </svg>
        <h1>
          {t('app.name')} <span>· {t('app.title')}</span>
        </h1>
        <h2>{t('login.title')}</h2>
        <p>{t('login.text')}</p>
        <label>
          {t('login.token')}
          <input
            type="password"
            autoComplete="current-password"
            spellCheck={false}
            value={token}
            onChange={(e) => setToken(e.target.value)}
            required
          />
        </label>
        <p className="problem" role="alert">
          {problem}
        </p>
        <div className="buttons">
          <button type="button" onClick={() => setLanguage(lang === 'vi' ? 'en' : 'vi')}>
            {lang === 'vi' ? 'English' : 'Tiếng Việt'}
          </button>
          <button type="submit" className="main" disabled={busy || !token.trim()}>
            {t(busy ? 'login.opening' : 'login.open')}
          </button>
        </div>
      </form>
    </main>
  );
}
