import { type KeyboardEvent, type PointerEvent, useCallback, useEffect, useRef, useState } from 'react';
import type { Session } from '../api.ts';
import { date } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { type Label, labelOf } from '../live/dictionary.ts';
import { reason } from '../panels/context.ts';
import { scenesApi } from './api.ts';
import { DRAFT } from './draft.ts';
import {
  add,
  COLUMNS,
  DEFAULT_SCENE,
  KINDS,
  type Kind,
  move,
  type Panel,
  type Rect,
  ROWS,
  type Scene,
  type Settings,
} from './model.ts';

const MOST_UNDO = 100;

/** All scenes, and the one that is being made. */
export function Library({
  scenes,
  session,
  onChange,
}: {
  scenes: Scene[];
  session: Session;
  onChange: () => Promise<void>;
}) {
  const { lang, t } = useLanguage();
  const may = session.permissions.includes('manage_scenes');
  const [open, setOpen] = useState<Scene | undefined>(undefined);
  const shown = open ?? scenes.find((s) => s.id === 'default') ?? scenes[0];
  const [wished, setWished] = useState('');
  const fresh = () => {
    const id = wished.trim();
    if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(id) || scenes.some((s) => s.id === id)) return;
    setOpen({ ...structuredClone(DEFAULT_SCENE), id, name: { vi: id, en: id } });
    setWished('');
  };
  return (
    <main className="library">
      <section className="panel shelf" aria-label={t('scenes.tab.scenes')}>
        <ul>
          {scenes.map((s) => (
            <li key={s.id}>
              <button type="button" aria-pressed={shown?.id === s.id} onClick={() => setOpen(s)}>
                <b>{labelOf(s.name, lang, s.id)}</b>
                <small>
                  {s.id} · {t('scenes.version', { n: s.version })}
                </small>
              </button>
            </li>
          ))}
        </ul>
        {may && (
          <form
            className="fresh-scene"
            onSubmit={(e) => {
              e.preventDefault();
              fresh();
            }}
          >
            <input
              value={wished}
              placeholder={t('scenes.newId')}
              aria-label={t('scenes.newId')}
              title={t('scenes.idRule')}
              pattern="[a-z0-9][a-z0-9._\-]{0,62}"
              onChange={(e) => setWished(e.target.value)}
            />
            <button type="submit">{t('scenes.new')}</button>
          </form>
        )}
      </section>
      {shown && (
        <Editor
          key={`${shown.id} ${shown.version}`}
          scene={shown}
          may={may}
          onSaved={async (saved) => {
            setOpen(saved);
            await onChange();
          }}
        />
      )}
    </main>
  );
}

