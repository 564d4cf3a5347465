// The budget: npm run budget [-- --md FILE] [--only bundle,pixel,line,drawing,memory]
//
// Prints, and with --md writes, one table of what the wall costs: its files, its
// first load, a report's way to its pixel, the bytes on a screen's line, the
// main thread's time per frame beside GeoJSON setData, and the heap after an
// hour. About seven minutes on a quiet machine. Needs bin/vonglau and
// bin/firmware-sim (make build; --bin and --sim name others). Ctrl-C ends it and
// keeps what was measured.
//
// It measures and judges nothing: a busy machine makes numbers worse, not this
// red. With --most MS it fails when our layer needs more main-thread time than
// that per frame, in the median of its rounds.
import { spawn } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { drawing } from './budget/drawing.mjs';
import { coldLoads, line, publishToPixel } from './budget/screen.mjs';
import { Server } from './budget/server.mjs';
import { spread, Table } from './budget/table.mjs';
import { option } from './lib.mjs';

const bin = (name) => fileURLToPath(new URL(`../../../../bin/${name}`, import.meta.url));
const program = option('bin', process.env.VONGLAU_BIN ?? bin('vonglau'));
const sim = option('sim', process.env.VONGLAU_SIM ?? bin('firmware-sim'));
const dist = option('dist', fileURLToPath(new URL('../../dist', import.meta.url)));
const md = option('md', '');
const most = Number(option('most', 'Infinity'));
const parts = ['bundle', 'pixel', 'line', 'drawing', 'memory'];
const only = option('only', parts.join()).split(',');
for (const name of only)
  if (!parts.includes(name)) {
    console.error(`--only ${name}: want some of ${parts.join(', ')}`);
    process.exit(2);
  }

const table = new Table();
const began = { at: new Date(), load: loadavg()[0] };
const about = () => [
  `Measured ${began.at.toISOString().slice(0, 16).replace('T', ' ')} UTC by \`npm run budget\` on ${cpus().length} × ` +
    `${cpus()[0].model.trim()}, Node ${process.versions.node}, Chromium without a graphics card (SwiftShader). ` +
    `Load average ${began.load.toFixed(1)} at the start, ${loadavg()[0].toFixed(1)} at the end.`,
  'A cell is the median, with the least and the most of n measurements.',
];
const write = () => md && table.write(md, about());

let server;
let soak;
const end = (signal) => {
  server?.kill();
  soak?.kill();
  write();
  console.log(`\nended by ${signal}${md ? `; what was measured is in ${md}` : ''}`);
  process.exit(130);
};
process.on('SIGINT', () => end('SIGINT'));
process.on('SIGTERM', () => end('SIGTERM'));

const broken = [];
let worst = 0;
/** One part that cannot be measured does not take the others with it. */
async function part(name, measure) {
  if (!only.includes(name)) return;
  try {
    await measure();
  } catch (error) {
    broken.push(`${name}: ${error.message}`);
    console.error(`  ${name} was not measured: ${error.stack}`);
  }
  write();
}

/** A server for one part, and its end. */
async function withServer(measure) {
  server = new Server(program, sim);
  try {
    await server.start();
    await measure(server);
  } finally {
    await server.stop();
    server = undefined;
  }
}

await part('bundle', () =>
  withServer(async (s) => {
    table.progress('a simulated city of 500 devices');
    s.simulate('run', '--scenario', 'typhoon', '--devices', '500', '--seed', '7');
    const placed = async () =>
      (await s.ask('GET', '/v1/live/dictionary')).devices.lon.filter((x) => x !== null).length;
    for (const since = Date.now(); (await placed()) < 450; await new Promise((r) => setTimeout(r, 250)))
      if (Date.now() - since > 60_000) throw new Error('the simulated city did not come up in a minute');
    await coldLoads(table, s, { dist, rounds: Number(option('rounds', '5')) });
  }),
);
await part('pixel', () => withServer((s) => publishToPixel(table, s, Number(option('publishes', '40')))));
await part('line', () =>
  withServer((s) => line(table, s, { rate: 20_000, values: 5, devices: 4000, seconds: 10 })),
);
await part('drawing', async () => {
  worst = await drawing(table, {
    points: option('points', '10000,50000,200000').split(',').map(Number),
    frames: Number(option('frames', '12')),
    rounds: Number(option('drawings', '3')),
  });
});
await part('memory', async () => {
  table.section(
    'Memory',
    ['after', 'JavaScript heap', 'elements of the page'],
    'The wall on the made-up city in a time sixty times as fast, after a collection: `npm run soak -- --hours 1`.',
  );
  table.progress('an hour in a minute');
  soak = spawn(
    process.execPath,
    [fileURLToPath(new URL('soak.mjs', import.meta.url)), '--hours', '1', '--speed', '60'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const samples = [];
  for await (const said of createInterface({ input: soak.stdout })) {
    const found = /([\d.]+) h\s+([\d.]+) MB\s+(\d+) elements/.exec(said);
    if (found) samples.push(found.slice(1).map(Number));
  }
  soak = undefined;
  if (samples.length < 2) throw new Error('the soak told no heap');
  const [first, last] = [samples[0], samples.at(-1)];
  table.row('the start', `${first[1].toFixed(1)} MB`, first[2]);
  table.row(`${last[0].toFixed(0)} h`, `${last[1].toFixed(1)} MB`, last[2]);
  table.row(
    'the second half of it',
    spread(
      samples.slice(samples.length >> 1).map((s) => s[1]),
      'MB',
    ),
    '',
  );
});

write();
console.log(`\n${md ? `written to ${md}` : 'nothing written; --md FILE keeps it'}`);
if (worst > most) {
  console.error(
    `our layer needs ${worst.toFixed(2)} ms of main-thread CPU per frame; at most ${most} are allowed`,
  );
  process.exitCode = 1;
}
if (broken.length > 0) {
  console.error(`not measured: ${broken.join('; ')}`);
  process.exitCode = 1;
}
