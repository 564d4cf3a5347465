import { type ReactNode, useEffect, useState } from 'react';
import { ApiError, api, type Session } from '../api.ts';
import { useLanguage } from '../i18n/index.ts';
import { reason } from '../panels/context.ts';
import { Login } from '../panels/login.tsx';

/** A page for whoever is logged in; asks who that is first, and names the window. */
export function Gate({
  refused,
  title,
  children,
}: {
  refused: unknown;
  title: string;
  children: (session: Session) => ReactNode;
}) {
  const { lang, t } = useLanguage();
  const [session, setSession] = useState<Session | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    document.documentElement.lang = lang;
    document.title = `${title} · ${t('app.name')}`;
  }, [lang, t, title]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again after a login
  useEffect(() => {
    api.session().then((s) => {
      setSession(s);
      setError(undefined);
    }, setError);
  }, [asked]);
  if (session) return children(session);
  if (error instanceof ApiError && error.status === 401) {
    return <Login refused={refused} onOpen={() => setAsked((n) => n + 1)} />;
  }
  if (error === undefined) return null;
  return (
    <main className="login">
      <p className="problem" role="alert">
        {reason(t, error)}{' '}
        <button type="button" onClick={() => setAsked((n) => n + 1)}>
          {t('link.retryNow')}
        </button>
      </p>
    </main>
  );
}

export interface Asked<T> {
  value: T | undefined;
  error: unknown;
  again: () => void;
}

/**
 * Asks, and asks again every so often while somebody looks; what was known stays
 * beside an error. The key says what is asked: another key forgets the answer.
 */
export function useAsked<T>(
  key: string,
  ask: (signal: AbortSignal) => Promise<T>,
  every = 0,
  wanted = true,
): Asked<T> {
  const [answer, setAnswer] = useState<{ key: string; value?: T; error?: unknown }>({ key });
  const [turn, setTurn] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the question
  useEffect(() => {
    if (!wanted) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = () => {
      if (document.hidden && every > 0) {
        timer = setTimeout(load, every);
        return;
      }
      ask(abort.signal)
        .then(
          (value) => setAnswer({ key, value }),
          (error: unknown) => {
            if (!abort.signal.aborted) {
              setAnswer((old) => ({ key, error, ...(old.key === key ? { value: old.value } : {}) }));
            }
          },
        )
        .finally(() => {
          if (every > 0 && !abort.signal.aborted) timer = setTimeout(load, every);
        });
    };
    load();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, every, wanted, turn]);
  const known = answer.key === key ? answer : { key };
  return { value: known.value, error: known.error, again: () => setTurn((n) => n + 1) };
}
