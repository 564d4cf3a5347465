// Two operators at their desks, by a browser and without a mouse:
//
//   node test/e2e/desk.mjs --url http://[::1]:8080 --an TOKEN --binh TOKEN --officer TOKEN --admin TOKEN
//                          [--shots DIR] [--chromium PATH]
//
// The server has open alarms of the devices aq-1 to aq-9, of priority 1 for aq-1 and 2 for
// the others, and the display hall-1. An and Bình are operators, the officer is of "Sở Môi trường".
//
// Exits 1 and names every expectation that was not met.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { launch, option } from './lib.mjs';

const url = option('url', 'http://[::1]:8080');
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
async function open(viewport, token) {
  const context = await browser.newContext({ viewport });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('console', (m) => {
    if (excused || (m.type() !== 'error' && m.type() !== 'warning')) return;
    if (/GPU stall|GL Driver Message|swiftshader/i.test(m.text())) return;
    // A refusal is an answer; the browser says each as an error.
    if (/status of 409/.test(m.text())) return;
    complaints.push(`${m.type()}: ${m.text()}`);
  });
  page.on('pageerror', (e) => complaints.push(`exception: ${e.stack}`));
  page.on('request', (r) => {
    const to = new URL(r.url());
    if (to.protocol !== 'data:' && to.protocol !== 'blob:' && to.host !== host) elsewhere.push(r.url());
  });
  await page.goto(`${url}/desk#token=${encodeURIComponent(token)}`);
  return page;
}
/** A picture is for people to look at: one that a busy machine cannot take fails nothing. */
const shot = (page, name) =>
  shots
    ? page
        .screenshot({ path: join(shots, `${name}.png`), timeout: 30_000 })
        .catch(() => console.log(`     no picture ${name}`))
    : undefined;
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
    await new Promise((done) => setTimeout(done, 40));
  }
}
const admin = option('admin', '');
const get = async (path) =>
  (await fetch(`${url}${path}`, { headers: { Authorization: `Bearer ${admin}` } })).json();
const alarms = async () => (await get('/v1/alarms')).alarms;
const of = async (device) => (await alarms()).find((a) => a.device === device);
const rootOf = (page) => page.evaluate(() => ({ ...document.documentElement.dataset }));
const outcome = (page) => page.locator('.outcome').textContent();
const outcomeKind = (page) => page.locator('.outcome').getAttribute('data-outcome');
/** Escape, and what it closes is gone: a key pressed sooner is still the dialog's. */
async function leave(page) {
  await page.keyboard.press('Escape');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
}
const live = (page) =>
  until(
    'the desk is live and lists the alarms',
    async () => {
      const root = await rootOf(page);
      return root.state === 'live' && Number(root.alarms) >= 9;
    },
    60_000,
  );

/** Chooses a device's alarm by the palette, as somebody would who knows its name. */
async function choose(page, device) {
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await page.locator('.palette input').waitFor();
  await page.keyboard.type(device);
  await page
    .locator('.palette [role="option"]', { hasText: 'Cảnh báo' })
    .filter({ hasText: device })
    .first()
    .waitFor();
  // The first hit is the alarm: acts have no such word in them.
  await page.keyboard.press('Enter');
  // The page may show the alarm already: the keys are the desk's when the palette is gone.
  await page.locator('.palette').waitFor({ state: 'detached' });
  const id = (await of(device)).id;
  await page.locator(`.alarm-page[data-alarm="${id}"]`).waitFor();
  return id;
}

const an = await open(shots ? { width: 1920, height: 1080 } : { width: 1366, height: 768 }, option('an', ''));
await live(an);
await until('the map has its devices', async () => Number((await rootOf(an)).devices) >= 9, 60_000);
// One map is enough for a machine without a graphics card.
const binh = await open({ width: 1366, height: 768 }, option('binh', ''));
await live(binh);
await binh.locator('.header button[aria-pressed="true"]', { hasText: 'Bản đồ' }).click();

// 1. The worst first; J chooses it, and its page says what, against what, and what to do.
await an.locator('.queue .rows').focus();
await an.keyboard.press('j');
await until(
  'J chooses the worst alarm',
  async () => (await an.locator('.row.chosen.p1').count()) === 1,
  5000,
);
const page1 = an.locator('.alarm-page');
await until(
  'its page has limit, basis, what to do and its history',
  async () => {
    const text = (await page1.textContent()) ?? '';
    return ['ngưỡng 100', 'QCVN của bài thử', 'Kiểm tra trạm', 'Phát sinh'].every((w) => text.includes(w));
  },
  8000,
);
await shot(an, 'desk-vi');

