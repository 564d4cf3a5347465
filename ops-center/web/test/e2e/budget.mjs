// What drawing costs the main thread: npm run budget [-- --frames 24 --most 5]
//
// 20,000 changed points a frame, four frames a second, for our layer and for
// GeoJSON setData on the same page. The first columns are wall-clock time in our
// code (setData: in the call), and stretch with whatever else the machine does;
// the last is CPU time of the whole main thread for each update, by its own
// clock, less what the page costs without points: what setData puts off to later
// tasks is in there. Fails when our layer needs more than 5 ms of that in any row.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { launch, option } from './lib.mjs';

const frames = Number(option('frames', '16'));
const most = Number(option('most', '5'));
const out = mkdtempSync(join(tmpdir(), 'budget-'));
const web = fileURLToPath(new URL('../..', import.meta.url));
await build({
  configFile: false,
  root: fileURLToPath(new URL('budget', import.meta.url)),
  logLevel: 'error',
  worker: { format: 'es' },
  publicDir: false,
  cacheDir: join(out, 'cache'),
  build: { outDir: join(out, 'dist'), emptyOutDir: true, target: 'es2022', chunkSizeWarningLimit: 2000 },
  resolve: { preserveSymlinks: true },
  server: { fs: { allow: [web] } },
});
const types = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
};
const server = createServer((request, response) => {
  const path = request.url === '/' ? '/index.html' : request.url.split('?')[0];
  try {
    const body = readFileSync(join(out, 'dist', path));
    response.writeHead(200, { 'Content-Type': types[extname(path)] ?? 'application/octet-stream' });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, '::1', resolve));
const browser = await launch();
let worst = 0;
async function measure(way, n) {
  const page = await browser.newPage({ viewport: { width: 1920, height: 1080 } });
  await page.goto(`http://[::1]:${server.address().port}/`);
  await page.waitForFunction(() => 'budget' in window);
  await page.evaluate(([w, count, f]) => window.budget[w](count, f), [way, n, frames]);
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const busy = async () => {
    const { metrics } = await cdp.send('Performance.getMetrics');
    return metrics.find((m) => m.name === 'TaskDuration').value * 1000;
  };
  const before = await busy();
  const outcome = await page.evaluate(() => window.budget.go());
  const main = (await busy()) - before;
  await page.close();
  return { ...outcome, main: main / frames };
}
const WAYS = {
  layer: 'our layer, 1 in 200 in alarm',
  worst: 'our layer, all changed points change their looks',
  geojson: 'GeoJSON setData',
};
try {
  const idle = await measure('floor', 0);
  console.log(`the page without points: ${idle.main.toFixed(1)} ms of main-thread CPU per repaint\n`);
  console.log(
    '| points | way | mean ms | p50 | p95 | apply p50 | draw p50 | main CPU ms per update | shown |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|');
  for (const n of option('points', '10000,50000,200000').split(',').map(Number)) {
    for (const [way, name] of Object.entries(WAYS)) {
      const r = await measure(way, n);
      const row = [
        n,
        name,
        ...[r.total.mean, r.total.p50, r.total.p95].map((v) => v.toFixed(2)),
        r.apply.toFixed(2),
        way === 'geojson' ? 'later' : r.draw.toFixed(2),
        Math.max(0, r.main - idle.main).toFixed(1),
        `${r.shown}/${frames}`,
      ];
      console.log(`| ${row.join(' | ')} |`);
      if (way !== 'geojson') worst = Math.max(worst, r.main - idle.main);
    }
  }
} finally {
  await browser.close();
  server.close();
  rmSync(out, { recursive: true, force: true });
}
if (worst > most) {
  console.error(
    `our layer needs ${worst.toFixed(2)} ms of main-thread CPU per frame; at most ${most} are allowed`,
  );
  process.exit(1);
}
