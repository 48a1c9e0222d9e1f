// Before a conference: which there are, and with which camera, microphone and name one comes in.

import { t, clock } from './i18n.js';
import * as devices from './devices.js';
import { morph } from './morph.js';
import { iconOf, make } from './people.js';

const $ = id => document.getElementById(id);
const PREFERS = 'muster-devices'; // of this browser: devices and name of last time
const OPENS = 3000; // ms that a camera may take
const SOON = 300; // ms: a storm of events is read once
// As openapi.yaml has them: site, name.
const ID = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\/[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;

export class Lobby {
  /** @param on on.join({ conference, name, endpoint, tracks, speaker }), on.refused(error): the token */
  constructor(on) {
    this.on = on;
    this.all = [];
    this.chosen = '';
    this.tracks = { audio: null, video: null };
    this.level = new devices.Level(level => {
      $('level').style.width = `${Math.round(level * 100)}%`;
      $('level').parentElement.setAttribute('aria-valuenow', String(Math.round(level * 100)));
    });
    $('create-form').onsubmit = e => this.create(e);
    $('join-form').onsubmit = e => this.join(e);
    $('ask').onclick = () => { this.capturing = this.capture(true); };
    $('camera').onchange = () => this.take('video');
    $('microphone').onchange = () => this.take('audio');
    navigator.mediaDevices?.addEventListener?.('devicechange', () => this.gateway && !$('lobby-view').hidden && this.choices());
  }

  // --- conferences ---

  /** Show it. @param wanted id of a conference to have chosen */
  async enter(gateway, { wanted = '', endpoint = '', site = '' } = {}) {
    this.gateway = gateway;
    this.chosen = wanted || this.chosen;
    const prefers = this.prefers = JSON.parse(localStorage.getItem(PREFERS) || '{}'), own = gateway.claims().endpoint ?? '';
    if (!$('name').value) $('name').value = prefers.name || gateway.claims().name || '';
    // a token for one endpoint says who we are; with others there is a choice
    const fixed = own && !own.includes('*');
    $('id-row').hidden = fixed;
    if (!$('endpoint').value) $('endpoint').value = fixed ? own : endpoint || propose(own, site);
    this.say('join-state', () => '');
    this.label();
    this.follow();
    this.capturing = this.capture(false);
    await this.refresh();
  }

  leave() {
    this.following?.abort();
    clearTimeout(this.timer);
    clearInterval(this.ticks);
    this.level.stop();
    $('preview').srcObject = null;
    for (const track of Object.values(this.tracks)) track?.stop();
    this.tracks = { audio: null, video: null };
    this.gateway = null;
  }

  follow() {
    const following = this.following = new AbortController();
    this.gateway.follow(following.signal, {
      event: kind => (kind === 'reset' || kind.startsWith('conference.')) && this.refreshSoon(),
      up: () => this.refreshSoon(),
      down: () => {},
    });
    this.ticks = setInterval(() => document.hidden || this.refresh(), 15000);
  }

  refreshSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), SOON);
  }

  async refresh() {
    const asked = this.gateway;
    try {
      const all = await this.gateway.conferences();
      if (asked !== this.gateway) return;
      this.all = all;
      this.problem = null;
    } catch (e) {
      if (asked !== this.gateway) return;
      if (e.status === 401) return this.on.refused(e);
      this.problem = e;
    }
    this.show();
  }

  show() {
    morph($('conferences'), this.all.map(c => this.row(c)));
    $('conferences-empty').hidden = this.all.length > 0 && !this.problem;
    $('conferences-empty').textContent = this.problem ? this.problem.status === 403 ? t('conf.forbidden') : this.problem.message : t('conf.none');
    const chosen = this.all.find(c => c.id === this.chosen);
    $('join-title').textContent = this.chosen ? t('join.to', chosen?.title ?? this.chosen) : t('join.title');
    $('join').setAttribute('aria-disabled', String(!this.chosen));
  }

  row(c) {
    const members = Array.isArray(c.members) ? c.members : null, all = members?.length ?? c.members ?? 0, here = members?.filter(m => m.present).length ?? c.present ?? all;
    const marks = [c.moderated ? t('conf.moderated') : '', t('since', clock(c.since))].filter(Boolean).join(' · ');
    const state = make('span', { className: 'state', textContent: t('conf.members', here, all) });
    const name = make('span', { className: 'id', textContent: c.title || c.id });
    if (c.locked) name.append(' ', make('i', { title: t('conf.locked') }, iconOf('lock')));
    const button = make('button', { type: 'button', onclick: () => this.choose(c.id) }, name, state, make('span', { className: 'more', textContent: marks }));
    button.dataset.conference = c.id;
    button.setAttribute('aria-pressed', String(c.id === this.chosen));
    const row = make('li', {}, button);
    row.dataset.key = c.id;
    return row;
  }

  choose(id) {
    this.chosen = id;
    this.say('join-state', () => '');
    this.show();
    $('join').focus();
    $('join-form').scrollIntoView({ block: 'nearest' });
  }

  async create(e) {
    e.preventDefault();
    const title = $('create-title').value.trim(), id = `${new Date().toISOString().slice(0, 10)}-${Math.random().toString(36).slice(2, 7)}`;
    if (!title) return;
    try {
      await this.gateway.request('/v1/conferences', { method: 'POST', headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ id, title, moderated: $('create-moderated').checked }) });
      this.say('create-state', () => '');
      $('create-title').value = '';
      $('create').open = false;
      this.chosen = id;
      await this.refresh();
    } catch (error) {
      this.say('create-state', () => error.message);
    }
  }

  // --- devices ---

  /** Texts that the page's source does not have; also after the language changed. */
  label() {
    const { all, some } = devices.lacks();
    $('lacks').textContent = [...all, ...some].map(key => t(key)).join(' ');
    $('ask').hidden = !navigator.mediaDevices || !!(this.tracks.audio || this.tracks.video);
    this.say('join-state');
    this.say('create-state');
    this.say('devices-state');
    this.showPreview();
    this.show();
    this.choices();
  }

  say(id, text) {
    this.said ??= {};
    if (text) this.said[id] = text;
    $(id).textContent = this.said[id]?.() ?? '';
  }

  async choices() {
    const rows = kind => devices.choices(kind);
    const [cameras, microphones, speakers] = await Promise.all(['videoinput', 'audioinput', 'audiooutput'].map(rows));
    const had = this.prefers ?? {};
    fill($('camera'), [...cameras, ['', t('join.off')]], had.camera);
    fill($('microphone'), [...microphones, ['', t('join.off')]], had.microphone);
    $('speaker-row').hidden = !devices.canChooseSpeaker() || !speakers.length;
    fill($('speaker'), speakers.some(([id]) => id === 'default') ? speakers : [['', t('join.default')], ...speakers], had.speaker);
  }

  /** Open camera and microphone; without having been asked only what the browser gives without a question. */
  async capture(asked) {
    if (!navigator.mediaDevices) return;
    await this.choices();
    if (!asked && !await this.granted()) {
      $('ask').hidden = false;
      return;
    }
    await this.take('audio');
    await this.take('video');
    await this.choices();
  }

  /** Whether the browser would give devices without a question. Where it does not tell, it is asked. */
  async granted() {
    try {
      const states = await Promise.all(['camera', 'microphone'].map(name => navigator.permissions.query({ name })));
      return states.every(s => s.state === 'granted') || (this.prefers.name && states.some(s => s.state === 'granted'));
    } catch {
      return !!this.prefers.name;
    }
  }

  async take(label) {
    const select = $(label === 'video' ? 'camera' : 'microphone'), run = (this.run ??= {})[label] = {};
    this.tracks[label]?.stop();
    this.tracks[label] = null;
    try {
      if (select.value) {
        const track = await devices[label === 'video' ? 'camera' : 'microphone'](select.value);
        if (run !== this.run[label] || !this.gateway) return track.stop();
        this.tracks[label] = track;
        track.onended = () => this.tracks[label] === track && this.lost(label);
      }
      this.trouble(label, null);
    } catch (e) {
      if (run === this.run[label]) this.trouble(label, () => devices.explain(e, label));
    }
    this.shown(label);
  }

  lost(label) {
    this.tracks[label] = null;
    this.trouble(label, () => t('device.gone'));
    this.shown(label);
    this.choices();
  }

  trouble(label, text) {
    this.troubles ??= {};
    this.troubles[label] = text;
    this.say('devices-state', () => {
      const say = [this.troubles.audio, this.troubles.video].filter(Boolean).map(f => f());
      if (!this.tracks.audio && !$('microphone').value) say.push(t('join.quiet'));
      return [...new Set(say)].join(' ');
    });
  }

  shown(label) {
    $('ask').hidden = !!(this.tracks.audio || this.tracks.video);
    if (label === 'audio') this.level.follow(this.tracks.audio);
    else this.showPreview();
  }

  showPreview() {
    const track = this.tracks.video;
    if (track) {
      if ($('preview').srcObject?.getTracks()[0] !== track) $('preview').srcObject = new MediaStream([track]);
    } else {
      $('preview').srcObject = null;
    }
    $('preview').hidden = !track;
    $('preview-none').textContent = track ? '' : t('join.nopicture');
  }

  // --- in ---

  async join(e) {
    e.preventDefault();
    const asked = this.gateway;
    const name = $('name').value.trim(), endpoint = $('endpoint').value.trim();
    if (!this.chosen) return this.say('join-state', () => t('conf.choose'));
    if (!ID.test(endpoint)) return this.say('join-state', () => t('error.id'));
    // devices that are about to open are waited for, but not a question that nobody answers
    await Promise.race([this.capturing, new Promise(done => setTimeout(done, OPENS))]);
    if (asked !== this.gateway) return;
    localStorage.setItem(PREFERS, JSON.stringify({ name, camera: $('camera').value, microphone: $('microphone').value, speaker: $('speaker').value }));
    const tracks = this.tracks;
    for (const track of Object.values(tracks)) if (track) track.onended = null;
    this.tracks = { audio: null, video: null };
    this.on.join({ conference: this.chosen, name, endpoint, tracks, speaker: $('speaker').value });
  }
}

/** An id for this tab, where the token leaves a choice. */
function propose(own, site) {
  const name = `web-${Math.random().toString(36).slice(2, 6)}`;
  if (own.includes('/')) return own.slice(0, own.indexOf('*')) + name;
  const under = own.replace(/\.?\*.*$/, '') || site;
  return under ? `${under}/${name}` : '';
}

export function fill(select, rows, wanted) {
  const had = select.options.length ? select.value : wanted;
  select.replaceChildren(...rows.map(([value, text]) => new Option(text, value)));
  if (had !== undefined && rows.some(([value]) => value === had)) select.value = had;
}
