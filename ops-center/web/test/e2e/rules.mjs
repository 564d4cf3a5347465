// A rule is made at /rules with the keyboard alone, tried on what is stored,
// enabled; a reading raises its alarm, and the link that the department is sent
// opens it, before and after it is closed:
//
//   node test/e2e/rules.mjs --url http://[::1]:8080 --token ADMIN [--shots DIR] [--chromium PATH]
//
// The server has nothing yet, admits ::1 to webhooks and has mail.link set.
// Exits 1 and names every expectation that was not met.
import { createServer } from 'node:http';
import { asker, option, Run, VIETNAMESE } from './lib.mjs';

const url = option('url', 'http://[::1]:8080');
const token = option('token', '');
const run = new Run(url, { shots: option('shots', '') });
const ask = asker(url, token);
const MINUTE = 60_000;

const told = [];
const receiver = createServer(async (req, res) => {
  let body = '';
  for await (const part of req.setEncoding('utf8')) body += part;
  told.push(JSON.parse(body));
  res.writeHead(204).end();
});
await new Promise((done) => receiver.listen(0, '::1', done));

// A department, two stations, and six hours of one of them: three times over the
// limit for twelve minutes, and once for two, which is too short to count.
await ask('PUT', `/v1/departments/${encodeURIComponent('Sở Môi trường')}`, { head: 'Lê Văn Cường' });
await ask('PUT', '/v1/departments/so-xd', { head: 'Trần Thị Trực' });
const device = await ask('POST', '/v1/devices', {
  id: 'aq-1',
  name: 'Trạm Vị Xuyên',
  profile: 'air-quality',
  at: [106.15, 20.45],
});
await ask('POST', '/v1/devices', { id: 'road-1', profile: 'flooded-road', at: [106.16, 20.45] });
const send = asker(url, device.token);
const now = Date.now();
const at = (minutesAgo, pm25) =>
  send('POST', '/v1/devices/aq-1/telemetry', { ts: now - minutesAgo * MINUTE, pm25 });
const high = (m) => [300, 200, 100].some((from) => m <= from && m > from - 12) || m === 150 || m === 149;
for (let m = 360; m > 20; m -= 20)
  await Promise.all(Array.from({ length: 20 }, (_, i) => at(m - i, high(m - i) ? 200 : 20)));
await ask('POST', '/v1/subscriptions', {
  department: 'Sở Môi trường',
  name: 'Trực ban',
  kind: 'webhook',
  url: `http://[::1]:${receiver.address().port}/alerts`,
  filter: {},
});

await run.open();
const page = await run.screen({ width: 1366, height: 900 });
await page.goto(`${url}/rules#token=${encodeURIComponent(token)}`);
await page.locator('.list').waitFor();

/** Tab until something has the focus; a person has no other way. */
async function tabTo(what, back = false) {
  const wanted = page.locator(what).first();
  await wanted.waitFor();
  for (let i = 0; i < 90; i++) {
    if (await wanted.evaluate((e) => e === document.activeElement)) return wanted;
    await page.keyboard.press(back ? 'Shift+Tab' : 'Tab');
  }
  throw new Error(`the Tab key does not come to ${what}`);
}
const field = (name, inside = 'input, select, textarea') =>
  inside
    .split(', ')
    .map((tag) => `[data-field="${name}"] ${tag}`)
    .join(', ');
async function type(name, text) {
  await tabTo(field(name));
  await page.keyboard.press('Control+A');
  await page.keyboard.type(text);
}
async function pick(name, value) {
  const box = await tabTo(field(name, 'select'));
  await page.keyboard.press('Home');
  for (let i = 0; i < 80 && (await box.inputValue()) !== value; i++) await page.keyboard.press('ArrowDown');
  run.expect(`${name} is ${value} by the arrow keys`, (await box.inputValue()) === value);
}
const press = async (what, back) => {
  await tabTo(what, back);
  await page.keyboard.press('Enter');
};
const SAVE = '.editor > .acts button.main';

