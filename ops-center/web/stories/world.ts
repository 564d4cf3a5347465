import { AT } from './moment.mjs';

/**
 * Stops the clock and gives the page a storage of its own that nothing outlives.
 * Timers run on: what is drawn once a second is drawn, with the same second.
 */
export function replaceWorld(stored: Record<string, string>): void {
  const Real = Date;
  class Still extends Real {
    constructor(...args: [] | [number | string | Date]) {
      if (args.length === 0) super(AT);
      else super(...(args as [number]));
    }
    static override now(): number {
      return AT;
    }
  }
  window.Date = Still as DateConstructor;
  for (const name of ['localStorage', 'sessionStorage'] as const) {
    const kept = new Map(Object.entries(name === 'localStorage' ? stored : {}));
    const storage: Storage = {
      get length() {
        return kept.size;
      },
      key: (i) => [...kept.keys()][i] ?? null,
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, String(value)),
      removeItem: (key) => void kept.delete(key),
      clear: () => kept.clear(),
    };
    Object.defineProperty(window, name, { value: storage, configurable: true });
  }
  // Whether a page may sound without a touch is the browser's mood: in a story it may not.
  Object.defineProperty(window, 'AudioContext', { value: undefined });
  // Chance that is the same each time.
  let seed = 7;
  Math.random = () => {
    seed = (seed * 16807) % 2147483647;
    return seed / 2147483647;
  };
}