// 2. Claim and acknowledge by key; the priority 1 asks for words, and nothing shows before the server says so.
await an.keyboard.press('c');
await until('C claims it', async () => (await of('aq-1')).claimed?.by === 'An', 5000);
await until(
  'the other desk shows who works on it',
  async () => (await binh.locator('.row .mark.held', { hasText: 'An' }).count()) > 0,
  5000,
);
await choose(binh, 'aq-1');
await binh.keyboard.press('a');
await binh.locator('dialog textarea').waitFor();
await binh.keyboard.type('Tôi cũng thấy');
await binh.keyboard.press('Enter');
await until('who comes second is told who was first', async () => {
  return (await outcomeKind(binh)) === 'first' && ((await outcome(binh)) ?? '').includes('An');
});
await shot(binh, 'desk-conflict-vi');
await an.keyboard.press('a');
await an.locator('dialog textarea').waitFor();
await an.keyboard.press('Enter');
expect('an empty note is not sent', (await an.locator('dialog textarea').count()) === 1);
await an.keyboard.type('Đã báo đội trực');
await shot(an, 'desk-note-vi');
await an.keyboard.press('Enter');
await until('A acknowledges with the note', async () => {
  const a = await of('aq-1');
  return a.state === 'acknowledged' && a.acknowledged.note === 'Đã báo đội trực';
});
expect('the alarm is open still', (await of('aq-1')).active === true);

// 3. Comment, assign, shelve, by key alone; and back.
await choose(an, 'aq-2');
await an.keyboard.press('b');
await an.locator('dialog textarea').waitFor();
await an.keyboard.type('Đang có người tới');
await an.keyboard.press('Enter');
await until('B comments', async () => (await of('aq-2')).comments?.[0]?.text === 'Đang có người tới');
await an.keyboard.press('g');
await an.locator('dialog input[list]').waitFor();
await an.keyboard.press('Control+a');
await an.keyboard.type('Sở Môi trường');
await an.keyboard.press('Tab');
// In the field itself Enter belongs to the list of departments, which Tab has closed.
await an.locator('dialog textarea').focus();
await an.keyboard.press('Enter');
await until('G assigns, with a due time', async () => {
  const a = (await of('aq-2')).assigned;
  return a?.department === 'Sở Môi trường' && Date.parse(a.due) > Date.now();
});
await choose(an, 'aq-3');
await an.keyboard.press('s');
await an.locator('dialog input[type="radio"]').first().waitFor();
const times = await an.locator('dialog input[type="radio"]').count();
expect('a priority 2 is offered no more than two hours', times === 4, `${times} choices`);
await an.locator('dialog textarea').focus();
await an.keyboard.type('Đang sửa tại chỗ');
await shot(an, 'desk-shelve-vi');
await an.keyboard.press('Enter');
await until('S shelves', async () => (await of('aq-3')).state === 'shelved');
await until(
  'it counts down under its own tab',
  async () => {
    await an.keyboard.press('3');
    return /^−1[45]:/.test((await an.locator('.row .until').first().textContent({ timeout: 2000 })) ?? '');
  },
  8000,
);
await choose(an, 'aq-3');
await an.locator('.act-row button', { hasText: 'Bỏ tạm gác' }).waitFor();
await an.keyboard.press('u');
await until('U brings it back', async () => (await of('aq-3')).state === 'unacknowledged');
await an.keyboard.press('1');

// 4. Many at once: mark with Shift and the arrows, acknowledge once.
await an.keyboard.press('Escape');
await an.locator('.tick input').first().uncheck();
await an.locator('.queue .rows').focus();
await an.keyboard.press('j');
await an.keyboard.press('j');
await an.keyboard.press('Shift+ArrowDown');
await an.keyboard.press('Shift+ArrowDown');
await until('three are marked', async () => (await an.locator('.row.ticked').count()) === 3, 3000);
const before = (await alarms()).filter((a) => a.state === 'acknowledged').length;
await an.keyboard.press('a');
await until(
  'one key acknowledges the three',
  async () => (await alarms()).filter((a) => a.state === 'acknowledged').length === before + 3,
);
await shot(an, 'desk-bulk-vi');

