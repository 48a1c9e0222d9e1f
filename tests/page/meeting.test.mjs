// One member's part in a conference, with a gateway and peer connections that are made up: what is said to the gateway, in which
// order, and what is brought about again after a loss.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Socket, clock } from './env.mjs';

const settle = async () => { for (let i = 0; i < 20; i++) await new Promise((yes) => setImmediate(yes)); };

/** As much of a peer connection as is looked at. */
class Pc extends EventTarget {
  static all = [];
  constructor() {
    super();
    Object.assign(this, { transceivers: [], signalingState: 'stable', connectionState: 'new', remoteDescription: null });
    Pc.all.push(this);
  }
  addTransceiver(track, { direction, sendEncodings }) {
    const parameters = { encodings: (sendEncodings ?? [{}]).map((e) => ({ active: true, ...e })) };
    const tr = { mid: null, direction, receiver: { track: { kind: track.kind ?? track } }, sender: { track, parameters,
      replaceTrack: async (t) => { tr.sender.track = t; }, getParameters: () => structuredClone(parameters), setParameters: async (p) => { parameters.encodings = p.encodings; } } };
    this.transceivers.push(tr);
    return tr;
  }
  getTransceivers() {
    return this.transceivers;
  }
  async createOffer({ iceRestart } = {}) {
    return { type: 'offer', sdp: `offer of ${this.transceivers.length}${iceRestart ? ', restart' : ''}` };
  }
  async setLocalDescription(d = { type: 'answer', sdp: 'our answer' }) {
    if (d.type === 'rollback') {
      this.signalingState = 'stable';
      return;
    }
    this.localDescription = d;
    this.signalingState = d.type === 'offer' ? 'have-local-offer' : 'stable';
    this.transceivers.forEach((tr, i) => { tr.mid ??= String(i); });
  }
  async setRemoteDescription(d) {
    this.remoteDescription = d;
    this.signalingState = d.type === 'offer' ? 'have-remote-offer' : 'stable';
    for (const [, mid, kind] of d.type === 'offer' ? d.sdp.matchAll(/(\d+):(\w+)/g) : []) {
      if (!this.transceivers.some((tr) => tr.mid === mid)) this.transceivers.push({ mid, currentDirection: 'recvonly', receiver: { track: { kind, of: mid } } });
    }
  }
  become(state) {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
  close() {
    this.signalingState = this.connectionState = 'closed';
  }
}
globalThis.RTCPeerConnection = Pc;
globalThis.WebSocket = Socket;
const track = (kind) => ({ kind, enabled: true, stopped: false, stop() { this.stopped = true; } });

const { add } = await import('../../gateway/console/i18n.js');
const { conferenceTexts } = await import('../../gateway/console/conference-texts.js');
add(conferenceTexts);
const { Meeting } = await import('../../gateway/console/meeting.js');

const ME = 'city/hall';
const person = (endpoint, more = {}) => ({ endpoint, name: endpoint, role: 'participant', rank: 8, present: true, muted: false, muted_by_chair: false, since: '2025-06-01T03:00:00Z', hand: null, views: null, ...more });
let meeting, told, time, state;
const sent = (type) => Socket.last.sent.filter((m) => m.type === type);
const acts = () => sent('act').map((m) => m.act);
const answer = async (m, type = 'ok', members = {}) => {
  Socket.last.say({ type, id: m.id, ...members });
  await settle();
};
const refuse = (m, status, detail) => answer(m, 'error', { error: { status, title: 'no', detail } });
const tellState = async (change = {}, mine = {}) => {
  Object.assign(state, change);
  Object.assign(state.members[0], mine);
  Socket.last.say({ type: 'conference', state: structuredClone(state), me: { endpoint: ME, role: state.members[0].role, rank: 8, heard: true } });
  await settle();
};
/** Hello and join; then whatever else is asked is answered, too. */
async function comeIn({ resumed = false } = {}) {
  Socket.last.open();
  await answer(sent('hello')[0], 'welcome', { session: 's1', resumed, endpoint: ME, site: 'city', ice_servers: [] });
  if (!sent('join').length) return;
  await answer(sent('join')[0]);
  await tellState();
  for (const m of sent('act')) await answer(m);
  for (const m of sent('offer')) await answer(m, 'answer', { sdp: 'answer' });
}

beforeEach(() => {
  time = clock();
  Socket.all.length = Pc.all.length = 0;
  told = [];
  state = { id: 'morning', title: 'Morning', since: '2025-06-01T03:00:00Z', moderated: false, locked: false, loudest: 5, layout: 'equal', floor: null, screen: null, broadcast: null, speaker: null, members: [person(ME), person('city/b')] };
  meeting = new Meeting({ token: 'secret', endpoint: ME, conference: 'morning', name: 'Hall' }, {
    change: (what) => told.push(what), event: (kind) => told.push(`event ${kind}`), session: (id) => told.push(`session ${id}`), over: (e) => told.push(`over ${e.message}`), trouble: (e) => told.push(`trouble ${e.message}`),
  }, 'ws://gateway/v1/console');
  meeting.muted = false;
  meeting.setTrack('audio', track('audio'));
  meeting.setTrack('video', track('video'));
  meeting.start();
});
afterEach(() => {
  meeting.leave();
  time.restore();
});

test('comes in, offers all at once, with a camera in three sizes', async () => {
  await comeIn();
  assert.deepEqual(Socket.last.sent.map((m) => m.type), ['hello', 'join', 'act', 'offer']);
  assert.deepEqual(sent('join')[0], { type: 'join', id: 2, conference: 'morning', name: 'Hall' });
  assert.deepEqual(acts(), ['unmute']);
  assert.deepEqual(sent('offer')[0].tracks, [{ mid: '0', label: 'audio' }, { mid: '1', label: 'video' }]);
  assert.equal(sent('offer')[0].fresh, true, 'the gateway knows no connection of before');
  assert.deepEqual(meeting.sender.labels.get('video').sender.parameters.encodings.map((e) => [e.rid, e.scaleResolutionDownBy, e.maxBitrate]), [['l', 4, 150e3], ['m', 2, 500e3], ['h', 1, 1500e3]]);
});

test('encodings that nobody watches rest', async () => {
  await comeIn();
  Socket.last.say({ type: 'layers', label: 'video', wanted: ['l', 'm'] });
  await settle();
  const active = () => meeting.sender.labels.get('video').sender.parameters.encodings.map((e) => e.active);
  assert.deepEqual(active(), [true, true, false]);
  Socket.last.say({ type: 'layers', label: 'video', wanted: [] });
  Socket.last.say({ type: 'layers', label: 'video', wanted: ['h'] });
  await settle();
  assert.deepEqual(active(), [false, false, true], 'the last word counts');
});

test('a small camera is sent in its own size, too', async () => {
  await comeIn();
  const small = { ...track('video'), getSettings: () => ({ width: 640, height: 360 }) };
  const now = () => meeting.sender.labels.get('video').sender.parameters.encodings.map((e) => e.active && e.scaleResolutionDownBy);
  meeting.setTrack('video', small);
  await settle();
  assert.deepEqual(now(), [2, 1, false], 'Chromium would leave out the largest of three');
  Socket.last.say({ type: 'layers', label: 'video', wanted: ['h'] });
  await settle();
  assert.deepEqual(now(), [false, 1, false], 'the largest that there is');
  meeting.setTrack('video', track('video'));
  await settle();
  assert.deepEqual(now(), [false, false, 1]);
});

test('another camera needs no offer; none needs one, and its m-section is inactive', async () => {
  await comeIn();
  const other = track('video'), before = meeting.tracks.video;
  meeting.setTrack('video', other);
  await settle();
  assert.ok(before.stopped);
  assert.equal(sent('offer').length, 1);
  assert.equal(meeting.sender.track('video'), other);
  meeting.setTrack('video', null);
  await settle();
  assert.deepEqual(sent('offer')[1].tracks, [{ mid: '0', label: 'audio' }]);
  assert.equal(sent('offer')[1].fresh, undefined);
  assert.equal(meeting.sender.labels.get('video').direction, 'inactive');
});

test('one negotiation at a time', async () => {
  await comeIn();
  meeting.setTrack('video', null);
  await settle();
  meeting.setTrack('video', track('video'));
  meeting.setTrack('screen', track('video'));
  await settle();
  assert.equal(sent('offer').length, 2, 'the second is not answered yet');
  await answer(sent('offer')[1], 'answer', { sdp: 'answer' });
  assert.deepEqual(sent('offer')[2].tracks.map((x) => x.label), ['audio', 'video', 'screen']);
});

test('off is off at once, on only when the gateway said so', async () => {
  await comeIn();
  const { audio } = meeting.tracks;
  const off = meeting.mute(true);
  assert.equal(audio.enabled, false);
  await tellState(); // from before: it must not open the microphone again
  assert.equal(audio.enabled, false);
  await answer(sent('act').at(-1));
  await off;
  await tellState({}, { muted: true, muted_by_chair: true });
  const on = assert.rejects(meeting.mute(false), /ask for the floor/);
  await refuse(sent('act').at(-1), 403, 'the chair muted city/hall: ask for the floor');
  await on;
  assert.equal(audio.enabled, false);
  assert.equal(meeting.muted, true);
});

test('muted by a chair the microphone is off here, too', async () => {
  await comeIn();
  await tellState({}, { muted: true, muted_by_chair: true });
  assert.equal(meeting.tracks.audio.enabled, false);
  await tellState({ floor: ME }, { muted: false, muted_by_chair: false });
  assert.equal(meeting.tracks.audio.enabled, true);
});

test('mute while the line is lost is said when it is back', async () => {
  await comeIn();
  Socket.last.cut();
  meeting.mute(true);
  assert.equal(meeting.tracks.audio.enabled, false);
  time.tick(300);
  await comeIn({ resumed: true });
  assert.equal(meeting.tracks.audio.enabled, false);
  assert.ok(acts().includes('mute'));
  assert.equal(Pc.all.filter((pc) => pc.connectionState !== 'closed').length, 2, 'the connections are those of before');
});

test('a session that is gone begins anew: both connections, what was sent, what was seen, the screen', async () => {
  await comeIn();
  meeting.view([{ endpoint: 'city/b', label: 'video', width: 640, height: 360 }]);
  meeting.setTrack('screen', track('video'));
  await tellState({ screen: ME });
  for (const m of sent('offer')) await answer(m, 'answer', { sdp: 'answer' });
  Socket.last.cut();
  time.tick(300);
  state.screen = null;
  await comeIn({ resumed: false });
  assert.deepEqual(sent('offer').at(-1).tracks.map((x) => x.label), ['audio', 'video', 'screen']);
  assert.equal(sent('offer')[0].fresh, true);
  assert.equal(sent('view').at(-1).tracks[0].endpoint, 'city/b');
  await settle();
  assert.ok(acts().includes('screen.start'), `${acts()}`);
  assert.equal(meeting.tracks.screen.stopped, false);
});

test('a page that was loaded anew takes its session up with connections that are new', async () => {
  meeting.leave();
  Socket.all.length = 0;
  meeting = new Meeting({ ...meeting.who, session: 's0' }, meeting.on, 'ws://gateway/v1/console');
  meeting.setTrack('video', track('video'));
  meeting.start();
  await comeIn({ resumed: true });
  assert.equal(sent('hello')[0].session, 's0');
  assert.equal(sent('restart')[0].fresh, true);
  assert.equal(sent('offer')[0].fresh, true);
});

test('offers of the gateway are answered in their order; slots say whose they are', async () => {
  await comeIn();
  Socket.last.say({ type: 'offer', n: 1, sdp: '0:audio 1:video', fresh: true });
  Socket.last.say({ type: 'offer', n: 2, sdp: '0:audio 1:video 2:video', fresh: false });
  Socket.last.say({ type: 'tracks', tracks: [{ mid: '1', kind: 'video', endpoint: 'city/b', label: 'video' }], missing: [{ endpoint: 'city/c', label: 'video', why: 'idle' }] });
  await settle();
  await answer(sent('answer')[0]);
  await answer(sent('answer')[1]);
  assert.deepEqual(sent('answer').map((m) => m.n), [1, 2]);
  assert.equal(meeting.receiver.find('city/b', 'video').track.of, '1');
  assert.equal(meeting.receiver.find('city/c', 'video'), null);
  assert.equal(meeting.receiver.why('city/c', 'video'), 'idle');
  assert.equal(meeting.receiver.sounds().length, 1);
  Socket.last.say({ type: 'tracks', tracks: [{ mid: '1', kind: 'video', endpoint: 'city/c', label: 'video' }], missing: [] });
  await settle();
  assert.equal(meeting.receiver.find('city/b', 'video'), null);
  assert.equal(meeting.receiver.find('city/c', 'video').mid, '1');
});

test('a connection that is over is made anew, the session goes on', async () => {
  await comeIn();
  Socket.last.say({ type: 'closed', pc: 'up', why: 'no consent' });
  await settle();
  assert.equal(sent('offer').at(-1).fresh, true);
  const [down] = [meeting.receiver.pc];
  Socket.last.say({ type: 'closed', pc: 'down', why: 'no consent' });
  await settle();
  assert.equal(down.connectionState, 'closed');
  Socket.last.say({ type: 'offer', n: 7, sdp: '0:video', fresh: true });
  await settle();
  assert.equal(sent('answer').at(-1).n, 7);
});

test('a path that breaks is restarted, then made anew', async () => {
  await comeIn();
  meeting.sender.pc.become('connected');
  meeting.sender.pc.become('disconnected');
  assert.equal(meeting.paths.up, 'dropped');
  time.tick(3000);
  await settle();
  assert.match(sent('offer').at(-1).sdp, /restart/);
  meeting.sender.pc.become('connected');
  assert.equal(meeting.paths.up, 'up');
  const { pc } = meeting.receiver;
  pc.become('connected');
  pc.become('failed');
  time.tick(1);
  assert.equal(sent('restart').at(-1).fresh, undefined);
  time.tick(60000);
  await settle();
  assert.equal(sent('restart').at(-1).fresh, true);
  assert.notEqual(meeting.receiver.pc, pc);
});

test('a view is told once, and again when it changed', async () => {
  await comeIn();
  const tiles = [{ endpoint: 'city/b', label: 'video', width: 640, height: 360 }];
  meeting.view(tiles);
  meeting.view([...tiles]);
  assert.equal(sent('view').length, 1);
  await refuse(sent('view')[0], 429, 'too many');
  meeting.view(tiles);
  assert.equal(sent('view').length, 2, 'what was refused is told again');
  meeting.view([]);
  assert.equal(sent('view').length, 3);
});

test('a listener sends nothing, and does when it became a participant', async () => {
  state.members[0].role = 'listener';
  await comeIn();
  assert.equal(sent('offer').length, 0);
  assert.equal(meeting.tracks.audio.enabled, false);
  await tellState({}, { role: 'participant' });
  assert.deepEqual(sent('offer')[0].tracks.map((x) => x.label), ['audio', 'video']);
  assert.equal(meeting.tracks.audio.enabled, true);
});

test('a screen that was taken over stops', async () => {
  await comeIn();
  const screen = track('video'), shared = meeting.share(screen);
  await answer(sent('act').at(-1));
  await shared;
  await tellState({ screen: ME });
  await tellState({ screen: 'city/b' });
  assert.ok(screen.stopped);
  assert.ok(told.includes('event screen.lost'));
  assert.ok(!acts().includes('screen.stop'), 'it is not ours to stop');
  const refused = track('video'), again = assert.rejects(meeting.share(refused), /one at a time/);
  await refuse(sent('act').at(-1), 409, 'city/b shares a screen: one at a time');
  await again;
  assert.ok(refused.stopped);
});

test('put out, refused, ended: it is over, with the reason, and the camera is off', async () => {
  await comeIn();
  const { video } = meeting.tracks;
  Socket.last.say({ type: 'conference', state: null, me: null, why: 'removed by the chair' });
  assert.match(told.at(-1), /^over .*removed by the chair/);
  assert.ok(video.stopped);
  assert.ok(Pc.all.every((pc) => pc.connectionState === 'closed'));
});

test('a conference that is not there is the end, too', async () => {
  Socket.last.open();
  await answer(sent('hello')[0], 'welcome', { session: 's1', resumed: false, endpoint: ME, ice_servers: [] });
  await refuse(sent('join')[0], 404, 'there is no conference morning');
  assert.equal(told.at(-1), 'over there is no conference morning');
});
