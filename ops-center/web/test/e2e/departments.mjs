// A department subscribes at /departments, is told, fails, and is told again:
//
//   node test/e2e/departments.mjs --url http://[::1]:8080 --token ADMIN --devices ID=TOKEN,ID=TOKEN
//                                 [--shots DIR] [--chromium PATH]
//
// Each device is one that raises an alarm of priority 1, of a rule of Sở Xây
// dựng, when it reports pm25 of 200, and lies in Phường W-1.
// The server admits ::1 to webhooks. The browser is one in American English:
// what is written is as the city writes it all the same.
//
// Exits 1 and names every expectation that was not met.
import { createHmac } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { launch, option } from './lib.mjs';

const url = option('url', 'http://[::1]:8080');
const token = option('token', '');
const shots = option('shots', '');
const devices = option('devices', '')
  .split(',')
  .map((d) => d.split('='));
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

// The department's receiver.
const received = [];
let down = false;
let asked = 0;
const receiver = createServer((req, res) => {
  let body = '';
  req.setEncoding('utf8');
  req.on('data', (part) => {
    body += part;
  });
  req.on('end', () => {
    asked++;
    if (!down) received.push({ body, headers: req.headers });
    res.statusCode = down ? 503 : 204;
    res.end();
  });
});
await new Promise((done) => receiver.listen(0, '::1', done));
const hook = `http://[::1]:${receiver.address().port}/alerts`;
const signed = (r, secret) => {
  const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(r.headers['vonglau-signature']) ?? [];
  return v1 !== undefined && v1 === createHmac('sha256', secret).update(`${t}.${r.body}`).digest('hex');
};

async function ask(method, path, body, as = token) {
  const res = await fetch(url + path, {
    method,
    headers: { Authorization: `Bearer ${as}`, 'Content-Type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await res.text();
  if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}
const raise = ([id, key]) => ask('POST', `/v1/devices/${id}/telemetry`, { pm25: 200 }, key);

const browser = await launch();
const complaints = [];
const elsewhere = [];
let excused = false;
const context = await browser.newContext({ viewport: { width: 1600, height: 1000 }, locale: 'en-US' });
const page = await context.newPage();
page.setDefaultTimeout(15_000);
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
const shot = (name) =>
  shots ? page.screenshot({ path: join(shots, `${name}.png`), timeout: 60_000 }) : undefined;
async function axe(where) {
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { resultTypes: ['violations'] });
    return result.violations.map((v) => `${v.id} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 160)}`);
  });
  expect(`axe finds nothing in ${where}`, found.length === 0, found.join('; '));
}

console.log(`departments at ${url}`);
for (const name of ['Sở Xây dựng', 'Sở Y tế', 'Sở Giao thông'])
  await ask('PUT', `/v1/departments/${encodeURIComponent(name)}`, { head: 'Nguyễn Thị Hoa' });
/** Adds what a name means to a list of what was chosen. */
async function choose(label, name) {
  const input = page.getByRole('combobox', { name: label, exact: true });
  await input.fill(name);
  await input.press('Enter');
}
const chosen = (label) =>
  page
    .locator(`.choose ul[aria-label="${label}"] li button`)
    .evaluateAll((list) => list.map((b) => b.firstChild?.textContent?.trim() ?? ''));

