// The time machine in a browser, against a server whose city has reported for
// some minutes:
//
//   node test/e2e/replay.mjs --url http://[::1]:8080 --token TOKEN [--back 60] [--shots DIR] [--chromium PATH]
//
// --back is how many seconds ago the moment looked at is. Exits 1 and names
// every expectation that was not met.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { launch, option } from './lib.mjs';

const url = option('url', 'http://[::1]:8080');
const shots = option('shots', '');
const back = Number(option('back', '60')) * 1000;
const host = new URL(url).host;
if (shots) mkdirSync(shots, { recursive: true });
const failures = [];
function expect(what, met, detail = '') {
  console.log(`${met ? 'ok  ' : 'FAIL'} ${what}${detail === '' ? '' : `: ${detail}`}`);
  if (!met) failures.push(what);
}
const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1920, height: 1080 } });
const page = await context.newPage();
page.setDefaultTimeout(60_000);
let cut = false;
/** While the page is in the past: what it asked about then, and what of the present. */
let inPast = false;
const asked = [];
const present = [];
/** A question says its moment, or has an answer that no time changes. */
function ofThen(to) {
  const q = to.searchParams;
  const past = (name) => q.has(name) && Date.parse(q.get(name)) < Date.now() - 5000;
  if (past('at') || q.has('replay')) return true;
  if (/^\/v1\/replay(\/|$)/.test(to.pathname)) return true;
  // History up to a moment, and who is asking; which layers there are, but not their boundaries.
  if (/\/(readings|track)$/.test(to.pathname)) return past('from') && past('to');
  if (/^\/v1\/devices\/[^/]+$/.test(to.pathname)) return true; // without its connection, and said to be today's
  return ['/v1/session', '/v1/layers'].includes(to.pathname);
}
const complaints = [];
const acts = [];
const elsewhere = [];
page.on('console', (m) => {
  if (m.type() !== 'error' && m.type() !== 'warning') return;
  if (/GPU stall|GL Driver Message|swiftshader/i.test(m.text())) return;
  // While this script cuts the line the browser and the page say so.
  if (cut && /ERR_INTERNET_DISCONNECTED|Failed to fetch/.test(m.text())) return;
  complaints.push(`${m.type()}: ${m.text()}`);
});
page.on('pageerror', (e) => complaints.push(`exception: ${e.stack}`));
page.on('request', (r) => {
  const to = new URL(r.url());
  if (to.protocol !== 'data:' && to.protocol !== 'blob:' && to.host !== host) elsewhere.push(r.url());
  if (r.method() !== 'GET' && to.pathname !== '/v1/session') acts.push(`${r.method()} ${to.pathname}`);
  if (inPast && to.pathname.startsWith('/v1/')) (ofThen(to) ? asked : present).push(to.pathname + to.search);
});
// The socket goes through here, so that it can be cut.
const sockets = [];
await page.routeWebSocket(/\/v1\/replay\?/, (ws) => {
  sockets.push(ws);
  ws.connectToServer();
});
const root = (name) => page.evaluate((n) => document.documentElement.dataset[n], name);
async function until(what, test, patience = 30_000) {
  const started = Date.now();
  while (Date.now() - started < patience) {
    if (await test().catch(() => false)) {
      expect(what, true, `${((Date.now() - started) / 1000).toFixed(2)} s`);
      return;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  expect(what, false, `not within ${patience / 1000} s`);
}
const shot = async (name) => {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`), timeout: 60_000 });
};
const clock = async () => Date.parse(await page.locator('.replay-now time').getAttribute('datetime'));

await page.goto(`${url}/#token=${encodeURIComponent(option('token', ''))}`);
await until('the wall is live', async () => (await root('state')) === 'live');
let live = -1;
await until('and all its sensors are drawn', async () => {
  const was = live;
  await page.waitForTimeout(1500);
  live = Number(await root('devices'));
  return live > 0 && live === was;
});

// By the key into the past, then to a moment by the address.
expect('there is a button', (await page.getByRole('button', { name: 'Cỗ máy thời gian' }).count()) === 1);
await page.keyboard.press('t');
await until('the key leads to a replay', async () => (await root('state')) === 'replay');
const at = Date.now() - back;
// The key leads to a moment ago, which a question cannot be told from the present by.
await page.goto('about:blank');
inPast = true;
await page.goto(`${url}/?replay=${new Date(at).toISOString()}&paused=1`);
await until('the root element says replay', async () => (await root('state')) === 'replay');
await until('the sensors of then are drawn', async () => Number(await root('devices')) > 0);
expect(
  'no more sensors than now',
  Number(await root('devices')) <= live || live === 0,
  String(await root('devices')),
);
expect(
  'it stands still at the moment asked for',
  Math.abs((await clock()) - at) < 2000,
  String((await clock()) - at),
);
expect('the mark is there', (await page.locator('.replay-mark').textContent()) === 'PHÁT LẠI');
expect('the title says so', (await page.title()).includes('PHÁT LẠI'), await page.title());
expect(
  'the icon is another',
  await page.evaluate(() => document.querySelector('link[rel=icon]').href.endsWith('/favicon-replay.svg')),
);
await page.waitForTimeout(4000);
await shot('replay-vi');

// Not so fast that it arrives in the present, of which it might ask then.
await page.getByLabel('Tốc độ').selectOption('5');
await page.keyboard.press('Tab');
const before = await clock();
await page.getByRole('button', { name: /^▶ Phát/ }).dispatchEvent('click');
await page.waitForTimeout(2500);
const gone = (await clock()) - before;
expect('at 5 times time goes faster', gone > 7000, `${(gone / 1000).toFixed(1)} s in 2.5 s`);
await page.getByRole('button', { name: /Tạm dừng/ }).dispatchEvent('click');
await page.waitForTimeout(600);
const held = await clock();
await page.getByTitle('Lùi 1 phút').dispatchEvent('click');
await until('a minute back is a minute back', async () => Math.abs(held - 60_000 - (await clock())) < 1500);

// Every overlay is shown.
const overlays = ['heat', 'zones', 'flood', 'network', 'trails', 'clusters'];
await page.evaluate((names) => {
  const kept = JSON.parse(localStorage.getItem('vonglau.map') ?? '{}');
  localStorage.setItem('vonglau.map', JSON.stringify({ ...kept, layers: names }));
}, overlays);
sockets.length = 0;
await page.goto(`${url}/?replay=${new Date(at).toISOString()}&paused=1`);
await until('with all overlays it is the past', async () => (await root('state')) === 'replay');
await until('zones and links are asked of the replay', async () =>
  ['/v1/zones/aggregate', '/v1/network/links'].every((p) =>
    asked.some((a) => a.startsWith(p) && a.includes('replay=')),
  ),
);
await until('rules are asked of then', async () =>
  asked.some((a) => a.startsWith('/v1/rules') && a.includes('at=')),
);

// The line is cut: the replay goes on where it was.
await page.getByRole('button', { name: /^▶ Phát/ }).dispatchEvent('click');
await page.waitForTimeout(1500);
cut = true;
const kept = await clock();
const before_ = sockets.length;
await sockets.at(-1).close({ code: 1012, reason: 'cut by the test' });
await until(
  'after a cut it is the past again',
  async () => sockets.length > before_ && (await root('state')) === 'replay' && (await clock()) > 0,
);
const again = new URL(sockets.at(-1).url());
const off = Number(again.searchParams.get('at')) - kept;
expect('it asks for the moment where it was', off > -1500 && off < 8000, `${off} ms`);
expect('and has not gone back', (await clock()) >= kept - 1500, `${(await clock()) - kept} ms`);
cut = false;
await page.getByRole('button', { name: /Tạm dừng/ }).dispatchEvent('click');

// Nothing can be done.
await page.keyboard.press('a');
await page.waitForTimeout(300);
expect('nothing was changed', acts.length === 0, acts.join(', '));

await page.evaluate(() => localStorage.setItem('vonglau.language', 'en'));
await page.reload();
await until('a reload stays in the past', async () => (await root('state')) === 'replay');
await page.waitForTimeout(4000);
await page.waitForTimeout(1500);
expect('the mark is in English', (await page.locator('.replay-mark').textContent()) === 'REPLAY');
await shot('replay-en');
await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
const serious = await page.evaluate(async () =>
  (await window.axe.run(document, { resultTypes: ['violations'] })).violations
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map((v) => `${v.id} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 160)}`),
);
expect('axe finds nothing serious', serious.length === 0, serious.join('; '));

expect(
  'no question was about the present',
  present.length === 0 && asked.length > 20,
  present.length > 0 ? [...new Set(present)].slice(0, 5).join(' ') : `${asked.length} of then`,
);
inPast = false;
await page.evaluate(() => document.activeElement?.blur());
await page.keyboard.press('l');
await until('L leads back to the present', async () => (await root('state')) === 'live');
expect('nothing of the past is left', (await page.locator('.replay-frame').count()) === 0);
expect('the console is clean', complaints.length === 0, complaints.slice(0, 5).join('\n'));
expect('no request left the host', elsewhere.length === 0, elsewhere.join(', '));
await browser.close();
if (failures.length > 0) {
  console.log(`${failures.length} not met: ${failures.join('; ')}`);
  process.exit(1);
}
