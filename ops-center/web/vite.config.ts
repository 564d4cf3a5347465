import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/**
 * MapLibre 6.17 takes a glyph whose top is exactly 0 for one without a top
 * (`glyphTop / 2 - 27.5 || -8`) and drops it by a third of an em. With Be
 * Vietnam Pro this hits Ẫ Ẵ Ễ Ố Ồ, "THÀNH PHỐ" among them. The expression is
 * rewritten to fall back only for a missing number; a MapLibre without the
 * expression fails the build, so that this is looked at with every upgrade.
 */
function keepGlyphTop(): Plugin {
  const wrong = /(\w+)\.glyphTop\s*\/\s*2\s*-\s*(27\.5|topAdjustment)\s*\|\|\s*-8/;
  const file = /maplibre-gl\/dist\/maplibre-gl(-dev)?\.mjs$/;
  let built = false;
  let mended = false;
  return {
    name: 'keep-glyph-top',
    configResolved(config) {
      built = config.command === 'build' && !process.env.VITEST;
    },
    transform(code, id) {
      if (!file.test(id.split('?')[0])) return null;
      const out = code.replace(wrong, '(Number.isFinite($1.glyphTop) ? $1.glyphTop / 2 - $2 : -8)');
      if (out === code) {
        throw new Error('keep-glyph-top: expression not found in maplibre-gl: see whether its bug is mended');
      }
      mended = true;
      return { code: out, map: null };
    },
    buildEnd(error) {
      if (built && !error && !mended) throw new Error('keep-glyph-top: maplibre-gl was never transformed');
    },
  };
}

/** Every browser that runs WebGL 2 reads woff2: the older form is left out of the program. */
function onlyWoff2(): Plugin {
  return {
    name: 'only-woff2',
    enforce: 'pre',
    transform(code, id) {
      if (!id.includes('@fontsource') || !id.split('?')[0].endsWith('.css')) return null;
      return { code: code.replace(/,\s*url\([^)]*\.woff\)\s*format\('woff'\)/g, ''), map: null };
    },
  };
}

export default defineConfig({
  plugins: [react(), keepGlyphTop(), onlyWoff2()],
  // Workers are modules of their own origin: the content security policy
  // forbids blob workers.
  worker: { format: 'es' },
  optimizeDeps: { exclude: ['maplibre-gl'] },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1400,
    // public/.gitkeep is copied along: the Go package needs a dist that is never empty.
    emptyOutDir: true,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'map', test: /node_modules\/(maplibre-gl|@maplibre|@mapbox)\// },
            { name: 'react', test: /node_modules\/(react|react-dom|scheduler)\// },
          ],
        },
      },
    },
  },
  server: { host: '::1', proxy: { '/v1': { target: 'http://[::1]:8080', ws: true } } },
  test: { include: ['test/**/*.test.ts'], environment: 'node' },
} as Parameters<typeof defineConfig>[0]);
