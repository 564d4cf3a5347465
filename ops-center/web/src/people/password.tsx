import { type ReactNode, useState } from 'react';
import { ApiError } from '../api.ts';
import { type Translate, useLanguage } from '../i18n/index.ts';
import { reason } from '../panels/context.ts';
import { people } from './api.ts';

export const SHORTEST = 12;

/** What went wrong with an account, in the person's language. */
export function said(t: Translate, error: unknown): string {
  if (error === undefined) return '';
  if (error instanceof ApiError) {
    if (error.status === 403) return t('people.wrongSecret');
    if (error.status === 409) return t('people.conflict');
    if (error.status === 422) return t('people.invalid');
    if (error.status === 429) return t('people.tooMany');
  }
  return t('people.failed', { reason: reason(t, error) });
}

/** Sets another password; known is the old one where it was typed just now. */
export function PasswordForm({
  known,
  onDone,
  aside,
}: {
  known?: string;
  onDone: () => void;
  aside?: ReactNode;
}) {
  const { t } = useLanguage();
  const [old, setOld] = useState(known ?? '');
  const [fresh, setFresh] = useState('');
  const [again, setAgain] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const length = [...fresh.normalize('NFKC')].length;
  let problem = '';
  if (error instanceof ApiError && error.status === 422) problem = t('people.weak');
  else if (error !== undefined) problem = said(t, error);
  else if (again && again !== fresh) problem = t('people.differ');
  return (
    <form
      className="fields"
      onSubmit={(e) => {
        e.preventDefault();
        setBusy(true);
        setError(undefined);
        people
          .setPassword(old, fresh)
          .then(onDone, setError)
          .finally(() => setBusy(false));
      }}
    >
      {known === undefined && (
        <label>
          {t('people.oldPassword')}
          <input
            type="password"
            autoComplete="current-password"
            value={old}
            onChange={(e) => setOld(e.target.value)}
            required
          />
        </label>
      )}
      <label>
        {t('people.newPassword')}
        <input
          type="password"
          name="new"
          autoComplete="new-password"
          value={fresh}
          onChange={(e) => setFresh(e.target.value)}
          required
        />
        <small>{t('people.passwordHint', { shortest: SHORTEST })}</small>
      </label>
      <label>
        {t('people.againPassword')}
        <input
          type="password"
          name="again"
          autoComplete="new-password"
          value={again}
          onChange={(e) => setAgain(e.target.value)}
          required
        />
      </label>
      <p className="problem" role="alert">
        {problem}
      </p>
      <div className="buttons">
        {aside}
        <button
          type="submit"
          className="main"
          disabled={busy || !old || length < SHORTEST || fresh !== again}
        >
          {t('people.setPassword')}
        </button>
      </div>
    </form>
  );
}
