import '../scenes.css';
import { type ComponentType, type CSSProperties, type ReactNode, useEffect, useRef, useState } from 'react';
import { useCell } from '../cell.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { AlarmList } from '../panels/alarmlist.tsx';
import { RainChart, RiverChart } from '../panels/charts.tsx';
import { useWall } from '../panels/context.ts';
import { DevicePanel } from '../panels/device.tsx';
import { FigureRow } from '../panels/figures.tsx';
import { Fleet } from '../panels/fleet.tsx';
import { MapView } from '../panels/mapview.tsx';
import { type Camera, partOf } from './camera.ts';
import { around, DEFAULT_SCENE, look, type Panel, type Rect, rowTracks, type SceneMessage } from './model.ts';
import { ChannelChart, ClockPanel, FramePanel, TablePanel, TextPanel } from './panels.tsx';

const place = (r: Rect): CSSProperties => ({
  gridColumn: `${r.x + 1} / span ${r.w}`,
  gridRow: `${r.y + 1} / span ${r.h}`,
});

const NO_MESSAGE: SceneMessage = {
  type: 'scene',
  n: 0,
  display: null,
  scene: DEFAULT_SCENE,
  reason: 'default',
};

/** What this screen is told to show: a scene's panels on its grid. */
export function Stage() {
  const wall = useWall();
  const message = useCell(wall.scene) ?? NO_MESSAGE;
  const selection = useCell(wall.selection);
  const shape = useCell(wall.city.shape);
  const { scene, focus, display } = message;

  // A focus is chosen as if by hand, once; what it names may come later than it.
  const focused = useRef<string>(undefined);
  const key = `${message.n} ${focus?.alarm ?? ''} ${focus?.device ?? ''}`;
  useEffect(() => {
    void shape;
    if (focused.current === key) return;
    if (!focus?.alarm && !focus?.device) {
      if (focused.current !== undefined && display) wall.select({});
      focused.current = key;
      return;
    }
    const device = focus.device;
    if (device && wall.city.index(device) === undefined) return;
    focused.current = key;
    wall.select({ ...(focus.alarm ? { alarm: focus.alarm } : {}), ...(device ? { device } : {}) });
    if (device && !focus.view && !display?.span) wall.showOnMap(device);
  }, [wall, key, focus, display, shape]);

  const side = around(scene.panels.filter((p) => p.kind === 'chart'));
  const shown = selection.device !== undefined;
  // Without charts to lie on, it lies on the map, beside a list on the right.
  const list = scene.panels.find((p) => p.kind === 'alarms' && p.x >= 12);
  return (
    <main className="stage" style={{ gridTemplateRows: rowTracks(scene.panels) }} data-scene={scene.id}>
      {scene.panels.map((panel) => (
        <Cell key={panel.id} panel={panel} covered={shown && side !== undefined && panel.kind === 'chart'}>
          <Body panel={panel} message={message} />
        </Cell>
      ))}
      {selection.device !== undefined && (
        <div
          className={`cell of-device ${side ? '' : 'over'}`}
          style={place(side ?? { x: (list?.x ?? 24) - 7, y: 1, w: 7, h: 11 })}
        >
          <DevicePanel id={selection.device} />
        </div>
      )}
    </main>
  );
}

function Cell({ panel, covered, children }: { panel: Panel; covered: boolean; children: ReactNode }) {
  const { lang } = useLanguage();
  if (covered) return null;
  const title = labelOf(panel.settings.title, lang, '');
  return (
    <div
      className={`cell of-${panel.kind} ${title ? 'titled' : ''}`}
      style={place(panel)}
      data-panel={panel.id}
    >
      {title && <h2 className="cell-title">{title}</h2>}
      {children}
    </div>
  );
}

function Body({ panel, message }: { panel: Panel; message: SceneMessage }) {
  const { settings } = panel;
  switch (panel.kind) {
    case 'map':
      return <MapPanel message={message} />;
    case 'alarms':
      return <AlarmList />;
    case 'figures':
      return <FigureRow />;
    case 'chart':
      if (settings.of === 'river') return <RiverChart />;
      if (settings.of === 'rain') return <RainChart />;
      if (settings.of === 'fleet') return <Fleet />;
      return <ChannelChart settings={settings} />;
    case 'table':
      return <TablePanel settings={settings} />;
    case 'clock':
      return <ClockPanel />;
    case 'text':
      return <TextPanel settings={settings} />;
    case 'camera':
    case 'web':
      return <FramePanel panel={panel} />;
  }
}

interface MapProps {
  fixed?: boolean;
  settings?: {
    camera?: Camera;
    layers?: readonly string[];
    filters?: { hidden?: readonly string[]; priority?: 1 | 2 | 3 | 4 };
  };
}

/** The map, or this browser's part of it. */
function MapPanel({ message }: { message: SceneMessage }) {
  const wall = useWall();
  const host = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState<{ width: number; height: number }>();
  useCell(wall.city.shape);
  useEffect(() => {
    const box = host.current;
    if (!box) return;
    const watch = new ResizeObserver(() => setSize({ width: box.clientWidth, height: box.clientHeight }));
    watch.observe(box);
    return () => watch.disconnect();
  }, []);
  const { scene, display } = message;
  const whole = look(message, (device) => {
    const index = wall.city.index(device);
    return index !== undefined && wall.city.placed[index]
      ? [wall.city.lon[index], wall.city.lat[index]]
      : undefined;
  });
  const camera = whole && size && partOf(whole, display?.span, size.width, size.height);
  const { maxPriority, hidden } = scene.filters ?? {};
  const settings = {
    ...(camera ? { camera } : {}),
    ...(scene.layers ? { layers: scene.layers } : {}),
    ...(maxPriority || hidden
      ? {
          filters: {
            ...(hidden ? { hidden } : {}),
            ...(maxPriority ? { priority: maxPriority as 1 | 2 | 3 | 4 } : {}),
          },
        }
      : {}),
  };
  // The map asks for the same object for the same settings.
  const text = JSON.stringify(settings);
  const held = useRef({ text, settings });
  if (held.current.text !== text) held.current = { text, settings };
  const CityView = MapView as ComponentType<MapProps>;
  return (
    <div className="map-panel" ref={host} data-camera={camera ? JSON.stringify(camera) : undefined}>
      <CityView settings={held.current.settings} fixed={display !== null} />
    </div>
  );
}
