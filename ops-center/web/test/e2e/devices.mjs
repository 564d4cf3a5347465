// A person's work with the register, by a browser, against a running server:
//
//   node test/e2e/devices.mjs --url http://[::1]:8080 --token TOKEN --table FILE.csv
//                             [--devices 0] [--shots DIR] [--chromium PATH]
//
// The table has 1,000 good lines of quarantined devices, whose ids begin with
// imp-, and two bad ones. --devices is how many there are before.
//
// Exits 1 and names every expectation that was not met.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { launch, option } from './lib.mjs';

const url = option('url', 'http://[::1]:8080');
const token = option('token', '');
const table = option('table', '');
const shots = option('shots', '');
const before = Number(option('devices', '0'));
const host = new URL(url).host;
if (shots) mkdirSync(shots, { recursive: true });

const failures = [];
function expect(what, met, detail = '') {
  console.log(`${met ? 'ok  ' : 'FAIL'} ${what}${detail === '' ? '' : `: ${detail}`}`);
  if (!met) failures.push(what);
}

const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1600, height: 1000 }, acceptDownloads: true });
const page = await context.newPage();
page.setDefaultTimeout(20_000);
const complaints = [];
const elsewhere = [];
let excused = false;
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

const shot = (name) => (shots ? page.screenshot({ path: join(shots, `${name}.png`) }) : undefined);
async function until(what, test, patience = 15_000) {
  const started = Date.now();
  for (;;) {
    if (await test()) {
      expect(what, true, `${((Date.now() - started) / 1000).toFixed(2)} s`);
      return true;
    }
    if (Date.now() - started > patience) {
      expect(what, false, `not within ${patience / 1000} s`);
      await shot(`failed-${failures.length}`);
      return false;
    }
    await page.waitForTimeout(30);
  }
}
const total = async () =>
  Number((await page.locator('#register-total').textContent())?.replace(/\D/g, '') || -1);
const row = (id) => page.locator(`[id="entry-${id}"]`);
async function axe(where) {
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { resultTypes: ['violations'] });
    return result.violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .map((v) => `${v.id} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 160)}`);
  });
  expect(`axe finds nothing serious in ${where}`, found.length === 0, found.join('; '));
}

console.log(`the register at ${url}`);

// 1. The wall of somebody who may links to the register.
await page.goto(`${url}/#token=${encodeURIComponent(token)}`);
await page.locator('.chip.menu').click();
await page.locator('#pages a[href="/devices"]').click();
await until(`the register lists ${before} devices`, async () => (await total()) === before, 30_000);
expect('no token stays in the address', !page.url().includes('token'));
if (before > 0) {
  await page.locator('.grid').focus();
  await page.keyboard.press('End');
  await until('the last line is there at once', async () => {
    const last = page.locator(`.grid [role="row"][aria-rowindex="${before + 1}"]`);
    return (await last.count()) === 1 && ((await last.textContent()) ?? '') !== '';
  });
  const drawn = await page.locator('.grid [role="row"]').count();
  expect('only what is seen is drawn', drawn < 80, `${drawn} rows`);
  await page.keyboard.press('Home');
}

// 2. A device by hand, placed on the map by a click; its token is shown once.
await page.locator('.header button.main').click();
const add = page.locator('dialog.add');
await add.locator('input[name="id"]').fill('e2e-1');
await add.locator('input[name="name"]').fill('Trạm Nam Định, cầu Đò Quan');
await add.locator('select[name="profile"]').selectOption('air-quality');
await add.locator('input[name="owner"]').fill('Sở Tài nguyên và Môi trường');
await add.locator('.placemap canvas').waitFor();
await page.waitForTimeout(1500);
await add.locator('.placemap').scrollIntoViewIfNeeded();
await add.locator('.placemap canvas').click({ position: { x: 200, y: 110 } });
await until(
  'a click on the map is a place',
  async () => (await add.locator('input[name="lat"]').inputValue()) !== '',
);
await shot('add-vi');
await axe('the form of a new device');
await add.locator('button[type="submit"]').click();
await add.locator('output.token').waitFor();
const secret = (await add.locator('output.token').textContent()) ?? '';
expect('the token is shown', /^[\w-]{43}$/.test(secret), `${secret.length} characters`);
await page.keyboard.press('Escape');
expect('Esc does not throw the token away', (await add.count()) === 1);
await shot('token-vi');
await add.locator('button.main').click();
await until('the dialog is closed', async () => (await add.count()) === 0);
expect('the token is nowhere any more', !(await page.content()).includes(secret));

// 3. The device reports with its token, and is seen online.
const sent = await fetch(`${url}/v1/devices/e2e-1/telemetry`, {
  method: 'POST',
  headers: { Authorization: `Bearer ${secret}`, 'Content-Type': 'application/json' },
  body: JSON.stringify({ pm25: 17.5 }),
});
expect('the device is heard', sent.status === 204, String(sent.status));
await page.locator('input[type="search"]').fill('e2e-1');
await until('and is shown online', async () =>
  /trực tuyến/.test(
    (await row('e2e-1')
      .textContent()
      .catch(() => '')) ?? '',
  ),
);

