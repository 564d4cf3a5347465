// A person's look at the map, by a browser, on the made-up city:
//
//   node test/e2e/map.mjs [--shots DIR] [--dist DIR]
//
// Exits 1 and names every expectation that was not met.
import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { option, Run, startDemo, stopDemo } from './lib.mjs';

const shots = option('shots', '');
if (option('dist', '')) process.env.VONGLAU_DIST = option('dist', '');
const demo = await startDemo('--port', 0);
const crowd = await startDemo('--port', 0, '--devices', 6000);
// Also when an expectation throws.
process.on('exit', () => {
  demo.demo.kill();
  crowd.demo.kill();
});
const run = new Run(demo.url, { shots, hosts: [new URL(crowd.url).host] });
await run.open();
const { complaints } = run;
const expect = (what, met, detail) => run.expect(what, met, detail);
// The machine may have other work: only what never comes is a failure.
const until = (what, test, patience = 60_000) => run.until(what, test, patience);
let excused = false;

async function open(url, viewport, stored = {}) {
  const context = await run.browser.newContext({
    viewport,
    acceptDownloads: true,
    // The map jumps: what is looked for does not pass by.
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  // The machine may have other work: only what never comes is a failure.
  page.setDefaultTimeout(60_000);
  await page.addInitScript((items) => {
    for (const [k, v] of Object.entries(items))
      if (localStorage.getItem(k) === null) localStorage.setItem(k, v);
  }, stored);
  page.on('console', (m) => {
    if (excused || (m.type() !== 'error' && m.type() !== 'warning')) return;
    // What was refused is told with its address below; a slow machine connects twice.
    if (
      /GPU stall|GL Driver Message|swiftshader|Failed to load resource|WebSocket is closed before/i.test(
        m.text(),
      )
    )
      return;
    complaints.push(`${m.type()}: ${m.text()}`);
  });
  page.on('response', (r) => {
    if (r.status() >= 400 && !excused) complaints.push(`${r.status()} ${new URL(r.url()).pathname}`);
  });
  page.on('pageerror', (e) => complaints.push(`exception: ${e.stack}`));
  run.watch(page);
  await page.goto(`${url}/#token=demo`);
  await page.waitForFunction(() => document.documentElement.dataset.state === 'live', null, {
    timeout: 30_000,
  });
  await page.waitForFunction(() => Number(document.documentElement.dataset.devices) > 0, null, {
    timeout: 20_000,
  });
  return page;
}

const page = await open(demo.url, { width: 1440, height: 810 });
const shot = (name, on = page) => run.shot(on, name);

/** The map's pixels, without what lies on them. */
async function pixels(on = page) {
  const style = await on.addStyleTag({
    content: '.map > :not(.map-drop) { visibility: hidden } .map .drop-note { visibility: hidden }',
  });
  const clip = await on.locator('.map canvas').first().boundingBox();
  const image = await on.screenshot({ clip, timeout: 60_000 });
  await style.evaluate((node) => node.remove());
  return image.toString('base64');
}
/** How many pixels are near one of these colours, by the sum of the three differences. */
const area = (image, colours, near = 24, on = page) =>
  on.evaluate(
    async ([data, wanted, reach]) => {
      const picture = new Image();
      picture.src = `data:image/png;base64,${data}`;
      await picture.decode();
      const canvas = new OffscreenCanvas(picture.width, picture.height);
      const draw = canvas.getContext('2d', { willReadFrequently: true });
      draw.drawImage(picture, 0, 0);
      const { data: px } = draw.getImageData(0, 0, picture.width, picture.height);
      let n = 0;
      for (let i = 0; i < px.length; i += 4) {
        if (
          wanted.some(
            ([r, g, b]) => Math.abs(px[i] - r) + Math.abs(px[i + 1] - g) + Math.abs(px[i + 2] - b) < reach,
          )
        ) {
          n++;
        }
      }
      return n;
    },
    [image, colours, near],
  );

/** The map's pixels once they stay as they are: tiles and names have come. */
async function settled(on = page, calm = 2) {
  let last = await pixels(on);
  for (let i = 0, same = 0; i < 40 && same < calm; i++) {
    await on.waitForTimeout(300);
    const next = await pixels(on);
    // Buses drive on: the length of the picture hardly changes, its bytes do.
    same = Math.abs(next.length - last.length) < last.length * 0.01 ? same + 1 : 0;
    last = next;
  }
  return last;
}

const plain = await settled();
await shot('map-vi');

// 1. Every overlay by the layer panel, with its legend.
await page.keyboard.press('l');
const overlay = (name) => page.locator('.layers .overlay-head label', { hasText: name }).locator('input');
await overlay('Tô màu theo vùng').check();
await until('zones have a legend', async () => (await page.locator('.overlay-legend').count()) >= 1);
const legend = await page.locator('.overlay-legend').first().textContent();
expect(
  'with the classes of VN_AQI, the unit, and what has no data',
  /µg\/m³/.test(legend) && /Tốt/.test(legend) && /Không có dữ liệu/.test(legend),
  legend.replaceAll('\n', ' | '),
);
/** The part of the pixels that differ. */
const difference = (a, b) =>
  page.evaluate(
    async ([one, other]) => {
      const load = async (data) => {
        const picture = new Image();
        picture.src = `data:image/png;base64,${data}`;
        await picture.decode();
        const canvas = new OffscreenCanvas(picture.width, picture.height);
        const draw = canvas.getContext('2d', { willReadFrequently: true });
        draw.drawImage(picture, 0, 0);
        return draw.getImageData(0, 0, picture.width, picture.height).data;
      };
      const [p, q] = [await load(one), await load(other)];
      let n = 0;
      for (let i = 0; i < p.length; i += 4)
        if (Math.abs(p[i] - q[i]) + Math.abs(p[i + 1] - q[i + 1]) > 40) n++;
      return n / (p.length / 4);
    },
    [a, b],
  );
await until('and colour most of the city', async () => (await difference(plain, await pixels())) > 0.25);
await shot('zones-vi');
await overlay('Tô màu theo vùng').uncheck();

await overlay('Mạng kết nối').check();
await until('the network has a legend', async () =>
  /nút mất tin/.test((await page.locator('.overlay-legend').allTextContents()).join(' ')),
);
if (shots) await settled();
await shot('network-vi');
await overlay('Mạng kết nối').uncheck();

await overlay('Bản đồ nhiệt').check();
await overlay('Đường ngập').check();
await overlay('Vết di chuyển').check();
await until('and three more', async () => (await page.locator('.overlay-legend').count()) >= 2);
if (shots) await settled();
await shot('heat-flood-trails-vi');
const order = () => page.locator('.layers .overlay-head label').allTextContents();
const firstOrder = await order();
await page.locator('.layers .overlay-head').nth(1).locator('button').first().click();
expect('the order changes', (await order())[0] === firstOrder[1], (await order()).join(', '));
await overlay('Bản đồ nhiệt').uncheck();
await page.keyboard.press('Escape');

if (shots) {
  await page.locator('.map-tool-row button', { hasText: 'Dọc sông' }).click();
  await page.waitForTimeout(800);
  await shot('river-vi');
}
await page.keyboard.press('Escape');

// 2. Search without diacritics, by keyboard alone.
await page.keyboard.press('/');
await page.keyboard.type('nguyen o');
await until(
  'a ward is found without diacritics',
  async () => (await page.locator('#map-hits [role="option"]', { hasText: 'Phường Nguyễn Ố' }).count()) === 1,
);
await shot('search-vi');
const before = await page.locator('.scale-bar').textContent();
await page.keyboard.press('Enter');
await until('Enter goes there', async () => (await page.locator('.scale-bar').textContent()) !== before);
if (shots) await settled();
await shot('ward-vi');
await page.keyboard.press('/');
await page.keyboard.type('WL-0001');
await page.locator('#map-hits [role="option"]', { hasText: 'WL-0001' }).first().waitFor();
await page.keyboard.press('Enter');
await until(
  'a device is found by id and shown',
  async () => (await page.locator('.device h2').count()) === 1,
);
await page.keyboard.press('Escape');

// 3. n and p walk through the alarms.
await page.keyboard.press('n');
await until('n goes to the first alarm', async () => (await page.locator('.device h2').count()) === 1);
const firstAlarm = await page.locator('.device h2').textContent();
await page.keyboard.press('n');
await until('and to the next', async () => (await page.locator('.device h2').textContent()) !== firstAlarm);
await page.keyboard.press('p');
await until('p goes back', async () => (await page.locator('.device h2').textContent()) === firstAlarm);
await page.keyboard.press('Escape');
await page.keyboard.press('0');

// 4. The same as a table, and the keys as a list.
await page.keyboard.press('b');
await until(
  'b shows a table of what is in view',
  async () => (await page.locator('.map-table tbody tr').count()) > 50,
);
const first = await page.locator('.map-table tbody tr').first().textContent();
expect('the worst alarm first', /Nguy cấp/.test(first), first);
await shot('table-vi');
await page.keyboard.press('b');
await page.keyboard.press('?');
await until('? lists the keys', async () => (await page.locator('.map-help').count()) === 1);
await shot('help-vi');
await page.keyboard.press('Escape');

// 5. Measuring.
const box = await page.locator('.map canvas').first().boundingBox();
const click = (x, y) => page.mouse.click(box.x + box.width * x, box.y + box.height * y);
await page.locator('.map-tool-row button', { hasText: 'Đo dài' }).click();
await click(0.4, 0.5);
await click(0.6, 0.5);
await until('a distance is measured', async () =>
  /Dài [\d.,]+ (km|m)/.test(await page.locator('.measured').textContent()),
);
await page.locator('.map-tool-row button', { hasText: 'Đo diện tích' }).click();
for (const [x, y] of [
  [0.4, 0.4],
  [0.6, 0.4],
  [0.6, 0.6],
])
  await click(x, y);
await until('an area is measured', async () =>
  /Rộng [\d.,]+ ha/.test(await page.locator('.measured').textContent()),
);
await shot('measure-vi');
await page.keyboard.press('Escape');

// 6. A layer of one's own, dropped on the map; and what is none says why.
const drop = (name, text) =>
  page.evaluate(
    ([n, t]) => {
      const data = new DataTransfer();
      data.items.add(new File([t], n, { type: 'application/geo+json' }));
      document
        .querySelector('.map-drop')
        .dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }));
    },
    [name, text],
  );
