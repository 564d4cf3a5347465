import type { SceneMessage } from '../scenes/model.ts';
import { liveAddress } from './address.ts';
import type { Replay } from './moment.ts';

/** A display is told to show the past; where it is by now. */
export interface ReplayOrder {
  push: string;
  at: string;
  speed: number;
}

/** The push whose replay this page shows because its display is told to. */
export function followAsked(search: string): string | undefined {
  const asked = new URLSearchParams(search);
  return (asked.get('replay') && asked.get('follow')) || undefined;
}

export function followAddress(order: ReplayOrder): string {
  const asked = new URLSearchParams(location.search);
  asked.set('replay', order.at);
  asked.set('speed', String(order.speed));
  asked.set('follow', order.push);
  asked.delete('paused');
  return `/?${asked}`;
}

const REFUSED = 'vonglau.replay.refused';
/** A display that found no room in the time machine asks again after this. */
const AGAIN = 60_000;

interface Refusal {
  push: string;
  at: number;
}

function refusal(): Refusal | undefined {
  try {
    const kept = sessionStorage.getItem(REFUSED);
    return kept ? (JSON.parse(kept) as Refusal) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the time machine had no room for this order a moment ago. */
export const refused = (order: ReplayOrder): boolean => {
  const last = refusal();
  return last?.push === order.push && Date.now() - last.at < AGAIN;
};

/** Notes that a replay was refused: the page shows the present, and that it is not what it was told. */
export function giveUp(push: string): void {
  try {
    sessionStorage.setItem(REFUSED, JSON.stringify({ push, at: Date.now() } satisfies Refusal));
  } catch {
    // Without storage it is tried again at once, after the socket's own wait.
  }
}

/** How far a display may be from where it should be: three seconds of its own time. */
const TOLERANCE = 3000;

/** What a page does about a scene message: where it goes, or which moment it looks for. */
export function turn(
  message: Pick<SceneMessage, 'replay'>,
  follow: string | undefined,
  replay: Replay | undefined,
  barred: (order: ReplayOrder) => boolean = refused,
): { go: string } | { seek: number } | undefined {
  const order = message.replay;
  if (!follow) {
    // What somebody looks at by himself is his own matter.
    if (replay || !order || barred(order)) return undefined;
    return { go: followAddress(order) };
  }
  if (!order) return { go: liveAddress() };
  const speed = replay?.state.get().speed;
  if (order.push !== follow || order.speed !== speed) return { go: followAddress(order) };
  const target = Date.parse(order.at);
  const off = Math.abs((replay?.clock.now() ?? target) - target);
  return off > TOLERANCE * Math.max(2, order.speed) ? { seek: target } : undefined;
}
