// Publish this machine's camera, microphone or screen.

import { GatewayError } from './gateway.js';
import { Session, Figures, prefer } from './whip.js';
import { figuresText } from './tile.js';
import { t } from './i18n.js';

const $ = id => document.getElementById(id);
const codecNames = ['H264', 'VP8', 'VP9', 'AV1', 'H265'];
const NAME = 'muster-name'; // of this tab: two tabs that proposed one id would drive each other out
// As openapi.yaml has them: site, name.
const ID = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\/[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;
const FINAL = [400, 401, 403, 406, 413, 415, 422];

export class Publisher {
  /** One for the page. @param changed called when what it does has changed */
  constructor(changed) {
    this.onChange = changed;
    this.gateway = null;
    this.view = $('publish-view');
    this.state = 'idle';
    this.text = () => '';
    this.run = 0; // counts starts and stops: what was begun before the last one is of no use any more
    this.act = name => this.view.querySelector(`[data-action=${name}]`);
    this.act('publish-start').onclick = () => this.start();
    this.act('publish-stop').onclick = () => this.stop();
    this.act('publish-close').onclick = () => this.view.close();
    this.view.querySelector('form').onsubmit = e => {
      e.preventDefault();
      this.start();
    };
    navigator.mediaDevices?.addEventListener?.('devicechange', () => this.view.open && this.choices());
  }

  /** A token came in, or (null) is gone, and with it what it published and under which id. */
  use(gateway) {
    this.stop();
    if (this.view.open) this.view.close();
    if (!gateway) sessionStorage.removeItem(NAME);
    $('name').value = '';
    this.gateway = gateway;
    this.say('idle', () => '');
  }

  get active() {
    return this.state === 'starting' || this.state === 'live' || this.state === 'dropped';
  }

  async open(site) {
    if (!$('name').value) $('name').value = this.remembered() || suggestion(this.gateway.claims(), site);
    if (!this.active) this.say('idle', () => this.missing());
    this.view.showModal();
    await this.choices();
  }

  /** The id that this tab used last, if it did so with this token. */
  remembered() {
    const [jti, id] = JSON.parse(sessionStorage.getItem(NAME) || '[]');
    return jti === this.gateway.claims().jti ? id : '';
  }

  /** What this browser, page or token lacks, or nothing. */
  missing() {
    if (!this.gateway?.may('publish')) return t('publish.scope');
    if (!window.RTCPeerConnection) return t('error.webrtc');
    if (!navigator.mediaDevices) return t('error.insecure');
    return '';
  }

  /** Devices have names only once the browser gave access. */
  async choices() {
    const devices = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
    const named = (kind, key) => devices.filter(d => d.kind === kind).map((d, i) => [d.deviceId || 'default', d.label || t(key, i + 1)]);
    const screen = navigator.mediaDevices?.getDisplayMedia ? [['screen', t('publish.screen')]] : [];
    fill($('source'), [...named('videoinput', 'publish.camera'), ...screen, ['', t('publish.none')]]);
    fill($('microphone'), [...named('audioinput', 'publish.mic'), ['', t('publish.none')]]);
    const can = window.RTCRtpSender?.getCapabilities?.('video')?.codecs.map(c => c.mimeType.split('/')[1].toUpperCase()) ?? [];
    fill($('codec'), [['', t('publish.auto')], ...codecNames.filter(c => can.includes(c)).map(c => [c, c])]);
  }

  say(state, text) {
    this.state = state;
    this.text = text;
    this.show();
    this.onChange();
  }

  /** Also after the language changed. */
  show() {
    const p = $('publish-state'), on = this.active, missing = !on && !!this.missing();
    p.dataset.publishState = this.state === 'idle' && missing ? 'failed' : this.state;
    p.textContent = this.text();
    this.act('publish-start').hidden = on;
    this.act('publish-start').disabled = missing;
    this.act('publish-stop').hidden = !on;
    this.view.querySelector('[data-fields]').hidden = on;
    $('preview').hidden = !this.stream?.getVideoTracks().length;
    for (const f of this.view.querySelectorAll('input, select')) f.disabled = on || missing;
  }

  /** Every track that the browser gave is in the stream returned, or stopped. */
  async capture(run) {
    const size = { 360: [640, 360], 720: [1280, 720], 1080: [1920, 1080] }[$('size').value];
    const picture = { width: { ideal: size[0] }, height: { ideal: size[1] }, frameRate: { ideal: 25, max: 30 } };
    const device = id => id && id !== 'default' ? { deviceId: { exact: id } } : {};
    const source = $('source').value, microphone = $('microphone').value, camera = source && source !== 'screen';
    const tracks = [];
    const take = async asked => {
      tracks.push(...(await asked).getTracks());
      if (run !== this.run) throw new Error('stopped while the browser asked');
    };
    try {
      if (source === 'screen') await take(navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } } }));
      if (camera || microphone) {
        await take(navigator.mediaDevices.getUserMedia({
          video: camera ? { ...picture, ...device(source) } : false, audio: microphone ? device(microphone) : false,
        }));
      }
      if (!tracks.length) throw new Problem('error.nothing');
    } catch (e) {
      for (const track of tracks) track.stop();
      throw e;
    }
    return new MediaStream(tracks);
  }

  async start() {
    const id = $('name').value.trim();
    if (this.active) return;
    if (this.missing()) return this.say('failed', () => this.missing());
    if (!ID.test(id)) return this.say('failed', () => t('error.id'));
    sessionStorage.setItem(NAME, JSON.stringify([this.gateway.claims().jti, id]));
    const run = ++this.run;
    Object.assign(this, { id, attempts: 0, refusals: 0, goodbyes: 0, wasLive: false });
    this.say('starting', () => t('publish.starting'));
    try {
      this.stream = await this.capture(run);
      $('preview').srcObject = this.stream;
      for (const track of this.stream.getVideoTracks()) track.onended = () => this.stop();
      this.say('starting', () => t('publish.connecting'));
      await this.choices();
      if (run === this.run) await this.connect(run);
    } catch (e) {
      this.ended(run, e);
    }
  }

  async connect(run) {
    const session = new Session(this.gateway, `/whip/${this.id}`, { state: (s, e) => run === this.run && session === this.session && this.changed(run, s, e) });
    this.session = session;
    try {
      for (const track of this.stream.getTracks()) {
        const tr = session.pc.addTransceiver(track, { direction: 'sendonly', streams: [this.stream] });
        if (track.kind === 'video' && !prefer(tr, $('codec').value)) throw new Problem('error.codec', $('codec').value);
      }
      this.figures = new Figures(session.pc, true);
      clearInterval(this.timer);
      this.timer = setInterval(() => this.measure(), 1000);
      await session.start();
    } catch (e) {
      session.close();
      throw e;
    }
  }

  changed(run, state, error) {
    if (state === 'up') {
      this.attempts = this.refusals = 0;
      this.wasLive = true;
      this.upSince = performance.now();
      this.say('live', () => t('publish.live', this.id));
    } else if (state === 'nopath') {
      this.say('dropped', () => t('tile.again', error.message));
    } else if (state === 'dropped') {
      this.say('dropped', () => t('tile.dropped'));
    } else if (state === 'down') {
      this.ended(run, error);
    }
  }

  /** The session is gone, or could not be made. Try again, unless that would help nobody. */
  async ended(run, error) {
    if (run !== this.run) return;
    const elsewhere = await this.elsewhere(error);
    if (run !== this.run) return;
    if (elsewhere) this.fail(() => t('publish.elsewhere', this.id));
    else if (error && (!(error instanceof GatewayError) || FINAL.includes(error.status))) this.fail(() => explain(error));
    else this.again(run, error);
  }

  /** Whether another publisher has our id now. */
  async elsewhere(error) {
    // Our own old session may be in the way for some seconds after it broke; the gateway says when to ask again.
    if (error?.status === 409) return !(this.wasLive || error.retryAfter) || ++this.refusals > 3;
    if (error?.status !== 404) return false;
    try {
      return (await this.gateway.json(`/v1/endpoints/${this.id}`)).state === 'live';
    } catch (e) {
      // A token that may only publish is not told. One that is driven out twice within a minute leaves the place.
      if (e.status !== 403 || !error.goodbye) return false;
      this.goodbyes = performance.now() - this.upSince < 60000 ? this.goodbyes + 1 : 1;
      return this.goodbyes > 1;
    }
  }

  /** The camera stays on and the id the same: viewers wait for us at the gateway. */
  again(run, error) {
    const seconds = error?.retryAfter || Math.min(2 ** ++this.attempts, 15);
    this.say('dropped', () => t('tile.retry', error?.message ?? '', seconds));
    this.retryTimer = setTimeout(() => {
      if (error?.noPath) this.say('dropped', () => t('tile.again', error.message));
      this.connect(run).catch(e => this.ended(run, e));
    }, seconds * 1000);
  }

  fail(text) {
    this.stop();
    this.say('failed', text);
  }

  async measure() {
    const run = this.run;
    if (this.state !== 'live') return;
    const text = figuresText(await this.figures.read());
    if (run === this.run) $('publish-figures').textContent = text;
  }

  stop() {
    this.run++;
    clearInterval(this.timer);
    clearTimeout(this.retryTimer);
    this.session?.close();
    for (const track of this.stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.session = this.stream = null;
    $('preview').srcObject = null;
    $('publish-figures').textContent = '';
    this.say('idle', () => t('publish.ended'));
  }
}

/** What this page itself finds wrong. */
class Problem extends Error {
  constructor(key, ...args) {
    super();
    this.say = () => t(key, ...args);
  }

  get message() {
    return this.say();
  }
}

function fill(select, rows) {
  const had = select.value, first = !select.options.length;
  select.replaceChildren(...rows.map(([value, text]) => new Option(text, value)));
  if (!first && rows.some(([value]) => value === had)) select.value = had;
}

/** An id to publish under: the token's own, or one of this site. */
function suggestion(claims, site) {
  const own = claims.endpoint;
  const name = `web-${Math.random().toString(36).slice(2, 6)}`;
  if (own && !own.endsWith('*')) return own;
  if (own && own.includes('/')) return own.slice(0, -1) + name;
  return site ? `${site}/${name}` : '';
}

function explain(e) {
  switch (e?.name) {
    case 'NotAllowedError': return t('error.denied');
    case 'NotFoundError':
    case 'OverconstrainedError': return t('error.nodevice');
    case 'NotReadableError':
    case 'AbortError': return t('error.busy');
    case 'NotSupportedError': return t('error.noscreen');
    default: return e?.message ?? '';
  }
}
