// One member's part in a conference: line, both peer connections, own devices, the conference's state. Knows no page.
//
// What the user wants (microphone open, camera on, a screen shared, which tiles) is kept here, so that after any loss it is
// brought about again without asking.

import { GatewayError } from './gateway.js';
import { t, refusal } from './i18n.js';
import { Signal } from './signal.js';
import { Sender } from './sender.js';
import { Receiver } from './receiver.js';
import { member } from './room.js';

export class Meeting {
  /**
   * @param who  token, endpoint, conference, name; session: of this tab before it was loaded anew
   * @param on   on.change(what): 'state', 'line', 'path', 'slots', 'speaker', 'quality', 'own'; on.event(kind, data);
   *             on.session(id): to come back with; on.over(error): the end; on.trouble(error): something was refused, the rest goes on
   */
  constructor(who, on, url) {
    this.who = who;
    this.on = on;
    this.state = this.quality = null;
    this.me = who.endpoint ?? '';
    this.speaker = this.spoke = '';
    this.line = 'connecting';
    this.paths = { up: '', down: '' };
    this.tracks = { audio: null, video: null, screen: null }; // what the user wants to send
    this.muted = true;
    this.tiles = [];
    this.encodings = 0;
    this.wantedLayers = {};
    this.signal = new Signal({
      state: s => this.lineIs(s), welcome: m => this.welcome(m), message: m => this.message(m), over: e => this.over(e),
    }, { url });
  }

  start() {
    this.signal.session = this.who.session ?? '';
    this.signal.open({ token: this.who.token, endpoint: this.who.endpoint });
  }

  get own() {
    return member(this.state, this.me);
  }

  /** A listener sends nothing: the gateway would not take it. */
  get maySend() {
    return !!this.own && this.own.role !== 'listener';
  }

  // --- line ---

  lineIs(state) {
    this.line = state;
    this.on.change('line');
  }

  async welcome({ session, resumed, endpoint, ice_servers: ice }) {
    this.me = endpoint || this.me;
    this.ice = ice ?? [];
    this.on.session(session);
    if (resumed && this.sender) {
      this.sender.resume();
      this.sendView();
      if (this.mutePending !== undefined) this.mute(this.mutePending).catch(() => {});
      return;
    }
    this.closePaths();
    this.buildSender();
    this.buildReceiver();
    this.joined = false;
    this.entering = true; // what the state says before our own wish is known there is not our wish
    try {
      const { conference, name } = this.who;
      await this.signal.request('join', { conference, name });
      this.joined = true;
    } catch (e) {
      if (!e.lineLost) this.over(e);
      return;
    }
    if (resumed) this.receiver.anew(); // this page was loaded anew: its connections are not those of before
    this.publish();
    if (this.tiles.length) this.sendView();
    await this.settle();
  }

  /** Who comes in with the microphone off is muted for the others, too; who comes back after a loss is as before. */
  async settle() {
    const wish = this.muted || !this.tracks.audio;
    try {
      await this.signal.request('act', { act: wish ? 'mute' : 'unmute', endpoint: this.me }, { again: true });
    } catch {
      this.muted = true; // muted by the chair, or a listener: the state says so
    }
    this.entering = false;
    this.obey();
    if (this.tracks.screen) this.act('screen.start').catch(() => this.setTrack('screen', null));
  }

  buildSender() {
    this.sender?.close();
    const sender = this.sender = new Sender(this.signal, this.ice, {
      state: s => sender === this.sender && this.pathIs('up', s),
      dead: () => sender === this.sender && this.sendAnew(),
      error: e => this.on.trouble(e),
      simulcast: n => { this.encodings = n; },
    });
    this.paths.up = '';
  }

  /** The connection is beyond help, or the gateway ended it: a new one sends the same. */
  sendAnew() {
    this.buildSender();
    this.publish();
  }

  buildReceiver() {
    this.receiver = new Receiver(this.signal, this.ice, {
      state: s => this.pathIs('down', s), slots: () => this.on.change('slots'), error: e => this.on.trouble(e),
    });
    this.paths.down = '';
    this.sent = '';
  }

  pathIs(way, state) {
    this.paths[way] = state;
    this.on.change('path');
  }

  message(m) {
    switch (m.type) {
      case 'conference': return this.take(m);
      case 'offer': return this.receiver.offer(m);
      case 'tracks': return this.receiver.tracks(m);
      case 'layers': return this.layers(m);
      case 'closed': return m.pc === 'up' ? this.sendAnew() : this.receiver.over();
      case 'event': return this.on.event(m.kind, m.data ?? {});
      case 'speaker':
        this.speaker = m.endpoint;
        if (m.endpoint && m.endpoint !== this.me) this.spoke = m.endpoint;
        return this.on.change('speaker');
      case 'quality':
        this.quality = m;
        return this.on.change('quality');
    }
  }

