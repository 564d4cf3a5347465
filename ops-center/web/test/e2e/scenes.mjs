// A display, the page that says what it shows, and a wall of two browsers:
//
//   node test/e2e/scenes.mjs --url http://[::1]:8080 --token ADMIN --display TOKEN --left TOKEN --right TOKEN
//                            [--shots DIR] [--chromium PATH]
//
// The server knows the displays hall-1, left and right, the tokens are theirs;
// left and right are the two columns of one wall.
//
// Exits 1 and names every expectation that was not met.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { launch, option } from './lib.mjs';

const url = option('url', 'http://[::1]:8080');
const token = option('token', '');
const shots = option('shots', '');
const host = new URL(url).host;
if (shots) mkdirSync(shots, { recursive: true });

const failures = [];
function expect(what, met, detail = '') {
  console.log(`${met ? 'ok  ' : 'FAIL'} ${what}${detail === '' ? '' : `: ${detail}`}`);
  if (!met) failures.push(what);
}

const browser = await launch();
const complaints = [];
const elsewhere = [];
let excused = false;
/** A browser profile of its own: screens do not share cookies. */
async function screen(viewport) {
  const context = await browser.newContext({ viewport });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('console', (m) => {
    if (excused || (m.type() !== 'error' && m.type() !== 'warning')) return;
    if (/GPU stall|GL Driver Message|swiftshader/i.test(m.text())) return;
    complaints.push(`${m.type()}: ${m.text()}`);
  });
  page.on('pageerror', (e) => complaints.push(`exception: ${e.stack}`));
  page.on('request', (r) => {
    const to = new URL(r.url());
    if (to.protocol !== 'data:' && to.protocol !== 'blob:' && to.host !== host) elsewhere.push(r.url());
  });
  return page;
}
const shot = (page, name) =>
  shots ? page.screenshot({ path: join(shots, `${name}.png`), timeout: 60_000 }) : undefined;
async function until(what, test, patience = 15_000) {
  const started = Date.now();
  for (;;) {
    if (await test()) {
      expect(what, true, `${((Date.now() - started) / 1000).toFixed(2)} s`);
      return true;
    }
    if (Date.now() - started > patience) {
      expect(what, false, `not within ${patience / 1000} s`);
      return false;
    }
    await new Promise((done) => setTimeout(done, 30));
  }
}
const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
async function ask(method, path, body) {
  const answer = await fetch(url + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}
const state = (id) => ask('GET', `/v1/displays/${id}`);
const shows = (page) =>
  page
    .locator('main.stage')
    .getAttribute('data-scene')
    .catch(() => '');
async function axe(page, where) {
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { resultTypes: ['violations'] });
    return result.violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .map((v) => `${v.id} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 160)}`);
  });
  expect(`axe finds nothing serious in ${where}`, found.length === 0, found.join('; '));
}

console.log(`displays at ${url}`);

// 1. A screen opened by its link is its display, and says so.
const hall = await screen({ width: 1600, height: 900 });
await hall.goto(`${url}/#token=${encodeURIComponent(option('display', ''))}`);
await until('the display is alive', async () => (await state('hall-1')).condition === 'alive', 30_000);
await until('and shows the default scene', async () => (await shows(hall)) === 'default');
expect('no token stays in the address', !hall.url().includes('token'));

// 2. Somebody makes a scene by keyboard and by hand.
const desk = await screen({ width: 1600, height: 1000 });
await desk.goto(`${url}/scenes#token=${encodeURIComponent(token)}`);
await desk.locator('#display-hall-1').waitFor();
await desk.getByRole('button', { name: 'Cảnh', exact: true }).click();
await desk.locator('.fresh-scene input').fill('ca-dem');
await desk.locator('.fresh-scene button').click();
await desk.locator('.workshop input').first().fill('Ca đêm');
const block = (id) => desk.locator(`[data-block="${id}"]`);
const size = async (id) => (await block(id).locator('.size').textContent()) ?? '';
await block('fleet').focus();
await desk.keyboard.press('Delete');
await until('Delete removes a panel', async () => (await block('fleet').count()) === 0, 3000);
await block('rain').focus();
for (let i = 0; i < 3; i++) await desk.keyboard.press('ArrowDown');
await desk.keyboard.press('Shift+ArrowUp');
await until('the arrows move and resize', async () => (await size('rain')) === '5×3', 3000);
await desk.keyboard.press('Control+z');
await until('Ctrl+Z undoes', async () => (await size('rain')) === '5×4', 3000);
const before = await block('rain').boundingBox();
await desk.mouse.move(before.x + before.width / 2, before.y + before.height / 2);
await desk.mouse.down();
await desk.mouse.move(before.x + before.width / 2, before.y - before.height / 4 + 6, { steps: 6 });
await desk.mouse.up();
await until(
  'and a hand drags it back',
  async () => (await block('rain').boundingBox()).y < before.y - 20,
  3000,
);
await desk.locator('.inspector select').first().selectOption('text');
await desk.locator('.inspector textarea').first().fill('Ca đêm: gọi 0228 để báo sự cố');
await shot(desk, 'editor-vi');
await axe(desk, 'the editor');
await desk.locator('.workshop button.main').click();
await until('the scene is saved', async () =>
  (await ask('GET', '/v1/scenes')).scenes.some((s) => s.id === 'ca-dem' && s.version === 1),
);

