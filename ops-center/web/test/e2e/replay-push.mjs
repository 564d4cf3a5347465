// A display that is told to show the past, in a browser, against a server whose
// city has reported for some minutes:
//
//   node test/e2e/replay-push.mjs --url http://[::1]:8080 --token ADMIN --display TOKEN --other TOKEN
//                                 [--back 120] [--shots DIR] [--chromium PATH]
//
// The server knows the displays hall-1 and hall-2, the tokens are theirs.
// Exits 1 and names every expectation that
// was not met.
import { asker, option, Run, root } from './lib.mjs';

const url = option('url', 'http://[::1]:8080');
const back = Number(option('back', '120')) * 1000;
const ask = asker(url, option('token', ''));
const run = new Run(url, { shots: option('shots', '') });
await run.open();
// A page that goes leaves what it asked for.
const link = async (token, size) => {
  const page = await run.screen(size);
  await page.goto(`${url}/#token=${encodeURIComponent(token)}`);
  return page;
};
const state = async (page) => (await root(page).catch(() => ({}))).state;
const clock = async (page) =>
  Date.parse((await page.locator('.replay-bar time').getAttribute('datetime', { timeout: 15_000 })) ?? '');

// The city's own alarms are no part of this: TestPushedReplay has them.
for (const id of ['hall-1', 'hall-2']) {
  await ask('PUT', `/v1/displays/${id}`, { name: { vi: id }, calm: {}, takeOver: { priority: 0 } });
  await ask('POST', `/v1/displays/${id}/return`, {});
}
const hall = await link(option('display', ''));
const other = await link(option('other', ''), { width: 1280, height: 720 });
await run.until(
  'both displays are live',
  async () => (await Promise.all([hall, other].map(state))).every((s) => s === 'live'),
  60_000,
);

const at = Date.now() - back;
const pushed = await ask('POST', '/v1/pushes', {
  scene: 'default',
  displays: ['hall-1'],
  replay: { at: new Date(at).toISOString(), speed: 2 },
});
const told = Date.now();
await run.until('the display shows the past', async () => (await state(hall)) === 'replay', 40_000);
const there = Date.now() - told;
await run.until('with the sensors of then', async () => Number((await root(hall)).devices) > 0, 20_000);
const moment = await clock(hall);
const due = at + (Date.now() - told) * 2;
// It is behind by no more than it took to get there.
run.expect(
  'at the moment it should be at by now',
  moment - due < 1000 && due - moment < 2 * (there + 4000),
  `${((moment - due) / 1000).toFixed(1)} s off, there after ${(there / 1000).toFixed(2)} s`,
);
run.expect('marked as the past', (await hall.locator('.replay-mark').textContent()) === 'PHÁT LẠI');
run.expect('without controls', (await hall.locator('.replay-bar button, .replay-bar input').count()) === 0);
await hall.keyboard.press('l');
await hall.keyboard.press('t');
await hall.waitForTimeout(500);
run.expect('no key brings it out', (await state(hall)) === 'replay');
run.expect('the other display shows the present', (await state(other)) === 'live');
const shown = async () => (await ask('GET', '/v1/displays/hall-1')).showing;
await run.until('the record says that it is the past', async () => {
  const now = await shown();
  return now?.push === pushed.id && now.replay?.speed === 2;
});
await hall.waitForTimeout(2500);
await run.shot(hall, 'replay-pushed-vi');

// A screen that starts again is where the others are.
await hall.reload();
await run.until('a reload stays in the past', async () => (await state(hall)) === 'replay', 40_000);
await run.until(
  'where it would be by now',
  async () => Math.abs((await clock(hall)) - (at + (Date.now() - told) * 2)) < 12_000,
  30_000,
);
await hall.goto(`${url}/`);
await run.until('one that is opened anew as well', async () => (await state(hall)) === 'replay', 40_000);

// The page that pushes.
const desk = await link(option('token', ''), { width: 1280, height: 900 });
await run.until('whoever pushes looks at the past too', async () => (await state(desk)) === 'live', 60_000);
await desk.goto(`${url}/?replay=${new Date(at).toISOString()}&speed=5&paused=1`);
await run.until('in a replay', async () => (await state(desk)) === 'replay', 40_000);
await desk.getByRole('link', { name: 'Đưa lên màn hình…' }).click();
const dialog = desk.getByRole('dialog');
await dialog.waitFor();
run.expect('the dialog has the speed', (await dialog.locator('select[name=speed]').inputValue()) === '5');
run.expect('and the moment', await dialog.locator('input[name=past]').isChecked());
await run.axe(desk, 'the dialog');
await run.shot(desk, 'replay-push-dialog-vi');
await dialog.getByRole('checkbox', { name: /Tất cả|tất cả/ }).uncheck();
await dialog.getByRole('checkbox', { name: /hall-2/ }).check();
await dialog.locator('button.main').click();
await run.until('the other display follows', async () => (await state(other)) === 'replay', 40_000);
await desk.waitForTimeout(1800);
await run.shot(desk, 'replay-pushed-list-vi');
await desk.evaluate(() => localStorage.setItem('vonglau.language', 'en'));
await desk.goto(`${url}/scenes`);
await desk.locator('.replayed').first().waitFor();
await run.shot(desk, 'replay-pushed-list-en');
await ask('POST', '/v1/displays/hall-2/return', {});
const returned = Date.now();
await run.until('and returns when it is taken off', async () => (await state(other)) === 'live', 40_000);
console.log(`     live again after ${((Date.now() - returned) / 1000).toFixed(2)} s`);

await ask('DELETE', `/v1/pushes/${pushed.id}`);
await run.until('undo brings the present back', async () => (await state(hall)) === 'live', 40_000);
await run.until('on record too', async () => !(await shown())?.replay);
const record = (await ask('GET', '/v1/displays/hall-1/shown')).shown;
run.expect(
  'the record tells the past from the present',
  record.some((s) => s.replay) && !record.at(-1).replay,
  record.map((s) => (s.dark ? 'dark' : s.replay ? 'replay' : 'live')).join(' '),
);
// A page that leaves breaks off what it was fetching.
run.complaints = run.complaints.filter(
  (c) =>
    !/not fetched|Failed to fetch|net::ERR_ABORTED|closed before the connection|\/v1\/replay\/\w+\/dictionary/.test(
      c,
    ),
);
await run.close();