  layers({ label, wanted }) {
    this.wantedLayers[label] = wanted ?? [];
    this.sender.layers(label, this.wantedLayers[label]);
  }

  take({ state, me, why }) {
    if (!state) return this.joined ? this.over(new GatewayError(0, () => t('bye', refusal(0, { detail: why ?? '' })))) : undefined;
    const could = this.maySend, shared = this.state?.screen === this.me;
    this.state = state;
    if (me?.endpoint) this.me = me.endpoint;
    this.obey();
    if (this.maySend !== could) this.publish();
    if (shared && state.screen !== this.me && this.tracks.screen && !this.entering) { // taken over, or stopped by a chair
      this.setTrack('screen', null);
      this.on.event('screen.lost', {});
    }
    this.on.change('state');
  }

  /** The microphone is what the conference says of it: muted by a chair means off here, and not only unheard. */
  obey() {
    if (this.entering || this.mutePending !== undefined || !this.own) return;
    this.muted = this.own.muted;
    if (this.tracks.audio) this.tracks.audio.enabled = !this.muted && this.maySend;
    this.on.change('own');
  }

  network() {
    this.signal.nudge();
    this.sender?.path.network();
    this.receiver?.path.network();
  }

  // --- what is sent ---

  /** Bring about what the user wants to send. */
  publish() {
    if (!this.sender) return;
    for (const [label, track] of Object.entries(this.tracks)) this.send(label, track);
  }

  async send(label, track) {
    try {
      await this.sender?.set(label, this.maySend ? track : null);
      if (this.wantedLayers[label]) this.sender.layers(label, this.wantedLayers[label]);
    } catch (e) {
      this.on.trouble(e);
    }
  }

  /** Another camera or microphone, or none. The track is ours from here on. */
  setTrack(label, track) {
    const before = this.tracks[label];
    if (before && before !== track) {
      before.onended = null;
      before.stop();
    }
    this.tracks[label] = track;
    if (track) track.onended = () => this.setTrack(label, null);
    if (label === 'audio' && track) track.enabled = !this.muted;
    if (label === 'audio' && !track && !this.muted && this.state) this.mute(true).catch(() => {});
    if (label === 'screen' && !track && before && this.state?.screen === this.me) this.act('screen.stop').catch(() => {});
    this.send(label, track);
    this.on.change('own');
  }

  /** Off is off at once, whatever the line does; on is when the gateway has said so. */
  async mute(muted) {
    this.mutePending = muted;
    this.muted = muted;
    if (muted && this.tracks.audio) this.tracks.audio.enabled = false;
    this.on.change('own');
    try {
      await this.act(muted ? 'mute' : 'unmute', { endpoint: this.me });
      if (this.mutePending !== muted) return;
      if (this.tracks.audio) this.tracks.audio.enabled = !muted && this.maySend;
      this.mutePending = undefined;
    } catch (e) {
      if (this.mutePending !== muted || e.lineLost && muted) return; // said again when the line is back
      this.mutePending = undefined;
      this.obey();
      throw e;
    } finally {
      this.on.change('own');
    }
  }

  /** The track is of no use where the gateway does not want it: of two screens one has to go. */
  async share(track) {
    try {
      await this.act('screen.start');
      this.setTrack('screen', track);
    } catch (e) {
      track.stop();
      throw e;
    }
  }

  act(act, members = {}) {
    return this.signal.request('act', { act, ...members }, { again: act !== 'end' });
  }

  // --- what is seen ---

  /** @param tiles endpoint, label, width, height in device pixels: all that is wanted now */
  view(tiles) {
    this.tiles = tiles;
    const text = JSON.stringify(tiles);
    if (text !== this.sent && this.state && this.line === 'up') this.sendView();
  }

  sendView() {
    const text = this.sent = JSON.stringify(this.tiles);
    this.signal.request('view', { tracks: this.tiles }, { again: false }).catch(() => {
      if (this.sent === text) this.sent = '';
    });
  }

  // --- the end ---

  over(error) {
    if (this.ended) return;
    this.end();
    this.on.over(error);
  }

  closePaths() {
    this.sender?.close();
    this.receiver?.close();
    this.sender = this.receiver = null;
    this.wantedLayers = {};
  }

  /** Leave for good. */
  leave() {
    if (this.ended) return;
    if (this.signal.ready) this.signal.request('leave').catch(() => {});
    this.end();
  }

  end() {
    this.ended = true;
    for (const track of Object.values(this.tracks)) {
      if (!track) continue;
      track.onended = null;
      track.stop();
    }
    this.signal.close();
    this.closePaths();
  }
}