await drop('vn2000.geojson', '{"type":"Point","coordinates":[583321.4,2259817.2]}');
await until('projected coordinates are refused in words', async () =>
  /VN-2000/.test(await page.locator('.drop-note').textContent()),
);
await drop(
  'rào chắn.geojson',
  JSON.stringify({
    type: 'Feature',
    properties: { name: 'Rào chắn' },
    geometry: {
      type: 'Polygon',
      coordinates: [
        [
          [106.15, 20.42],
          [106.19, 20.42],
          [106.19, 20.45],
          [106.15, 20.45],
          [106.15, 20.42],
        ],
      ],
    },
  }),
);
await until('a dropped layer is added', async () =>
  /rào chắn/.test(await page.locator('.drop-note').textContent()),
);
const violet = [[0xd3, 0xa4, 0xff]];
const dropped = await area(await settled(), violet, 90);
expect('and painted', dropped > 300, `${dropped} pixels`);

await page.keyboard.press('l');
await page.locator('.layers button', { hasText: 'rao_chan' }).click();
await until('it is given to the server', async () =>
  /rao_chan/.test((await page.locator('.layers p.faint').allTextContents()).join(' ')),
);
const kept = await page.evaluate(async () => (await (await fetch('/v1/layers')).json()).layers);
expect(
  'which has it then',
  kept.some((l) => l.name === 'rao_chan'),
);
await page.keyboard.press('l');