// 5. Rows do not move under the chosen one while alarms come and change.
await an.keyboard.press('Escape');
await an.keyboard.press('j');
await an.keyboard.press('j');
const chosen = await an.locator('.row.chosen').getAttribute('id');
const placeOf = async () => (await an.locator(`[id="${chosen}"]`).boundingBox()).y;
const place = await placeOf();
await fetch(`${url}/v1/devices/aq-late/telemetry`, {
  method: 'POST',
  headers: { Authorization: `Bearer ${option('late', '')}`, 'Content-Type': 'application/json' },
  body: '{"pm25":400}',
});
await until('a new alarm waits behind the bar', async () => (await an.locator('.queue .new').count()) === 1);
// The bar itself takes a line above the list; within the list nothing moved.
const inList = async () => an.evaluate((id) => document.getElementById(id)?.style.transform ?? '', chosen);
expect('the chosen row is where it was', (await inList()) !== '' && (await placeOf()) >= place);
await an.keyboard.press('.');
await until(
  'a key shows it',
  async () => (await an.locator('.row', { hasText: 'aq-late' }).count()) === 1,
  5000,
);

// 6. Push to the wall, and take it back.
await choose(an, 'aq-1');
await an.keyboard.press('w');
await an.locator('dialog input[type="checkbox"]').first().waitFor();
await until(
  'the only display is chosen',
  async () => an.locator('dialog input[type="checkbox"]').first().isChecked(),
  5000,
);
await shot(an, 'desk-push-vi');
await an.locator('dialog button.main').focus();
await an.keyboard.press('Enter');
await until('W puts the alarm on the wall', async () => {
  const d = await get('/v1/displays/hall-1');
  return d.told.reason === 'pushed' && d.told.by === 'An';
});
await until('the line says so', async () => /lên 1 màn hình/.test((await outcome(an)) ?? ''), 3000);
await an.keyboard.press('z');
await until('Z takes it back', async () => (await get('/v1/displays/hall-1')).told.reason !== 'pushed');

// 7. The answer to an act is lost with the connection: it is neither lost nor done twice.
excused = true;
await choose(an, 'aq-9');
let cut = 0;
await an.route('**/v1/alarms/*/comment', async (route) => {
  cut++;
  if (cut > 1) return route.continue();
  // The server has it; the way back is cut.
  await route.fetch();
  await route.abort('connectionreset');
});
await an.keyboard.press('b');
await an.locator('dialog textarea').waitFor();
await an.keyboard.type('Một lần');
await an.keyboard.press('Enter');
await until(
  'an act whose answer was lost is found to be done',
  async () =>
    cut >= 1 && (await outcomeKind(an)) === 'done' && (await an.locator('em.sending').count()) === 0,
);
expect(
  'and is there once',
  (await of('aq-9')).comments.filter((c) => c.text === 'Một lần').length === 1,
  `${cut} requests`,
);
await an.unroute('**/v1/alarms/*/comment');
// The request itself is lost, with everything else.
let lost = true;
await an.route('**/v1/**', (route) => (lost ? route.abort('internetdisconnected') : route.continue()));
await choose(an, 'aq-8').catch(() => undefined);
await an.keyboard.press('c');
await until('an act that never arrived waits', async () => (await outcomeKind(an)) === 'unsure');
expect(
  'and does not show as done',
  (await an.locator('.row', { hasText: 'aq-8' }).locator('.mark.own').count()) === 0,
);
await shot(an, 'desk-unsure-vi');
lost = false;
await until('it is sent when there is a way', async () => (await of('aq-8')).claimed?.by === 'An', 20_000);
await an.unroute('**/v1/**');
excused = false;

// 8. The shift and its log.
await an.keyboard.press('Escape');
await an.keyboard.press('v');
await an.locator('dialog.shift').waitFor();
await an.locator('dialog.shift button.main').click();
await until('the shift begins', async () => (await get('/v1/shift')).on.some((d) => d.name === 'An'));
await an.locator('dialog.shift textarea').fill('Trạm 7 nghi lỗi');
await an.keyboard.press('Enter');
await until('an entry is written', async () =>
  (await get('/v1/log')).entries.some((e) => e.text === 'Trạm 7 nghi lỗi'),
);
await until(
  'and is in the list',
  async () => ((await an.locator('.log').textContent()) ?? '').includes('Trạm 7 nghi lỗi'),
  5000,
);
await shot(an, 'desk-shift-vi');
await leave(an);

