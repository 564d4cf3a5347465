// A story page: one panel or page of the wall in one state, at one moment, on
// recorded data. README.md beside this file says how it is asked for.
//
// The world is replaced before the first module of the wall is loaded: modules
// read the storage and the clock when they are evaluated.
import { replaceWorld } from './world.ts';

const asked = new URLSearchParams(location.search);
replaceWorld({
  'vonglau.language': asked.get('lang') === 'en' ? 'en' : 'vi',
  'vonglau.theme': asked.get('theme') === 'light' ? 'light' : 'dark',
});
const { open } = await import('./page.tsx');
await open(asked.get('story') ?? '');
