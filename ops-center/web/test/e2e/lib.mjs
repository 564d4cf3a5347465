// What the browser tests share: a browser, expectations that are counted, and
// pages whose console and requests are watched.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** The value after --name, or what to take otherwise. */
export function option(name, otherwise) {
  const i = process.argv.indexOf(`--${name}`);
  return i < 0 ? otherwise : process.argv[i + 1];
}

/** A browser that draws a map without a graphics card and asks nobody anything. */
export function launch(...args) {
  return chromium.launch({
    executablePath: option('chromium', process.env.CHROMIUM ?? '/usr/bin/chromium'),
    args: [
      '--headless=new',
      '--no-sandbox',
      '--use-gl=angle',
      '--use-angle=swiftshader',
      '--enable-unsafe-swiftshader',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // A map in another device's colours would differ in every pixel.
      '--force-color-profile=srgb',
      ...args,
    ],
  });
}

export const VIETNAMESE = /[ăâđêôơưạảấầậắằặẹếềệịọốồộớờợụứừựỳỵ]/i;

/** One run: what it looked at, what it found wrong. */
export class Run {
  failures = [];
  complaints = [];
  elsewhere = [];
  /** Console messages are rightly there: a server is away, a context is lost. */
  excused = false;

  constructor(url, { shots = '', hosts = [] } = {}) {
    this.url = url;
    this.shots = shots;
    this.hosts = new Set([new URL(url).host, ...hosts]);
    if (shots) mkdirSync(shots, { recursive: true });
    // A script that breaks off says what it had seen until then.
    process.on('uncaughtExceptionMonitor', () => {
      for (const c of this.complaints.slice(0, 10)) console.error(c);
    });
  }

  async open(...args) {
    this.browser = await launch(...args);
  }

  expect(what, met, detail = '') {
    console.log(`${met ? 'ok  ' : 'FAIL'} ${what}${detail === '' ? '' : `: ${detail}`}`);
    if (!met) this.failures.push(what);
    return met;
  }

  /** Waits for something; says how long it took. */
  async until(what, test, patience = 15_000) {
    const started = Date.now();
    for (;;) {
      let met = false;
      try {
        met = await test();
      } catch (error) {
        if (Date.now() - started > patience) console.log(`     ${error}`);
      }
      if (met) return this.expect(what, true, `${((Date.now() - started) / 1000).toFixed(2)} s`);
      if (Date.now() - started > patience) return this.expect(what, false, `not within ${patience / 1000} s`);
      await new Promise((done) => setTimeout(done, 40));
    }
  }

  /** A browser profile of its own: screens and people do not share cookies. */
  async screen({ width = 1920, height = 1080, ...more } = {}) {
    const context = await this.browser.newContext({ viewport: { width, height }, ...more });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on('console', (m) => {
      if (this.excused || (m.type() !== 'error' && m.type() !== 'warning')) return;
      // Said by headless Chromium about its software renderer, not about the page.
      if (/GPU stall|GL Driver Message|swiftshader/i.test(m.text())) return;
      this.complaints.push(`${m.type()}: ${m.text()} ${m.location().url}`);
    });
    page.on('pageerror', (e) => this.complaints.push(`exception: ${e.stack}`));
    this.watch(page);
    return page;
  }

  /** Notes what a page asks of other hosts. */
  watch(page) {
    const seen = (address) => {
      const to = new URL(address);
      if (/^(https?|wss?):$/.test(to.protocol) && !this.hosts.has(to.host)) this.elsewhere.push(address);
    };
    page.on('request', (r) => seen(r.url()));
    page.on('websocket', (ws) => seen(ws.url()));
  }

  shot(page, name) {
    return this.shots
      ? page.screenshot({ path: join(this.shots, `${name}.png`), timeout: 90_000 })
      : undefined;
  }

  /** axe finds nothing serious. */
  async axe(page, where) {
    await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
    const found = await page.evaluate(async () => {
      const result = await window.axe.run(document, { resultTypes: ['violations'] });
      return result.violations
        .filter((v) => v.impact === 'serious' || v.impact === 'critical')
        .map((v) => `${v.id} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 160)}`);
    });
    return this.expect(`axe finds nothing serious in ${where}`, found.length === 0, found.join('; '));
  }

  /** Ends the run; the program's exit says whether all was met. */
  async close() {
    this.expect(
      'no request went anywhere else',
      this.elsewhere.length === 0,
      this.elsewhere.slice(0, 3).join(' '),
    );
    this.expect(
      'the console is clean',
      this.complaints.length === 0,
      this.complaints.slice(0, 5).join(' | '),
    );
    await this.browser.close();
    if (this.failures.length > 0) {
      console.error(`${this.failures.length} not met: ${this.failures.join('; ')}`);
      process.exitCode = 1;
    } else console.log('all met');
  }
}

/** What the document's root says of the wall. */
export const root = (page) =>
  page.evaluate(() => ({ ...document.documentElement.dataset, lang: document.documentElement.lang }));

/** Asks the server as somebody. */
export function asker(url, token) {
  return async (method, path, body) => {
    const answer = await fetch(url + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok)
      throw Object.assign(new Error(`${method} ${path}: ${answer.status} ${text}`), {
        status: answer.status,
      });
    return text ? JSON.parse(text) : undefined;
  };
}

/** The made-up city, in a process of its own: it must not take turns with the browser's driver. */
export async function startDemo(...args) {
  const script = fileURLToPath(new URL('../../scripts/demo-server.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of child.stdout) {
    const found = /http:\S+?(?=\/#)/.exec(String(line));
    if (found) return { demo: child, url: found[0] };
  }
  throw new Error('the made-up city did not start');
}

export async function stopDemo(child) {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
