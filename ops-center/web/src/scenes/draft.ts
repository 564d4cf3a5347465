import type { Scene, SceneMessage } from './model.ts';

/** Where the wall finds a draft that is looked at before it is saved. */
export const DRAFT = 'vonglau.draft';

/** The draft that the editor in this browser has put there. */
export function draftScene(): SceneMessage | undefined {
  try {
    const scene = JSON.parse(localStorage.getItem(DRAFT) ?? '') as Scene;
    if (!Array.isArray(scene.panels)) return undefined;
    return { type: 'scene', n: 0, display: null, scene: { ...scene, id: 'draft' }, reason: 'default' };
  } catch {
    return undefined; // none, or damaged storage
  }
}
