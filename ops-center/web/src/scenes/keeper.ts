import { call } from '../api.ts';
import { setLanguage } from '../i18n/index.ts';
import { needsAcknowledge } from '../live/alarms.ts';
import { setTheme } from '../theme.ts';
import type { Wall } from '../wall.ts';
import { light, ORBIT_EVERY, orbit, reloadDue } from './calm.ts';
import { picture } from './thumbnail.ts';

const HEALTH_EVERY = 1500;
const PICTURE_EVERY = 20_000;
/** No frame for this long, and the page starts anew: the graphics are stuck. */
const STUCK_AFTER = 20_000;
/** A page that waits for a quiet moment waits no longer than this. */
const QUIET_WITHIN = 10 * 60_000;
const HANDS_OFF = 60_000;
const MOST_PIXELS = 65_000;

/** What the page shows: the past is not the present by another name. */
const linkOf = (wall: Wall): string => {
  const { state } = wall.socket.link.get();
  return wall.replay && state === 'live' ? 'replay' : state;
};

/**
 * Keeps one screen going day and night: says how it is, moves and dims the
 * picture, and starts the page anew when it is stuck, after an upgrade of the
 * server, or at the hour it is told to; the last two when nobody would miss it.
 */
export class Keeper {
  #wall: Wall;
  #loaded = Date.now();
  #frame = performance.now();
  #frames = 0;
  #framesSince = performance.now();
  #fps = 0;
  #errors = 0;
  #lastError = '';
  #touched = 0;
  #build = '';
  #wanted = 0; // when a reload was first wanted
  #said = -1;
  #raf = 0;
  #timers: ReturnType<typeof setInterval>[] = [];
  #off: (() => void)[] = [];
  #lock: { release(): Promise<void> } | undefined;
  #shade: HTMLElement | undefined;

  constructor(wall: Wall) {
    this.#wall = wall;
  }

