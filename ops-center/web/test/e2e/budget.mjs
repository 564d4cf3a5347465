// What drawing costs the main thread: npm run budget [-- --frames 24]
//
// Prints milliseconds per update of 20,000 changed points (80,000 a second at
// four frames a second), for our layer and for GeoJSON setData on the same
// page, and fails when our layer needs more than 5 ms per frame at 200,000
// points. Main is the CPU time of the whole main thread per second of the run.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { build } from 'vite';

const option = (name, otherwise) => {
  const i = process.argv.indexOf(`--${name}`);
  return i < 0 ? otherwise : process.argv[i + 1];
};
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
const browser = await chromium.launch({
  executablePath: option('chromium', process.env.CHROMIUM ?? '/usr/bin/chromium'),
  args: [
    '--headless=new',
    '--no-sandbox',
    '--use-gl=angle',
    '--use-angle=swiftshader',
    '--enable-unsafe-swiftshader',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
let worst = 0;
try {
  console.log('| points | way | ms per update, median | p95 | apply | draw | main CPU ms/s | shown |');
  console.log('|---|---|---|---|---|---|---|---|');
  for (const n of [10_000, 50_000, 200_000]) {
    for (const way of ['layer', 'geojson']) {
      const page = await browser.newPage({ viewport: { width: 1920, height: 1080 } });
      await page.goto(`http://[::1]:${server.address().port}/`);
      await page.waitForFunction(() => 'budget' in window);
      const cdp = await page.context().newCDPSession(page);
      await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
      const busy = async () => {
        const { metrics } = await cdp.send('Performance.getMetrics');
        return metrics.find((m) => m.name === 'TaskDuration').value;
      };
      const [started, before] = [Date.now(), await busy()];
      const r = await page.evaluate(([w, count, f]) => window.budget[w](count, f), [way, n, frames]);
      const main = ((await busy()) - before) * 1000;
      const row = [
        n,
        way === 'layer' ? `our layer, ${Math.min(n, 20_000)} changed` : 'GeoJSON setData',
        r.median.toFixed(2),
        r.p95.toFixed(2),
        r.call.toFixed(2),
        way === 'layer' ? r.draw.toFixed(2) : 'in the worker',
        (main / ((Date.now() - started) / 1000)).toFixed(0),
        `${r.shown}/${r.frames}`,
      ];
      console.log(`| ${row.join(' | ')} |`);
      if (way === 'layer') worst = Math.max(worst, r.median);
      await page.close();
    }
  }
} finally {
  await browser.close();
  server.close();
  rmSync(out, { recursive: true, force: true });
}
if (worst > most) {
  console.error(`our layer needs ${worst.toFixed(2)} ms per frame; at most ${most} are allowed`);
  process.exit(1);
}
