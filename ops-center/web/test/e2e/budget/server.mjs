// A real server on free ports of [::1] over a data folder of its own, what feeds it,
// and the least of an MQTT client that can publish.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asker } from '../lib.mjs';

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export class Server {
  #children = [];

  constructor(program, sim) {
    this.program = program;
    this.sim = sim;
    this.dir = mkdtempSync(join(tmpdir(), 'budget-server-'));
  }

  async start() {
    const doors = ['http', 'mqtt', 'coap', 'https', 'mqtts', 'coaps'].flatMap((d) => [`--${d}`, '[::1]:0']);
    const child = this.#spawn(this.program, ['serve', '--data', this.dir, ...doors], 'server.log');
    const file = join(this.dir, 'addresses.json');
    for (const since = Date.now(); ; await pause(20)) {
      if (child.exitCode !== null || Date.now() - since > 60_000)
        throw new Error(`the server did not start: ${this.#said('server.log')}`);
      if (!existsSync(file)) continue;
      try {
        this.addr = JSON.parse(readFileSync(file, 'utf8'));
      } catch {
        continue; // half written
      }
      if (this.addr.http) break;
    }
    this.url = `http://${this.addr.http}`;
    this.token = readFileSync(join(this.dir, 'admin.token'), 'utf8').trim();
    this.ask = asker(this.url, this.token);
  }

  /** An operator's command. */
  run(...args) {
    return execFileSync(this.program, args, {
      env: { ...process.env, VONGLAU_SERVER: this.url, VONGLAU_TOKEN: this.token },
      encoding: 'utf8',
    });
  }

  /** firmware-sim against this server; ends with it. */
  simulate(command, ...args) {
    const where = ['--server', this.url, '--mqtt', this.addr.mqtt, '--coap', this.addr.coap];
    const token = ['--token-file', join(this.dir, 'admin.token')];
    return this.#spawn(this.sim, [command, ...where, ...token, ...args], 'sim.log');
  }

  async stop() {
    for (const child of this.#children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Without waiting: for the end of this program. */
  kill() {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }

  #spawn(program, args, log) {
    const out = openSync(join(this.dir, log), 'a');
    const child = spawn(program, args, { stdio: ['ignore', out, out] });
    child.on('error', (error) => console.error(`${program}: ${error.message}`));
    this.#children.push(child);
    return child;
  }

  #said(log) {
    return readFileSync(join(this.dir, log), 'utf8').slice(-600);
  }
}

/** MQTT 3.1.1: connects as a device, publishes at QoS 1 and tells when the server has it. */
export async function device(address, id, token) {
  const at = /^\[?([^\]]+)\]?:(\d+)$/.exec(address);
  const socket = connect({ host: at[1], port: Number(at[2]), noDelay: true });
  await once(socket, 'connect');
  const text = (s) => {
    const b = Buffer.from(s);
    return Buffer.concat([Buffer.from([b.length >> 8, b.length & 255]), b]);
  };
  const packet = (kind, body) => {
    const length = [];
    for (let n = body.length; ; ) {
      const digit = n % 128;
      n = Math.floor(n / 128);
      length.push(n > 0 ? digit | 128 : digit);
      if (n === 0) break;
    }
    return Buffer.concat([Buffer.from([kind, ...length]), body]);
  };
  let held = Buffer.alloc(0);
  const waiting = new Map();
  socket.on('data', (chunk) => {
    held = Buffer.concat([held, chunk]);
    // CONNACK and PUBACK, all that comes here, are four bytes.
    for (; held.length >= 4; held = held.subarray(4)) {
      const answer = held[0] >> 4 === 2 ? 0 : held.readUInt16BE(2);
      waiting.get(answer)?.(held[0] >> 4 === 2 ? held[3] : 0);
      waiting.delete(answer);
    }
  });
  const answered = (n) => new Promise((resolve) => waiting.set(n, resolve));
  const hello = Buffer.concat([
    text('MQTT'),
    Buffer.from([4, 0xc2, 0, 120]),
    text(id),
    text(id),
    text(token),
  ]);
  const accepted = answered(0);
  socket.write(packet(0x10, hello));
  const code = await accepted;
  if (code !== 0) throw new Error(`MQTT: ${id} was refused with ${code}`);
  let n = 0;
  return {
    publish(topic, payload) {
      n = (n % 65_535) + 1;
      const acknowledged = answered(n);
      socket.write(
        packet(0x32, Buffer.concat([text(topic), Buffer.from([n >> 8, n & 255]), Buffer.from(payload)])),
      );
      return acknowledged;
    },
    close: () => socket.destroy(),
  };
}