// 4. A table: judged first, then its good lines come in.
await page.locator('input[type="search"]').fill('');
await page.locator('.header button:not(.main):not(.chip)').click();
const dialog = page.locator('dialog.import');
await dialog.locator('input[type="file"]').setInputFiles(table);
await until('1,002 lines are judged', async () =>
  /1\.002 dòng: 1\.000 đạt, 2 bị từ chối/.test((await dialog.textContent()) ?? ''),
);
// The list comes back from the search for one device meanwhile.
await until('nothing is registered yet', async () => (await total()) === before + 1);
expect('the two bad lines are named', (await dialog.locator('.problems li').count()) === 2);
expect(
  'in words of this language',
  /dòng 501.*đã có trong sổ.*dòng 1\.003.*không hợp lệ/s.test((await dialog.textContent()) ?? ''),
  (await dialog.locator('.problems').textContent()) ?? '',
);
await shot('import-vi');
await axe('the report of a table');
await dialog.locator('button.main').click();
await until('1,000 are registered', async () => /Đã thêm 1\.000/.test((await dialog.textContent()) ?? ''));
const [download] = await Promise.all([
  page.waitForEvent('download'),
  dialog.getByText('Tải mã truy cập').click(),
]);
const tokens = readFileSync(await download.path(), 'utf8')
  .trim()
  .split('\r\n');
expect(
  'with 1,000 tokens',
  tokens.length === 1001 && /^imp-\d+,[\w-]{43}$/.test(tokens[1]),
  tokens[1]?.slice(0, 12),
);
await dialog.getByRole('button', { name: 'Đóng' }).click();
await until('the list has them', async () => (await total()) === before + 1001);

// 5. Search as people type: without marks, and what is shown is what was asked for.
const typed = Date.now();
await page.locator('input[type="search"]').fill('nam dinh do quan');
await until(
  '“nam dinh do quan” finds Nam Định',
  async () => (await total()) === 1 && (await row('e2e-1').count()) === 1,
);
console.log(`     found ${Date.now() - typed} ms after the last key`);
expect('the question is in the address', page.url().includes('q=nam+dinh'));
await page.locator('input[type="search"]').fill('');

// 6. Approvals: those that wait, marked and taken into service.
await page.locator('.header button.warn').click();
await until('1,000 wait for approval', async () => (await total()) === 1000);
await page.locator('.titles input[type="checkbox"]').click();
await page.locator('.bulk button').first().waitFor();
await shot('approve-vi');
await page.locator('.bulk button').first().click();
await until('all of them are in service', async () => (await total()) === 0, 60_000);
await page.locator('select').nth(1).selectOption('');

// 7. One device: changed, led through its life, by keyboard to and fro.
await page.goto(`${url}/devices?q=e2e-1`);
await row('e2e-1').waitFor();
await page.locator('.grid').focus();
await page.keyboard.press('Enter');
const detail = page.locator('.dossier');
await detail.locator('input[name="site"]').waitFor();
await detail.locator('input[name="site"]').fill('Mái nhà văn hoá');
await detail.locator('input[name="head"]').fill('Trần Thị Bình');
await detail.locator('.head button').click();
await until('the department has a head', async () => (await detail.locator('.head button').count()) === 0);
await detail.locator('input[name="site"]').fill('Mái nhà văn hoá');
await detail.locator('button[type="submit"]').click();
await until('a change is kept', async () => /Mái nhà văn hoá/.test((await row('e2e-1').textContent()) ?? ''));
await page.waitForTimeout(1500);
await shot('device-vi');
await axe('the register');
// Somebody else changes it meanwhile: the second is told, and nothing is lost.
await detail.locator('input[name="name"]').fill('Tên của người thứ hai');
const other = await fetch(`${url}/v1/devices/e2e-1`, {
  method: 'PATCH',
  headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/merge-patch+json' },
  body: JSON.stringify({ name: 'Trạm Nam Định của người thứ nhất' }),
});
expect('another person changes it', other.status === 200, String(other.status));
excused = true; // the browser's console names every refused request
await detail.locator('button[type="submit"]').click();
await until('the second is told', async () => /Người khác/.test((await detail.textContent()) ?? ''));
excused = false;
await detail.getByRole('button', { name: 'Tải lại' }).click();
await until('and sees the first one’s change', async () =>
  /thứ nhất/.test(await detail.locator('input[name="name"]').inputValue()),
);
await detail.getByRole('button', { name: 'Bảo trì' }).click();
await until('maintenance shows in the list', async () =>
  /bảo trì/.test((await row('e2e-1').textContent()) ?? ''),
);
await detail.getByRole('button', { name: 'Thôi dùng' }).first().click();
await detail.locator('.sure').waitFor();
await detail.locator('.sure button').first().click();
await until('it is retired', async () => /đã thôi dùng/.test((await row('e2e-1').textContent()) ?? ''));
expect(
  'and what was heard of it is not forgotten',
  !/chưa từng báo/.test((await row('e2e-1').textContent()) ?? ''),
  (await row('e2e-1').textContent()) ?? '',
);

// 8. The other language.
await page.locator('button.language').click();
await until('the page is English', () => page.evaluate(() => document.documentElement.lang === 'en'), 2000);
const english = await page
  .locator('.header, .tools label > span, .titles, .life-line, .fields label')
  .allTextContents();
const left = english.join(' ').match(/\S*[ăâđêôơưạảấầậắằặẹếềệịọốồộớờợụứừựỳỵ]\S*/i)?.[0] ?? '';
expect('no Vietnamese is left in the English frame', left === '' || /Trạm|Sở/.test(left), left);
await shot('device-en');
await page.goto(`${url}/devices`);
await until('all of the register again', async () => (await total()) === before + 1001);
await page.waitForTimeout(800);
await shot('register-en');

expect('no request went anywhere else', elsewhere.length === 0, elsewhere.slice(0, 3).join(' '));
expect('the console is clean', complaints.length === 0, complaints.slice(0, 5).join(' | '));
await browser.close();
if (failures.length > 0) {
  console.error(`${failures.length} not met: ${failures.join('; ')}`);
  process.exit(1);
}
console.log('all met');
