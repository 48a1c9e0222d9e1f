// The line to the gateway: requests and answers, what happens when it is cut, when it falls silent, when it is refused.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Socket, clock } from './env.mjs';

const { add } = await import('../../gateway/console/i18n.js');
const { conferenceTexts } = await import('../../gateway/console/conference-texts.js');
add(conferenceTexts);
const { Signal, backOff } = await import('../../gateway/console/signal.js');
const settle = () => new Promise((yes) => setImmediate(yes));
let told, signal, time;

beforeEach(() => {
  time = clock();
  Socket.all.length = 0;
  told = [];
  signal = new Signal({
    state: (s) => told.push(s), welcome: (m) => told.push(`welcome ${m.resumed}`), message: (m) => told.push(m.type), over: (e) => told.push(`over ${e.message}`),
  }, { url: 'ws://gateway/v1/console', Socket, random: () => 1 });
  signal.open({ token: 'secret', endpoint: 'city/hall' });
});
afterEach(() => {
  signal.close();
  time.restore();
});
async function welcome(resumed = false) {
  Socket.last.open().answer('welcome', { session: 's1', resumed });
  await settle();
}

test('says hello, with the token in a message and not in the address', async () => {
  assert.equal(Socket.last.url, 'ws://gateway/v1/console');
  assert.equal(Socket.last.protocol, 'muster.1');
  await welcome();
  assert.deepEqual(Socket.last.sent, [{ type: 'hello', id: 1, token: 'secret', endpoint: 'city/hall' }]);
  assert.deepEqual(told, ['connecting', 'up', 'welcome false']);
});

test('each request is answered once, in any order', async () => {
  await welcome();
  const a = signal.request('view', { tracks: [] }), b = signal.request('act', { act: 'floor.request' });
  const [, first, second] = Socket.last.sent;
  Socket.last.say({ type: 'error', id: second.id, error: { status: 403, title: 'not allowed', detail: 'city/hall is a listener' } });
  Socket.last.say({ type: 'ok', id: first.id });
  assert.equal((await a).type, 'ok');
  await assert.rejects(b, (e) => e.status === 403 && e.message === 'city/hall is a listener');
});

test('a request without an answer fails, and does not hang', async () => {
  await welcome();
  const a = signal.request('act', { act: 'lock' });
  time.tick(10001);
  await assert.rejects(a, (e) => e.lineLost);
});

test('a cut line is told at once and comes back with its session', async () => {
  await welcome();
  const once = signal.request('act', { act: 'end' }), twice = signal.request('act', { act: 'mute' }, { again: true });
  Socket.last.cut();
  assert.equal(told.at(-1), 'lost');
  await assert.rejects(once, (e) => e.lineLost);
  const late = signal.request('act', { act: 'floor.request' });
  time.tick(250);
  assert.equal(Socket.all.length, 2);
  await welcome(true);
  assert.equal(Socket.last.sent[0].session, 's1');
  assert.deepEqual(Socket.last.sent.slice(1).map((m) => m.act), ['mute', 'floor.request']);
  for (const m of Socket.last.sent.slice(1)) Socket.last.say({ type: 'ok', id: m.id });
  await Promise.all([twice, late]);
  assert.deepEqual(told.slice(-3), ['lost', 'up', 'welcome true']);
});

test('what waits too long for the line fails', async () => {
  await welcome();
  Socket.last.cut();
  const waits = signal.request('act', { act: 'mute' });
  time.tick(9000);
  time.tick(3000);
  await assert.rejects(waits, (e) => e.lineLost);
});

test('tries are apart, and differ', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 9].map((n) => backOff(n, 1)), [250, 500, 1000, 2000, 3000, 3000, 3000]);
  assert.ok(backOff(3, 0) === 1000 && backOff(3, 0.5) === 1500);
});

test('a line that falls silent is cut; one that never spoke is not', async () => {
  await welcome();
  time.tick(20000);
  assert.equal(told.at(-1), 'welcome false', 'no figures come outside a conference');
  Socket.last.say({ type: 'quality' });
  time.tick(7000);
  assert.equal(told.at(-1), 'lost');
});

test('the network is back: the next try is now', async () => {
  await welcome();
  for (let i = 0; i < 6; i++) {
    Socket.last.cut();
    time.tick(8000);
  }
  Socket.last.cut();
  const before = Socket.all.length;
  signal.nudge();
  assert.equal(Socket.all.length, before + 1);
});

test('a refusal and a goodbye are final and say why', async () => {
  Socket.last.open().answer('error', { error: { status: 401, title: 'Invalid token', detail: 'The token has expired' } });
  assert.equal(told.at(-1), 'over The token has expired');
  time.tick(60000);
  assert.equal(Socket.all.length, 1);
});

test('goodbye', async () => {
  await welcome();
  Socket.last.say({ type: 'bye', why: 'the conference ended' });
  assert.match(told.at(-1), /^over .*the conference ended/);
  await assert.rejects(signal.request('view', {}), (e) => e.lineLost);
});

test('a gateway that is being restarted is waited for', async () => {
  await welcome();
  const socket = Socket.last, late = signal.request('act', { act: 'mute' }, { again: true });
  socket.say({ type: 'bye', why: 'the gateway stops', again: true });
  assert.equal(told.at(-1), 'lost');
  socket.cut();
  for (const wait of [250, 500, 1000, 2000]) {
    time.tick(wait);
    Socket.last.cut();
  }
  time.tick(3000);
  await welcome();
  assert.equal(told.at(-1), 'welcome false');
  assert.equal(Socket.last.sent[1].act, 'mute');
  Socket.last.say({ type: 'ok', id: Socket.last.sent[1].id });
  await late;
});

test('a busy gateway is asked again; a lost answer to hello is no answer', async () => {
  Socket.last.open().answer('error', { error: { status: 503, title: 'Not available', detail: 'full' } });
  assert.equal(told.at(-1), 'lost');
  time.tick(1000);
  assert.equal(Socket.all.length, 2);
  time.tick(10001);
  time.tick(1000);
  assert.equal(Socket.all.length, 3, 'a gateway that does not answer');
});

test('nonsense does no harm', async () => {
  await welcome();
  Socket.last.onmessage({ data: '{' });
  Socket.last.say({ type: 'ok', id: 4711 });
  Socket.last.say({ type: 'something new' });
  assert.deepEqual(told.slice(3), ['ok', 'something new']);
});
