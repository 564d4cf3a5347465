import './desk.css';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { ApiError, get } from '../api.ts';
import { useCell } from '../cell.ts';
import { age, date, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { subject, title, typing } from '../panels/alarmlist.tsx';
import { useSecond, useWall, WallContext } from '../panels/context.ts';
import { DevicePanel } from '../panels/device.tsx';
import { LostBanner } from '../panels/header.tsx';
import { Login } from '../panels/login.tsx';
import { MapView } from '../panels/mapview.tsx';
import { PrioritySymbol } from '../panels/symbol.tsx';
import { NotThePast } from '../replay/links.tsx';
import { LanguageSwitch, PageMenu, ThemeSwitch } from '../shell/masthead.tsx';
import { UpgradeChip } from '../shell/upgrade.tsx';
import { Wall } from '../wall.ts';
import { AlarmPage, GroupPage } from './alarmpage.tsx';
import type { ActName } from './api.ts';
import { Desk, DeskContext, type Dialog, useDesk } from './desk.ts';
import { ActDialog, PushDialog } from './dialogs.tsx';
import { HelpDialog } from './help.tsx';
import { type Action, actionOf } from './keys.ts';
import { useLinked } from './linked.ts';
import { biggestGroups, holds, inTab, isFolded, type Person, TABS } from './model.ts';
import { Palette } from './palette.tsx';
import { Queue, type QueueKeys } from './queue.tsx';
import { ShiftDialog } from './shift.tsx';
import { groupWord, said } from './words.ts';

interface Me {
  principal: { id?: string; name: string; role: string; department?: string };
  permissions: string[];
}

const AGAIN = 2000;

/** The desk of one operator; on a small screen that of an officer outside. */
export function DeskPage({ refused }: { refused: unknown }) {
  const { lang, t } = useLanguage();
  const [wall] = useState(() => new Wall({ everyAlarm: true }));
  const signedIn = useCell(wall.signedIn);
  const [desk, setDesk] = useState<Desk | undefined>(undefined);
  useEffect(() => {
    wall.start();
    return () => wall.stop();
  }, [wall]);
  useEffect(() => {
    document.documentElement.lang = lang;
    document.title = `${t('desk.title')} · ${t('app.name')}`;
  }, [lang, t]);
  useEffect(() => {
    if (signedIn !== true) return;
    let made: Desk | undefined;
    let timer: ReturnType<typeof setTimeout>;
    let gone = false;
    const ask = async () => {
      try {
        const { principal, permissions } = await get<Me>('/v1/me');
        if (gone) return;
        const me: Person = {
          id: principal.id ?? '',
          name: principal.name,
          role: principal.role,
          department: principal.department ?? '',
        };
        made = new Desk(wall, me, permissions);
        made.start();
        setDesk(made);
      } catch (error) {
        if (gone) return;
        if (error instanceof ApiError && error.status === 401) wall.signedIn.set(false);
        else timer = setTimeout(() => void ask(), AGAIN);
      }
    };
    void ask();
    return () => {
      gone = true;
      clearTimeout(timer);
      made?.stop();
      setDesk(undefined);
    };
  }, [wall, signedIn]);
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
  if (!desk) return null;
  return (
    <WallContext value={wall}>
      <DeskContext value={desk}>
        {new URLSearchParams(location.search).get('only') === 'map' ? <MapWindow /> : <Board />}
      </DeskContext>
    </WallContext>
  );
}

const ACT_OF: Partial<Record<Action, ActName>> = {
  acknowledge: 'acknowledge',
  shelve: 'shelve',
  unshelve: 'unshelve',
  assign: 'assign',
  comment: 'comment',
  false: 'false',
  accept: 'accept',
  return: 'return',
  outOfService: 'out-of-service',
  returnToService: 'return-to-service',
};

function Board() {
  const wall = useWall();
  const desk = useDesk();
  const { t } = useLanguage();
  const small = useMedia('(max-width: 700px)');
  const selection = useCell(wall.selection);
  const dialog = useCell(desk.dialog);
  const noting = useCell(wall.noting);
  const ack = useCell(wall.ack);
  const [mapOn, setMapOn] = useState(true);
  const [mapOnSmall, setMapOnSmall] = useState(false);
  const queue = useRef<QueueKeys>(undefined);
  const showMap = small ? mapOnSmall : mapOn;
  useShared();
  useLinked();

  // What other panels choose or ask for is the desk's too.
  useEffect(() => {
    const { alarm } = selection;
    if (alarm && !desk.under.get().includes(alarm)) {
      desk.cursor.set(alarm);
      desk.under.set([alarm]);
      desk.marked.set(new Set());
    }
  }, [desk, selection]);
  useEffect(() => {
    if (!noting) return;
    wall.noting.set(undefined);
    desk.ask('acknowledge', [noting]);
  }, [wall, desk, noting]);
  useEffect(() => {
    if (ack?.state === 'failed')
      desk.acts.outcome.set({ kind: 'refused', act: 'acknowledge', error: ack.error });
  }, [desk, ack]);
  useEffect(() => {
    if (!showMap) document.documentElement.dataset.devices = '0';
  }, [showMap]);

  const run = useCallback(
    (action: Action) => {
      const act = ACT_OF[action];
      if (act) return desk.ask(act);
      const { device } = wall.selection.get();
      switch (action) {
        case 'next':
          return queue.current?.step(1);
        case 'previous':
          return queue.current?.step(-1);
        case 'fold':
          return queue.current?.fold();
        case 'mark':
          return queue.current?.mark();
        case 'fresh':
          return queue.current?.fresh();
        case 'claim': {
          const all = desk.targets();
          const now = wall.clock.now();
          return desk.ask(all.length > 0 && all.every((a) => holds(a, desk.me, now)) ? 'release' : 'claim');
        }
        case 'map':
          if (device) wall.showOnMap(device);
          return;
        case 'push':
          return desk.askPush();
        case 'warning': {
          const [one] = desk.targets();
          if (one) void desk.draftWarning(one);
          return;
        }
        case 'undo':
          return desk.undo();
        case 'silence':
          return desk.silence();
        case 'shift':
          return desk.dialog.set({ kind: 'shift' });
        case 'group':
          desk.choose(undefined, []);
          return desk.grouped.set(!desk.grouped.get());
        case 'help':
          return desk.dialog.set({ kind: 'help' });
      }
    },
    [desk, wall],
  );

  // Before the map's own keys, which leave alone what is taken here.
  useEffect(() => {
    const listen = (e: KeyboardEvent) => {
      const target = e.target instanceof Element ? e.target : document.body;
      const inField = typing(e.target) && !(target instanceof HTMLInputElement && target.type === 'checkbox');
      if (e.ctrlKey || e.metaKey) {
        const key = e.key.toLowerCase();
        if (key === 'k' && !desk.dialog.get()) desk.dialog.set({ kind: 'palette' });
        else if (key === 'a' && !inField) queue.current?.all();
        else if (key === 'z' && !inField) desk.undo();
        else return;
        e.preventDefault();
        return;
      }
      if (e.altKey || inField || target.closest('dialog')) return;
      if (desk.dialog.get()) {
        // Escape has closed it, and on a busy machine the page has not heard of it yet.
        if (document.querySelector('dialog[open]')) return;
        desk.dialog.set(undefined);
      }
      const onMap = target.closest('.map') !== null;
      const free = target === document.body || target.closest('.queue') !== null;
      const pressable = target.closest('button, a, select, summary') !== null;
      const keys = desk.keys.get();
      switch (e.key) {
        case 'ArrowDown':
        case 'ArrowUp':
          if (!free) return;
          queue.current?.step(e.key === 'ArrowDown' ? 1 : -1, e.shiftKey);
          break;
        case 'ArrowLeft':
        case 'ArrowRight':
          if (!free) return;
          queue.current?.fold(e.key === 'ArrowRight');
          break;
        case ' ':
          if (!target.closest('[role="listbox"]')) return;
          queue.current?.mark();
          break;
        case 'Escape':
          if (desk.marked.get().size > 0) desk.marked.set(new Set());
          else desk.choose(undefined, []);
          return; // the map closes what it has open as well
        case 'Enter':
          if (pressable || onMap) return;
          if (actionOf(keys, 'Enter')) run(actionOf(keys, 'Enter') as Action);
          break;
        default: {
          if (keys.off) {
            // The map's own letters rest too, unless the map has the focus.
            if (e.key.length === 1 && !onMap) e.stopPropagation();
            return;
          }
          const tab = TABS[Number(e.key) - 1];
          if (/^[1-6]$/.test(e.key) && tab) {
            desk.choose(undefined, []);
            desk.tab.set(tab);
            break;
          }
          const action = actionOf(keys, e.key);
          if (!action) return;
          run(action);
        }
      }
      e.preventDefault();
    };
    window.addEventListener('keydown', listen, true);
    return () => window.removeEventListener('keydown', listen, true);
  }, [desk, run]);

  const alarm = selection.alarm;
  const device = alarm ? undefined : selection.device;
  const under = useCell(desk.under);
  const group = !alarm && !device && under.length > 1;
  return (
    <>
      <a className="skip" href="#alarms">
        {t('app.skip')}
      </a>
      <LostBanner />
      <div
        className={`page desk-page ${alarm || device || group ? 'reading' : ''} ${showMap ? '' : 'mapless'}`}
      >
        <DeskHeader
          mapOn={showMap}
          onMap={() => (small ? setMapOnSmall(!mapOnSmall) : setMapOn(!mapOn))}
          small={small}
        />
        <Banners />
        <main className="desk-columns">
          <div className="queue-column">
            <Queue keys={queue} />
            <OutcomeLine />
          </div>
          {showMap && <DeskMap />}
          {alarm && <AlarmPage key={alarm} id={alarm} onBack={() => desk.choose(undefined, [])} />}
          {device && <DevicePanel id={device} />}
          {group && <GroupPage ids={under} onBack={() => desk.choose(undefined, [])} />}
          {!alarm && !device && !group && (
            <section className="panel alarm-page blank" aria-label={t('desk.page')}>
              <p className="empty">{t('desk.choose')}</p>
            </section>
          )}
        </main>
      </div>
      <Dialogs dialog={dialog} />
      <div className="heard" aria-live="assertive" role="alert">
        <Urgent />
      </div>
    </>
  );
}

function DeskMap() {
  const desk = useDesk();
  return (
    <MapView
      onCamera={(camera) => {
        desk.camera = camera;
      }}
    />
  );
}

/** The map alone, for a second screen; it shows what is chosen in the other window. */
function MapWindow() {
  useShared();
  return (
    <>
      <LostBanner />
      <div className="page desk-page only-map">
        <DeskMap />
      </div>
    </>
  );
}

/** Windows of one desk choose the same alarm. */
function useShared(): void {
  const wall = useWall();
  useEffect(() => {
    if (typeof BroadcastChannel === 'undefined') return;
    const channel = new BroadcastChannel('vonglau.desk');
    let told = '';
    const off = wall.selection.subscribe(() => {
      const text = JSON.stringify(wall.selection.get());
      if (text === told) return;
      told = text;
      channel.postMessage(text);
    });
    channel.onmessage = (e) => {
      if (typeof e.data !== 'string' || e.data === told) return;
      told = e.data;
      const chosen = JSON.parse(e.data) as { device?: string };
      wall.select(chosen);
      if (chosen.device) wall.showOnMap(chosen.device);
    };
    return () => {
      off();
      channel.close();
    };
  }, [wall]);
}

function Urgent() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const urgent = useCell(wall.urgent);
  return urgent ? t('alarms.assertive', { name: title(urgent, lang) }) : null;
}