function Editor({
  scene,
  may,
  onSaved,
}: {
  scene: Scene;
  may: boolean;
  onSaved: (s: Scene | undefined) => Promise<void>;
}) {
  const { lang, t } = useLanguage();
  const [draft, setDraft] = useState(scene);
  const past = useRef<Scene[]>([]);
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  const [versions, setVersions] = useState<Scene[]>([]);
  const [frames, setFrames] = useState<string[]>([]);
  const [said, setSaid] = useState('');
  const panel = draft.panels.find((p) => p.id === chosen);
  const dirty = draft !== scene;

  useEffect(() => {
    // One that was never saved has no versions to ask for.
    if (scene.at) scenesApi.versions(scene.id).then(setVersions, () => setVersions([]));
    scenesApi.frames().then(setFrames, () => setFrames([]));
  }, [scene.id, scene.at]);

  const change = useCallback((next: (s: Scene) => Scene) => {
    setDraft((old) => {
      const made = next(old);
      if (made === old) return old;
      past.current = [...past.current.slice(-MOST_UNDO), old];
      return made;
    });
  }, []);
  const undo = useCallback(() => {
    const before = past.current.pop();
    if (before) setDraft(before);
  }, []);
  const panels = (next: (p: readonly Panel[]) => readonly Panel[]) =>
    change((s) => {
      const made = next(s.panels);
      return made === s.panels ? s : { ...s, panels: [...made] };
    });
  const put = (id: string, to: Rect) => panels((p) => move(p, id, to));
  const settings = (part: Partial<Settings>) =>
    panels((list) => list.map((p) => (p.id === chosen ? { ...p, settings: { ...p.settings, ...part } } : p)));

  const save = async () => {
    try {
      const { name, panels: list, camera, layers, filters, bare } = draft;
      const saved = await scenesApi.put(draft.id, {
        base: scene.version,
        name,
        panels: list,
        filters: filters ?? {},
        ...(camera ? { camera } : {}),
        ...(layers ? { layers } : {}),
        ...(bare ? { bare } : {}),
      });
      setSaid(t('scenes.saved', { n: saved.version }));
      await onSaved(saved);
    } catch (e) {
      setSaid(reason(t, e));
    }
  };
  const grow = (kind: Kind) =>
    change((s) => {
      const made = add(s.panels, kind);
      if (!made) {
        setSaid(t('scenes.full'));
        return s;
      }
      setChosen(made.id);
      return { ...s, panels: [...made.panels] };
    });

  const keys = (e: KeyboardEvent, p: Panel) => {
    const step: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const by = step[e.key];
    if (by && may) {
      e.preventDefault();
      if (e.shiftKey) put(p.id, { ...p, w: p.w + by[0], h: p.h + by[1] });
      else put(p.id, { ...p, x: p.x + by[0], y: p.y + by[1] });
    } else if (e.key === 'Delete' && may) {
      panels((list) => list.filter((q) => q.id !== p.id));
    }
  };
  useEffect(() => {
    const listen = (e: globalThis.KeyboardEvent) => {
      if ((e.ctrlKey || e.metaKey) && e.key === 'z' && !(e.target instanceof HTMLInputElement)) {
        e.preventDefault();
        undo();
      }
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, [undo]);

  return (
    <>
      <section className="panel workshop" aria-label={t('scenes.editor')}>
        <div className="bar">
          <label>
            {t('scenes.nameVi')}
            <input
              value={draft.name.vi ?? ''}
              disabled={!may}
              onChange={(e) => change((s) => ({ ...s, name: { ...s.name, vi: e.target.value } }))}
            />
          </label>
          <label>
            {t('scenes.nameEn')}
            <input
              value={draft.name.en ?? ''}
              disabled={!may}
              onChange={(e) => change((s) => ({ ...s, name: { ...s.name, en: e.target.value } }))}
            />
          </label>
          <span className="space" />
          <select
            aria-label={t('scenes.versions')}
            value=""
            disabled={!may || versions.length === 0}
            onChange={(e) => {
              const version = Number(e.target.value);
              scenesApi.restore(scene.id, version).then(
                (s) => {
                  setSaid(t('scenes.restored', { n: version }));
                  void onSaved(s);
                },
                (err: unknown) => setSaid(reason(t, err)),
              );
            }}
          >
            <option value="">{t('scenes.versions')}</option>
            {versions
              .filter((v) => v.version !== scene.version && v.version > 0)
              .map((v) => (
                <option key={v.version} value={v.version}>
                  {t('scenes.version', { n: v.version })} · {v.by} · {date(lang, 'full', Date.parse(v.at))}
                </option>
              ))}
          </select>
          <button type="button" onClick={undo} disabled={past.current.length === 0}>
            {t('scenes.undoStep')}
          </button>
          <a
            className="chip"
            href="/?scene=draft"
            target="_blank"
            rel="noopener"
            onClick={() => localStorage.setItem(DRAFT, JSON.stringify(draft))}
          >
            {t('scenes.preview')}
          </a>
          {may && (
            <button
              type="button"
              className="main"
              disabled={!dirty && scene.version > 0}
              onClick={() => void save()}
            >
              {t('scenes.save')}
            </button>
          )}
        </div>
        <p className="said" role="status">
          {said}
        </p>
        <Canvas
          panels={draft.panels}
          chosen={chosen}
          may={may}
          onChoose={setChosen}
          onMove={put}
          onKey={keys}
        />
        <p className="hint">{t('scenes.hint')}</p>
      </section>
      <section className="panel inspector" aria-label={t('scenes.settings')}>
        {may && (
          <label>
            {t('scenes.addPanel')}
            <select value="" onChange={(e) => e.target.value && grow(e.target.value as Kind)}>
              <option value="">–</option>
              {KINDS.map((k) => (
                <option
                  key={k}
                  value={k}
                  disabled={
                    (k === 'map' && draft.panels.some((p) => p.kind === 'map')) ||
                    ((k === 'camera' || k === 'web') && frames.length === 0)
                  }
                >
                  {t(`scenes.kind.${k}`)}
                </option>
              ))}
            </select>
          </label>
        )}
        {frames.length === 0 && <p className="hint">{t('scenes.noFrames')}</p>}
        {panel ? (
          <PanelForm panel={panel} frames={frames} may={may} onChange={settings}>
            {may && (
              <button
                type="button"
                className="danger"
                onClick={() => panels((list) => list.filter((p) => p.id !== panel.id))}
              >
                {t('scenes.removePanel')}
              </button>
            )}
          </PanelForm>
        ) : (
          <SceneForm draft={draft} may={may} onChange={(part) => change((s) => ({ ...s, ...part }))} />
        )}
      </section>
    </>
  );
}

/** The grid as it will be, with panels to be drawn about by hand or moved by the arrows. */
function Canvas({
  panels,
  chosen,
  may,
  onChoose,
  onMove,
  onKey,
}: {
  panels: readonly Panel[];
  chosen: string | undefined;
  may: boolean;
  onChoose: (id: string | undefined) => void;
  onMove: (id: string, to: Rect) => void;
  onKey: (e: KeyboardEvent, p: Panel) => void;
}) {
  const { lang, t } = useLanguage();
  const host = useRef<HTMLDivElement>(null);
  const drag = useRef<{ id: string; from: Rect; x: number; y: number; size: boolean } | undefined>(undefined);
  const start = (e: PointerEvent, p: Panel, size: boolean) => {
    onChoose(p.id);
    if (!may) return;
    e.currentTarget.setPointerCapture(e.pointerId);
    e.stopPropagation();
    drag.current = { id: p.id, from: { x: p.x, y: p.y, w: p.w, h: p.h }, x: e.clientX, y: e.clientY, size };
  };
  const go = (e: PointerEvent) => {
    const d = drag.current;
    const box = host.current;
    if (!d || !box) return;
    const dx = Math.round(((e.clientX - d.x) / box.clientWidth) * COLUMNS);
    const dy = Math.round(((e.clientY - d.y) / box.clientHeight) * ROWS);
    onMove(
      d.id,
      d.size
        ? {
            ...d.from,
            w: Math.min(COLUMNS - d.from.x, d.from.w + dx),
            h: Math.min(ROWS - d.from.y, d.from.h + dy),
          }
        : { ...d.from, x: d.from.x + dx, y: d.from.y + dy },
    );
  };
  const stop = () => {
    drag.current = undefined;
  };
  return (
    <div className="canvas" ref={host}>
      {panels.map((p) => (
        <button
          key={p.id}
          type="button"
          className={`block of-${p.kind}`}
          data-block={p.id}
          aria-pressed={p.id === chosen}
          style={{ gridColumn: `${p.x + 1} / span ${p.w}`, gridRow: `${p.y + 1} / span ${p.h}` }}
          onPointerDown={(e) => start(e, p, false)}
          onPointerMove={go}
          onPointerUp={stop}
          onPointerCancel={stop}
          onClick={() => onChoose(p.id)}
          onKeyDown={(e) => onKey(e, p)}
        >
          <b>{t(`scenes.kind.${p.kind}`)}</b>
          <small>
            {labelOf(p.settings.title, lang, '') ||
              (p.kind === 'chart' && p.settings.of ? t(`scenes.chart.${p.settings.of as 'river'}`) : '')}
          </small>
          <span className="size">
            {p.w}×{p.h}
          </span>
          {may && (
            <i
              className="grip"
              aria-hidden="true"
              onPointerDown={(e) => start(e, p, true)}
              onPointerMove={go}
              onPointerUp={stop}
            />
          )}
        </button>
      ))}
    </div>
  );
}

function SceneForm({
  draft,
  may,
  onChange,
}: {
  draft: Scene;
  may: boolean;
  onChange: (part: Partial<Scene>) => void;
}) {
  const { t } = useLanguage();
  const view = draft.camera;
  return (
    <fieldset disabled={!may} className="form">
      <legend>{t('scenes.whole')}</legend>
      <label className="tick">
        <input
          type="checkbox"
          checked={draft.bare ?? false}
          onChange={(e) => onChange({ bare: e.target.checked })}
        />
        {t('scenes.bare')}
      </label>
      <label className="tick">
        <input
          type="checkbox"
          checked={view !== undefined}
          onChange={(e) => {
            if (e.target.checked) onChange({ camera: { lon: 106.168, lat: 20.434, zoom: 12 } });
            else onChange({ camera: undefined } as unknown as Partial<Scene>);
          }}
        />
        {t('scenes.fixedView')}
      </label>
      {view &&
        (['lon', 'lat', 'zoom'] as const).map((key) => (
          <label key={key}>
            {t(`scenes.view.${key}`)}
            <input
              type="number"
              step={key === 'zoom' ? 0.1 : 0.0001}
              value={view[key]}
              onChange={(e) => onChange({ camera: { ...view, [key]: Number(e.target.value) } })}
            />
          </label>
        ))}
      <label>
        {t('scenes.onlyPriority')}
        <select
          value={draft.filters?.maxPriority ?? 0}
          onChange={(e) => onChange({ filters: { ...draft.filters, maxPriority: Number(e.target.value) } })}
        >
          <option value={0}>{t('scenes.everything')}</option>
          {([1, 2, 3, 4] as const).map((p) => (
            <option key={p} value={p}>
              {t(`priority.${p}`)}
            </option>
          ))}
        </select>
      </label>
    </fieldset>
  );
}

function PanelForm({
  panel,
  frames,
  may,
  onChange,
  children,
}: {
  panel: Panel;
  frames: string[];
  may: boolean;
  onChange: (part: Partial<Settings>) => void;
  children: React.ReactNode;
}) {
  const { t } = useLanguage();
  const s = panel.settings;
  const two = (key: 'title' | 'text', lang: 'vi' | 'en') => (value: string) => {
    const label: Label = { ...(s[key] as Label | undefined), [lang]: value };
    onChange({ [key]: label });
  };
  return (
    <fieldset disabled={!may} className="form">
      <legend>{t(`scenes.kind.${panel.kind}`)}</legend>
      {panel.kind !== 'text' && (
        <>
          <label>
            {t('scenes.titleVi')}
            <input value={s.title?.vi ?? ''} onChange={(e) => two('title', 'vi')(e.target.value)} />
          </label>
          <label>
            {t('scenes.titleEn')}
            <input value={s.title?.en ?? ''} onChange={(e) => two('title', 'en')(e.target.value)} />
          </label>
        </>
      )}
      {panel.kind === 'chart' && (
        <>
          <label>
            {t('scenes.of')}
            <select value={s.of ?? 'river'} onChange={(e) => onChange({ of: e.target.value })}>
              {(['river', 'rain', 'fleet', 'channels'] as const).map((of) => (
                <option key={of} value={of}>
                  {t(`scenes.chart.${of}`)}
                </option>
              ))}
            </select>
          </label>
          {s.of === 'channels' && (
            <>
              <label>
                {t('scenes.devices')}
                <input
                  value={(s.channels ?? []).map((c) => c.device).join(', ')}
                  onChange={(e) =>
                    onChange({
                      channels: e.target.value
                        .split(/[\s,]+/)
                        .filter(Boolean)
                        .slice(0, 8)
                        .map((device) => ({
                          device,
                          quantity: s.channels?.[0]?.quantity ?? s.quantity ?? '',
                        })),
                    })
                  }
                />
              </label>
              <label>
                {t('scenes.quantity')}
                <input
                  value={s.channels?.[0]?.quantity ?? s.quantity ?? ''}
                  onChange={(e) =>
                    onChange({
                      quantity: e.target.value,
                      channels: (s.channels ?? []).map((c) => ({ ...c, quantity: e.target.value })),
                    })
                  }
                />
              </label>
              <label>
                {t('scenes.hours')}
                <input
                  type="number"
                  min={0.25}
                  max={168}
                  step={0.25}
                  value={s.hours ?? 24}
                  onChange={(e) => onChange({ hours: Number(e.target.value) })}
                />
              </label>
            </>
          )}
        </>
      )}
      {panel.kind === 'table' && (
        <>
          <label>
            {t('scenes.of')}
            <select value={s.of ?? 'alarms'} onChange={(e) => onChange({ of: e.target.value })}>
              {(['alarms', 'devices'] as const).map((of) => (
                <option key={of} value={of}>
                  {t(`scenes.table.${of}`)}
                </option>
              ))}
            </select>
          </label>
          {s.of === 'devices' ? (
            <>
              <label>
                {t('scenes.class')}
                <input value={s.class ?? ''} onChange={(e) => onChange({ class: e.target.value })} />
              </label>
              <label>
                {t('scenes.quantity')}
                <input value={s.quantity ?? ''} onChange={(e) => onChange({ quantity: e.target.value })} />
              </label>
            </>
          ) : (
            <label>
              {t('scenes.onlyPriority')}
              <select
                value={s.maxPriority ?? 0}
                onChange={(e) => onChange({ maxPriority: Number(e.target.value) })}
              >
                <option value={0}>{t('scenes.everything')}</option>
                {([1, 2, 3, 4] as const).map((p) => (
                  <option key={p} value={p}>
                    {t(`priority.${p}`)}
                  </option>
                ))}
              </select>
            </label>
          )}
        </>
      )}
      {(panel.kind === 'camera' || panel.kind === 'web') && (
        <>
          <label>
            {t('scenes.address')}
            <input
              type="url"
              list="frames"
              value={s.url ?? ''}
              onChange={(e) => onChange({ url: e.target.value })}
            />
            <datalist id="frames">
              {frames.map((f) => (
                <option key={f} value={`${f}/`} />
              ))}
            </datalist>
          </label>
          <label>
            {t('scenes.refresh')}
            <input
              type="number"
              min={0}
              max={3600}
              value={s.refresh ?? 0}
              onChange={(e) => onChange({ refresh: Number(e.target.value) })}
            />
          </label>
        </>
      )}
      {panel.kind === 'text' && (
        <>
          {(['vi', 'en'] as const).map((l) => (
            <label key={l}>
              {t(l === 'vi' ? 'scenes.textVi' : 'scenes.textEn')}
              <textarea
                rows={4}
                maxLength={2000}
                value={s.text?.[l] ?? ''}
                onChange={(e) => two('text', l)(e.target.value)}
              />
            </label>
          ))}
          <label>
            {t('scenes.size')}
            <select
              value={s.size ?? 'medium'}
              onChange={(e) => onChange({ size: e.target.value as 'small' | 'medium' | 'large' })}
            >
              {(['small', 'medium', 'large'] as const).map((size) => (
                <option key={size} value={size}>
                  {t(`scenes.size.${size}`)}
                </option>
              ))}
            </select>
          </label>
        </>
      )}
      {children}
    </fieldset>
  );
}
