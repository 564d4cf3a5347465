// The wall at the sizes walls have, and a look that misses no sensor.
//
//   node test/e2e/sizes.mjs [--shots DIR]
//
// At each size the map's canvas has all of its pixels, every alarm in view is
// painted and nothing is wider than the screen. Then two pictures of one city
// are compared: of themselves they are the same within the tolerance, and one
// normal sensor less, a few grey pixels, is outside of it.
import { option, Run, root, startDemo, stopDemo } from './lib.mjs';

const still = ['--port', 0, '--still', 'yes'];
let { demo, url } = await startDemo(...still);
const run = new Run(url, { shots: option('shots', '') });
await run.open();
run.excused = true; // screens of this size are slow in software: frames come late, and the page says so

async function open(width, height) {
  const page = await run.screen({ width, height });
  page.setDefaultTimeout(60_000);
  await page.goto(`${url}/#token=demo`);
  await run.until(`${width} × ${height} is live`, async () => (await root(page)).state === 'live', 60_000);
  await run.until('with its devices', async () => Number((await root(page)).devices) >= 400, 60_000);
  return page;
}
for (const [width, height] of [
  [1920, 1080],
  [3840, 2160],
  [5760, 1080],
  [7680, 2160],
]) {
  const page = await open(width, height);
  await page.waitForTimeout(2500);
  const seen = await page.evaluate(() => {
    const canvas = document.querySelector('.map canvas');
    const box = canvas.getBoundingClientRect();
    return {
      full:
        Math.abs(canvas.width - box.width * devicePixelRatio) <= 1 &&
        Math.abs(canvas.height - box.height * devicePixelRatio) <= 1,
      size: `${canvas.width} × ${canvas.height}`,
      fits:
        document.documentElement.scrollWidth <= innerWidth &&
        document.documentElement.scrollHeight <= innerHeight,
    };
  });
  run.expect('the map has all of its pixels', seen.full, seen.size);
  run.expect('the page fits', seen.fits);
  await run.shot(page, `size-${width}x${height}`);
  await page.context().close();
}

/** The map alone, when nothing on it moves any more. */
async function picture() {
  const page = await open(1600, 900);
  await page.addStyleTag({
    content: '.legend, .map-top, .map-zoom, .scale-bar, .attribution, .map-tools { visibility: hidden }',
  });
  await page.waitForTimeout(5000);
  const image = await page.locator('.map canvas').first().screenshot();
  return { page, image: image.toString('base64') };
}
/** How many pixels differ by more than a tenth of the range, and where. */
const differ = (page, a, b) =>
  page.evaluate(
    async ([one, two]) => {
      const pixels = async (data) => {
        const picture = new Image();
        picture.src = `data:image/png;base64,${data}`;
        await picture.decode();
        const draw = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
        draw.drawImage(picture, 0, 0);
        return draw.getImageData(0, 0, picture.width, picture.height);
      };
      const [p, q] = [await pixels(one), await pixels(two)];
      let n = 0;
      const box = [1e9, 1e9, -1, -1];
      for (let i = 0; i < p.data.length; i += 4) {
        const most = Math.max(...[0, 1, 2].map((c) => Math.abs(p.data[i + c] - q.data[i + c])));
        if (most <= 25) continue;
        n++;
        const [x, y] = [(i / 4) % p.width, Math.floor(i / 4 / p.width)];
        box[0] = Math.min(box[0], x);
        box[1] = Math.min(box[1], y);
        box[2] = Math.max(box[2], x);
        box[3] = Math.max(box[3], y);
      }
      return { n, box };
    },
    [a, b],
  );
const TOLERANCE = 6;
const first = await picture();
// A sensor with nothing to say: it stands in the middle of the map, where no panel lies.
const gone = await first.page.evaluate(async () => {
  const d = (await (await fetch('/v1/live/dictionary')).json()).devices;
  const { alarms } = await (await fetch('/v1/alarms')).json();
  const loud = new Set(alarms.map((a) => a.device));
  const mid = (list) => list.filter((x) => x !== null).toSorted((a, b) => a - b)[list.length >> 1];
  const [x, y] = [mid(d.lon), mid(d.lat)];
  return d.id
    .map((id, i) => ({
      id,
      far: d.lon[i] === null || loud.has(id) ? 9 : Math.hypot(d.lon[i] - x, d.lat[i] - y),
    }))
    .toSorted((a, b) => a.far - b.far)[0].id;
});
await first.page.context().close();
const again = await picture();
const same = await differ(again.page, first.image, again.image);
run.expect('a second picture is the same', same.n <= TOLERANCE, `${same.n} pixels differ`);
await again.page.context().close();
await stopDemo(demo);
({ demo, url } = await startDemo(...still, '--without', gone));
run.hosts.add(new URL(url).host);
const less = await picture();
const missing = await differ(less.page, first.image, less.image);
const side = Math.max(missing.box[2] - missing.box[0], missing.box[3] - missing.box[1]);
run.expect(
  'one sensor less is seen',
  missing.n > TOLERANCE && side < 24,
  `${gone}: ${missing.n} pixels differ, at ${missing.box.join(' ')}`,
);
await run.close();
await stopDemo(demo);
