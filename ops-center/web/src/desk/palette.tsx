import { useEffect, useMemo, useRef, useState } from 'react';
import { useCell } from '../cell.ts';
import { type Key, type Translate, useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { layerName } from '../map/layerpanel.tsx';
import { mapApi, type PlaceFound } from '../map/mapapi.ts';
import { DeviceSearch, fold } from '../map/search.ts';
import { standsOn, subject } from '../panels/alarmlist.tsx';
import { useWall } from '../panels/context.ts';
import { PrioritySymbol } from '../panels/symbol.tsx';
import { scenesApi } from '../scenes/api.ts';
import { DEFAULT_SCENE, type Focus, type Scene } from '../scenes/model.ts';
import type { ActName } from './api.ts';
import { type Desk, fits, NEEDS, useDesk } from './desk.ts';
import { Modal } from './dialogs.tsx';
import { sorted } from './model.ts';
import { ACT_KEY, headline } from './words.ts';

const MOST = 8;
const PAUSE = 160;

interface Hit {
  key: string;
  kind: Key;
  name: string;
  sub?: string;
  priority?: 1 | 2 | 3 | 4;
  run: () => void;
  /** What Shift+Enter puts on the wall. */
  push?: { focus: Focus; name: string; scene?: string };
}

const PAGES: readonly { href: string; key: Key; needs?: string }[] = [
  { href: '/', key: 'desk.go.wall' },
  { href: '/devices', key: 'desk.go.devices', needs: 'view_status' },
  { href: '/warnings', key: 'desk.go.warnings', needs: 'draft_warnings' },
  { href: '/scenes', key: 'desk.go.scenes', needs: 'push_scenes' },
  { href: '/rules', key: 'desk.go.rules' },
  { href: '/departments', key: 'desk.go.departments', needs: 'subscribe' },
  { href: '/record', key: 'desk.go.record', needs: 'view_audit' },
  { href: '/people', key: 'desk.go.people' },
];

/** Finds words in a text, in any order, without diacritics and case. */
export function matches(words: readonly string[], text: string): boolean {
  const folded = fold(text);
  return words.every((w) => folded.includes(w));
}

/** Everything that can be gone to or done, by a few letters. */
export function Palette() {
  const wall = useWall();
  const desk = useDesk();
  const { lang, t } = useLanguage();
  const alarms = useCell(wall.alarmBook.alarms);
  const [q, setQ] = useState('');
  const [at, setAt] = useState(0);
  const [places, setPlaces] = useState<PlaceFound[]>([]);
  const [scenes, setScenes] = useState<Scene[]>([DEFAULT_SCENE]);
  const search = useMemo(() => new DeviceSearch(wall.city), [wall]);
  const list = useRef<HTMLDivElement>(null);
  const mayPush = desk.permissions.has('push_scenes');

  useEffect(() => {
    if (!mayPush) return;
    scenesApi.scenes().then(
      (all) => setScenes(all.some((s) => s.id === 'default') ? all : [DEFAULT_SCENE, ...all]),
      () => undefined, // the rest is still found
    );
  }, [mayPush]);
  useEffect(() => {
    if (q.trim().length < 2) {
      setPlaces([]);
      return;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => {
      mapApi.places(q, abort.signal).then(setPlaces, () => setPlaces([]));
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [q]);

  // Folded once for a list of alarms, not once a letter.
  const texts = useMemo(
    () =>
      sorted([...alarms.values()]).map((a) => ({
        a,
        text: fold(
          [
            headline(wall, a, 'vi'),
            headline(wall, a, 'en'),
            a.device,
            ...(a.zones ?? []).map((z) => z.name ?? ''),
          ].join(' '),
        ),
      })),
    [alarms, wall],
  );

  const hits = useMemo<Hit[]>(() => {
    const words = fold(q).split(/\s+/).filter(Boolean);
    const found: Hit[] = [];
    found.push(...acts(desk, t).filter((h) => matches(words, h.name)));
    if (words.length > 0) {
      const some = [];
      for (const { a, text } of texts) {
        if (!words.every((w) => text.includes(w))) continue;
        some.push(a);
        if (some.length === MOST) break;
      }
      for (const a of some) {
        found.push({
          key: `alarm ${a.id}`,
          kind: 'desk.kind.alarm',
          name: headline(wall, a, lang),
          sub: [standsOn(wall, a, lang), t(`state.${a.state}`)].filter(Boolean).join(' · '),
          priority: a.priority,
          run: () => {
            desk.open(a);
            if (a.device) wall.showOnMap(a.device);
          },
          push: {
            focus: { alarm: a.id, ...(a.device ? { device: a.device } : {}) },
            name: subject(wall, a),
          },
        });
      }
      for (const i of search.find(q, MOST)) {
        const id = wall.city.id[i];
        found.push({
          key: `device ${id}`,
          kind: 'desk.kind.device',
          name: wall.deviceName(id),
          sub: id,
          run: () => {
            desk.choose(undefined, []);
            wall.select({ device: id });
            wall.showOnMap(id);
          },
          push: { focus: { device: id }, name: wall.deviceName(id) },
        });
      }
      for (const p of places.slice(0, MOST)) {
        found.push({
          key: `place ${p.layer} ${p.code}`,
          kind: 'desk.kind.place',
          name: p.name,
          sub: layerName(t, p.layer),
          run: () => wall.showBox(p.box),
          push: { focus: { view: { lon: p.at[0], lat: p.at[1], zoom: 15 } }, name: p.name },
        });
      }
    }
    if (mayPush) {
      for (const s of scenes) {
        const name = labelOf(s.name, lang, s.id);
        if (words.length === 0 || !matches(words, `${name} ${s.id}`)) continue;
        const push = { focus: {}, name: '', scene: s.id };
        found.push({
          key: `scene ${s.id}`,
          kind: 'desk.kind.scene',
          name,
          run: () => desk.dialog.set({ kind: 'push', ...push }),
          push,
        });
      }
    }
    for (const page of PAGES) {
      if (page.needs && !desk.permissions.has(page.needs)) continue;
      const name = t(page.key);
      if (matches(words, name)) {
        found.push({ key: page.href, kind: 'desk.kind.page', name, run: () => location.assign(page.href) });
      }
    }
    return found;
  }, [q, texts, places, scenes, search, desk, wall, lang, t, mayPush]);

  const chosen = Math.min(at, hits.length - 1);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another line is chosen
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' });
  }, [chosen]);
  const close = () => desk.dialog.set(undefined);
  const take = (hit: Hit | undefined, push: boolean) => {
    if (!hit) return;
    close();
    if (push && hit.push && mayPush) desk.dialog.set({ kind: 'push', ...hit.push });
    else hit.run();
  };
  return (
    <Modal label={t('desk.palette')} className="palette" onClose={close}>
      <input
        type="search"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-hits"
        aria-activedescendant={hits[chosen] ? `palette-${chosen}` : undefined}
        aria-label={t('desk.palette')}
        placeholder={t('desk.paletteHint')}
        value={q}
        onChange={(e) => {
          setQ(e.target.value);
          setAt(0);
        }}
        onKeyDown={(e) => {
          if (e.nativeEvent.isComposing) return;
          if (e.key === 'ArrowDown') setAt(Math.min(hits.length - 1, chosen + 1));
          else if (e.key === 'ArrowUp') setAt(Math.max(0, chosen - 1));
          else if (e.key === 'Enter') take(hits[chosen], e.shiftKey);
          else return;
          e.preventDefault();
        }}
      />
      <div id="palette-hits" role="listbox" aria-label={t('desk.palette')} ref={list}>
        {hits.map((hit, i) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the combobox has the keys
          <div
            key={hit.key}
            id={`palette-${i}`}
            role="option"
            aria-selected={i === chosen}
            tabIndex={-1}
            onMouseDown={(e) => e.preventDefault()}
            onClick={(e) => take(hit, e.shiftKey)}
          >
            <small className="kind">{t(hit.kind)}</small>
            {hit.priority && <PrioritySymbol priority={hit.priority} size={18} />}
            <span>{hit.name}</span>
            <small>{hit.sub}</small>
          </div>
        ))}
      </div>
      {hits.length === 0 && <p className="empty">{t('map.nothingFound')}</p>}
      {mayPush && (
        <p className="facts">
          <kbd>Enter</kbd> {t('desk.paletteOpen')} <kbd>Shift</kbd> + <kbd>Enter</kbd> {t('desk.push')}
        </p>
      )}
    </Modal>
  );
}

/** What can be done with what is chosen, and the desk's own acts. */
function acts(desk: Desk, t: Translate): Hit[] {
  const now = desk.wall.clock.now();
  const targets = desk.targets();
  const found: Hit[] = [];
  for (const act of Object.keys(NEEDS) as ActName[]) {
    if (!desk.may(act) || !targets.some((a) => fits(act, a, desk.me, now))) continue;
    found.push({
      key: `act ${act}`,
      kind: 'desk.kind.act',
      name: t(ACT_KEY[act]),
      run: () => desk.ask(act, targets),
    });
  }
  const other = (key: Key, run: () => void) => found.push({ key, kind: 'desk.kind.act', name: t(key), run });
  if (desk.permissions.has('push_scenes')) other('desk.pushTitle', () => desk.askPush());
  const one = targets.length === 1 ? targets[0] : undefined;
  if (one && desk.permissions.has('draft_warnings')) other('desk.draft', () => void desk.draftWarning(one));
  other('desk.shift', () => desk.dialog.set({ kind: 'shift' }));
  if (desk.calling.get()) other('desk.silence', () => desk.silence());
  other('desk.help', () => desk.dialog.set({ kind: 'help' }));
  return found;
}
