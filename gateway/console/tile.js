// One picture on the wall: watches an endpoint, shows how well, and heals by itself.

import { Session, Figures } from './whip.js';
import { t, clock } from './i18n.js';

const FINAL = [400, 401, 403, 406, 413, 415, 422]; // asking again changes nothing, until the endpoint itself changes

export class Tile {
  /** @param on on.up(): pictures can come; on.closed() */
  constructor(gateway, id, on) {
    this.gateway = gateway;
    this.id = id;
    this.on = on;
    this.element = document.getElementById('tile-template').content.firstElementChild.cloneNode(true);
    this.element.dataset.tile = id;
    this.element.setAttribute('aria-label', id);
    this.video = this.element.querySelector('video');
    this.find('[data-tile-id]').textContent = id;
    this.find('[data-action=audio]').onclick = () => this.toggleAudio();
    this.find('[data-action=full]').onclick = () => this.toggleFull();
    this.find('[data-action=close]').onclick = () => this.close();
    this.element.ondblclick = () => this.toggleFull();
    this.element.onkeydown = e => this.key(e);
    this.endpoint = null;
    this.attempts = 0;
    this.error = null; // why it is not connected
    this.timer = setInterval(() => this.measure(), 1000);
    this.label();
    this.begin();
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  key(e) {
    if (e.target !== this.element) return;
    const act = { m: () => this.toggleAudio(), f: () => this.toggleFull(), Enter: () => this.toggleFull(), Delete: () => this.close() }[e.key];
    if (act) {
      e.preventDefault();
      act();
    }
  }

  /** Texts of the buttons; also after the language changed. */
  label() {
    const set = (action, text) => {
      const b = this.find(`[data-action=${action}]`);
      b.title = text;
      b.setAttribute('aria-label', `${text}: ${this.id}`);
    };
    set('audio', t(this.video.muted ? 'audio.off' : 'audio.on'));
    set('full', t('full'));
    set('close', t('close'));
    this.show();
  }

  async begin() {
    clearTimeout(this.retryTimer);
    this.session?.close();
    this.stage = 'connecting';
    this.show();
    const session = new Session(this.gateway, `/whep/${this.id}`, { state: (s, e) => session === this.session && this.changed(s, e) });
    this.session = session;
    this.figures = new Figures(session.pc, false);
    const stream = new MediaStream();
    session.pc.ontrack = e => {
      stream.addTrack(e.track);
      this.video.srcObject = stream;
      this.video.play().catch(() => {}); // muted until asked: browsers allow that
    };
    session.pc.addTransceiver('video', { direction: 'recvonly' });
    session.pc.addTransceiver('audio', { direction: 'recvonly' });
    try {
      await session.start();
    } catch (e) {
      if (session === this.session) this.changed('down', e);
    }
  }

  changed(state, error) {
    if (this.closed) return;
    if (state === 'up') {
      this.attempts = 0;
      this.error = null;
      this.on.up();
    }
    if (state === 'nopath') this.error = error;
    if (state !== 'down') {
      this.stage = state === 'nopath' ? 'connecting' : state;
      this.show();
      return;
    }
    this.session.close();
    this.find('[data-figures]').textContent = '';
    this.error = error;
    if (FINAL.includes(error?.status)) {
      this.stage = 'refused';
      this.show();
      return;
    }
    // nobody publishes: an event starts us, the timer is the second way
    const waits = error?.goodbye ? this.endpoint?.state !== 'live' : error?.status === 404 || error?.status === 409;
    this.seconds = error?.retryAfter || Math.min(2 ** this.attempts++, 15);
    this.stage = waits ? 'waiting' : 'retry';
    this.retryTimer = setTimeout(() => this.begin(), this.seconds * 1000);
    this.show();
  }

  /** What the directory says of the endpoint now. */
  update(endpoint) {
    const before = this.endpoint?.state;
    this.endpoint = endpoint;
    if (endpoint?.state === 'live' && before !== 'live' && ['waiting', 'retry', 'refused'].includes(this.stage)) this.begin();
    this.show();
  }

  show() {
    const state = this.endpoint?.state ?? 'idle';
    const badge = this.find('[data-tile-state]');
    badge.textContent = t(`state.${state}`);
    badge.dataset.tileState = state;
    this.element.dataset.stage = this.stage;
    const over = this.overlay(state);
    const overlay = this.find('[data-overlay]');
    overlay.dataset.overlay = state === 'lost' ? 'lost' : over ? this.stage : '';
    if (overlay.textContent !== over) overlay.textContent = over;
  }

  overlay(state) {
    if (this.stage === 'refused') return this.error.message;
    if (state === 'lost') return t('tile.lost', clock(this.endpoint.since));
    switch (this.stage) {
      // what stands in the way for good is not wiped out by each new try
      case 'connecting': return this.error?.noPath ? t('tile.again', this.error.message) : t('tile.connecting');
      case 'waiting': return t('tile.waiting');
      case 'retry': return t('tile.retry', this.error?.message ?? '', this.seconds);
      case 'dropped': return t('tile.dropped');
      case 'up': return this.undecoded > 8 ? t('error.play') : '';
      default: return '';
    }
  }

  async measure() {
    if (this.stage !== 'up') return;
    const f = await this.figures.read();
    if (this.stage !== 'up' || this.closed) return;
    // packets without a picture for seconds: the browser lacks the codec
    const stuck = f.bitrate > 20000 && f.codec && !f.frames && this.endpoint?.state === 'live';
    this.undecoded = stuck ? (this.undecoded ?? 0) + 1 : 0;
    this.find('[data-figures]').textContent = figuresText(f);
    this.show();
  }

  toggleAudio() {
    this.video.muted = !this.video.muted;
    this.find('[data-action=audio]').setAttribute('aria-pressed', String(!this.video.muted));
    this.label();
  }

  toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else (this.element.requestFullscreen?.() ?? this.video.webkitEnterFullscreen?.())?.catch?.(() => {});
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.timer);
    clearTimeout(this.retryTimer);
    this.session.close();
    this.element.remove();
    this.on.closed();
  }
}

export function figuresText(f) {
  const parts = [];
  if (f.width) parts.push(`${f.width}×${f.height}`);
  if (f.fps !== undefined) parts.push(`${Math.round(f.fps)} fps`);
  parts.push(f.bitrate >= 1e6 ? `${(f.bitrate / 1e6).toFixed(2)} Mbit/s` : `${Math.round(f.bitrate / 1e3)} kbit/s`);
  parts.push(`${t('figures.loss')} ${(f.loss * 100).toFixed(1)} %`);
  if (f.jitter !== undefined) parts.push(`${t('figures.jitter')} ${Math.round(f.jitter * 1000)} ms`);
  if (f.rtt !== undefined) parts.push(`${t('figures.rtt')} ${Math.round(f.rtt * 1000)} ms`);
  if (f.codec) parts.push(f.codec);
  return parts.map(part => part.replaceAll(' ', '\u00a0')).join(' · '); // a narrow screen breaks between figures only
}