// 1. What is missing is said where it is missing.
await press('.list button.main');
await page.locator('.rule-form').waitFor();
run.expect(
  'the first field has the focus',
  await page.locator(field('name.vi')).evaluate((e) => e === document.activeElement),
);
await press(SAVE);
run.expect(
  'what is missing is marked, and the first of it has the focus',
  (await page.locator('.rule-form [aria-invalid="true"]').count()) >= 4 &&
    (await page.locator(field('name.vi')).evaluate((e) => e === document.activeElement)),
);
await run.axe(page, 'a form with mistakes');
await run.shot(page, 'rules-wrong-vi');

// 2. The rule, field by field.
await type('name.vi', 'Bụi mịn cao');
await type('name.en', 'High fine dust');
run.expect('its id comes of the name', (await page.locator(field('id')).inputValue()) === 'high-fine-dust');
await type('scope', 'chat luong khong khi');
await page.keyboard.press('Enter');
if ((await page.locator('[data-field="scope"] li').count()) === 0) {
  await page.keyboard.press('Control+A');
  await page.keyboard.type('air-quality');
  await page.keyboard.press('Enter');
}
run.expect(
  'the kind of device is chosen by name',
  (await page.locator('[data-field="scope"] li').count()) === 1,
);
await pick('when.quantity', 'pm25');
run.expect(
  'the limit has the unit of the quantity',
  /µg\/m³/.test((await page.locator('[data-field="when.value"] label').textContent()) ?? ''),
);
await type('when.value', '150');
await type('when.clear', '160');
await press(SAVE);
run.expect(
  'a level at which it would never be over is refused',
  /không bao giờ hết/.test((await page.locator('[data-field="when.clear"] .wrong').textContent()) ?? ''),
);
await type('when.clear', '130,5');
await type('when.clear_for', '1');
await pick('owner', 'Sở Môi trường');
run.expect(
  'the head comes of the directory',
  (await page.locator(field('head')).inputValue()) === 'Lê Văn Cường',
);
await type('response.vi', 'Kiểm tra trạm kế bên');
await type('response.en', 'Check the next station');
await type('procedure.vi', 'Xem trạm kế bên\nBáo đơn vị');
await type('procedure.en', 'See the next station\nTell the department');

// 3. Tried on the past before it is there, then saved, then enabled.
await press('.trial .acts button.main');
await page.locator('.axis').waitFor();
run.expect(
  'the dry run finds the three, and not the one that was too short',
  (await page.locator('.axis').getAttribute('data-total')) === '3',
  (await page.locator('.axis .total').textContent()) ?? '',
);
run.expect(
  'each leads to its device',
  (await page.locator('.axis .found a[href="/devices/aq-1"]').count()) === 3,
);
run.expect('nothing is there yet', (await ask('GET', '/v1/rules')).rules.length === 0);
await run.axe(page, 'the form and its dry run');
await page.locator('.axis').scrollIntoViewIfNeeded();
await run.shot(page, 'rules-trial-vi');
await press(SAVE, true);
await run.until('the rule is there', async () => (await ask('GET', '/v1/rules')).rules.length === 1);
run.expect('and judges nothing', (await ask('GET', '/v1/rules')).rules[0].disabled === true);
await page.locator('.editor .off').waitFor();
await press('.editor > .acts button:last-child', true);
await run.until('it is enabled', async () => !(await ask('GET', '/v1/rules')).rules[0].disabled);
const { rule, source } = await ask('GET', '/v1/rules/high-fine-dust');
run.expect(
  'it says what was typed',
  rule.when.threshold.above === 150 &&
    rule.when.threshold.clear === 130.5 &&
    rule.when.threshold.clearFor === 60e9 &&
    rule.procedure.vi.length === 2 &&
    rule.scope.profiles.join() === 'air-quality',
  source,
);
await run.shot(page, 'rules-vi');
await page.locator('button.language').click();
const words = await page
  .locator('.rule-form label, .rule-form legend, .rule-form small, .editor button, .list h2, .mix')
  .allTextContents();
const left = words.filter((w) =>
  VIETNAMESE.test(w.replaceAll(/Sở Môi trường|Lê Văn Cường|Trạm Vị Xuyên/g, '')),
);
run.expect('no Vietnamese is left in the English form', left.length === 0, left.join(' | '));
await page
  .locator('.header .chip', { hasText: /Light|Sáng|☾|☀/ })
  .first()
  .click();
