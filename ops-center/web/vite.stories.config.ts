import { fileURLToPath } from 'node:url';
import { defineConfig, mergeConfig, type UserConfig } from 'vite';
import wall from './vite.config.ts';

// The story pages, built apart: nothing of them is in the program. Their files
// lie under /stories/, where the made-up city's server has them.
export default defineConfig(
  mergeConfig(wall as UserConfig, {
    root: fileURLToPath(new URL('stories', import.meta.url)),
    base: '/stories/',
    publicDir: false,
    logLevel: 'warn',
  } satisfies UserConfig),
);