// 1. A subscription is made, by keyboard where a keyboard does.
await page.goto(`${url}/departments#token=${encodeURIComponent(token)}`);
await page.getByText('Chưa có đăng ký nào.').waitFor();
expect('no token stays in the address', !page.url().includes('token'));
await page.getByRole('button', { name: 'Thêm đăng ký đầu tiên' }).press('Enter');
await page.getByLabel('Đơn vị', { exact: true }).fill('Sở Xây dựng');
await page.getByLabel('Tên gọi').fill('Trực ban');
await page.getByLabel('Địa chỉ nhận').fill('http://[fd00::1]/hook');
await page.getByLabel('Ưu tiên 1', { exact: true }).press('Space');
await choose('Đơn vị chịu trách nhiệm', 'so xay dung');
expect('an owner is of the directory', (await chosen('Đơn vị chịu trách nhiệm')).join() === 'Sở Xây dựng');
await choose('Quy tắc', 'ngap');
expect('a rule is chosen by its name', (await chosen('Quy tắc')).join() === 'Ngập đường');
await choose('Đại lượng', 'pm2.5');
expect(
  'a quantity by its name',
  (await chosen('Đại lượng')).length === 1,
  (await chosen('Đại lượng')).join(),
);
await page.getByLabel('Lớp khu vực').selectOption({ label: 'Xã, phường' });
await page.getByRole('button', { name: 'Thêm khu vực' }).click();
await choose('Khu vực của lớp Xã, phường', 'w-1');
expect('a ward by its name', (await chosen('Khu vực của lớp Xã, phường')).join() === 'Phường W-1');
await choose('Khu vực của lớp Xã, phường', 'khong co');
await until(
  'a ward that is none is said to be none',
  async () =>
    (await page.locator('.zone-set .wrong').textContent()) === 'Không có “khong co” trong danh sách.',
);
await page.getByRole('combobox', { name: 'Khu vực của lớp Xã, phường' }).fill('');
await until('what it would have told is counted', async () =>
  /7 ngày qua có 0 tin/.test((await page.locator('.preview').textContent()) ?? ''),
);
excused = true; // the refusal is in the console
await page.getByRole('button', { name: 'Lưu' }).click();
await until('an address in the city’s own network is refused, with the reason', async () =>
  /thuộc mạng nội bộ hoặc dải dành riêng/.test(
    (await page.locator('form [role="alert"]').textContent()) ?? '',
  ),
);
excused = false;
// Quiet hours are written in 24 hours.
const quiet = { from: page.getByLabel('Giờ yên lặng, từ'), to: page.getByLabel('Giờ yên lặng, đến') };
await page.getByLabel('Địa chỉ nhận').fill(hook);
await quiet.from.fill('10:00 PM');
await page.getByRole('button', { name: 'Lưu' }).click();
expect(
  'a time of no 24 hours is not sent',
  (await ask('GET', '/v1/subscriptions')).subscriptions.length === 0 &&
    (await quiet.from.getAttribute('aria-invalid')) === 'true',
);
await quiet.from.fill('22h00');
await page.getByRole('button', { name: 'Lưu' }).click();
expect(
  'nor a beginning without an end',
  (await ask('GET', '/v1/subscriptions')).subscriptions.length === 0 &&
    (await quiet.to.getAttribute('aria-invalid')) === 'true',
);
await quiet.to.fill('6:00');
await quiet.to.blur();
expect(
  'it reads as it is meant',
  `${await quiet.from.inputValue()} ${await quiet.to.inputValue()}` === '22:00 06:00',
);
await axe('the form');
await shot('departments-form');
await page.getByRole('button', { name: 'Lưu' }).click();
const secret = (await page.locator('dialog output').textContent()) ?? '';
expect('its secret is shown once', secret.length >= 40);
await axe('the secret');
await page.getByRole('button', { name: 'Đã chép' }).click();
await page.locator('dialog').waitFor({ state: 'detached' });
const made = (await ask('GET', '/v1/subscriptions')).subscriptions[0];
const id = made.id;
expect(
  'the server has what was chosen',
  JSON.stringify([
    made.filter.zones,
    made.filter.rules,
    made.filter.quantities,
    made.filter.owners,
    made.quiet,
  ]) ===
    JSON.stringify([
      [{ layer: 'wards', code: 'W-1' }],
      ['street-flood'],
      ['pm25'],
      ['Sở Xây dựng'],
      { from: '22:00', to: '06:00' },
    ]),
  JSON.stringify([made.filter, made.quiet]),
);

// 2. The button sends a test, an alarm comes signed, and both are in the history.
await page.getByRole('button', { name: 'Gửi tin thử' }).click();
await until('the test is told of', async () =>
  /đã nhận tin thử/.test((await page.locator('.said').textContent()) ?? ''),
);
await raise(devices[0]);
await until('the alarm arrives', () => received.length === 2);
expect(
  'signed with the secret that was shown',
  received.every((r) => signed(r, secret)),
);
expect('as what it is', JSON.parse(received[1]?.body ?? '{}').event?.kind === 'alarm.raised');
await until(
  'the history has it',
  async () => (await page.locator('.deliveries tr.delivered').count()) === 2,
  10_000,
);

// 3. The receiver fails: it is seen, and what is on its way is drawn.
down = true;
await raise(devices[1]);
await until('the receiver is asked again', () => asked >= 4);
await until(
  'the list says that it fails',
  async () => /Đang lỗi/.test((await page.locator('.subscription').textContent()) ?? ''),
  10_000,
);
await page.locator('.deliveries tr.retrying svg.tries rect').nth(1).waitFor();
await axe('a failing receiver');
await shot('departments-vi');
await page.locator('button.language').click();
await page.getByRole('heading', { name: 'Deliveries' }).or(page.getByText('Failing')).first().waitFor();
const said = await page
  .locator(
    '.header, .panel-head, .said, form legend, form label, form h3, form .hint, form .buttons, .preview, thead, .state, .outcome',
  )
  .allTextContents();