function Dialogs({ dialog }: { dialog: Dialog | undefined }) {
  switch (dialog?.kind) {
    case 'act':
      return <ActDialog ask={dialog} />;
    case 'palette':
      return <Palette />;
    case 'help':
      return <HelpDialog />;
    case 'shift':
      return <ShiftDialog />;
    case 'push':
      return <PushDialog {...dialog} />;
  }
  return null;
}

function DeskHeader({ mapOn, onMap, small }: { mapOn: boolean; onMap: () => void; small: boolean }) {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  useSecond();
  const link = useCell(wall.socket.link);
  const figures = useCell(wall.figures);
  const duty = useCell(desk.onShift);
  const now = wall.clock.now();
  return (
    <header className="header">
      <h1>
        {t('app.name')} <span>· {t('desk.title')}</span>
      </h1>
      {figures?.simulated && (
        <span className="chip simulated" title={t('app.simulatedHint')}>
          {t('app.simulated')}
        </span>
      )}
      <span className={`chip link ${link.state}`}>
        <i className="dot" aria-hidden="true" />
        <b>{t(`link.${link.state}`)}</b>
      </span>
      <div className="space" />
      <button type="button" className="chip" onClick={() => desk.dialog.set({ kind: 'palette' })}>
        {t('desk.palette')} <kbd>Ctrl K</kbd>
      </button>
      <button type="button" className="chip" onClick={() => desk.dialog.set({ kind: 'shift' })}>
        {t('desk.shift')} <b>{duty.length > 0 ? duty.map((d) => d.name).join(', ') : t('desk.nobody')}</b>
      </button>
      <UpgradeChip />
      <SoundChip />
      <button type="button" className="chip" aria-pressed={mapOn} onClick={onMap}>
        {t('desk.map')}
      </button>
      {!small && (
        <a className="chip" href="/desk?only=map" target="vonglau-map">
          {t('desk.mapWindow')}
        </a>
      )}
      <button
        type="button"
        className="chip keys-button"
        aria-label={t('desk.help')}
        title={t('desk.help')}
        onClick={() => desk.dialog.set({ kind: 'help' })}
      >
        ?
      </button>
      <ThemeSwitch />
      <LanguageSwitch />
      <PageMenu
        session={{
          name: desk.me.name,
          permissions: [...desk.permissions],
        }}
      />
      <time className="clock" title={t('app.zone')}>
        {date(lang, 'time', now)}
      </time>
    </header>
  );
}

