// The server is upgraded while screens look at it: a wall loads the new files
// once, when nobody would miss it, and not again; a desk says so and keeps what
// is being written.
//
//   node test/e2e/upgrade.mjs [--shots DIR]
import { option, Run, root, startDemo, stopDemo } from './lib.mjs';

/** In this time the keeper of a wall looks whether the page is to be loaded. */
const TURN = 5600;
const still = ['--still', 'yes', '--devices', 60];
let { demo, url } = await startDemo('--port', 0, ...still, '--build', 'b1');
const port = new URL(url).port;
const run = new Run(url, { shots: option('shots', '') });
await run.open();
run.excused = true; // the server is away for a moment, and the page says so

/** A page whose minutes are made to pass; load counts how often it was loaded. */
async function open(path) {
  const page = await run.screen({ width: 1280, height: 800 });
  // The clock only: timers and frames run on, or the page would be taken for stuck.
  await page.addInitScript(() => {
    const now = Date.now.bind(Date);
    window.skipped = 0;
    Date.now = () => now() + window.skipped;
  });
  let loads = 0;
  page.on('load', () => loads++);
  await page.goto(`${url}${path}#token=demo`);
  await run.until(`${path} is live`, async () => (await root(page)).state === 'live', 30_000);
  return { page, loads: () => loads };
}
const skip = (page, ms) =>
  page.evaluate((n) => {
    window.skipped += n;
  }, ms);
const live = async (page) => (await root(page)).state === 'live';
/** Lives again after a cut. */
async function back(page) {
  if (await live(page)) return true;
  await page.waitForTimeout(300);
  return live(page);
}
/** Minutes pass at once. The connection takes them for a silence and is made anew. */
async function minutes(page, what, n) {
  await skip(page, n * 60_000);
  await page.waitForTimeout(600);
  await run.until(what, () => back(page), 30_000);
  await page.waitForTimeout(TURN);
}

const wall = await open('/');
const desk = await open('/desk');
await run.until('the desk has its queue', async () => (await desk.page.locator('.queue .row').count()) > 0);
await desk.page.locator('.queue .row').first().click();
await desk.page.keyboard.press('b');
await desk.page.locator('dialog textarea').fill('Đang gọi đội thoát nước');

// The same files after a restart are no upgrade.
await stopDemo(demo);
({ demo, url } = await startDemo('--port', port, ...still, '--build', 'b1'));
await run.until('the wall is back', () => back(wall.page), 30_000);
await run.until('the desk is back', () => back(desk.page), 30_000);
await minutes(wall.page, 'twelve minutes go by', 12);
run.expect('a restart alone loads nothing anew', wall.loads() === 1, `${wall.loads()} loads`);
run.expect('and the desk says nothing', (await desk.page.locator('.upgraded').count()) === 0);

await stopDemo(demo);
({ demo, url } = await startDemo('--port', port, ...still, '--build', 'b2'));
await run.until('the desk is back again', () => back(desk.page), 30_000);
await wall.page.keyboard.press('Escape');
await run.until('the wall is back again', () => back(wall.page), 30_000);
await wall.page.keyboard.press('Escape');
await skip(wall.page, 31_000);
await wall.page.waitForTimeout(TURN);
run.expect('a wall that was just touched waits', wall.loads() === 1, `${wall.loads()} loads`);
await skip(wall.page, 60_000);
await run.until(
  'left alone it loads the new files',
  async () => wall.loads() === 2 || ((await back(wall.page)) && false),
  30_000,
);
await run.until('and lives', () => back(wall.page), 30_000);
await minutes(wall.page, 'a quarter of an hour goes by', 15);
run.expect('once', wall.loads() === 2, `${wall.loads()} loads`);

await run.until('the desk says so', async () => (await desk.page.locator('.upgraded').count()) === 1);
await minutes(desk.page, 'at the desk too', 15);
run.expect('it is not loaded anew', desk.loads() === 1, `${desk.loads()} loads`);
run.expect(
  'what was being written is there',
  (await desk.page.locator('dialog textarea').inputValue()) === 'Đang gọi đội thoát nước',
);
await run.shot(desk.page, 'desk-upgraded');
await desk.page.keyboard.press('Escape');
await desk.page.locator('.upgraded').click();
await run.until('a click loads it', async () => desk.loads() === 2);
await run.until('and then it is of now', async () => {
  return (await live(desk.page)) && (await desk.page.locator('.upgraded').count()) === 0;
});
await run.close();
await stopDemo(demo);
