import { Cell } from '../cell.ts';
import type { Alarm } from '../live/alarms.ts';
import { groupOf } from './model.ts';

/**
 * The sound of each priority: pitches in Hz one after the other, each so many
 * seconds long. They differ in rhythm and in number as well as in pitch, for
 * those who do not hear high notes.
 */
export const TONES: Record<1 | 2 | 3 | 4, { pitches: readonly number[]; each: number }> = {
  1: { pitches: [880, 660, 880, 660, 880], each: 0.16 },
  2: { pitches: [660, 880], each: 0.22 },
  3: { pitches: [523], each: 0.3 },
  4: { pitches: [392], each: 0.18 },
};

/** A priority-1 alarm that nobody has seen sounds again after this long. */
export const REPEAT = 6000;
/** In a flood one group of alarms sounds once in this long. */
export const GROUP_QUIET = 10 * 60_000;
const TEST_EVERY = 3_600_000;

/** What is to sound, decided apart from what makes it. */
export class Caller {
  #seen = new Set<string>();
  #first = true;
  #groups = new Map<string, number>();
  #silenced = new Set<string>();
  #lastP1 = 0;

  /** Somebody silences what sounds now. Those alarms stay unseen; the next one sounds. */
  silence(alarms: Iterable<Alarm>): void {
    for (const a of alarms) if (calls(a)) this.#silenced.add(a.id);
  }

  /** The priority to sound for the alarms as they are at a time; undefined for none. */
  next(alarms: Iterable<Alarm>, now: number): 1 | 2 | 3 | 4 | undefined {
    let worst: 1 | 2 | 3 | 4 | undefined;
    let urgent = false;
    const calling = new Set<string>();
    for (const a of alarms) {
      if (!calls(a)) continue;
      calling.add(a.id);
      if (a.priority === 1 && !this.#silenced.has(a.id)) urgent = true;
      if (this.#seen.has(a.id)) continue;
      // What was there when the desk was opened is no news, but for the worst.
      if (this.#first && a.priority !== 1) continue;
      const group = groupOf(a);
      const sounded = this.#groups.get(group);
      if (a.priority !== 1 && sounded !== undefined && now - sounded < GROUP_QUIET) continue;
      this.#groups.set(group, now);
      if (worst === undefined || a.priority < worst) worst = a.priority;
    }
    this.#seen = calling;
    this.#first = false;
    for (const id of this.#silenced) if (!calling.has(id)) this.#silenced.delete(id);
    for (const [group, at] of this.#groups) if (now - at > GROUP_QUIET) this.#groups.delete(group);
    if (worst === 1) this.#lastP1 = now;
    else if (urgent && now - this.#lastP1 >= REPEAT) {
      this.#lastP1 = now;
      return 1;
    }
    return worst;
  }

  /** Whether a priority-1 alarm is being sounded until somebody sees it. */
  calling(alarms: Iterable<Alarm>): boolean {
    for (const a of alarms) if (calls(a) && a.priority === 1 && !this.#silenced.has(a.id)) return true;
    return false;
  }
}

/** An alarm that asks for somebody: its condition holds and nobody has seen it. */
function calls(a: Alarm): boolean {
  return a.state === 'unacknowledged';
}

export interface SoundState {
  on: boolean;
  /** The browser lets nothing sound until somebody has touched the page. */
  blocked: boolean;
  /** When the last test was heard by the program itself; 0 for never. */
  tested: number;
  /** The last test found nothing on the line. */
  failed: boolean;
}

const STORED = 'vonglau.desk.sound';

/** Makes the sounds; nothing is fetched. */
export class Sound {
  readonly state = new Cell<SoundState>({ on: stored(), blocked: true, tested: 0, failed: false });
  #context: AudioContext | undefined;
  #out: AnalyserNode | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #stopped = false;

  start(): void {
    if (this.#context || typeof AudioContext === 'undefined') return;
    this.#stopped = false;
    const context = new AudioContext();
    const out = context.createAnalyser();
    out.connect(context.destination);
    this.#context = context;
    this.#out = out;
    context.addEventListener('statechange', this.#look);
    for (const event of ['pointerdown', 'keydown']) window.addEventListener(event, this.#wake, true);
    this.#look();
    this.#timer = setInterval(() => void this.test(), TEST_EVERY);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
    for (const event of ['pointerdown', 'keydown']) window.removeEventListener(event, this.#wake, true);
    this.#context?.removeEventListener('statechange', this.#look);
    void this.#context?.close();
    this.#context = undefined;
  }

  switch(on: boolean): void {
    try {
      localStorage.setItem(STORED, on ? 'on' : 'off');
    } catch {
      // Forbidden storage: it holds as long as the page.
    }
    this.#set({ on });
    if (on) this.#wake();
  }

  play(priority: 1 | 2 | 3 | 4, loudness = 0.22): void {
    const context = this.#context;
    const out = this.#out;
    if (!context || !out || !this.state.get().on || context.state !== 'running') return;
    const { pitches, each } = TONES[priority];
    pitches.forEach((pitch, i) => {
      const from = context.currentTime + 0.02 + i * each;
      const tone = context.createOscillator();
      const gain = context.createGain();
      tone.type = 'triangle';
      tone.frequency.value = pitch;
      gain.gain.setValueAtTime(0, from);
      gain.gain.linearRampToValueAtTime(loudness, from + 0.015);
      gain.gain.setValueAtTime(loudness, from + each - 0.05);
      gain.gain.linearRampToValueAtTime(0, from + each - 0.01);
      tone.connect(gain).connect(out);
      tone.start(from);
      tone.stop(from + each);
      tone.onended = () => gain.disconnect();
    });
  }

  /** Plays softly and listens to its own line: what is marked as tested did sound as far as the program reaches. */
  async test(): Promise<boolean> {
    const out = this.#out;
    if (!out || this.#context?.state !== 'running' || !this.state.get().on) return false;
    const samples = new Float32Array(out.fftSize);
    let loudest = 0;
    // A busy machine may look past so short a tone: once missed is not broken.
    for (let i = 0; i < 60 && loudest <= 0.005; i++) {
      if (i % 20 === 0) this.play(4, 0.06);
      await new Promise((done) => setTimeout(done, 20));
      out.getFloatTimeDomainData(samples);
      for (const s of samples) loudest = Math.max(loudest, Math.abs(s));
    }
    if (this.#stopped) return false;
    const heard = loudest > 0.005;
    this.#set(heard ? { tested: Date.now(), failed: false } : { failed: true });
    return heard;
  }

  #wake = (): void => {
    if (this.#context?.state === 'suspended') void this.#context.resume();
  };

  #look = (): void => {
    const running = this.#context?.state === 'running';
    const first = running && this.state.get().tested === 0;
    this.#set({ blocked: !running });
    if (first) void this.test();
  };

  #set(part: Partial<SoundState>): void {
    this.state.set({ ...this.state.get(), ...part });
  }
}

function stored(): boolean {
  try {
    return localStorage.getItem(STORED) !== 'off';
  } catch {
    return true;
  }
}