// 7. The context is lost: every sensor, the overlays and the dropped layer come back.
excused = true;
await page.evaluate(() => {
  const canvas = document.querySelector('.map canvas');
  const lose = canvas.getContext('webgl2').getExtension('WEBGL_lose_context');
  canvas.addEventListener('webglcontextlost', () => setTimeout(() => lose.restoreContext(), 300));
  lose.loseContext();
});
await until(
  'the dropped layer is painted again after a lost context',
  async () => (await area(await pixels(), violet, 90)) > dropped * 0.6,
);
excused = false;
await shot('context-restored');

// 8. PNG: a file with the map of the whole city, its title and legend.
await page.keyboard.press('0');
await settled();
const [file] = await Promise.all([
  page.waitForEvent('download'),
  page.locator('.map-tool-row button', { hasText: 'PNG' }).click(),
]);
const saved = join(shots || '/tmp', 'map-export.png');
await file.saveAs(saved);
expect(
  'the map is saved as a picture',
  statSync(saved).size > 50_000,
  `${file.suggestedFilename()}, ${statSync(saved).size} bytes`,
);
/** What a sheet's map has: the part of it that is light, and pixels in colours of alarms. The legend is right of it. */
const onSheet = (src) =>
  page.evaluate(async (address) => {
    const picture = new Image();
    picture.src = address;
    await picture.decode();
    const draw = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
    draw.drawImage(picture, 0, 0);
    const { data: px } = draw.getImageData(20, 75, picture.width * 0.65, picture.height - 130);
    const wanted = [
      [0xf0, 0x32, 0x5a],
      [0xff, 0x9f, 0x40],
    ];
    const found = { light: 0, alarms: 0 };
    for (let i = 0; i < px.length; i += 4) {
      const [r, g, b] = px.subarray(i, i + 3);
      if (r + g + b > 450) found.light += 4 / px.length;
      if (wanted.some((w) => Math.abs(r - w[0]) + Math.abs(g - w[1]) + Math.abs(b - w[2]) < 24))
        found.alarms++;
    }
    return found;
  }, src);
