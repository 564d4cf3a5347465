// What drawing costs the main thread: our layer, and GeoJSON setData, on one page.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { launch } from '../lib.mjs';
import { spread } from './table.mjs';

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
};
const WAYS = {
  layer: 'our layer, 1 in 200 in alarm',
  worst: 'our layer, all changed points change their looks',
  geojson: 'GeoJSON setData',
};

/** The page of page.ts, built and served until it is closed. */
async function page() {
  const out = mkdtempSync(join(tmpdir(), 'budget-'));
  await build({
    configFile: false,
    root: fileURLToPath(new URL('.', import.meta.url)),
    logLevel: 'error',
    worker: { format: 'es' },
    publicDir: false,
    cacheDir: join(out, 'cache'),
    build: { outDir: join(out, 'dist'), emptyOutDir: true, target: 'es2022', chunkSizeWarningLimit: 2000 },
    resolve: { preserveSymlinks: true },
    server: { fs: { allow: [fileURLToPath(new URL('../../..', import.meta.url))] } },
  });
  const server = createServer((request, response) => {
    const path = request.url === '/' ? '/index.html' : request.url.split('?')[0];
    try {
      const body = readFileSync(join(out, 'dist', path));
      response.writeHead(200, { 'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream' });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '::1', resolve));
  return {
    url: `http://[::1]:${server.address().port}/`,
    close() {
      server.close();
      server.closeAllConnections();
      rmSync(out, { recursive: true, force: true });
    },
  };
}

/** Adds a row for each number of points and way; gives the worst of our layer, in ms. */
export async function drawing(table, { points, frames, rounds }) {
  table.section(
    'Drawing: main-thread CPU per frame',
    ['points', 'way', 'main-thread CPU per update', 'in our code, p50', 'p95', 'shown in time'],
    '20,000 changed points a frame, four frames a second: 80,000 updates/s. CPU time of the whole main thread ' +
      'by its own clock, less what the page costs without points; what setData puts off to later tasks is in it, ' +
      "the workers' time is not. The times in our code are by the wall's clock and stretch with other work.",
  );
  const served = await page();
  const browser = await launch();
  const measure = async (way, n) => {
    const tab = await browser.newPage({ viewport: { width: 1920, height: 1080 } });
    try {
      tab.setDefaultTimeout(60_000);
      await tab.goto(served.url);
      await tab.waitForFunction(() => 'budget' in window);
      await tab.evaluate(([w, count, f]) => window.budget[w](count, f), [way, n, frames]);
      const cdp = await tab.context().newCDPSession(tab);
      await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
      const busy = async () => {
        const { metrics } = await cdp.send('Performance.getMetrics');
        return metrics.find((m) => m.name === 'TaskDuration').value * 1000;
      };
      const before = await busy();
      const outcome = await tab.evaluate(() => window.budget.go());
      return { ...outcome, main: ((await busy()) - before) / frames };
    } finally {
      await tab.close();
    }
  };
  let worst = 0;
  try {
    const floors = [];
    for (let i = 0; i < rounds; i++) floors.push((await measure('floor', 0)).main);
    const floor = floors.toSorted((a, b) => a - b)[floors.length >> 1];
    table.row('0', 'the page without points', spread(floors, 'ms'), '–', '–', '–');
    for (const n of points) {
      for (const [way, name] of Object.entries(WAYS)) {
        table.progress(`${n} points, ${name}`);
        const runs = [];
        for (let i = 0; i < rounds; i++) runs.push(await measure(way, n));
        const main = runs.map((r) => Math.max(0, r.main - floor));
        const mid = main.toSorted((a, b) => a - b)[main.length >> 1];
        if (way !== 'geojson') worst = Math.max(worst, mid);
        table.row(
          n,
          name,
          spread(main, 'ms'),
          way === 'geojson'
            ? 'the call alone: ' +
                spread(
                  runs.map((r) => r.total.p50),
                  'ms',
                )
            : spread(
                runs.map((r) => r.total.p50),
                'ms',
              ),
          spread(
            runs.map((r) => r.total.p95),
            'ms',
          ),
          `${runs.map((r) => r.shown).join(', ')} of ${frames}`,
        );
      }
    }
  } finally {
    await browser.close();
    served.close();
  }
  return worst;
}
