import './page.css';
import { useCallback, useEffect, useState } from 'react';
import type { Session } from '../api.ts';
import { useLanguage } from '../i18n/index.ts';
import { reason } from '../panels/context.ts';
import { Gate } from '../shell/gate.tsx';
import { Masthead } from '../shell/masthead.tsx';
import { type DisplayState, scenesApi } from './api.ts';
import { Displays } from './displays.tsx';
import { Library } from './editor.tsx';
import type { Scene } from './model.ts';

/** What is shown where: displays with how they are, scenes with their editor. */
export function ScenesPage({ refused }: { refused: unknown }) {
  const { t } = useLanguage();
  return (
    <Gate refused={refused} title={t('scenes.page')}>
      {(session) => <Scenes session={session} />}
    </Gate>
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