const percent = (part) => `${Math.round(part * 100)} % of it`;
const drawn = await onSheet(`data:image/png;base64,${readFileSync(saved).toString('base64')}`);
expect('as it is on the screen, dark', drawn.light < 0.1, percent(drawn.light));
expect('with its alarms', drawn.alarms > 50, `${drawn.alarms} pixels`);

// The same on paper: one page of A4, landscape, and nothing else on it.
await page.evaluate(() => {
  window.print = () => document.documentElement.setAttribute('data-printed', '');
});
await page.locator('.map-tool-row button', { hasText: 'In' }).click();
await page.locator('html[data-printed] .print-sheet img').waitFor({ state: 'attached' });
// A dark map would cost a cartridge and show nothing: paper is for daylight.
const printed = await onSheet(await page.locator('.print-sheet img').getAttribute('src'));
expect('the dark map is light on paper', printed.light > 0.6, percent(printed.light));
expect('with its alarms', printed.alarms > 50, `${printed.alarms} pixels`);
if (shots) {
  await page.emulateMedia({ media: 'print' });
  await shot('print');
  await page.emulateMedia({ media: null });
}
const paper = (await page.pdf({ preferCSSPageSize: true })).toString('latin1');
const sheets = paper.match(/\/Type\s*\/Page[^s]/g)?.length;
const [, wide, high] = /\/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)/.exec(paper) ?? [];
expect(
  'it prints on one page of A4, landscape',
  sheets === 1 && Math.abs(wide - 842) < 2 && Math.abs(high - 595) < 2,
  `${sheets} pages of ${wide} x ${high} points`,
);
await page.evaluate(() => window.dispatchEvent(new Event('afterprint')));
expect('and the screen is as before', (await page.locator('.print-sheet').count()) === 0);
await until('and as dark', async () => (await page.locator('.map-cover').count()) === 0);
const lit = await area(await pixels(), [[255, 255, 255]], 165);
expect('all of it', lit < box.width * box.height * 0.02, `${lit} light pixels`);

