// Looks at every story page, as stories/README.md says.
//
//   node test/e2e/stories.mjs [--shots DIR] [--only PART] [--golden write]
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { launch, option, startDemo, stopDemo } from './lib.mjs';
import { compare, feet, indexed, pixels } from './picture.mjs';
import * as probes from './probes.mjs';

const shots = option('shots', '');
const only = option('only', '');
if (shots) mkdirSync(shots, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const { demo, url } = await startDemo('--port', 0);
const browser = await launch('--font-render-hinting=none', '--disable-lcd-text');
const host = new URL(url).host;
const failures = [];
const fail = (what) => {
  failures.push(what);
  console.log(`FAIL ${what}`);
};
const expect = (what, met, detail = '') =>
  met ? console.log(`ok   ${what}: ${detail}`) : fail(`${what}: ${detail}`);

/** Pages with a map are drawn at half of the pixels: without a graphics card those are most of the work. */
async function screen(coarse) {
  const context = await browser.newContext({
    deviceScaleFactor: coarse && !shots ? 0.5 : 1,
    viewport: { width: 1280, height: 900 },
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.story = '';
  page.on('console', (m) => {
    if (m.type() !== 'error' && m.type() !== 'warning') return;
    if (/GPU stall|GL Driver Message|swiftshader|unauthorised|AudioContext/i.test(m.text())) return;
    fail(`${page.story}: the console says ${m.text().slice(0, 200)}`);
  });
  page.on('pageerror', (e) => fail(`${page.story}: ${e.stack?.slice(0, 300)}`));
  page.on('request', (r) => {
    const to = new URL(r.url());
    if (/^(https?|wss?):$/.test(to.protocol) && to.host !== host) fail(`${page.story}: asked ${r.url()}`);
  });
  return page;
}

const frames = (page) =>
  page.evaluate(
    () =>
      new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20)))),
  );

async function look(page, story, [width, height], first) {
  const at = `${story.id} ${width}×${height}`;
  page.story = at;
  await page.setViewportSize({ width, height });
  await page.goto(`${url}/stories/?story=${encodeURIComponent(story.id)}`);
  await page.waitForFunction(() => document.documentElement.dataset.story, null, { polling: 50 });
  const state = await page.evaluate(() => document.documentElement.dataset.story);
  if (state !== 'ready') return fail(`${at}: ${state}`);
  await page.evaluate(axe);
  await page.evaluate(probes.install);
  const check = async (lang, probe, given) => {
    for (const wrong of (await page.evaluate(probe, given)).slice(0, 6)) fail(`${at} ${lang}: ${wrong}`);
  };
  const shot = (name) =>
    shots && page.screenshot({ path: join(shots, `${story.id.replaceAll('/', '-')}-${width}-${name}.png`) });
  // The second look is at the other colours: what has no colour is the same.
  const serious = (runOnly) =>
    page.evaluate(async (only) => {
      const result = await window.axe.run(document, { resultTypes: ['violations'], ...only });
      return result.violations
        .filter((v) => v.impact === 'serious' || v.impact === 'critical')
        .map(
          (v) =>
            `${v.id} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 120)} ${v.nodes[0].any[0]?.message ?? ''}`,
        );
    }, runOnly);
  const words = {};
  // At its other sizes only what depends on the size is looked at.
  for (const lang of first ? ['vi', 'en', 'long'] : ['vi', 'long']) {
    await page.evaluate((l) => {
      if (l === 'en') window.story.theme('light');
      if (l === 'long') window.story.theme('dark');
      if (l !== 'vi') window.story.language(l);
    }, lang);
    await frames(page);
    await check(lang, probes.clipped, { lenient: lang === 'long' });
    await check(lang, probes.spilling);
    await check(lang, probes.overlapping);
    if (first && lang !== 'long') {
      words[lang] = await page.evaluate(probes.words);
      for (const wrong of await serious(lang === 'vi' ? {} : { runOnly: ['color-contrast'] }))
        fail(`${at} ${lang}: axe: ${wrong}`);
    }
    if (first && lang === 'vi') {
      await check(lang, probes.tiny, { least: 11 });
      await check(lang, probes.strange);
    }
    await shot(lang);
  }
  if (first) await check('both', probes.untranslated, words);
}

/** What is on the screen when it does not change any more. */
async function still(page) {
  let before = '';
  for (let i = 0; i < 40; i++) {
    const now = (await page.screenshot()).toString('base64');
    if (now === before) return now;
    before = now;
    await page.waitForTimeout(150);
  }
  fail(`${page.story} does not come to rest`);
  return before;
}