// 3. It is pushed from the page, and the screen shows it within a second.
await desk.getByRole('button', { name: 'Màn hình', exact: true }).click();
await desk.locator('#display-hall-1 input[type="checkbox"]').check();
await desk.locator('.board .bar button.main').click();
await desk.locator('.scenes-push select').first().selectOption('ca-dem');
const pushed = Date.now();
await desk.locator('.scenes-push button.main').click();
await hall.locator('main.stage[data-scene="ca-dem"]').waitFor();
const took = Date.now() - pushed;
expect('the screen shows it within a second', took <= 1000, `${took} ms after the click`);
await until('its text is on the wall', async () =>
  /gọi 0228/.test((await hall.locator('.scene-text').textContent()) ?? ''),
);
await until('the page knows what the screen shows', async () =>
  /Ca đêm/.test((await desk.locator('#display-hall-1 .shows').textContent()) ?? ''),
);
await until(
  'a small picture of it comes',
  async () => (await state('hall-1')).thumbnail !== undefined,
  40_000,
);
await desk.locator('#display-hall-1 .picture img').waitFor();
await hall.waitForTimeout(1200);
await shot(hall, 'hall-vi');
await shot(desk, 'displays-vi');
await axe(desk, 'the list of displays');
await desk.locator('button.language').click();
await desk.waitForTimeout(500);
const english = (
  await desk.locator('.header, .board .bar, .facts dt, .facts .buttons, .condition').allTextContents()
).join(' ');
expect(
  'no Vietnamese is left in the English page',
  !/[ăâđêôơưạảấầậắặẹếềệịọốồộớờợụứừựỳỵ]/i.test(english),
  english.slice(0, 300),
);
await shot(desk, 'displays-en');
await desk.locator('button.language').click();

// 4. A screen that starts again comes back by itself.
await hall.reload();
await until(
  'a screen that starts again shows its scene',
  async () => (await shows(hall)) === 'ca-dem',
  20_000,
);

// 5. Undo: what lay under it.
await desk.locator('#display-hall-1 .pushes button').first().click();
await until('undone', async () => (await shows(hall)) === 'default', 3000);

// 6. Two browsers of one wall look at neighbouring parts of one map.
const left = await screen({ width: 960, height: 600 });
const right = await screen({ width: 960, height: 600 });
await left.goto(`${url}/#token=${encodeURIComponent(option('left', ''))}`);
await right.goto(`${url}/#token=${encodeURIComponent(option('right', ''))}`);
const camera = async (page) =>
  JSON.parse(
    (await page
      .locator('.map-panel')
      .getAttribute('data-camera')
      .catch(() => null)) ?? 'null',
  );
const inStep = async () => {
  const [a, b] = [await camera(left), await camera(right)];
  if (!a || !b || a.zoom !== b.zoom) return false;
  const box = await left.locator('.map-panel').boundingBox();
  const apart = ((b.center[0] - a.center[0]) / 360) * 512 * 2 ** a.zoom;
  return Math.abs(apart - box.width) < 1 && Math.abs(a.center[1] - b.center[1]) < 1e-9;
};
await until('the two halves meet', inStep, 30_000);
await ask('PUT', '/v1/scenes/river', {
  base: 0,
  name: { vi: 'Sông Đào' },
  bare: true,
  panels: [{ id: 'map', kind: 'map', x: 0, y: 0, w: 24, h: 12, settings: {} }],
  camera: { lon: 106.18, lat: 20.41, zoom: 14 },
});
await ask('POST', '/v1/pushes', { scene: 'river', displays: ['left', 'right'] });
await until(
  'and move together',
  async () => (await shows(left)) === 'river' && (await shows(right)) === 'river' && (await inStep()),
  5000,
);
await shot(left, 'left');

// 7. A screen that goes is known within five seconds.
const gone = Date.now();
await left.context().close();
await until('a dead screen is known', async () => (await state('left')).condition === 'dead', 5000);
console.log(`     ${((Date.now() - gone) / 1000).toFixed(1)} s after it went`);
await until(
  'and seen on the page',
  async () => (await desk.locator('#display-left.dead').count()) === 1,
  2000,
);
await shot(desk, 'dead-vi');

// 8. The wall at every size there is; looked at when pictures are asked for.
excused = true; // screens of this size are slow in software
if (shots) {
  await right.context().close();
  for (const [w, h] of [
    [1920, 1080],
    [3840, 2160],
    [5760, 1080],
    [7680, 2160],
  ]) {
    await hall.setViewportSize({ width: w, height: h });
    await hall.waitForTimeout(4000);
    await shot(hall, `size-${w}x${h}`);
  }
}
expect('no request went anywhere else', elsewhere.length === 0, elsewhere.slice(0, 3).join(' '));
expect('the console is clean', complaints.length === 0, complaints.slice(0, 5).join(' | '));
await browser.close();
if (failures.length > 0) {
  console.error(`${failures.length} not met: ${failures.join('; ')}`);
  process.exit(1);
}
console.log('all met');