// 9. Light, and English, at once.
await page.keyboard.press('l');
await page.locator('.layers label', { hasText: 'Nền sáng' }).locator('input').check();
await overlay('Tô màu theo vùng').check();
await page.locator('button.language').click();
await until(
  'the light map is light',
  async () => (await area(await settled(), [[255, 255, 255]], 165)) > box.width * box.height * 0.1,
);
await shot('zones-light-en');
const english = (await page.locator('.layers, .overlay-legend, .map-tools, .map-top').allTextContents()).join(
  ' ',
);
// The decree's number and the name of the file are what they are.
const said = (text) => text.replaceAll('QĐ 1459/QĐ-TCMT', '').replaceAll('rào chắn', '');
expect(
  'no Vietnamese is left in the English tools',
  !/[ảấầậắằặẹếềệịọốồộớờợụứừựỳỵ]/i.test(said(english)),
  said(english).match(/\S*[ảấầậắằặẹếềệịọốồộớờợụứừựỳỵ]\S*/i)?.[0] ?? '',
);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
async function accessible(what) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document.querySelector('.map'), { resultTypes: ['violations'] });
    return result.violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .map((v) => `${v.id} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 140)}`);
  });
  expect(`axe finds nothing serious in ${what}`, found.length === 0, found.join('; '));
}
await accessible('the light map and its panel');
await page.keyboard.press('b');
await page.locator('.map-table').waitFor();
await accessible('the table');
await shot('table-light-en');
await page.keyboard.press('b');
await page.locator('.layers label', { hasText: 'Light theme' }).locator('input').uncheck();
await accessible('the dark map and its panel');
await shot('zones-dark-en');
await page.locator('button.language').click();

// 10. A crowd: clusters from far, single devices from near.
await page.close();
const many = await open(crowd.url, { width: 1280, height: 720 });
const clustered = async () => (await many.locator('.overlay-legend').allTextContents()).join(' ');
await until('6,000 devices are shown as clusters', async () => /Gom cụm/.test(await clustered()));
if (shots) await settled(many);
await shot('clusters-vi', many);
for (let i = 0; i < 3; i++) await many.keyboard.press('+');
await until('and one by one from near', async () => !/Gom cụm/.test(await clustered()));
if (shots) await settled(many);
await shot('clusters-near-vi', many);