/** Whether alarms are heard here; that they are not is never silent. */
function SoundChip() {
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const sound = useCell(desk.sound.state);
  const calling = useCell(desk.calling);
  let state: 'off' | 'blocked' | 'failed' | 'on' = 'on';
  if (!sound.on) state = 'off';
  else if (sound.blocked) state = 'blocked';
  else if (sound.failed) state = 'failed';
  return (
    <>
      {calling && (
        <button type="button" className="chip bad" onClick={() => desk.silence()}>
          {t('desk.silence')}
        </button>
      )}
      <button
        type="button"
        className={`chip sound ${state === 'on' ? '' : 'warn'}`}
        data-sound={state}
        aria-pressed={sound.on}
        title={
          sound.tested > 0 ? t('desk.soundTested', { time: date(lang, 'minute', sound.tested) }) : undefined
        }
        onClick={() => desk.sound.switch(!sound.on || sound.blocked)}
      >
        {t(`desk.sound.${state}`)}
        {state === 'on' && sound.tested > 0 && <small>✓ {date(lang, 'minute', sound.tested)}</small>}
      </button>
    </>
  );
}

/** A drill that runs, a flood of alarms. */
function Banners() {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const drills = useCell(desk.drills);
  const flood = useCell(wall.heartbeat)?.flood;
  const alarms = useCell(wall.alarmBook.alarms);
  const groups = useMemo(() => (flood?.on ? biggestGroups(alarms.values(), 6) : []), [flood?.on, alarms]);
  const show = (group: string, id: string) => {
    desk.tab.set('open');
    desk.grouped.set(true);
    const now = wall.clock.now();
    const ids = [...alarms.values()]
      .filter((a) => (a.group ?? a.id) === group && !a.exercise && inTab(a, 'open', desk.me, now))
      .map((a) => a.id);
    if (ids.length > 1) {
      desk.choose(`group ${group}`, ids);
      if (isFolded(desk.folds.get(), group, ids.length))
        desk.folds.set(new Map(desk.folds.get()).set(group, false));
    } else desk.choose(id, [id]);
  };
  return (
    <div className="banners">
      <NotThePast of="desk" />
      {drills.length > 0 && (
        <div className="drill" role="status">
          <b>{t('desk.exercise')}</b> <span>{drills.map((d) => d.name).join(' · ')}</span>
          <span>{t('desk.drillHint')}</span>
        </div>
      )}
      {flood?.on && (
        <div className="flood" role="status">
          <b>{t('desk.flood')}</b>
          <span>
            {t('desk.floodCount', {
              count: number(lang, flood.alarms),
              operators: number(lang, flood.operators),
              total: number(lang, flood.total ?? flood.alarms),
            })}
            {flood.since
              ? ` · ${t('desk.floodSince', { age: age(lang, wall.clock.now() - Date.parse(flood.since)) })}`
              : ''}
          </span>
          {groups.map((g) => (
            <button
              key={g.group}
              type="button"
              className="chip"
              onClick={() => show(g.group, g.alarms[0].id)}
            >
              <PrioritySymbol priority={g.alarms[0].priority} size={16} />
              {groupWord(t, lang, wall, g.group, g.alarms[0])} <b>{number(lang, g.alarms.length)}</b>
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

/** What came of the last thing that was done. */
function OutcomeLine() {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const outcome = useCell(desk.acts.outcome);
  const notice = useCell(desk.notice);
  const undo = notice?.undo !== undefined || (outcome?.kind === 'done' && outcome.undo !== undefined);
  const bad = notice?.bad || (outcome && outcome.kind !== 'done');
  return (
    <div className={`outcome ${bad ? 'bad' : ''}`} data-outcome={outcome?.kind ?? ''}>
      <p role="status">
        {notice && t(notice.key, notice.params)}
        {!notice && outcome && said(t, lang, wall, outcome)}
      </p>
      {!notice && outcome?.kind === 'some' && (
        <ul>
          {outcome.refused.slice(0, 4).map((r) => {
            const alarm = desk.alarm(r.id);
            return <li key={r.id}>{alarm ? `${title(alarm, lang)} · ${subject(wall, alarm)}` : r.id}</li>;
          })}
        </ul>
      )}
      {undo && (
        <button type="button" onClick={() => desk.undo()}>
          {t('desk.undo')}
        </button>
      )}
      {!notice && outcome?.kind === 'refused' && outcome.again && (
        <button type="button" onClick={outcome.again}>
          {t('link.retryNow')}
        </button>
      )}
      {notice?.link && <a href={notice.link.href}>{t(notice.link.key)}</a>}
    </div>
  );
}

function useMedia(query: string): boolean {
  const media = useMemo(() => matchMedia(query), [query]);
  const [is, set] = useState(media.matches);
  useEffect(() => {
    const listen = () => set(media.matches);
    listen();
    media.addEventListener('change', listen);
    return () => media.removeEventListener('change', listen);
  }, [media]);
  return is;
}