expect(
  'no Vietnamese is left in the English page',
  !/[ăđơưạảấầậắặẹếềệịọốồộớờợụứừựỳỵ]/i.test(
    said.join(' ').replaceAll(/Tiếng Việt|Sở Xây dựng|Vọng lâu/gi, ''),
  ),
  said.join(' ').slice(0, 300),
);
await axe('the English page');
await shot('departments-en');
await page.locator('button.language').click();
down = false;
await until('it comes afterwards, once', () => received.length === 3, 10_000);
expect('under one id', new Set(received.map((r) => r.headers['vonglau-delivery'])).size === 3);

// 4. Who answers for the alarms is changed, and kept.
await page.getByRole('button', { name: 'Bỏ Sở Xây dựng' }).click();
await choose('Đơn vị chịu trách nhiệm', 'Sở Y tế');
await choose('Đơn vị chịu trách nhiệm', 'Sở Giao thông');
await page.getByRole('button', { name: 'Lưu' }).click();
await until(
  'the filter is changed',
  async () =>
    ((await ask('GET', `/v1/subscriptions/${id}`)).filter.owners ?? []).join() === 'Sở Y tế,Sở Giao thông',
);
await raise(devices[2]);
await page.reload();
await page.locator('.subscription').press('Enter');
expect(
  'and is there after a reload',
  (await chosen('Đơn vị chịu trách nhiệm')).join() === 'Sở Y tế,Sở Giao thông' &&
    (await quiet.from.inputValue()) === '22:00',
);
await until(
  'by its names',
  async () =>
    (await chosen('Khu vực của lớp Xã, phường')).join() === 'Phường W-1' &&
    (await chosen('Quy tắc')).join() === 'Ngập đường',
);
expect('what belongs to others does not come', received.length === 3, `${received.length}`);

// 5. On a narrow screen nothing is cut off.
await page.setViewportSize({ width: 900, height: 900 });
await page.waitForTimeout(300);
const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
expect('900 px are enough', wide <= 0, `${wide} px too wide`);
await shot('departments-narrow');
await page.setViewportSize({ width: 1600, height: 1000 });

// What could not be delivered is given up after a day: here the server is made to say so.
let again = '';
await page.route('**/deliveries', async (route) => {
  const answer = await route.fetch();
  const list = await answer.json();
  const dead = {
    ...list.deliveries[0],
    id: 'gone',
    state: 'dead',
    error: 'the receiver answered 503 Service Unavailable',
  };
  await route.fulfill({ response: answer, json: { ...list, dead: [dead] } });
});
await page.route('**/resend', async (route) => {
  again = new URL(route.request().url()).pathname;
  await route.fulfill({ json: { resent: 1 } });
});
await page.setViewportSize({ width: 390, height: 844 });
const resend = page.getByRole('button', { name: 'Gửi lại', exact: true });
await resend.waitFor();
const place = await resend.boundingBox();
expect(
  'on a telephone what is dead can be sent again',
  place !== null && place.x >= 0 && place.x + place.width <= 390,
  JSON.stringify(place),
);
expect('with why it is', (await page.getByText('Nơi nhận trả lời 503.').count()) > 0);
await axe('a dead letter on a telephone');
await resend.scrollIntoViewIfNeeded();
await shot('departments-telephone');
await resend.click();
await until('and is', () => again === `/v1/subscriptions/${id}/deliveries/gone/resend`);
await page.unroute('**/deliveries');
await page.unroute('**/resend');
await page.setViewportSize({ width: 1600, height: 1000 });

// 6. It is ended, at the second asking.
await page.getByRole('button', { name: 'Kết thúc đăng ký' }).click();
expect('once is not enough', (await ask('GET', '/v1/subscriptions')).subscriptions.length === 1);
await page.getByRole('button', { name: 'Bấm lần nữa để kết thúc' }).click();
await until('it is ended', async () => (await ask('GET', '/v1/subscriptions')).subscriptions.length === 0);
await page.getByText('Chưa có đăng ký nào.').waitFor();

// 7. Who serves no department is told whose page it is, and offered nothing that is refused.
const leader = await ask('POST', '/v1/tokens', {
  name: 'Trưởng ca',
  purpose: 'page',
  kind: 'program',
  role: 'shift_leader',
});
await page.context().clearCookies();
await page.goto('about:blank'); // the same address with another fragment is no new page
await page.goto(`${url}/departments#token=${encodeURIComponent(leader.secret)}`);
await page.getByText('Vai trò của bạn không đặt tin cho đơn vị nào.').waitFor();
expect('no button', (await page.getByRole('button', { name: 'Thêm đăng ký' }).count()) === 0);
await axe('the page of others');

expect('the console is silent', complaints.length === 0, complaints.join('; '));
expect('nothing is fetched from elsewhere', elsewhere.length === 0, elsewhere.join('; '));
await browser.close();
receiver.closeAllConnections();
receiver.close();
if (failures.length > 0) {
  console.log(`${failures.length} not met`);
  process.exit(1);
}