// 11. Each sensor has its pixels. Where they are follows from the dictionary and the camera;
// whether they are there, from the same map without sensors.
await many.close();
const camera = { center: [106.168, 20.434], zoom: 13 };
const stored = {
  'vonglau.map': JSON.stringify({ camera, layers: [] }),
  'vonglau.hidden': JSON.stringify(['bus']),
};
const near = await open(demo.url, { width: 1280, height: 860 }, stored);
const view = await near.locator('.map canvas').first().boundingBox();
const sensors = await near.evaluate(
  async ([{ center, zoom }, { width, height }]) => {
    const { devices, profiles } = await (await fetch('/v1/live/dictionary')).json();
    const world = 512 * 2 ** zoom;
    const x = (lon) => ((lon + 180) / 360) * world;
    const y = (lat) => ((1 - Math.asinh(Math.tan((lat * Math.PI) / 180)) / Math.PI) / 2) * world;
    return devices.id
      .map((id, i) => ({
        id,
        kind: profiles[devices.profile[i]].class,
        moving: devices.moving[i],
        x: width / 2 + x(devices.lon[i]) - x(center[0]),
        y: height / 2 + y(devices.lat[i]) - y(center[1]),
      }))
      .filter((d) => !d.moving && d.x > 6 && d.y > 6 && d.x < width - 6 && d.y < height - 6);
  },
  [camera, view],
);
/** The sensors around whose place a picture is as the one without any. */
const missing = (picture, bare, without = []) =>
  near.evaluate(
    async ([one, other, places, erased]) => {
      const load = async (data) => {
        const image = new Image();
        image.src = `data:image/png;base64,${data}`;
        await image.decode();
        const draw = new OffscreenCanvas(image.width, image.height).getContext('2d', {
          willReadFrequently: true,
        });
        draw.drawImage(image, 0, 0);
        return draw;
      };
      const [p, q] = [await load(one), await load(other)];
      for (const s of erased) p.putImageData(q.getImageData(s.x - 9, s.y - 9, 18, 18), s.x - 9, s.y - 9);
      return places
        .filter(({ x, y }) => {
          const box = [Math.round(x) - 5, Math.round(y) - 5, 10, 10];
          const [a, b] = [p.getImageData(...box).data, q.getImageData(...box).data];
          let different = 0;
          for (let i = 0; i < a.length; i += 4) {
            const apart =
              Math.abs(a[i] - b[i]) + Math.abs(a[i + 1] - b[i + 1]) + Math.abs(a[i + 2] - b[i + 2]);
            if (apart > 30) different++;
          }
          return different < 3;
        })
        .map((s) => s.id);
    },
    [picture, bare, sensors, without],
  );
const full = await settled(near);
await shot('sensors', near);
await near.keyboard.press('l');
/** Shows or hides each kind of device: those are listed with their number, base layers are not. */
const kinds = (wanted) =>
  near.evaluate((on) => {
    for (const label of document.querySelectorAll('.layers label')) {
      const box = label.querySelector('input[type=checkbox]');
      if (box && /\d\s*$/.test(label.textContent) && box.checked !== on) box.click();
    }
  }, wanted);
await kinds(false);
await until(
  'no kind of device is drawn',
  async () => Number(await near.evaluate(() => document.documentElement.dataset.devices)) === 0,
);
const bare = await settled(near);
const absent = await missing(full, bare);
expect(
  `each of ${sensors.length} sensors in view has its pixels`,
  absent.length === 0 && sensors.length > 100,
  absent.slice(0, 8).join(' '),
);
// What is looked for is found: alone, where nothing else lies on it.
const alone = sensors.filter((s) =>
  sensors.every((o) => o === s || Math.max(Math.abs(o.x - s.x), Math.abs(o.y - s.y)) > 40),
);
const one = alone[Math.floor(alone.length / 2)];
const caught = await missing(full, bare, [one]);
expect('a single missing one is noticed', caught.join() === one.id, `${one.id}: ${caught.join(' ')}`);
await kinds(true);
await near.keyboard.press('l');

// Of several under one pointer a list asks which is meant.
const pair = sensors.find((s) =>
  sensors.some((o) => o !== s && Math.hypot(o.x - s.x, o.y - s.y) < 6 && s.y > 120 && s.x < view.width - 120),
);
await until('the sensors are back', async () => (await missing(await pixels(near), bare)).length === 0);
await near.mouse.click(view.x + pair.x, view.y + pair.y);
await until('two under one pointer are listed', async () => (await near.locator('.picked li').count()) >= 2);
await near.keyboard.press('ArrowDown');
const meant = (await near.locator('.picked li button:focus').textContent())?.replace(/^\d/, '');
await near.keyboard.press('Enter');
await until(
  'and the one meant is chosen by keyboard',
  async () => (await near.locator('.device h2').textContent())?.includes(meant) === true,
);

await run.close();
await stopDemo(demo.demo);
await stopDemo(crowd.demo);
