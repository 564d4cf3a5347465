import './replay.css';
import { useCallback, useEffect, useRef, useState } from 'react';
import { get } from '../api.ts';
import { useCell } from '../cell.ts';
import { MomentInput } from '../fields/moment.tsx';
import { date, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { useSecond, useWall } from '../panels/context.ts';
import { liveAddress, replayAddress } from './address.ts';
import { type Replay, SPEEDS } from './moment.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const RANGES = [1, 6, 24, 7 * 24];
const BUCKETS = 240;
/** Dragging asks for a moment this often at most. */
const DRAG_EVERY = 350;

interface Density {
  from: string;
  to: string;
  buckets: [number, number, number, number][];
  urgent: { at: string; alarm: string; device?: string }[];
}

const typing = (event: KeyboardEvent): boolean =>
  event.ctrlKey ||
  event.metaKey ||
  event.altKey ||
  (event.target instanceof HTMLElement && event.target.closest('input, select, textarea, dialog') !== null);

/** The way into the past, on a wall of the present. */
export function ReplayButton() {
  const wall = useWall();
  const { t } = useLanguage();
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (typing(event) || event.key.toLowerCase() !== 't') return;
      location.assign(replayAddress(wall.clock.now() - 10 * MINUTE));
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, [wall]);
  return (
    <button
      type="button"
      className="chip"
      title={t('replay.openHint')}
      onClick={() => location.assign(replayAddress(wall.clock.now() - 10 * MINUTE))}
    >
      {t('replay.open')}
    </button>
  );
}

/** The frame and the mark that no screenshot of the past is without. */
export function ReplayFrame() {
  const { t } = useLanguage();
  return (
    <div className="replay-frame" aria-hidden="true">
      <div className="replay-mark">{t('replay.mark')}</div>
    </div>
  );
}

export function ReplayBar({ replay }: { replay: Replay }) {
  const wall = useWall();
  return wall.follow ? <FollowedBar replay={replay} /> : <OwnBar replay={replay} />;
}

/** Of a display that is told to show the past: nobody stands before it to steer. */
function FollowedBar({ replay }: { replay: Replay }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const state = useCell(replay.state);
  const message = useCell(wall.scene);
  useSecond();
  const now = replay.clock.now();
  useMark(now);
  return (
    <section className="replay-bar followed" aria-label={t('replay.mark')}>
      <strong>{t('replay.mark')}</strong>
      <time dateTime={new Date(now).toISOString()}>{date(lang, 'full', now)}</time>
      <span>UTC+7 · {number(lang, state.speed)}×</span>
      <span className="note">
        {state.failed
          ? t('replay.failed')
          : state.loading
            ? t('replay.loading')
            : t('replay.pushed', {
                until: message?.until ? date(lang, 'minute', Date.parse(message.until)) : t('replay.undone'),
              })}
      </span>
    </section>
  );
}

/** The title and the icon tell it where only a tab is seen. */
function useMark(now: number): void {
  const { lang, t } = useLanguage();
  useEffect(() => {
    document.title = `⏪ ${t('replay.title', { time: date(lang, 'full', now) })}`;
  });
  useEffect(() => {
    const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');
    const before = icon?.getAttribute('href') ?? '';
    if (icon) icon.href = '/favicon-replay.svg';
    return () => {
      if (icon) icon.href = before;
    };
  }, []);
}