await run.axe(page, 'the English form by daylight');
await run.shot(page, 'rules-en-light');
await page.locator('button.language').click();

// 4. What the form would lose stays YAML.
const put = (id, text) =>
  fetch(`${url}/v1/rules/${id}`, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/yaml' },
    body: text,
  });
const base = source.replace('disabled: false\n', '');
await put(
  'noted',
  `# ask before changing\n${base.replace('id: high-fine-dust', 'id: noted')}disabled: true # a try\n`,
);
await put(
  'smoke',
  base.replace('id: high-fine-dust', 'id: smoke').replace(/^when: .*$/m, "when: {expr: {if: 'pm25 > 400'}}"),
);
await page.reload();
await page.locator('.list li button', { hasText: 'Bụi mịn cao' }).nth(1).click();
await page.locator('.stays').waitFor();
run.expect('comments are not lost', /chú thích/.test((await page.locator('.stays').textContent()) ?? ''));
run.expect('they are in the YAML', /# a try/.test(await page.locator('#rule-source').inputValue()));
await page.locator('.list li button', { hasText: 'Bụi mịn cao' }).nth(2).click();
await page.waitForFunction(() =>
  /không diễn đạt hết/.test(document.querySelector('.stays')?.textContent ?? ''),
);
run.expect('an expression is YAML', /expr/.test(await page.locator('#rule-source').inputValue()));

// 5. A reading raises the alarm; the link in what is sent opens it.
for (let m = 12; m >= 4; m--) await at(m, 200);
await run.until('the department is told', () => told.some((m) => m.event?.kind === 'alarm.raised'), 10_000);
const event = told.find((m) => m.event?.kind === 'alarm.raised')?.event;
const link = new URL(event?.link ?? 'http://nowhere/');
run.expect('with a link to the alarm', link.searchParams.get('alarm') === event?.alarm.id, event?.link);
const desk = await run.screen({ width: 1366, height: 900 });
run.excused = true; // whoever is not logged in is told so by a 401
await desk.goto(url + link.pathname + link.search);
await desk.locator('.login').waitFor();
const input = desk.locator('.login input[name="token"]');
if ((await input.count()) === 0) await desk.locator('.login button', { hasText: /mã truy cập/i }).click();
await input.fill(token);
await input.press('Enter');
await run.until(
  'after the log-in it opens the alarm',
  async () => (await desk.locator('.alarm-page').getAttribute('data-alarm')) === event?.alarm.id,
);
run.excused = false;
await run.shot(desk, 'desk-linked-vi');
for (let m = 3; m >= 0; m--) await at(m, 20);
await ask('POST', `/v1/alarms/${encodeURIComponent(event?.alarm.id)}/acknowledge`, { note: 'đã xem' });
await run.until(
  'the alarm is over and seen',
  async () => !(await ask('GET', '/v1/alarms')).alarms.some((a) => a.id === event?.alarm.id),
);
await desk.goto(url + link.pathname + link.search);
await run.until(
  'the link opens it still',
  async () => (await desk.locator('.alarm-page').getAttribute('data-alarm')) === event?.alarm.id,
);
run.excused = true; // a 404 is an answer
await desk.goto(`${url}/desk?alarm=nobody`);
await run.until('an alarm that is not there is said not to be', async () =>
  /Không tìm thấy cảnh báo nobody/.test((await desk.locator('body').textContent()) ?? ''),
);
await desk.goto(`${url}/?device=nobody`);
await run.until('nor a device', async () =>
  /Không có thiết bị nào mang mã nobody/.test((await desk.locator('.link-notice').textContent()) ?? ''),
);
run.excused = false;
await desk.goto(`${url}/desk?device=aq-1`);
await desk.locator('.panel h2', { hasText: 'Trạm Vị Xuyên' }).waitFor();
await desk.goto(`${url}/?device=aq-1`);
await desk.locator('.panel h2', { hasText: 'Trạm Vị Xuyên' }).waitFor();
await run.shot(desk, 'wall-linked-vi');
await run.close();
receiver.close();
