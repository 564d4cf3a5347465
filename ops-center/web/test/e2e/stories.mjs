// Looks at every story page, as stories/README.md says.
//
//   node test/e2e/stories.mjs [--shots DIR] [--only PART] [--golden write]
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { launch, option, startDemo, stopDemo } from './lib.mjs';
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

async function screen() {
  const context = await browser.newContext({
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

async function look(page, story, [width, height]) {
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
  const serious = () =>
    page.evaluate(async () => {
      const result = await window.axe.run(document, { resultTypes: ['violations'] });
      return result.violations
        .filter((v) => v.impact === 'serious' || v.impact === 'critical')
        .map(
          (v) =>
            `${v.id} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 120)} ${v.nodes[0].any[0]?.message ?? ''}`,
        );
    });
  const words = {};
  for (const lang of ['vi', 'en', 'long']) {
    await page.evaluate((l) => {
      if (l === 'en') window.story.theme('light');
      if (l === 'long') window.story.theme('dark');
      if (l !== 'vi') window.story.language(l);
    }, lang);
    await frames(page);
    await check(lang, probes.clipped, { lenient: lang === 'long' });
    await check(lang, probes.spilling);
    await check(lang, probes.overlapping);
    if (lang !== 'long') {
      words[lang] = await page.evaluate(probes.words);
      for (const wrong of await serious()) fail(`${at} ${lang}: axe: ${wrong}`);
    }
    if (lang === 'vi') {
      await check(lang, probes.tiny, { least: 11 });
      await check(lang, probes.strange);
    }
    await shot(lang);
  }
  await check('both', probes.untranslated, words);
}

const page = await screen();
page.story = 'the list';
await page.goto(`${url}/stories/`);
await page.locator('[data-story="ready"] .story-list').waitFor();
const stories = (
  await page.evaluate(() =>
    [...document.querySelectorAll('[data-spec]')].map((e) => JSON.parse(e.dataset.spec)),
  )
).filter((s) => s.id.includes(only) && s.id !== 'glyphs');
const todo = stories.flatMap((story) => story.sizes.map((size) => ({ story, size })));
const began = Date.now();
const work = async (p) => {
  for (let next = todo.shift(); next; next = todo.shift()) {
    try {
      await look(p, next.story, next.size);
    } catch (error) {
      fail(`${p.story}: ${String(error).slice(0, 300)}`);
    }
  }
};
const count = todo.length;
await Promise.all([work(page), work(await screen())]);
console.log(
  `${count} pictures of ${stories.length} stories in ${((Date.now() - began) / 1000).toFixed(1)} s`,
);
await browser.close();
await stopDemo(demo);
if (failures.length > 0) {
  console.error(`${failures.length} not met`);
  process.exitCode = 1;
} else console.log('all met');
