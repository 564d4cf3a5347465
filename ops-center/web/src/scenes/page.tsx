import './page.css';
import { useCallback, useEffect, useState } from 'react';
import { ApiError, api, type Session } from '../api.ts';
import { useLanguage } from '../i18n/index.ts';
import { reason } from '../panels/context.ts';
import { Login } from '../panels/login.tsx';
import { Masthead } from '../shell/masthead.tsx';
import { type DisplayState, scenesApi } from './api.ts';
import { Displays } from './displays.tsx';
import { Library } from './editor.tsx';
import type { Scene } from './model.ts';

/** What is shown where: displays with how they are, scenes with their editor. */
export function ScenesPage({ refused }: { refused: unknown }) {
  const { lang, t } = useLanguage();
  const [session, setSession] = useState<Session | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    document.documentElement.lang = lang;
    document.title = `${t('scenes.page')} · ${t('app.name')}`;
  }, [lang, t]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again after a login
  useEffect(() => {
    api.session().then((s) => {
      setSession(s);
      setError(undefined);
    }, setError);
  }, [asked]);
  if (session) return <Scenes session={session} />;
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

function Scenes({ session }: { session: Session }) {
  const { t } = useLanguage();
  const [tab, setTab] = useState<'displays' | 'scenes'>(location.hash === '#scenes' ? 'scenes' : 'displays');
  const [scenes, setScenes] = useState<Scene[]>([]);
  const [displays, setDisplays] = useState<DisplayState[] | undefined>(undefined);
  const [problem, setProblem] = useState<unknown>(undefined);

  const load = useCallback(async () => {
    try {
      setScenes(await scenesApi.scenes());
      setProblem(undefined);
    } catch (e) {
      setProblem(e);
    }
  }, []);
  useEffect(() => void load(), [load]);
  // A dead screen is known within five seconds: three and a half on the server, one here.
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const look = async () => {
      try {
        setDisplays(await scenesApi.displays(abort.signal));
        setProblem(undefined);
      } catch (e) {
        if (abort.signal.aborted) return;
        setProblem(e);
      }
      timer = setTimeout(look, 1000);
    };
    void look();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, []);

  const choose = (next: typeof tab) => {
    setTab(next);
    history.replaceState(null, '', next === 'scenes' ? '#scenes' : location.pathname);
  };
  return (
    <div className="page scenes">
      <Masthead
        title={t('scenes.page')}
        session={session}
        parts={
          <nav className="tabs" aria-label={t('scenes.page')}>
            {(['displays', 'scenes'] as const).map((key) => (
              <button key={key} type="button" aria-pressed={tab === key} onClick={() => choose(key)}>
                {t(`scenes.tab.${key}`)}
              </button>
            ))}
          </nav>
        }
      >
        {problem !== undefined && (
          <span className="chip bad" role="alert">
            {reason(t, problem)}
          </span>
        )}
      </Masthead>
      {tab === 'displays' ? (
        <Displays displays={displays} scenes={scenes} session={session} />
      ) : (
        <Library scenes={scenes} session={session} onChange={load} />
      )}
    </div>
  );
}