const openStory = async (page, story, size, more = '') => {
  page.story = story.id;
  await page.setViewportSize({ width: size[0], height: size[1] });
  await page.goto(`${url}/stories/?story=${encodeURIComponent(story.id)}${more}`);
  await page.waitForFunction(() => document.documentElement.dataset.story, null, { polling: 50 });
};

/**
 * Pictures that are kept. They are compared by the means of fields of four by
 * four pixels: a letter drawn a little softer changes none of them by much, a
 * symbol that is not there changes several. TOLERANCE is how many may differ.
 */
const TOLERANCE = 5;
async function pictures(page, list) {
  for (const story of list) {
    const file = new URL(`golden/${story.id.replaceAll('/', '-')}.png`, import.meta.url);
    await openStory(page, story, story.sizes[0]);
    // The one counts the sensors, which are to be seen; the other is as long as the page is old.
    const quiet = { content: '.map-top, .tile .sparkline { visibility: hidden }' };
    await page.addStyleTag(quiet);
    const now = await still(page);
    if (option('golden', '') === 'write') {
      writeFileSync(file, indexed(await page.evaluate(pixels, now)));
      continue;
    }
    const kept = readFileSync(file).toString('base64');
    const differ = await page.evaluate(compare, [kept, now]);
    expect(`${story.id} looks as it did`, differ.n <= TOLERANCE, `${differ.n} fields differ ${differ.box}`);
    if (!story.without) continue;
    await openStory(page, story, story.sizes[0], `&without=${story.without}`);
    await page.addStyleTag(quiet);
    const less = await page.evaluate(compare, [kept, await still(page)]);
    expect(`${story.id} without ${story.without} does not`, less.n > TOLERANCE, `${less.n} fields differ`);
  }
}

/** The capitals that MapLibre drops stand on the line on which an H stands. */
async function capitals(page) {
  await openStory(page, { id: 'glyphs' }, [900, 900]);
  const data = await still(page);
  const labels = await page.evaluate(() => window.labels);
  const lines = await page.evaluate(feet, [data, labels]);
  const wrong = lines.filter((l) => l.text !== 'HgH' && !(Math.abs(l.off) <= 2));
  expect(
    'capitals with two marks stand on the line of the map’s labels',
    wrong.length === 0 && lines.length >= 16,
    wrong.map((l) => `${l.text} ${l.face}: ${l.off} px`).join(', ') || `${lines.length} labels`,
  );
  const hangs = lines.filter((l) => l.text === 'HgH');
  expect(
    'a letter that hangs is seen to hang',
    hangs.length > 0 && hangs.every((l) => l.off > 3),
    hangs.map((l) => `${l.off} px`).join(', '),
  );
}

const page = await screen(false);
page.story = 'the list';
await page.goto(`${url}/stories/`);
await page.locator('[data-story="ready"] .story-list').waitFor();
const stories = (
  await page.evaluate(() =>
    [...document.querySelectorAll('[data-spec]')].map((e) => JSON.parse(e.dataset.spec)),
  )
).filter((s) => s.id.includes(only));
const todo = stories
  .filter((s) => s.id !== 'glyphs')
  .flatMap((story) => story.sizes.map((size) => ({ story, size })));
const count = todo.length;
const began = Date.now();
/** Takes what is of its kind, then what is left. */
async function work(coarse) {
  for (const kind of [coarse, !coarse]) {
    const p = await screen(kind);
    for (;;) {
      const next = todo.findIndex((t) => t.story.canvas === kind);
      if (next < 0) break;
      const [{ story, size }] = todo.splice(next, 1);
      try {
        await look(p, story, size, size === story.sizes[0]);
      } catch (error) {
        fail(`${p.story}: ${String(error).slice(0, 300)}`);
      }
    }
    await p.context().close();
  }
}
if (option('golden', '') !== 'write') await Promise.all([work(true), work(false)]);
await pictures(
  page,
  stories.filter((s) => s.golden),
);
if (stories.some((s) => s.id === 'glyphs')) await capitals(page);
console.log(`${count} looks at ${stories.length} stories in ${((Date.now() - began) / 1000).toFixed(1)} s`);
await browser.close();
await stopDemo(demo);
if (failures.length > 0) {
  console.error(`${failures.length} not met`);
  process.exitCode = 1;
} else console.log('all met');
