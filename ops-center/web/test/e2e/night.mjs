// The operator's night, on a simulated city: an alarm is found on the map, handled,
// put on the wall and written down; the server dies and comes back in the middle of
// it, the graphics are lost, the machine's clock is wrong; and the shift ends.
//
//   node test/e2e/night.mjs --url http://[::1]:8080 --an TOKEN --binh TOKEN --admin TOKEN [--shots DIR]
//
// firmware-sim runs a typhoon, the display hall-1 and the department so-xd are there,
// An and Bình are operators. The line "kill the server" asks whoever runs this to end
// it with SIGKILL and to start it again, on the same address, three seconds later.
import { asker, option, Run, root } from './lib.mjs';

const url = option('url', 'http://[::1]:8080');
const ask = asker(url, option('admin', ''));
const run = new Run(url, { shots: option('shots', '') });
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const PATIENCE = 60_000;
await run.open();

const alarms = async () => (await ask('GET', '/v1/alarms')).alarms;
const alarm = async (id) => (await ask('GET', `/v1/alarms/${encodeURIComponent(id)}`)).alarm;
const live = (page, who) =>
  run.until(
    `${who} is live`,
    async () => {
      const r = await root(page);
      return r.state === 'live' && Number(r.alarms) >= 1;
    },
    PATIENCE,
  );
/** A picture is for people to look at: one that a busy machine cannot take fails nothing. */
const shot = (page, name) => run.shot(page, name)?.catch(() => console.log(`     no picture ${name}`));
/**
 * Pixels of the map in colours that only alarms have, of all of it or of what is
 * within so many pixels of its middle.
 */
const coloured = async (page, within = 1e9) => {
  const image = await page.locator('.map canvas').first().screenshot();
  return page.evaluate(
    async ([data, within]) => {
      const picture = new Image();
      picture.src = `data:image/png;base64,${data}`;
      await picture.decode();
      const draw = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
      draw.drawImage(picture, 0, 0);
      const { data: px } = draw.getImageData(0, 0, picture.width, picture.height);
      const wanted = [
        [0xf0, 0x32, 0x5a],
        [0xff, 0x9f, 0x40],
        [0xff, 0xf3, 0xa6],
        [0x3f, 0x8f, 0xe0],
      ];
      let n = 0;
      for (let i = 0; i < px.length; i += 4) {
        const [x, y] = [(i / 4) % picture.width, Math.floor(i / 4 / picture.width)];
        if (Math.max(Math.abs(x - picture.width / 2), Math.abs(y - picture.height / 2)) > within) continue;
        if (
          wanted.some(
            ([r, g, b]) => Math.abs(px[i] - r) + Math.abs(px[i + 1] - g) + Math.abs(px[i + 2] - b) < 24,
          )
        )
          n++;
      }
      return n;
    },
    [image.toString('base64'), within],
  );
};

/** Goes to a device's alarm by the palette, as somebody would who knows its name. */
async function find(page, device) {
  await page.keyboard.press('Control+k');
  await dialog(page, 'input').waitFor();
  await page.keyboard.type(device);
  await page.locator('.palette [role="option"]', { hasText: 'Cảnh báo' }).first().waitFor();
  await page.keyboard.press('Enter');
  await closed(page);
}
/** The same, to one certain alarm of the device. */
async function choose(page, device, wanted) {
  await find(page, device);
  await page.locator('.alarm-page[data-alarm]').waitFor();
  // A worse one of the same device may have come since: this one is in the list below it.
  if ((await page.locator('.alarm-page').getAttribute('data-alarm')) !== wanted)
    await page.locator(`.queue [data-alarm="${wanted}"]`).click();
  await page.locator(`.alarm-page[data-alarm="${wanted}"]`).waitFor();
}
/** A priority 1 asks for words first. */
async function acknowledge(page, note) {
  await page.keyboard.press('a');
  await sleep(300);
  if ((await page.locator('dialog[open] textarea').count()) === 0) return;
  await page.keyboard.type(note);
  await page.keyboard.press('Enter');
}

const dialog = (page, inside) => page.locator(`dialog[open] ${inside}`).first();
const closed = (page) => page.locator('dialog[open]').first().waitFor({ state: 'detached' });

const an = await run.screen({ width: 1600, height: 900 });
// An's map was left a long way out of the city.
await an.addInitScript(() => {
  localStorage.setItem('vonglau.map', JSON.stringify({ camera: { center: [106.168, 20.6], zoom: 13 } }));
});
await an.goto(`${url}/desk#token=${encodeURIComponent(option('an', ''))}`);
await live(an, "An's desk");
await run.until('the map has the city', async () => Number((await root(an)).devices) >= 60, PATIENCE);
run.expect('its map is elsewhere', (await coloured(an, 40)) === 0);
await an.keyboard.press('v');
await dialog(an, 'button.main').click();
await run.until('An is on shift', async () =>
  (await ask('GET', '/v1/shift')).on.some((d) => d.name === 'An'),
);
await an.keyboard.press('Escape');
await closed(an);

