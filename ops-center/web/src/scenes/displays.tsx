import { type FormEvent, useEffect, useState } from 'react';
import type { Session } from '../api.ts';
import { MomentInput } from '../fields/moment.tsx';
import { ClockInput } from '../fields/written.tsx';
import { age, date, number } from '../format.ts';
import { type Translate, useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { reason } from '../panels/context.ts';
import { momentAsked, Replayed } from '../replay/links.tsx';
import { SPEEDS } from '../replay/moment.ts';
import { useModal } from '../shell/modal.ts';
import { type DisplaySettings, type DisplayState, type PlayItem, type Shown, scenesApi } from './api.ts';
import { LinkDialog } from './link.tsx';
import type { Scene } from './model.ts';

/** What one display is, as words and a shape: colour alone says nothing. */
function Condition({ display }: { display: DisplayState }) {
  const { lang, t } = useLanguage();
  const since = display.heard ? age(lang, Date.now() - Date.parse(display.heard)) : '';
  return (
    <span className={`condition ${display.condition}`}>
      <i aria-hidden="true" />
      <b>{t(`scenes.condition.${display.condition}`)}</b>
      {display.condition === 'dead' && since ? ` · ${since}` : ''}
    </span>
  );
}

export function Displays({
  displays,
  scenes,
  session,
}: {
  displays: DisplayState[] | undefined;
  scenes: Scene[];
  session: Session;
}) {
  const { lang, t } = useLanguage();
  const manage = session.permissions.includes('manage_displays');
  const push = session.permissions.includes('push_scenes');
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  // Whoever comes from a replay wants it shown.
  const [pushing, setPushing] = useState(() => push && momentAsked() !== undefined);
  const [editing, setEditing] = useState<DisplayState | 'new' | undefined>(undefined);
  const [linked, setLinked] = useState<DisplayState | undefined>(undefined);
  const [recorded, setRecorded] = useState<DisplayState | undefined>(undefined);
  // Said in whichever language the page is by then.
  const [said, setSaid] = useState<(t: Translate) => string>(() => () => '');
  const nameOf = (id: string) => {
    const scene = scenes.find((s) => s.id === id);
    return scene ? labelOf(scene.name, lang, id) : id;
  };
  const act = (what: Promise<unknown>, done: (t: Translate) => string) =>
    what.then(
      () => setSaid(() => done),
      (e: unknown) => setSaid(() => (now: Translate) => reason(now, e)),
    );
  if (!displays) return <main className="board" aria-busy="true" />;
  return (
    <main className="board">
      <div className="bar">
        {push && (
          <button
            type="button"
            className="main"
            disabled={displays.length === 0}
            onClick={() => setPushing(true)}
          >
            {marked.size > 0 ? t('scenes.pushTo', { count: marked.size }) : t('scenes.push')}
          </button>
        )}
        {manage && (
          <button type="button" onClick={() => setEditing('new')}>
            {t('scenes.addDisplay')}
          </button>
        )}
        <span role="status">{said(t)}</span>
      </div>
      {displays.length === 0 && <p className="empty">{t('scenes.noDisplays')}</p>}
      <ul className="displays">
        {displays.map((d) => (
          <li key={d.id} className={`panel display ${d.condition}`} id={`display-${d.id}`}>
            <div className="picture">
              {d.thumbnail ? (
                <img
                  src={`/v1/displays/${encodeURIComponent(d.id)}/thumbnail?at=${Date.parse(d.thumbnail)}`}
                  alt={t('scenes.picture', { name: labelOf(d.name, lang, d.id) })}
                />
              ) : (
                <span>{t('scenes.noPicture')}</span>
              )}
            </div>
            <div className="facts">
              <div className="name">
                {push && (
                  <input
                    type="checkbox"
                    aria-label={t('scenes.mark', { name: labelOf(d.name, lang, d.id) })}
                    checked={marked.has(d.id)}
                    onChange={() =>
                      setMarked((m) => {
                        const next = new Set(m);
                        if (!next.delete(d.id)) next.add(d.id);
                        return next;
                      })
                    }
                  />
                )}
                <b>{labelOf(d.name, lang, d.id)}</b> <small>{d.id}</small>
              </div>
              <Condition display={d} />
              <dl>
                <dt>{t('scenes.shows')}</dt>
                <dd className="shows">
                  {d.showing && !d.showing.dark ? nameOf(d.showing.scene ?? '') : '–'}{' '}
                  <small className={`why ${d.told.reason}`}>
                    {t(`scenes.reason.${d.told.reason}`)}
                    {d.told.by ? ` · ${d.told.by}` : ''}
                  </small>
                  <Replayed of={d.told.replay} at={Date.now()} />
                </dd>
                {d.showing && (d.showing.scene !== d.told.scene || d.showing.version !== d.told.version) && (
                  <>
                    <dt>{t('scenes.told')}</dt>
                    <dd>{nameOf(d.told.scene)}</dd>
                  </>
                )}
                {d.told.until && (
                  <>
                    <dt>{t('scenes.until')}</dt>
                    <dd>{date(lang, 'time', Date.parse(d.told.until))}</dd>
                  </>
                )}
                {d.health && (
                  <>
                    <dt>{t('scenes.screen')}</dt>
                    <dd>
                      {d.health.width} × {d.health.height} · {number(lang, d.health.fps, 0)} {t('scenes.fps')}
                      {d.health.errors > 0 && (
                        <em title={d.health.lastError}>
                          {' '}
                          · {t('scenes.errors', { count: d.health.errors })}
                        </em>
                      )}
                    </dd>
                  </>
                )}
              </dl>
              {d.pushes.length > 0 && (
                <ul className="pushes">
                  {d.pushes.toReversed().map((p) => (
                    <li key={p.id}>
                      <span>
                        {nameOf(p.scene)} · {p.by}
                        {p.replay ? ` · ${t('replay.mark')}` : ''}
                        {p.lock ? ` · ${t('scenes.locked')}` : ''}
                        {p.until
                          ? ` · ${t('scenes.untilTime', { time: date(lang, 'minute', Date.parse(p.until)) })}`
                          : ''}
                      </span>
                      {push && (
                        <button
                          type="button"
                          onClick={() =>
                            void act(scenesApi.undo(p.id), (now) =>
                              now('scenes.undone', { name: nameOf(p.scene) }),
                            )
                          }
                        >
                          {t('scenes.undo')}
                        </button>
                      )}
                    </li>
                  ))}
                </ul>
              )}
              <div className="buttons">
                {push && (d.pushes.length > 0 || d.told.reason === 'take_over') && (
                  <button
                    type="button"
                    onClick={() =>
                      void act(scenesApi.giveBack(d.id), (now) => now('scenes.returned', { name: d.id }))
                    }
                  >
                    {t('scenes.return')}
                  </button>
                )}
                <a
                  className="chip"
                  href={`/?display=${encodeURIComponent(d.id)}`}
                  target="_blank"
                  rel="noreferrer"
                >
                  {t('scenes.look')}
                </a>
                <button type="button" onClick={() => setRecorded(d)}>
                  {t('scenes.record')}
                </button>
                {manage && (
                  <button type="button" onClick={() => setLinked(d)}>
                    {t('scenes.link')}
                  </button>
                )}
                {manage && (
                  <button type="button" onClick={() => setEditing(d)}>
                    {t('scenes.settings')}
                  </button>
                )}
              </div>
            </div>
          </li>
        ))}
      </ul>
      {pushing && (
        <PushDialog
          displays={displays}
          scenes={scenes}
          marked={marked}
          onDone={(done) => {
            setPushing(false);
            if (done) setSaid(() => done);
          }}
        />
      )}
      {editing && (
        <DisplayDialog
          display={editing === 'new' ? undefined : editing}
          scenes={scenes}
          onDone={() => setEditing(undefined)}
        />
      )}
      {linked && <LinkDialog display={linked} onDone={() => setLinked(undefined)} />}
      {recorded && <RecordDialog display={recorded} nameOf={nameOf} onDone={() => setRecorded(undefined)} />}
    </main>
  );
}

function PushDialog({
  displays,
  scenes,
  marked,
  onDone,
}: {
  displays: DisplayState[];
  scenes: Scene[];
  marked: ReadonlySet<string>;
  onDone: (said?: (t: Translate) => string) => void;
}) {
  const { lang, t } = useLanguage();
  const dialog = useModal();
  const [scene, setScene] = useState(scenes[0]?.id ?? 'default');
  const [chosen, setChosen] = useState<ReadonlySet<string>>(marked);
  const [all, setAll] = useState(marked.size === 0);
  const [minutes, setMinutes] = useState('');
  const [lock, setLock] = useState(false);
  const [past, setPast] = useState(() => momentAsked());
  const [speed, setSpeed] = useState(() => {
    const asked = Number(new URLSearchParams(location.search).get('speed'));
    return SPEEDS.find((s) => s === asked) ?? 1;
  });
  const [error, setError] = useState<unknown>(undefined);
  const submit = (e: FormEvent) => {
    e.preventDefault();
    const lasting = Number(minutes);
    scenesApi
      .push({
        scene,
        ...(all ? { all: true } : { displays: [...chosen] }),
        ...(lasting > 0 ? { until: new Date(Date.now() + lasting * 60_000).toISOString() } : {}),
        ...(lock ? { lock: true } : {}),
        ...(past === undefined ? {} : { replay: { at: new Date(past).toISOString(), speed } }),
      })
      .then((p) => {
        const waiting = p.waiting?.length ?? 0;
        onDone((now) =>
          now(waiting > 0 ? 'scenes.pushedBehind' : 'scenes.pushed', {
            count: p.displays.length - waiting,
            waiting,
          }),
        );
      }, setError);
  };
  return (
    <dialog ref={dialog} className="note scenes-push" onClose={() => onDone()} aria-labelledby="push-title">
      <form onSubmit={submit}>
        <h2 id="push-title">{t('scenes.push')}</h2>
        <label>
          {t('scenes.scene')}
          <select value={scene} onChange={(e) => setScene(e.target.value)}>
            {scenes.map((s) => (
              <option key={s.id} value={s.id}>
                {labelOf(s.name, lang, s.id)}
              </option>
            ))}
          </select>
        </label>
        <fieldset>
          <legend>{t('scenes.where')}</legend>
          <label className="tick">
            <input type="checkbox" checked={all} onChange={(e) => setAll(e.target.checked)} />
            {t('scenes.all', { count: displays.length })}
          </label>
          {!all &&
            displays.map((d) => (
              <label key={d.id} className="tick">
                <input
                  type="checkbox"
                  checked={chosen.has(d.id)}
                  onChange={() =>
                    setChosen((c) => {
                      const next = new Set(c);
                      if (!next.delete(d.id)) next.add(d.id);
                      return next;
                    })
                  }
                />
                {labelOf(d.name, lang, d.id)}
              </label>
            ))}
        </fieldset>
        <label>
          {t('scenes.minutes')}
          <input
            type="number"
            min={1}
            max={10080}
            value={minutes}
            onChange={(e) => setMinutes(e.target.value)}
          />
        </label>
        <fieldset className="past">
          <legend>{t('replay.pushLegend')}</legend>
          <label className="tick">
            <input
              type="checkbox"
              name="past"
              checked={past !== undefined}
              onChange={(e) => setPast(e.target.checked ? Date.now() - 3_600_000 : undefined)}
            />
            {t('replay.pushPast')}
          </label>
          {past !== undefined && (
            <MomentInput
              label={t('replay.moment')}
              seconds
              value={past}
              max={Date.now() - 10_000}
              onChange={setPast}
            />
          )}
          <label>
            {t('replay.speed')}
            <select
              name="speed"
              disabled={past === undefined}
              value={speed}
              onChange={(e) => setSpeed(Number(e.target.value) as typeof speed)}
            >
              {SPEEDS.map((s) => (
                <option key={s} value={s}>
                  {s}×
                </option>
              ))}
            </select>
          </label>
        </fieldset>
        <label className="tick">
          <input type="checkbox" checked={lock} onChange={(e) => setLock(e.target.checked)} />
          {t('scenes.lock')}
        </label>
        {error !== undefined && (
          <p className="problem" role="alert">
            {reason(t, error)}
          </p>
        )}
        <div className="buttons">
          <button type="button" onClick={() => onDone()}>
            {t('alarms.cancel')}
          </button>
          <button type="submit" className="main" disabled={(!all && chosen.size === 0) || Number.isNaN(past)}>
            {t('scenes.push')}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function RecordDialog({
  display,
  nameOf,
  onDone,
}: {
  display: DisplayState;
  nameOf: (id: string) => string;
  onDone: () => void;
}) {
  const { lang, t } = useLanguage();
  const dialog = useModal();
  const [list, setList] = useState<Shown[] | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => {
    scenesApi.shown(display.id).then((l) => setList(l.toReversed()), setError);
  }, [display.id]);
  return (
    <dialog ref={dialog} className="note wide" onClose={onDone} aria-labelledby="record-title">
      <h2 id="record-title">{t('scenes.recordOf', { name: labelOf(display.name, lang, display.id) })}</h2>
      {error !== undefined && <p className="problem">{reason(t, error)}</p>}
      {list?.length === 0 && <p className="empty">{t('scenes.noRecord')}</p>}
      <ol className="record">
        {list?.map((s) => (
          <li key={s.at}>
            <time>{date(lang, 'full', Date.parse(s.at))}</time>
            <span>
              {s.dark
                ? t('scenes.dark')
                : `${nameOf(s.scene ?? '')} · ${t('scenes.version', { n: s.version ?? 0 })}${s.reason ? ` · ${t(`scenes.reason.${s.reason}`)}` : ''}${s.by ? ` · ${s.by}` : ''}`}
              <Replayed of={s.replay} at={Date.parse(s.at)} />
            </span>
          </li>
        ))}
      </ol>
      <div className="buttons">
        <button type="button" className="main" onClick={onDone}>
          {t('scenes.close')}
        </button>
      </div>
    </dialog>
  );
}

const FRESH: DisplaySettings = {
  name: { vi: '', en: '' },
  calm: { orbit: true, dimFrom: '22:00', dimTo: '05:30', dim: 60, reload: '04:00' },
  takeOver: { priority: 1, hold: 300, linger: 20 },
};

function DisplayDialog({
  display,
  scenes,
  onDone,
}: {
  display: DisplayState | undefined;
  scenes: Scene[];
  onDone: () => void;
}) {
  const { lang, t } = useLanguage();
  const dialog = useModal();
  const [id, setId] = useState(display?.id ?? '');
  const [d, setD] = useState<DisplaySettings>(() => {
    if (!display) return FRESH;
    const { name, group, width, height, seat, span, calm, scene, playlist, takeOver, language } = display;
    return JSON.parse(
      JSON.stringify({ name, group, width, height, seat, span, calm, scene, playlist, takeOver, language }),
    ) as DisplaySettings;
  });
  const [error, setError] = useState<unknown>(undefined);
  const set = (part: Partial<DisplaySettings>) => setD((old) => ({ ...old, ...part }));
  const number_ = (text: string) => (text === '' ? undefined : Number(text));
  const without = <K extends keyof DisplaySettings>(key: K) =>
    setD((old) => {
      const { [key]: _, ...rest } = old;
      return rest as DisplaySettings;
    });
  const sceneOptions = (none: string) => [
    <option key="" value="">
      {none}
    </option>,
    ...scenes.map((s) => (
      <option key={s.id} value={s.id}>
        {labelOf(s.name, lang, s.id)}
      </option>
    )),
  ];
  const items = d.playlist ?? [];
  const setItem = (i: number, part: Partial<PlayItem>) =>
    set({ playlist: items.map((it, k) => (k === i ? { ...it, ...part } : it)) });
  const submit = (e: FormEvent) => {
    e.preventDefault();
    scenesApi.putDisplay(id, d).then(onDone, setError);
  };
  return (
    <dialog ref={dialog} className="note wide" onClose={onDone} aria-labelledby="display-title">
      <form onSubmit={submit} className="settings">
        <h2 id="display-title">{display ? labelOf(d.name, lang, id) : t('scenes.addDisplay')}</h2>
        {!display && (
          <label>
            {t('scenes.id')}
            <input
              name="id"
              required
              pattern="[a-z0-9][a-z0-9._\-]{0,62}"
              title={t('scenes.idRule')}
              value={id}
              onChange={(e) => setId(e.target.value)}
            />
          </label>
        )}
        <label>
          {t('scenes.nameVi')}
          <input
            name="vi"
            required
            value={d.name.vi ?? ''}
            onChange={(e) => set({ name: { ...d.name, vi: e.target.value } })}
          />
        </label>
        <label>
          {t('scenes.nameEn')}
          <input
            name="en"
            value={d.name.en ?? ''}
            onChange={(e) => set({ name: { ...d.name, en: e.target.value } })}
          />
        </label>
        <label>
          {t('scenes.group')}
          <input value={d.group ?? ''} onChange={(e) => set({ group: e.target.value })} />
        </label>
        <label>
          {t('scenes.base')}
          <select
            value={d.scene ?? ''}
            onChange={(e) => (e.target.value ? set({ scene: e.target.value }) : without('scene'))}
          >
            {sceneOptions(t('scenes.default'))}
          </select>
        </label>
        <fieldset>
          <legend>{t('scenes.seat')}</legend>
          <label>
            {t('scenes.distance')}
            <input
              type="number"
              step="0.1"
              min={0.3}
              max={100}
              value={d.seat?.distance ?? ''}
              onChange={(e) => {
                const distance = number_(e.target.value);
                if (distance === undefined) without('seat');
                else set({ seat: { distance, pitch: d.seat?.pitch ?? 0.63 } });
              }}
            />
          </label>
          <label>
            {t('scenes.pitch')}
            <input
              type="number"
              step="0.001"
              min={0.05}
              max={20}
              disabled={!d.seat}
              value={d.seat?.pitch ?? ''}
              onChange={(e) => d.seat && set({ seat: { ...d.seat, pitch: Number(e.target.value) } })}
            />
          </label>
        </fieldset>
        <fieldset>
          <legend>{t('scenes.span')}</legend>
          {(['columns', 'rows', 'column', 'row', 'bezelX', 'bezelY'] as const).map((key) => (
            <label key={key}>
              {t(`scenes.span.${key}`)}
              <input
                type="number"
                value={d.span?.[key] ?? ''}
                onChange={(e) => {
                  const value = number_(e.target.value);
                  if (value === undefined && key === 'columns') without('span');
                  else
                    set({ span: { columns: 1, rows: 1, column: 0, row: 0, ...d.span, [key]: value ?? 0 } });
                }}
              />
            </label>
          ))}
        </fieldset>
        <fieldset>
          <legend>{t('scenes.calm')}</legend>
          <label className="tick">
            <input
              type="checkbox"
              checked={d.calm.orbit ?? false}
              onChange={(e) => set({ calm: { ...d.calm, orbit: e.target.checked } })}
            />
            {t('scenes.orbit')}
          </label>
          {(['dimFrom', 'dimTo', 'reload'] as const).map((key) => (
            <div className="field" key={key}>
              <span aria-hidden="true">{t(`scenes.calm.${key}`)}</span>
              <ClockInput
                label={t(`scenes.calm.${key}`)}
                value={d.calm[key] ?? ''}
                onChange={(value) => set({ calm: { ...d.calm, [key]: value } })}
              />
            </div>
          ))}
          <label>
            {t('scenes.dim')}
            <input
              type="number"
              min={0}
              max={100}
              value={d.calm.dim ?? ''}
              onChange={(e) => set({ calm: { ...d.calm, dim: Number(e.target.value) } })}
            />
          </label>
        </fieldset>
        <fieldset>
          <legend>{t('scenes.takeOver')}</legend>
          <label>
            {t('scenes.takeOver.priority')}
            <select
              value={d.takeOver.priority}
              onChange={(e) => set({ takeOver: { ...d.takeOver, priority: Number(e.target.value) } })}
            >
              <option value={0}>{t('scenes.takeOver.none')}</option>
              {([1, 2, 3, 4] as const).map((p) => (
                <option key={p} value={p}>
                  {t(`priority.${p}`)}
                </option>
              ))}
            </select>
          </label>
          <label>
            {t('scenes.scene')}
            <select
              value={d.takeOver.scene ?? ''}
              onChange={(e) => {
                const { scene: _, ...rest } = d.takeOver;
                set({ takeOver: e.target.value ? { ...rest, scene: e.target.value } : rest });
              }}
            >
              {sceneOptions(t('scenes.takeOver.own'))}
            </select>
          </label>
          {(['hold', 'linger'] as const).map((key) => (
            <label key={key}>
              {t(`scenes.takeOver.${key}`)}
              <input
                type="number"
                min={0}
                value={d.takeOver[key] ?? ''}
                onChange={(e) => set({ takeOver: { ...d.takeOver, [key]: Number(e.target.value) } })}
              />
            </label>
          ))}
          <label className="tick">
            <input
              type="checkbox"
              checked={d.takeOver.exercise ?? false}
              onChange={(e) => {
                const { exercise: _, ...rest } = d.takeOver;
                set({ takeOver: e.target.checked ? { ...rest, exercise: true } : rest });
              }}
            />
            {t('scenes.takeOver.exercise')}
          </label>
        </fieldset>
        <fieldset className="playlist">
          <legend>{t('scenes.playlist')}</legend>
          <ol>
            {items.map((it, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: an item is its place in the list
              <li key={i}>
                <select
                  aria-label={t('scenes.scene')}
                  value={it.scene}
                  onChange={(e) => setItem(i, { scene: e.target.value })}
                >
                  {sceneOptions('–')}
                </select>
                <input
                  type="number"
                  aria-label={t('scenes.seconds')}
                  min={5}
                  value={it.seconds}
                  onChange={(e) => setItem(i, { seconds: Number(e.target.value) })}
                />
                <span>{t('scenes.seconds')}</span>
                <ClockInput
                  label={t('scenes.from')}
                  value={it.from ?? ''}
                  onChange={(from) => setItem(i, { from })}
                />
                <ClockInput
                  label={t('scenes.to')}
                  value={it.to ?? ''}
                  onChange={(to) => setItem(i, { to })}
                />
                <button
                  type="button"
                  aria-label={t('scenes.up')}
                  disabled={i === 0}
                  onClick={() => set({ playlist: items.with(i, items[i - 1]).with(i - 1, it) })}
                >
                  ↑
                </button>
                <button
                  type="button"
                  aria-label={t('scenes.removeItem')}
                  onClick={() => set({ playlist: items.filter((_, k) => k !== i) })}
                >
                  ×
                </button>
              </li>
            ))}
          </ol>
          <button
            type="button"
            onClick={() => set({ playlist: [...items, { scene: scenes[0]?.id ?? 'default', seconds: 30 }] })}
          >
            {t('scenes.addItem')}
          </button>
        </fieldset>
        {error !== undefined && (
          <p className="problem" role="alert">
            {reason(t, error)}
          </p>
        )}
        <div className="buttons">
          {display && (
            <button
              type="button"
              className="danger"
              onClick={() => scenesApi.removeDisplay(display.id).then(onDone, setError)}
            >
              {t('scenes.removeDisplay')}
            </button>
          )}
          <span className="space" />
          <button type="button" onClick={onDone}>
            {t('alarms.cancel')}
          </button>
          <button type="submit" className="main">
            {t('scenes.save')}
          </button>
        </div>
      </form>
    </dialog>
  );
}
