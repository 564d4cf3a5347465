// What a person waits for: the first load, and a report's way to its pixel; and what
// a screen costs the line. All of it against a real server.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { WebSocket } from 'ws';
import { launch } from '../lib.mjs';
import { device } from './server.mjs';
import { kilo, median, quantile, spread } from './table.mjs';

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/**
 * Runs in the page before its own scripts. Only the sensors' layer draws points:
 * when it has, they are in the frame's buffer, which can be read until the task ends.
 */
function probe() {
  const marks = { live: 0, painted: 0, shown: 0 };
  const looks = []; // [alarm pixels in the middle, when], each time they come or go
  Object.assign(window, { budgetMarks: marks, budgetLooks: looks });
  const wanted = [0xff, 0x9f, 0x40];
  const look = (gl) => {
    const side = 24;
    const px = new Uint8Array(side * side * 4);
    const { drawingBufferWidth: w, drawingBufferHeight: h } = gl;
    const bound = gl.getParameter(gl.FRAMEBUFFER_BINDING);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.readPixels((w - side) >> 1, (h - side) >> 1, side, side, gl.RGBA, gl.UNSIGNED_BYTE, px);
    gl.bindFramebuffer(gl.FRAMEBUFFER, bound);
    let n = 0;
    for (let i = 0; i < px.length; i += 4)
      if (
        Math.abs(px[i] - wanted[0]) + Math.abs(px[i + 1] - wanted[1]) + Math.abs(px[i + 2] - wanted[2]) <
        40
      )
        n++;
    const alarm = n > 12;
    if (looks.at(-1)?.[0] !== alarm) looks.push([alarm, performance.timeOrigin + performance.now()]);
  };
  const contextOf = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    const gl = contextOf.call(this, kind, ...rest);
    if (kind !== 'webgl2' || !gl || Object.hasOwn(gl, 'drawArrays')) return gl;
    let due = false;
    const after = (count) => {
      if (count === 0) return;
      if (!marks.painted) {
        marks.painted = performance.now();
        requestAnimationFrame(() => {
          marks.shown = performance.now();
        });
      }
      if (due || !window.budgetLooking) return;
      due = true;
      queueMicrotask(() => {
        due = false;
        look(gl);
      });
    };
    for (const name of ['drawArrays', 'drawElements']) {
      const draw = gl[name].bind(gl);
      gl[name] = (mode, ...more) => {
        draw(mode, ...more);
        if (mode === gl.POINTS) after(name === 'drawArrays' ? more[1] : more[0]);
      };
    }
    return gl;
  };
  const state = () => {
    if (document.documentElement?.dataset.state !== 'live') return false;
    marks.live ||= performance.now();
    return true;
  };
  const watch = new MutationObserver(() => {
    if (state()) watch.disconnect();
  });
  watch.observe(document, {
    subtree: true,
    attributes: true,
    childList: true,
    attributeFilter: ['data-state'],
  });
}

const ready = (page, devices = 1) =>
  page.waitForFunction(
    (n) =>
      document.documentElement.dataset.state === 'live' &&
      Number(document.documentElement.dataset.devices) >= n &&
      window.budgetMarks.shown > 0,
    devices,
    { timeout: 60_000 },
  );

/** The bytes of an answer as the server sends it to a browser, headers not counted. */
function onWire(address) {
  return new Promise((resolve, reject) => {
    get(address, { headers: { 'Accept-Encoding': 'gzip, deflate' } }, (answer) => {
      let n = 0;
      answer.on('data', (chunk) => {
        n += chunk.length;
      });
      answer.on('end', () => resolve(n));
      answer.on('error', reject);
    }).on('error', reject);
  });
}

/**
 * Opens a page a few times, each in a browser that has nothing of it yet, and adds
 * what it fetched and how long it took.
 */