// 1. An alarm of the city, of a device that has a place; found on the map by one key.
const placed = async () => {
  const d = await ask('GET', '/v1/live/dictionary').then((x) => x.devices);
  return (await alarms())
    .filter((a) => a.state === 'unacknowledged' && a.device)
    .map((a) => ({ ...a, at: [d.lon[d.id.indexOf(a.device)], d.lat[d.id.indexOf(a.device)]] }))
    .filter((a) => Number.isFinite(a.at[0]) && !d.moving[d.id.indexOf(a.device)]);
};
let chosen;
await run.until(
  'an alarm of a device on the map is open',
  async () => {
    [chosen] = await placed();
    return chosen !== undefined;
  },
  PATIENCE,
);
await find(an, chosen.device);
await run.until(
  'the palette leads to its page',
  async () => (await an.locator('.alarm-page[data-alarm]').count()) === 1,
);
// Of two alarms of one device the palette has the worse first: that one it is from here on.
const id = await an.locator('.alarm-page[data-alarm]').getAttribute('data-alarm');
await an.keyboard.press('m');
await run.until('M brings it to the middle of the map', async () => (await coloured(an, 40)) >= 100, 20_000);
await shot(an, 'night-found-vi');

// 2. A colleague, whose machine is two hours ahead, goes for the same alarm: the one who was
// first has it, and the other is told who.
await an.keyboard.press('c');
await run.until('C claims it', async () => (await alarm(id)).claimed?.by === 'An');
const binh = await run.screen({ width: 1366, height: 768 });
await binh.addInitScript((ahead) => {
  const Real = Date;
  window.Date = class extends Real {
    constructor(...args) {
      if (args.length === 0) super(Real.now() + ahead);
      else super(...args);
    }
    static now() {
      return Real.now() + ahead;
    }
  };
}, 2 * 3_600_000);
await binh.goto(`${url}/desk#token=${encodeURIComponent(option('binh', ''))}`);
await live(binh, "Bình's desk");
await choose(binh, chosen.device, id);
run.excused = true; // the browser itself writes down each 409
await acknowledge(binh, 'Tôi cũng thấy');
await run.until(
  'who comes second is told who was first',
  async () =>
    (await binh.locator('.outcome').getAttribute('data-outcome')) === 'first' &&
    ((await binh.locator('.outcome').textContent()) ?? '').includes('An'),
);
run.excused = false;
run.expect('and has not acknowledged it', (await alarm(id)).acknowledged === undefined);
await shot(binh, 'night-conflict-vi');

// 3. Handled: acknowledged, given to a department, put on the wall, written down.
await acknowledge(an, 'Đã gọi đội trực');
await run.until('A acknowledges it', async () => (await alarm(id)).acknowledged?.by === 'An');
await closed(an);
await an.keyboard.press('g');
await dialog(an, 'input[list]').fill('so-xd');
await dialog(an, 'textarea').focus();
await an.keyboard.press('Enter');
await run.until(
  'G gives it to a department',
  async () => (await alarm(id))?.assigned?.department === 'so-xd',
);
await closed(an);
await an.keyboard.press('w');
await run.until('the wall is chosen', async () => dialog(an, 'input[type="checkbox"]').isChecked());
await dialog(an, 'button.main').focus();
await an.keyboard.press('Enter');
// A priority 1 of the storm may lie over it by now: what was put there is under it.
const pushed = async () => (await ask('GET', '/v1/displays/hall-1')).pushes.some((p) => p.by === 'An');
await run.until('W puts it on the wall', pushed);
await closed(an);
await an.keyboard.press('v');
await dialog(an, 'textarea').fill('Ngập đang lên, đã báo Sở Xây dựng');
await an.keyboard.press('Enter');
const written = async () => (await ask('GET', '/v1/log')).entries;
await run.until('the log has it', async () =>
  (await written()).some((e) => e.text?.startsWith('Ngập đang lên') && e.alarm === id),
);
await an.keyboard.press('Escape');
await closed(an);

// 4. Another is laid aside for a quarter of an hour, and taken back.
let other;
await run.until(
  'another alarm is open',
  async () => {
    const open = await placed();
    // The only one of its device: the palette leads to it.
    other = open.find(
      (a) => a.device !== chosen.device && open.filter((o) => o.device === a.device).length === 1,
    );
    return other !== undefined;
  },
  PATIENCE,
);
await choose(an, other.device, other.id);
await an.keyboard.press('s');
await dialog(an, 'input[type="radio"]').waitFor();
await dialog(an, 'textarea').focus();
await an.keyboard.type('Đang sửa tại chỗ');
await an.keyboard.press('Enter');
await run.until('S shelves it, with the reason', async () => {
  const a = await alarm(other.id);
  return a.state === 'shelved' && a.shelved?.by === 'An' && a.shelved?.reason === 'Đang sửa tại chỗ';
});
await closed(an);
await run.until(
  'its page says so',
  async () => (await an.locator('.act-row button', { hasText: 'Bỏ tạm gác' }).count()) === 1,
);
await an.keyboard.press('u');
await run.until('U brings it back', async () => (await alarm(other.id)).state !== 'shelved');
await choose(an, chosen.device, id);

