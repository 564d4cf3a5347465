import { Cell } from '../cell.ts';

/** What a key can do at the desk, in the order of the help. */
export const ACTIONS = [
  'next',
  'previous',
  'fold',
  'mark',
  'claim',
  'acknowledge',
  'shelve',
  'unshelve',
  'assign',
  'comment',
  'false',
  'accept',
  'return',
  'outOfService',
  'returnToService',
  'map',
  'push',
  'warning',
  'undo',
  'silence',
  'shift',
  'group',
  'fresh',
  'help',
] as const;
export type Action = (typeof ACTIONS)[number];

/** The usual key of each. The map has L, N, P, 0, + and − (panels/mapview.tsx); its B is the desk's comment here. */
export const USUAL: Record<Action, string> = {
  next: 'j',
  previous: 'k',
  fold: 'Enter',
  mark: 'x',
  claim: 'c',
  acknowledge: 'a',
  shelve: 's',
  unshelve: 'u',
  assign: 'g',
  comment: 'b',
  false: 'f',
  accept: 'y',
  return: 'r',
  outOfService: 'o',
  returnToService: 'i',
  map: 'm',
  push: 'w',
  warning: 'e',
  undo: 'z',
  silence: 'q',
  shift: 'v',
  group: 'h',
  fresh: '.',
  help: '?',
};

export interface Keys {
  /** Single keys do nothing (WCAG 2.1.4); those with Ctrl still do. */
  off: boolean;
  /** Only what differs from the usual. */
  own: Partial<Record<Action, string>>;
}

export function keyOf(keys: Keys, action: Action): string {
  return keys.own[action] ?? USUAL[action];
}

/** Which action a key asks for; what somebody chose comes before the usual. */
export function actionOf(keys: Keys, key: string): Action | undefined {
  if (keys.off) return undefined;
  const pressed = normal(key);
  return ACTIONS.find((a) => keyOf(keys, a) === pressed);
}

/** Letters are the same large and small: nobody is asked to look at Caps Lock. */
export function normal(key: string): string {
  return key.length === 1 ? key.toLowerCase() : key;
}

/** Keys that lists, dialogs and the map need for themselves. */
const TAKEN = new Set(['Escape', 'Tab', ' ', 'ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', '/']);

/** Gives an action another key; undefined when it is no key for that, or another action has it. */
export function rebind(keys: Keys, action: Action, key: string): Keys | undefined {
  const wanted = normal(key);
  if (TAKEN.has(wanted) || (wanted.length !== 1 && !/^F\d+$/.test(wanted) && wanted !== 'Enter'))
    return undefined;
  if (/^\d$/.test(wanted)) return undefined; // the tabs
  if (ACTIONS.some((a) => a !== action && keyOf(keys, a) === wanted)) return undefined;
  const own = { ...keys.own };
  if (USUAL[action] === wanted) delete own[action];
  else own[action] = wanted;
  return { ...keys, own };
}

const stored = (person: string) => `vonglau.desk.keys.${person}`;

/** A person's keys, kept in this browser. */
export function keysOf(person: string): Cell<Keys> {
  let keys: Keys = { off: false, own: {} };
  try {
    const raw = JSON.parse(localStorage.getItem(stored(person)) ?? '{}') as Partial<Keys>;
    keys.off = raw.off === true;
    for (const [action, key] of Object.entries(raw.own ?? {})) {
      if (typeof key === 'string' && (ACTIONS as readonly string[]).includes(action)) {
        keys = rebind(keys, action as Action, key) ?? keys;
      }
    }
  } catch {
    // Forbidden or damaged storage: the usual keys.
  }
  const cell = new Cell(keys);
  cell.subscribe(() => {
    try {
      localStorage.setItem(stored(person), JSON.stringify(cell.get()));
    } catch {
      // As above.
    }
  });
  return cell;
}
