// Records what the made-up city says to a screen, for the story pages:
//
//   node scripts/record.mjs > stories/recorded.json
//
// The clock stands still while it is recorded, so that the same program makes
// the same recording. Frames are kept as they go over the wire, in base64.
import { WebSocket } from 'ws';
import { AT } from '../stories/moment.mjs';

Date.now = () => AT;
const { DemoServer } = await import('./demo-server.mjs');
const server = new DemoServer({ devices: 160 });
const url = await server.start(0);
const headers = { Cookie: 'vonglau_session=recorder' };
const answers = {};
for (const path of [
  '/v1/layers',
  '/v1/live/dictionary',
  '/v1/rules',
  '/v1/zones/aggregate?layer=wards&quantity=pm25&stat=mean',
  '/v1/network/links',
]) {
  answers[path] = await (await fetch(url + path, { headers })).json();
}
const frames = [];
await new Promise((done, failed) => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/live`, 'vonglau.wall.v1', { headers });
  socket.on('error', failed);
  socket.on('message', (data, binary) => {
    if (binary) {
      frames.push(data.toString('base64'));
      return;
    }
    const message = JSON.parse(String(data));
    if (message.type === 'hello') answers.hello = message;
    if (message.type === 'alarms') {
      answers.alarms = message.alarms;
      socket.terminate();
      done();
    }
  });
});
await server.stop();
process.stdout.write(`${JSON.stringify({ at: AT, frames, ...answers })}\n`);
