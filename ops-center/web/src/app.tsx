import { type CSSProperties, useEffect } from 'react';
import { useCell } from './cell.ts';
import { FirstSteps } from './first/steps.tsx';
import { useLanguage } from './i18n/index.ts';
import { Linked } from './links/linked.tsx';
import { WallContext } from './panels/context.ts';
import { Header, LostBanner } from './panels/header.tsx';
import { Login } from './panels/login.tsx';
import { ReplayBar, ReplayFrame } from './replay/bar.tsx';
import { Keeper } from './scenes/keeper.ts';
import { Stage } from './scenes/stage.tsx';
import type { Wall } from './wall.ts';

export function App({ wall, refused }: { wall: Wall; refused: unknown }) {
  const { lang, t } = useLanguage();
  const signedIn = useCell(wall.signedIn);
  const message = useCell(wall.scene);
  useEffect(() => {
    document.documentElement.lang = lang;
    if (!wall.replay) document.title = `${t('app.name')} · ${t('app.title')}`;
  }, [lang, t, wall]);
  useEffect(() => {
    const keeper = new Keeper(wall);
    keeper.start();
    return () => keeper.stop();
  }, [wall]);
  if (signedIn === false) {
    return (
      <Login
        refused={refused}
        onOpen={() => {
          wall.signedIn.set(undefined);
          wall.start();
        }}
      />
    );
  }
  // A browser that was started with a device scale has part of it already.
  const scale = Math.max(1, (message?.display?.scale ?? 1) / Math.max(1, devicePixelRatio));
  return (
    <WallContext value={wall}>
      <a className="skip" href="#alarms">
        {t('app.skip')}
      </a>
      <LostBanner />
      <Linked />
      <div
        className={`page with-stage ${message?.scene.bare ? 'bare' : ''} ${scale === 1 ? '' : 'scaled'} ${wall.replay ? 'with-replay' : ''}`}
        style={{ '--scale': scale } as CSSProperties}
      >
        {!message?.scene.bare && <Header />}
        <Stage />
        {wall.replay && <ReplayBar replay={wall.replay} />}
        {!wall.replay && <FirstSteps />}
      </div>
      {wall.replay && <ReplayFrame />}
    </WallContext>
  );
}