// 5. The line is cut while something is being said: it is neither lost nor said twice.
await an.keyboard.press('b');
await dialog(an, 'textarea').waitFor();
await an.keyboard.type('Đội thoát nước đã đến');
run.excused = true;
await an.context().setOffline(true);
await an.keyboard.press('Enter');
await run.until(
  'a remark without a line waits',
  async () => (await an.locator('.outcome').getAttribute('data-outcome')) === 'unsure',
);
const remarks = async () =>
  (await alarm(id)).comments?.filter((c) => c.text === 'Đội thoát nước đã đến') ?? [];
run.expect('the server has nothing of it', (await remarks()).length === 0);
await run.until('the desk says that it is cut off', async () => (await root(an)).state === 'stale', 20_000);
await an.context().setOffline(false);
await live(an, 'the desk, with the line back,');
await run.until('and what waited is said', async () => (await remarks()).length > 0, 20_000);
await run.until(
  'as the desk shows',
  async () => (await an.locator('.outcome').getAttribute('data-outcome')) === 'done',
  20_000,
);
run.expect('once', (await remarks()).length === 1);
run.excused = false;

// 6. The server is killed under the open desk. What was done is there when it is back,
// and the desk goes on without anybody touching it.
run.excused = true;
console.log('kill the server');
await run.until('the desk says that it is cut off', async () => (await root(an)).state === 'stale', 20_000);
run.expect(
  'acts are off, with the reason beside them',
  (await an.locator('.act-row button.main').first().isDisabled()) &&
    ((await an.locator('#why-off').textContent()) ?? '') !== '',
);
await shot(an, 'night-killed-vi');
await live(an, 'the desk, by itself,');
run.expect(
  'the acts before the kill were kept',
  (await alarm(id)).assigned?.department === 'so-xd' && (await pushed()),
);
run.expect(
  'and so was the log, once',
  (await written()).filter((e) => e.text?.startsWith('Ngập đang lên')).length === 1,
);
run.expect(
  'An is still on shift',
  (await ask('GET', '/v1/shift')).on.some((d) => d.name === 'An'),
);
await run.until('the map has the city again', async () => Number((await root(an)).devices) >= 60, PATIENCE);
await live(binh, 'the other desk, by itself,');
run.excused = false;

// 7. The graphics are lost under it; the sensors come back.
const style = await an.addStyleTag({ content: '.legend, .map-top, .map-zoom { visibility: hidden }' });
let before = 0;
await run.until(
  'its alarm is painted',
  async () => {
    before = await coloured(an);
    return before >= 20;
  },
  20_000,
);
run.excused = true; // MapLibre warns, rightly, that it cannot restore a custom layer
await an.evaluate(() => {
  const gl = document.querySelector('.map canvas').getContext('webgl2');
  window.lost = gl.getExtension('WEBGL_lose_context');
  window.lost.loseContext();
});
await run.until('it is gone with the graphics', async () => (await coloured(an)) < before / 2, 10_000);
await an.evaluate(() => window.lost.restoreContext());
await run.until('and back with them', async () => (await coloured(an)) >= before / 2, 20_000);
run.excused = false;
await style.evaluate((node) => node.remove());

// 8. The colleague's machine is two hours ahead all the time: what is shown is the server's time.
await live(binh, 'the desk with a wrong clock');
const seconds = (text) => text.split(':').reduce((s, n) => 60 * s + Number(n), 0);
const away = async () => {
  const shown = /\d{2}:\d{2}:\d{2}/.exec((await binh.locator('.clock').first().textContent()) ?? '')?.[0];
  const true_ = new Date().toLocaleTimeString('en-GB', { timeZone: 'Asia/Ho_Chi_Minh', hour12: false });
  const off = Math.abs(seconds(shown ?? '0:0:0') - seconds(true_));
  return Math.min(off, 86_400 - off);
};
await run.until('shows the time of the server', async () => (await away()) <= 10, 20_000);
await shot(binh, 'night-clock-vi');

await binh.context().close();

// 9. The shift ends, with words for the next one; the paper has what is open.
await an.keyboard.press('v');
await dialog(an, '.log').waitFor();
await an.evaluate(() => {
  window.print = () => {
    window.printed = document.querySelector('.handover')?.textContent ?? '';
    window.dispatchEvent(new Event('afterprint'));
  };
});
await an.locator('dialog[open] .shift-head button').first().click();
await run.until('the hand-over on paper names the alarm and the log', async () => {
  const paper = (await an.evaluate(() => window.printed)) ?? '';
  return paper.includes('Biên bản bàn giao ca') && paper.includes('Ngập đang lên');
});
await dialog(an, 'textarea').fill('Bàn giao: theo dõi mực nước');
await shot(an, 'night-handover-vi');
await an.locator('dialog[open] button.main', { hasText: 'Kết thúc ca' }).click();
await run.until(
  'An is off shift',
  async () => !(await ask('GET', '/v1/shift')).on.some((d) => d.name === 'An'),
);
run.expect(
  'with the words for the next',
  (await written()).some((e) => e.kind === 'shift_end' && e.text === 'Bàn giao: theo dõi mực nước'),
);
await run.close();