// 9. Keys can be changed and switched off (WCAG 2.1.4).
await an.keyboard.press('?');
await an.locator('dialog.keys-help').waitFor();
await shot(an, 'desk-keys-vi');
await an.locator('dialog.keys-help .bindings button').nth(4).click();
await an.keyboard.press('d');
await an.locator('dialog.keys-help input[type="checkbox"]').check();
await leave(an);
await choose(an, 'aq-7');
await an.keyboard.press('d');
await an.waitForTimeout(700);
expect('a key that is off does nothing', (await of('aq-7')).claimed === undefined);
await an.keyboard.press('Control+k');
await an.keyboard.type('phim tat');
await an.keyboard.press('Enter');
await an.locator('dialog.keys-help input[type="checkbox"]').uncheck();
await leave(an);
await an.keyboard.press('d');
await until('the changed key claims', async () => (await of('aq-7')).claimed?.by === 'An', 5000);

// 10. Sound: there was a key, so it may sound; its line was listened to.
await until(
  'the sound was tested',
  async () => (await an.locator('[data-sound="on"] small').count()) === 1,
  5000,
);

// 11. No serious finding, in both languages and both themes; nothing Vietnamese is left in the English frame.
const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
async function audit(page, what) {
  // By the protocol, as a person's console would: the page's policy takes no foreign script.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const serious = found.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  expect(
    `axe finds nothing serious: ${what}`,
    serious.length === 0,
    serious
      .map((v) => `${v.id} ${v.nodes[0]?.html.slice(0, 140)} ${v.nodes[0]?.failureSummary ?? ''}`)
      .join('; '),
  );
}
await audit(an, 'the desk');
await an.locator('button.language').click();
const frame = await an
  .locator('.header, .queue .panel-head, .queue .filters, .act-row, .alarm-page dt, .alarm-page h3')
  .allTextContents();
const left = frame.join(' ').replace(/Trực ban|An\b|Bình/g, '');
expect(
  'no Vietnamese is left in the English frame',
  !/[ăâđêôơưạảấầậắằặẹếềệịọốồộớờợụứừựỳỵ]/i.test(left),
  left.match(/\S*[ăâđêôơưạảấầậắằặẹếềệịọốồộớờợụứừựỳỵ]\S*/i)?.[0] ?? '',
);
await an.waitForTimeout(800);
await shot(an, 'desk-en');
await an.locator('.header button', { hasText: 'Light' }).click();
await an.waitForTimeout(800);
await audit(an, 'in light');
await shot(an, 'desk-light-en');

// 12. An officer with a telephone: own alarms, accepts one and says something.
const officer = await open({ width: 390, height: 844 }, option('officer', ''));
await until(
  'the officer sees what is of the department',
  async () => (await officer.locator('.queue .row').count()) > 0,
  60_000,
);
await shot(officer, 'officer-list-vi');
expect(
  'and nothing else',
  (await officer.locator('.queue .row[data-alarm]').count()) === 1,
  String(await officer.locator('.queue .row').count()),
);
await officer.locator('.queue .row').first().click();
await officer.locator('.alarm-page .act-row button').first().waitFor();
const wide = await officer.evaluate(() => document.documentElement.scrollWidth);
expect('nothing is wider than the telephone', wide <= 390, `${wide} px`);
await officer.locator('.act-row button', { hasText: 'Nhận việc' }).click();
await until('the department accepts', async () => (await of('aq-2')).assigned.answer === 'accepted');
await officer.waitForTimeout(600);
await shot(officer, 'officer-alarm-vi');
await audit(officer, 'on a telephone');
await officer.locator('.back').click();
await until('back leads to the list', async () => officer.locator('.queue').isVisible(), 3000);

// 13. The server is gone: acts are off and say why.
await shot(binh, 'desk-1366-vi');
expect('no request went elsewhere', elsewhere.length === 0, elsewhere.slice(0, 3).join(' '));
expect('the console is clean', complaints.length === 0, complaints.slice(0, 4).join(' | '));
await binh.keyboard.press('Escape');
await choose(binh, 'aq-4');
await binh.locator('.act-row button').first().waitFor(); // its page is there before the line is cut
excused = true;
await binh.context().setOffline(true);
await binh.evaluate(() => undefined);
const stale = await until(
  'a desk without a connection says so within three seconds',
  async () => (await rootOf(binh)).state === 'stale',
  12_000,
);
if (stale) {
  expect(
    'acts are off, with the reason beside them',
    (await binh.locator('.act-row button').first().isDisabled()) &&
      ((await binh.locator('#why-off').textContent()) ?? '') !== '',
  );
  await shot(binh, 'desk-lost-vi');
}
await browser.close();
console.log(failures.length === 0 ? 'the desk is as it should be' : `${failures.length} not met`);
process.exit(failures.length === 0 ? 0 : 1);