function OwnBar({ replay }: { replay: Replay }) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const state = useCell(replay.state);
  const jump = useCell(replay.jump);
  const warnings = useCell(wall.inForce);
  const mayPush = useCell(wall.mayPush);
  useSecond();
  const now = replay.clock.now();
  const [range, setRange] = useState(24);
  const [typed, setTyped] = useState<number>();
  const [dragged, setDragged] = useState<number>();
  const [end, setEnd] = useState(() => Math.min(Date.now(), now + 2 * HOUR));
  const [density, setDensity] = useState<Density>();
  const [note, setNote] = useState('');
  const asked = useRef(0);

  // The line holds the moment: it moves on when the moment leaves it.
  const from = end - range * HOUR;
  useEffect(() => {
    void jump;
    const at = replay.clock.now();
    if (at > end || at < end - range * HOUR)
      setEnd(Math.min(Date.now(), Math.max(at + (range * HOUR) / 4, state.from)));
  }, [jump, end, range, replay, state]);

  useEffect(() => {
    const abort = new AbortController();
    const query = new URLSearchParams({
      from: new Date(from).toISOString(),
      to: new Date(end).toISOString(),
      buckets: String(BUCKETS),
    });
    get<Density>(`/v1/replay/density?${query}`, abort.signal).then(setDensity, () => undefined);
    return () => abort.abort();
  }, [from, end]);

  const seek = useCallback(
    (at: number) => {
      const { from, to } = replay.state.get();
      const target = Math.round(Math.min(Math.max(at, from + MINUTE), to));
      wall.socket.say({ type: 'seek', at: target });
      setNote('');
    },
    [wall, replay],
  );
  const goThere = () => {
    if (typed === undefined || !Number.isFinite(typed)) return;
    seek(typed);
    setTyped(undefined);
  };
  const toggle = useCallback(
    () => wall.socket.say({ type: replay.state.get().playing ? 'pause' : 'play' }),
    [wall, replay],
  );
  const toUrgent = (direction: 1 | -1) => {
    const at = replay.clock.now();
    const moments = (density?.urgent ?? []).map((u) => Date.parse(u.at));
    // A second of grace: the moment just gone to is not the next one again.
    const found = direction > 0 ? moments.find((m) => m > at + 1000) : moments.findLast((m) => m < at - 3000);
    if (found === undefined) setNote(t('replay.noUrgent'));
    else seek(found + 500);
  };

  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (typing(event)) return;
      const on = event.target instanceof HTMLElement && event.target.closest('button, a, [role=row]');
      switch (event.key.toLowerCase()) {
        case 'l':
          location.assign(liveAddress());
          break;
        case ' ':
          if (on) return;
          event.preventDefault();
          toggle();
          break;
        default:
          return;
      }
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, [toggle]);

  useMark(now);
  // A reload stays here.
  useEffect(() => {
    const address = new URL(replayAddress(replay.clock.now(), state.speed), location.href);
    if (!state.playing) address.searchParams.set('paused', '1');
    history.replaceState(null, '', address);
  }, [replay, state]);

  const most = Math.max(1, ...(density?.buckets.map((b) => b[0] + b[1] + b[2] + b[3]) ?? []));
  const total = density?.buckets.reduce((n, b) => n + b[0] + b[1] + b[2] + b[3], 0) ?? 0;
  const place = Math.min(1, Math.max(0, ((dragged ?? now) - from) / (end - from)));
  return (
    <section className="replay-bar" aria-label={t('replay.bar')}>
      <div className="replay-now">
        <strong>{t('replay.mark')}</strong>
        <time dateTime={new Date(now).toISOString()}>{date(lang, 'full', now)}</time>
        <span>UTC+7 · {number(lang, state.speed)}×</span>
      </div>
      <div className="replay-line">
        <svg viewBox={`0 0 ${BUCKETS} 34`} preserveAspectRatio="none" aria-hidden="true">
          {density?.buckets.map((b, i) => {
            let y = 34;
            return b.map((n, p) => {
              if (n === 0) return null;
              const h = (n / most) * 32;
              y -= h;
              return (
                <rect
                  // biome-ignore lint/suspicious/noArrayIndexKey: a bucket is its place
                  key={`${i}/${p}`}
                  x={i}
                  y={y}
                  width={0.9}
                  height={h}
                  fill={`var(--p${p + 1})`}
                />
              );
            });
          })}
          <line
            x1={place * BUCKETS}
            x2={place * BUCKETS}
            y1={0}
            y2={34}
            stroke="#fff"
            strokeWidth={2}
            vectorEffect="non-scaling-stroke"
          />
        </svg>
        <input
          type="range"
          aria-label={t('replay.line')}
          aria-valuetext={date(lang, 'full', dragged ?? now)}
          min={from}
          max={end}
          step={MINUTE}
          value={dragged ?? now}
          onChange={(e) => {
            const at = Number(e.target.value);
            setDragged(at);
            if (Date.now() - asked.current < DRAG_EVERY) return;
            asked.current = Date.now();
            seek(at);
          }}
          onPointerUp={() => {
            if (dragged !== undefined) seek(dragged);
            setDragged(undefined);
          }}
          onKeyUp={() => {
            if (dragged !== undefined) seek(dragged);
            setDragged(undefined);
          }}
        />
        <div className="replay-ends">
          <span>{date(lang, 'full', from)}</span>
          <span>{t('replay.raised', { n: number(lang, total) })}</span>
          <span>{date(lang, 'full', end)}</span>
        </div>
      </div>
      <a className="replay-live" href={liveAddress()} title={t('replay.liveHint')}>
        {t('replay.live')} (L)
      </a>
      <div className="replay-controls">
        <button
          type="button"
          onClick={() => seek(replay.clock.now() - 10 * MINUTE)}
          title={t('replay.back10')}
        >
          −10′
        </button>
        <button type="button" onClick={() => seek(replay.clock.now() - MINUTE)} title={t('replay.back1')}>
          −1′
        </button>
        <button type="button" className="play" onClick={toggle} title={t('replay.playHint')}>
          {state.playing ? `⏸ ${t('replay.pause')}` : `▶ ${t('replay.play')}`}
        </button>
        <button type="button" onClick={() => seek(replay.clock.now() + MINUTE)} title={t('replay.on1')}>
          +1′
        </button>
        <button type="button" onClick={() => seek(replay.clock.now() + 10 * MINUTE)} title={t('replay.on10')}>
          +10′
        </button>
        <button type="button" onClick={() => toUrgent(-1)}>
          <span aria-hidden="true">|◀</span> {t('replay.previous')}
        </button>
        <button type="button" onClick={() => toUrgent(1)}>
          {t('replay.next')} <span aria-hidden="true">▶|</span>
        </button>
        <label>
          {t('replay.speed')}
          <select
            value={state.speed}
            onChange={(e) => wall.socket.say({ type: 'speed', speed: Number(e.target.value) })}
          >
            {SPEEDS.map((s) => (
              <option key={s} value={s}>
                {s}×
              </option>
            ))}
          </select>
        </label>
        <label>
          {t('replay.range')}
          <select value={range} onChange={(e) => setRange(Number(e.target.value))}>
            {RANGES.map((h) => (
              <option key={h} value={h}>
                {h > 24 ? t('replay.days', { n: h / 24 }) : t('replay.hours', { n: h })}
              </option>
            ))}
          </select>
        </label>
        <span aria-hidden="true">{t('replay.moment')}</span>
        <MomentInput
          label={t('replay.moment')}
          seconds
          value={typed ?? now}
          max={state.to}
          onChange={setTyped}
          onEnter={goThere}
        />
        <button type="button" disabled={typed === undefined || !Number.isFinite(typed)} onClick={goThere}>
          {t('replay.go')}
        </button>
        {mayPush && (
          <a className="replay-push" href={`/scenes?at=${new Date(now).toISOString()}&speed=${state.speed}`}>
            {t('replay.push')}
          </a>
        )}
        {warnings.length > 0 && <span>{t('replay.warnings', { n: warnings.length })}</span>}
        <span className="note" role="status">
          {state.failed
            ? t('replay.failed')
            : state.loading
              ? t('replay.loading')
              : note || t('replay.locked')}
        </span>
      </div>
    </section>
  );
}
