// One device's page, the pages of enrolment and firmware, and the key figures:
//
//   node test/e2e/device.mjs --url http://[::1]:8080 --token ADMIN --second TOKEN [--shots DIR] [--chromium PATH]
//
// The server knows air-1 with a history (one value of it corrected, one late,
// a gap, a refused message), the siren siren-1, the image siren-1.0.1 file and
// one alarm of air-1. --second is another person who may send commands.
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
async function until(what, test, patience = 15_000) {
  const started = Date.now();
  for (;;) {
    if (await test().catch(() => false))
      return expect(what, true, `${((Date.now() - started) / 1000).toFixed(2)} s`);
    if (Date.now() - started > patience) return expect(what, false, `not within ${patience / 1000} s`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

const browser = await launch();
const complaints = [];
const elsewhere = [];
async function person(secret, at) {
  const context = await browser.newContext({ viewport: { width: 1500, height: 1100 } });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on('console', (m) => {
    if (m.type() === 'error' || m.type() === 'warning') complaints.push(`${m.type()}: ${m.text()}`);
  });
  page.on('pageerror', (e) => complaints.push(`exception: ${e.stack}`));
  page.on('request', (r) => {
    const to = new URL(r.url());
    if (to.protocol !== 'data:' && to.protocol !== 'blob:' && to.host !== host) elsewhere.push(r.url());
  });
  await page.goto(`${url}${at}#token=${encodeURIComponent(secret)}`);
  return page;
}
const shot = (page, name) => (shots ? page.screenshot({ path: join(shots, `${name}.png`) }) : undefined);
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

// 1. A device: its history, marked for what it is.
const desk = await person(token, '/devices/air-1');
await desk.locator('.history .key').waitFor();
const key = () => desk.locator('.history .key').textContent();
await until('a corrected value is marked', async () => (await key()).includes('đã đính chính (1)'));
expect('a late one is', (await key()).includes('đến muộn'));
expect('the gap is named', /\d+ khoảng trống/.test(await key()));
const box = desk.locator('.plotbox');
await box.focus();
await desk.keyboard.press('-');
await until('minus zooms out', async () => new URL(desk.url()).searchParams.get('span') === '172800', 3000);
await desk.keyboard.press('ArrowLeft');
await until('an arrow moves into the past', async () => new URL(desk.url()).searchParams.has('to'), 3000);
await desk.keyboard.press('End');
await until('End follows the clock', async () => !new URL(desk.url()).searchParams.has('to'), 3000);
const csv = await desk.evaluate(async () => {
  const link = document.querySelector('.history a[download]');
  return (await fetch(link.href)).text();
});
expect(
  'the table is whole',
  csv.endsWith('# complete\n') && csv.includes('corrected'),
  `${csv.split('\n').length} lines`,
);
await shot(desk, 'device-vi');
await axe(desk, 'a device');

// 2. Its parts by keyboard.
await desk.locator('#tab-alarms').focus();
await desk.keyboard.press('ArrowRight');
await until('its address is listed', async () => (await desk.locator('#part').textContent()).includes('::1'));
await desk.keyboard.press('ArrowRight');
await until('its messages are', async () => (await desk.locator('#part table tbody tr').count()) >= 3);
await until('a refused one shows its bytes', async () =>
  (await desk.locator('.refusals pre').first().textContent()).includes('pm25'),
);
await desk.locator('.refusals button').first().click();
await until('in hex too', async () =>
  (await desk.locator('.refusals pre').first().textContent()).startsWith('0000  7b'),
);
await axe(desk, 'its messages');
await shot(desk, 'device-messages-vi');

// 3. A dangerous command takes two people.
await desk.goto(`${url}/devices/siren-1#commands`);
await desk.locator('select[name="command"]').selectOption('sound');
await desk.locator('.send button.main').first().click();
const line = (page) => page.locator('tr[data-command="sound"]').first();
await until('it is proposed', async () => (await line(desk).getAttribute('data-state')) === 'proposed');
expect(
  'its own author cannot approve it',
  (await line(desk).getByRole('button', { name: 'Duyệt' }).count()) === 0,
);
const second = await person(option('second', ''), '/devices/siren-1');
await second.locator('#tab-commands').click();
await second.locator('tr[data-command="sound"] button.main').click();
await until('another lets it go', async () => (await line(desk).getAttribute('data-state')) !== 'proposed');
await axe(desk, 'commands');

// 4. A credential is shown once, with an overlap, and taken away.
await desk.locator('#tab-credentials').click();
await desk.locator('select[name="kind"]').selectOption('token');
await desk.locator('.send button.main').click();
const secret = (await desk.locator('.once .token').textContent()).trim();
expect('a new token is shown', secret.length >= 16);
await desk.locator('.once button.main').click();
await desk.reload();
await desk.locator('#part table tbody tr').nth(1).waitFor();
expect('and never again', !(await desk.locator('body').textContent()).includes(secret));
expect(
  'the old one ends after the overlap',
  /\d{2}\/\d{2}\/\d{4}/.test(await desk.locator('#part table').textContent()),
);
await axe(desk, 'credentials');

// 5. An image, and a campaign with its stop rule.
await desk.goto(`${url}/firmware`);
await desk.locator('input[name="file"]').setInputFiles({
  name: 'siren.bin',
  mimeType: 'application/octet-stream',
  buffer: Buffer.from('siren firmware 1.0.1'),
});
await desk.locator('select[name="profile"]').selectOption('siren');
await desk.locator('input[name="version"]').fill('1.0.1');
await desk.locator('form:has(input[name="file"]) button').click();
await until(
  'the image is kept',
  async () => (await desk.locator('select[name="image"] option').count()) === 2,
);
await desk.locator('select[name="image"]').selectOption({ index: 1 });
await desk.locator('input[name="rings"]').fill('50, 20');
expect(
  'rings that fall are not taken',
  await desk.locator('form:has(input[name="rings"]) button.main').isDisabled(),
);
await desk.locator('input[name="rings"]').fill('50, 100');
await desk.locator('form:has(input[name="rings"]) button.main').click();
await until(
  'the campaign runs',
  async () => (await desk.locator('.campaign').getAttribute('data-state')) === 'running',
);
await desk.getByRole('button', { name: 'Tạm dừng' }).click();
await until(
  'and is paused',
  async () => (await desk.locator('.campaign').getAttribute('data-state')) === 'paused',
);
await desk.getByRole('button', { name: 'Huỷ đợt cập nhật' }).click();
await desk.locator('input[name="reason"]').fill('Sai phiên bản');
await desk.locator('form.sure button[type="submit"]').click();
await until('and aborted, with the reason', async () =>
  (await desk.locator('.campaign').textContent()).includes('Sai phiên bản'),
);
await shot(desk, 'firmware-vi');
await axe(desk, 'firmware');

// 6. A claim code and a group.
await desk.goto(`${url}/enrolment`);
await desk.locator('input[name="claim-id"]').fill('new-1');
await desk.locator('select[name="claim-profile"]').selectOption('air-quality');
await desk.locator('form:has(input[name="claim-id"]) button').click();
await desk.locator('.once .token').waitFor();
await desk.locator('.once button.main').click();
await desk.locator('input[name="group"]').fill('contract-7');
await desk.locator('select[name="group-profile"]').selectOption('air-quality');
await desk.locator('form:has(input[name="group"]) button').click();
await until('the group is open', async () =>
  (await desk.locator('body').textContent()).includes('contract-7-'),
);
await desk.locator('.once button.main').click();
await until(
  'a quarantined device waits',
  async () => (await desk.locator('tr[data-device="guest-1"]').count()) === 1,
);
await desk.locator('tr[data-device="guest-1"] button.main').click();
await until('and is approved', async () => (await desk.locator('tr[data-device="guest-1"]').count()) === 0);
await shot(desk, 'enrolment-vi');
await axe(desk, 'enrolment');

// 7. Key figures, opened by keyboard, counted again from the log.
await desk.goto(`${url}/figures`);
await desk.locator('[data-figure="alarms_per_operator"]').waitFor();
expect('all seven are there', (await desk.locator('.tiles .figure').count()) === 7);
await desk.locator('[data-figure="false_alarms"]').focus();
await desk.keyboard.press('Enter');
await until(
  'it is counted again, and agrees',
  async () => (await desk.locator('.recount').getAttribute('data-recounted')) === 'same',
);
await shot(desk, 'figure-open-vi');
await axe(desk, 'a figure');
await desk.keyboard.press('Escape');
await until('Escape closes it', async () => (await desk.locator('dialog.definition').count()) === 0, 3000);
await desk.locator('.language').click();
await until('in English', async () => (await desk.locator('h1').textContent()).includes('Key figures'));
const english = await desk.locator('main').textContent();
expect(
  'no Vietnamese is left over',
  !/[ăâđêôơưĂÂĐÊÔƠƯ]/.test(english),
  english.match(/.*[ăâđêôơưĂÂĐÊÔƠƯ].*/)?.[0] ?? '',
);
await shot(desk, 'figures-en');
await desk.goto(`${url}/devices/air-1`);
await desk.locator('.history .key').waitFor();
await shot(desk, 'device-en');

expect('nothing was asked of another host', elsewhere.length === 0, elsewhere.join(' '));
expect('the console is clean', complaints.length === 0, complaints.slice(0, 5).join('\n'));
await browser.close();
if (failures.length > 0) {
  console.error(`${failures.length} expectations were not met:\n  ${failures.join('\n  ')}`);
  process.exit(1);
}