  start(): void {
    const draw = () => {
      const now = performance.now();
      this.#frame = now;
      this.#frames++;
      this.#raf = requestAnimationFrame(draw);
    };
    this.#raf = requestAnimationFrame(draw);
    this.#timers = [
      setInterval(this.health, HEALTH_EVERY),
      setInterval(this.#minute, 5000),
      setInterval(() => void this.#picture(), PICTURE_EVERY),
    ];
    // The first picture comes soon: whoever set the screen up waits for it.
    const first = setTimeout(() => void this.#picture(), 6000);
    this.#off.push(() => clearTimeout(first));
    const listen = <K extends keyof WindowEventMap>(type: K, f: (e: WindowEventMap[K]) => void) => {
      window.addEventListener(type, f);
      this.#off.push(() => window.removeEventListener(type, f));
    };
    listen('error', (e) => this.#note(e.message));
    listen('unhandledrejection', (e) => this.#note(String(e.reason)));
    const touch = () => {
      this.#touched = Date.now();
    };
    listen('pointerdown', touch);
    listen('keydown', touch);
    const wake = () => void this.#awake();
    document.addEventListener('visibilitychange', wake);
    this.#off.push(() => document.removeEventListener('visibilitychange', wake));
    this.#off.push(
      this.#wall.scene.subscribe(() => {
        this.#settle();
        // After the panels have drawn: what is said is what is seen.
        requestAnimationFrame(() => requestAnimationFrame(this.health));
      }),
      this.#wall.build.subscribe(this.#upgraded),
    );
    this.#settle();
    wake();
  }

  stop(): void {
    cancelAnimationFrame(this.#raf);
    for (const timer of this.#timers) clearInterval(timer);
    for (const off of this.#off) off();
    this.#timers = [];
    this.#off = [];
    void this.#lock?.release();
    this.#shade?.remove();
  }

  #note(message: string): void {
    this.#errors++;
    this.#lastError = message.slice(0, 300);
  }

  /** Says how this screen is; only a display's own screen is asked. */
  readonly health = (): void => {
    const now = performance.now();
    const age = now - this.#frame;
    if (age > STUCK_AFTER && !document.hidden) {
      location.reload();
      return;
    }
    if (now - this.#framesSince >= 1000) {
      this.#fps = (this.#frames * 1000) / (now - this.#framesSince);
      this.#frames = 0;
      this.#framesSince = now;
    }
    const message = this.#wall.scene.get();
    if (!this.#wall.own.get() || !message?.display) return;
    const memory = (performance as { memory?: { usedJSHeapSize: number } }).memory;
    this.#wall.socket.say({
      type: 'health',
      n: message.n,
      frameAge: Math.round(age),
      fps: Math.round(this.#fps * 10) / 10,
      width: Math.round(innerWidth * devicePixelRatio),
      height: Math.round(innerHeight * devicePixelRatio),
      ratio: devicePixelRatio,
      build: this.#build,
      link: linkOf(this.#wall),
      errors: this.#errors,
      ...(this.#lastError ? { lastError: this.#lastError } : {}),
      ...(memory ? { heapMB: Math.round(memory.usedJSHeapSize / 2 ** 20) } : {}),
      ...(document.hidden ? { hidden: true } : {}),
    });
    this.#said = message.n;
  };

  /** Number of the scene message last spoken for; for tests. */
  get said(): number {
    return this.#said;
  }

  /** A server with other files: this page is of before. */
  #upgraded = (): void => {
    const build = this.#wall.build.get();
    if (!build) return;
    if (!this.#build) this.#build = build;
    else if (build !== this.#build && !this.#wanted) {
      // Half a minute at random: a hundred screens must not load at once.
      this.#wanted = Date.now() + Math.random() * 30_000;
    }
  };

  /** Nobody would miss the page for two seconds. */
  #quiet(now: number): boolean {
    if (now - this.#touched < HANDS_OFF) return false;
    if (this.#wall.scene.get()?.reason === 'take_over') return false;
    for (const a of this.#wall.alarmBook.alarms.get().values()) {
      if (a.priority === 1 && needsAcknowledge(a) && now - Date.parse(a.raised) < HANDS_OFF) return false;
    }
    return true;
  }

  #minute = (): void => {
    const now = Date.now();
    const display = this.#wall.scene.get()?.display;
    if (display && !this.#wanted && reloadDue(display.calm, this.#wall.clock.now(), this.#loaded)) {
      this.#wanted = now;
    }
    if (this.#wanted && now >= this.#wanted && this.#wall.socket.link.get().state === 'live') {
      if (this.#quiet(now) || now - this.#wanted > QUIET_WITHIN) location.reload();
    }
    this.#settle();
  };

  /** The picture's place, light, colours and language, as the display's settings say. */
  #settle(): void {
    const display = this.#wall.scene.get()?.display;
    if (!display) return;
    const host = document.getElementById('root');
    const now = this.#wall.clock.now();
    if (host) {
      const [x, y] = display.calm.orbit ? orbit(Math.floor(now / ORBIT_EVERY) * ORBIT_EVERY) : [0, 0];
      host.style.translate = x === 0 && y === 0 ? '' : `${x}px ${y}px`;
    }
    const left = light(display.calm, now);
    if (left < 1 && !this.#shade) {
      this.#shade = document.createElement('div');
      this.#shade.className = 'shade';
      document.body.append(this.#shade);
    }
    if (this.#shade) this.#shade.style.opacity = String(1 - left);
    if (!this.#wall.own.get()) return;
    if (display.calm.theme && document.documentElement.dataset.theme !== display.calm.theme) {
      setTheme(display.calm.theme);
    }
    if (display.language && document.documentElement.lang !== display.language && this.#touched === 0) {
      setLanguage(display.language);
    }
  }

  async #awake(): Promise<void> {
    // Only a secure page may keep the machine awake; elsewhere the kiosk's own settings must.
    const lock = (
      navigator as { wakeLock?: { request(kind: 'screen'): Promise<{ release(): Promise<void> }> } }
    ).wakeLock;
    if (!lock || document.hidden) return;
    try {
      this.#lock = await lock.request('screen');
    } catch {
      // Refused, as on a machine that is low on power.
    }
  }

  async #picture(): Promise<void> {
    const display = this.#wall.scene.get()?.display;
    if (!display || !this.#wall.own.get() || document.hidden) return;
    if (this.#wall.socket.link.get().state !== 'live') return;
    try {
      const blob = await picture();
      if (blob.size > MOST_PIXELS) return;
      await call(`/v1/displays/${encodeURIComponent(display.id)}/thumbnail`, {
        method: 'POST',
        headers: { 'Content-Type': blob.type },
        body: blob,
      });
    } catch (error) {
      this.#note(`thumbnail: ${String(error)}`);
    }
  }
}
