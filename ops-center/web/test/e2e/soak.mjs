// Hours of a wall in minutes, and its heap: npm run soak [-- --hours 12 --speed 60]
//
// Both the made-up city and the page live in a time that runs SPEED times as
// fast: dates, timers and intervals; frames, and what counts them by performance.now,
// are at their own pace, or the page would take each for a screen that is stuck.
// The heap is measured after a collection at every twelfth of the run. Fails
// when it grows by more than a megabyte an hour over the second half, or when
// the wall is no longer alive at the end.
import { option, Run, root, startDemo, stopDemo } from './lib.mjs';

const hours = Number(option('hours', '12'));
const speed = Number(option('speed', '60'));
const most = Number(option('most', '1'));
const { demo, url } = await startDemo('--port', 0, '--speed', speed);
const run = new Run(url, { shots: option('shots', '') });
// Exact heap figures and a collection at will.
await run.open('--js-flags=--expose-gc', '--enable-precise-memory-info');
// Small, so that a frame in software is over before a fast second is.
const page = await run.screen({ width: 960, height: 540 });
run.excused = true; // a heartbeat late by a frame is a cut of seconds here, which the page rightly reports
await page.addInitScript((factor) => {
  const { setTimeout: later, setInterval: every, Date: RealDate } = window;
  const now = RealDate.now.bind(RealDate);
  const begun = now();
  window.setTimeout = (f, ms = 0, ...rest) => later(f, ms / factor, ...rest);
  window.setInterval = (f, ms = 0, ...rest) => every(f, ms / factor, ...rest);
  const fast = () => begun + (now() - begun) * factor;
  window.Date = class extends RealDate {
    constructor(...args) {
      if (args.length === 0) super(fast());
      else super(...args);
    }
    static now() {
      return fast();
    }
  };
}, speed);
await page.goto(`${url}/#token=demo`);
await run.until('the wall is live', async () => (await root(page)).state === 'live', 30_000);
const cdp = await page.context().newCDPSession(page);
await cdp.send('HeapProfiler.enable');
const heap = async () => {
  await cdp.send('HeapProfiler.collectGarbage');
  await cdp.send('HeapProfiler.collectGarbage');
  const { usedSize } = await cdp.send('Runtime.getHeapUsage');
  const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
  return { mb: usedSize / 2 ** 20, nodes };
};
const steps = 12;
const samples = [];
let live = 0;
for (let i = 0; i <= steps; i++) {
  if (i > 0) {
    // Somebody looks at an alarm now and then, and at its device.
    await page.keyboard.press('j');
    await page.waitForTimeout((hours * 3_600_000) / speed / steps);
    await page.keyboard.press('Escape');
  }
  const { mb, nodes } = await heap();
  // A machine that is late by a frame is late by seconds here: the page says
  // so, rightly, and has to be live again soon.
  let state = await root(page);
  for (const since = Date.now(); state.state !== 'live' && Date.now() - since < 20_000; )
    state = await page.waitForTimeout(20).then(() => root(page));
  if (state.state === 'live') live++;
  samples.push({ hour: (i * hours) / steps, mb });
  console.log(
    `     ${((i * hours) / steps).toFixed(1)} h  ${mb.toFixed(2)} MB  ${nodes} elements  ${state.state}  ${state.alarms} alarms`,
  );
}
// A straight line through the second half: the first fills histories that have a length.
const half = samples.slice(samples.length >> 1);
const mean = (f) => half.reduce((sum, s) => sum + f(s), 0) / half.length;
const [mx, my] = [mean((s) => s.hour), mean((s) => s.mb)];
const slope = mean((s) => (s.hour - mx) * (s.mb - my)) / mean((s) => (s.hour - mx) ** 2);
run.expect(
  `the heap grows by at most ${most} MB an hour`,
  slope <= most,
  `${slope.toFixed(3)} MB/h over the second half`,
);
run.expect('the wall was live at every look', live === steps + 1, `${live} of ${steps + 1} times`);
await run.until(
  'and is at the end',
  async () => (await root(page)).state === 'live' && Number((await root(page)).devices) > 400,
  20_000,
);
await run.shot(page, 'soak');
await run.close();
await stopDemo(demo);
