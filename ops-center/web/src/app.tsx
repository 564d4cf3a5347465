import { useEffect } from 'react';
import { useCell } from './cell.ts';
import { useLanguage } from './i18n/index.ts';
import { AlarmList } from './panels/alarmlist.tsx';
import { RainChart, RiverChart } from './panels/charts.tsx';
import { WallContext } from './panels/context.ts';
import { DevicePanel } from './panels/device.tsx';
import { FigureRow } from './panels/figures.tsx';
import { Fleet } from './panels/fleet.tsx';
import { Header, LostBanner } from './panels/header.tsx';
import { Login } from './panels/login.tsx';
import { MapView } from './panels/mapview.tsx';
import type { Wall } from './wall.ts';

export function App({ wall, refused }: { wall: Wall; refused: unknown }) {
  const { lang, t } = useLanguage();
  const signedIn = useCell(wall.signedIn);
  const selection = useCell(wall.selection);
  useEffect(() => {
    document.documentElement.lang = lang;
    document.title = `${t('app.name')} · ${t('app.title')}`;
  }, [lang, t]);
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
  return (
    <WallContext value={wall}>
      <a className="skip" href="#alarms">
        {t('app.skip')}
      </a>
      <LostBanner />
      <div className="page">
        <Header />
        <FigureRow />
        <main className="desk">
          <div className="left">
            {selection.device ? (
              <DevicePanel id={selection.device} />
            ) : (
              <>
                <RiverChart />
                <RainChart />
                <Fleet />
              </>
            )}
          </div>
          <MapView />
          <AlarmList />
        </main>
      </div>
    </WallContext>
  );
}