export async function coldLoads(table, server, { dist, rounds }) {
  const size = new Map(
    readdirSync(join(dist, 'assets')).map((name) => {
      const body = readFileSync(join(dist, 'assets', name));
      return [name, { raw: body.length, gzip: gzipSync(body, { level: 9 }).length }];
    }),
  );
  const html = statSync(join(dist, 'index.html')).size;
  const seen = new Map(); // name to the pages that load it first
  const times = new Map();
  for (const path of ['/', '/desk']) {
    const found = { live: [], painted: [], usable: [], names: new Set() };
    times.set(path, found);
    for (let i = 0; i < rounds; i++) {
      table.progress(`first load of ${path}, ${i + 1} of ${rounds}`);
      const browser = await launch();
      try {
        const context = await browser.newContext({ viewport: { width: 1920, height: 1080 } });
        const page = await context.newPage();
        // Of workers too, whose requests the page's own record does not have.
        context.on('requestfinished', (request) => {
          const at = new URL(request.url()).pathname;
          if (at.startsWith('/assets/')) found.names.add(at.slice('/assets/'.length));
        });
        await page.addInitScript(probe);
        await page.goto(`${server.url}${path}#token=${encodeURIComponent(server.token)}`);
        await ready(page);
        const marks = await page.evaluate(() => window.budgetMarks);
        found.live.push(marks.live);
        found.painted.push(marks.shown);
        found.usable.push(Math.max(marks.live, marks.shown));
      } finally {
        await browser.close();
      }
    }
    for (const name of found.names) seen.set(name, [...(seen.get(name) ?? []), path]);
  }

  table.section(
    'Bundle',
    ['what', 'raw', 'gzip -9', 'over the line'],
    'What a browser with an empty cache fetches before the page is usable, fonts and the map’s worker included; ' +
      'what the server sends as it sends it.',
  );
  const unknown = [...seen.keys()].filter((name) => !size.has(name));
  if (unknown.length > 0)
    throw new Error(`${dist} is another build than the program's: it has no ${unknown[0]}; run make build`);
  for (const [path, found] of times) {
    const sum = (of, match = /./) =>
      [...found.names].filter((n) => match.test(n)).reduce((n, name) => n + size.get(name)[of], 0);
    let wire = await onWire(server.url + path);
    for (const name of found.names) wire += await onWire(`${server.url}/assets/${name}`);
    table.row(`first load of ${path}`, kilo(sum('raw') + html), kilo(sum('gzip') + html), kilo(wire));
    for (const [kind, match] of [
      ['scripts', /(?<!worker-[\w-]+)\.js$/],
      ['the map’s worker', /worker-[\w-]+\.js$/],
      ['styles', /\.css$/],
      ['fonts', /\.woff2$/],
    ])
      table.row(`of it ${kind}`, kilo(sum('raw', match)), kilo(sum('gzip', match)), '');
  }
  // Files of pages are all called page: the program names what it takes out of each.
  const called = new Map();
  for (const name of size.keys()) {
    if (!/^index-.*\.js$/.test(name)) continue;
    const text = readFileSync(join(dist, 'assets', name), 'utf8');
    for (const [, what, file] of text.matchAll(/let\{(\w+):\w+\}=await import\([`"']\.\/([\w-]+\.js)/g))
      called.set(file, what);
  }
  const later = [...size].filter(([name]) => !seen.has(name)).toSorted((a, b) => b[1].raw - a[1].raw);
  for (const [name, s] of later.filter(([n]) => n.endsWith('.js')))
    table.row(`later: ${called.get(name) ?? ''} ${name}`, kilo(s.raw), kilo(s.gzip), '');
  const rest = later.filter(([n]) => !n.endsWith('.js'));
  table.row(
    `later: ${rest.length} styles and fonts`,
    kilo(rest.reduce((n, [, s]) => n + s.raw, 0)),
    kilo(rest.reduce((n, [, s]) => n + s.gzip, 0)),
    '',
  );

  table.section(
    'First usable page',
    ['page', 'data-state is live', 'first sensors on the screen', 'usable'],
    'From navigation, in a browser just started, cache empty, the server and the simulated city on the same machine. ' +
      'Usable is when both are so.',
  );
  for (const [path, found] of times)
    table.row(path, spread(found.live, 'ms'), spread(found.painted, 'ms'), spread(found.usable, 'ms'));
}

/** From a device's publish to the frame in which its symbol has another colour. */
export async function publishToPixel(table, server, samples) {
  table.section(
    'Publish to pixel',
    ['what', 'p50', 'p99', 'least to most', 'n'],
    'One device publishes over MQTT at QoS 1; a rule makes the value an alarm, or ends it; the time is taken when the ' +
      'pixels of the device’s symbol have the other colour in the frame’s buffer. The rule, the journal’s fsync, ' +
      'the hub’s tick and drawing in software are all in it.',
  );
  server.run('department', 'set', 'budget', '--head', 'Lê Văn Cường');
  const rules = join(server.dir, 'rules.yaml');
  await writeFile(
    rules,
    `version: 1
rules:
  - id: budget-smog
    name: { vi: "Bụi mịn cao", en: "High fine dust" }
    priority: 2
    owner: budget
    head: Lê Văn Cường
    basis: a measurement
    category: Env
    message: { vi: "Bụi mịn {value}", en: "Fine dust {value}" }
    response: { vi: "Kiểm tra trạm", en: "Check the station" }
    procedure: { vi: ["Kiểm tra trạm"], en: ["Check the station"] }
    scope: { profiles: [air-quality] }
    when: { threshold: { quantity: pm25, above: 100, clear: 90 } }
`,
  );
  server.run('rule', 'apply', rules);
  const at = [106.168, 20.434];
  const body = await server.ask('POST', '/v1/devices', [{ id: 'probe', profile: 'air-quality', at }]);
  const client = await device(server.addr.mqtt, 'probe', body.devices[0].token);
  const publish = (value) =>
    client.publish('devices/probe/telemetry', JSON.stringify({ ts: Date.now(), pm25: value }));
  await publish(10);
  const browser = await launch();
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    const page = await context.newPage();
    await page.addInitScript(probe);
    await page.addInitScript(
      (camera) => {
        localStorage.setItem('vonglau.map', JSON.stringify({ camera }));
      },
      { center: at, zoom: 16 },
    );
    await page.goto(`${server.url}/#token=${encodeURIComponent(server.token)}`);
    await ready(page);
    await page.evaluate(() => {
      window.budgetLooking = true;
    });
    const times = { alarm: [], end: [], ack: [] };
    for (let i = 0; i < samples; i++) {
      const alarm = i % 2 === 0;
      const before = await page.evaluate(() => window.budgetLooks.length);
      const sent = performance.timeOrigin + performance.now();
      const acknowledged = publish(alarm ? 150 + i : 10 + i / 100).then(() =>
        times.ack.push(performance.timeOrigin + performance.now() - sent),
      );
      const painted = await page
        .waitForFunction(
          ([n, want]) => window.budgetLooks.slice(n).find(([is]) => is === want),
          [before, alarm],
          { timeout: 20_000, polling: 20 },
        )
        .then((h) => h.jsonValue());
      times[alarm ? 'alarm' : 'end'].push(painted[1] - sent);
      await acknowledged;
      if (i % 10 === 9) table.progress(`${i + 1} of ${samples} publishes seen`);
      // Off the beat of the hub's ticks.
      await pause(120 + ((i * 97) % 260));
    }
    const row = (what, list) =>
      table.row(
        what,
        `${median(list).toFixed(0)} ms`,
        `${quantile(list, 0.99).toFixed(0)} ms`,
        `${Math.min(...list).toFixed(0)} to ${Math.max(...list).toFixed(0)} ms`,
        list.length,
      );
    row('to an alarm’s colour', times.alarm);
    row('to grey again', times.end);
    row('both', [...times.alarm, ...times.end]);
    row('to the server’s PUBACK, for comparison', times.ack);
  } finally {
    client.close();
    await browser.close();
  }
}

/** What one screen is sent while the city reports so many values a second. */
export async function line(table, server, { rate, values, devices, seconds }) {
  table.section(
    'Bytes per second per screen',
    [
      'values/s taken in',
      'bytes/s on the screen’s socket',
      'of it binary frames',
      'rows/s',
      'bytes per row',
      'at 20,000 updates/s',
    ],
    'firmware-sim publishes over MQTT to the real server; a screen without a browser reads the socket and counts what ' +
      'comes out of it, a second at a time. No permessage-deflate: the server does not offer it.',
  );
  const load = server.simulate(
    'load',
    ...['--prefix', 'line-', '--devices', devices, '--rate', rate / values, '--values', values],
    ...['--duration', `${seconds + 20}s`],
  );
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/live`, ['vonglau.wall.v1'], {
    headers: { Authorization: `Bearer ${server.token}` },
  });
  let [binary, rows, taken] = [0, 0, 0];
  socket.on('message', (data, isBinary) => {
    if (!isBinary) {
      const m = JSON.parse(data);
      if (m.type === 'heartbeat') taken = m.ingest.perSecond;
      return;
    }
    binary += data.length;
    if (data[5] === 2) rows += data.readUInt32LE(8);
  });
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  try {
    // Enrolling comes first; then a few seconds until the rate is what it will be.
    for (
      const since = Date.now();
      taken < rate * 0.5 && Date.now() - since < 45_000 && load.exitCode === null;
    )
      await pause(200);
    if (taken === 0) throw new Error('firmware-sim load brought nothing to the server');
    await pause(3000);
    const s = { taken: [], bytes: [], binary: [], rows: [], per: [] };
    for (let i = 0; i < seconds; i++) {
      const [at, b, f, r] = [performance.now(), socket._socket.bytesRead, binary, rows];
      await pause(1000);
      const took = (performance.now() - at) / 1000;
      s.taken.push(taken);
      s.bytes.push((socket._socket.bytesRead - b) / took);
      s.binary.push((binary - f) / took);
      s.rows.push((rows - r) / took);
      s.per.push((socket._socket.bytesRead - b) / Math.max(1, rows - r));
    }
    table.row(
      spread(s.taken, '/s'),
      spread(
        s.bytes.map((v) => v / 1000),
        'kB/s',
      ),
      spread(
        s.binary.map((v) => v / 1000),
        'kB/s',
      ),
      spread(s.rows, '/s'),
      spread(s.per, 'B'),
      `${((median(s.per) * 20_000) / 1000).toFixed(0)} kB/s`,
    );
  } finally {
    socket.terminate();
    if (load.exitCode === null) load.kill('SIGINT');
  }
}
