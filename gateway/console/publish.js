// Publish this machine's camera, microphone or screen.

import { Session, Figures, prefer } from './whip.js';
import { figuresText } from './tile.js';
import { t } from './i18n.js';

const $ = id => document.getElementById(id);
const codecNames = ['H264', 'VP8', 'VP9', 'AV1', 'H265'];

export class Publisher {
  constructor(gateway) {
    this.gateway = gateway;
    this.view = $('publish-view');
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

  async open(site) {
    if (!$('name').value) $('name').value = localStorage.getItem('muster-name') || suggestion(this.gateway.claims(), site);
    if (!this.session) this.say('idle', this.missing());
    this.view.showModal();
    await this.choices();
  }

  /** What this browser or page lacks, or nothing. */
  missing() {
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
    const p = $('publish-state');
    p.dataset.publishState = state;
    p.textContent = text;
    const on = state === 'starting' || state === 'live' || state === 'dropped';
    this.act('publish-start').hidden = on;
    this.act('publish-stop').hidden = !on;
    for (const f of this.view.querySelectorAll('input, select')) f.disabled = on;
  }

  async capture() {
    const size = { 360: [640, 360], 720: [1280, 720], 1080: [1920, 1080] }[$('size').value];
    const picture = { width: { ideal: size[0] }, height: { ideal: size[1] }, frameRate: { ideal: 25, max: 30 } };
    const device = id => id && id !== 'default' ? { deviceId: { exact: id } } : {};
    const source = $('source').value, microphone = $('microphone').value;
    const tracks = [];
    if (source === 'screen') tracks.push(...(await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } } })).getTracks());
    if ((source && source !== 'screen') || microphone) {
      tracks.push(...(await navigator.mediaDevices.getUserMedia({
        video: source && source !== 'screen' ? { ...picture, ...device(source) } : false,
        audio: microphone ? device(microphone) : false,
      })).getTracks());
    }
    if (!tracks.length) throw new Error(t('error.nothing'));
    return new MediaStream(tracks);
  }

  async start() {
    const id = $('name').value.trim();
    if (this.session || this.stream) return;
    if (this.missing()) return this.say('failed', this.missing());
    if (!/^[A-Za-z0-9._-]+\/[A-Za-z0-9._-]{1,64}$/.test(id)) return this.say('failed', t('error.id'));
    localStorage.setItem('muster-name', id);
    this.say('starting', t('publish.starting'));
    try {
      this.stream = await this.capture();
      $('preview').srcObject = this.stream;
      for (const track of this.stream.getVideoTracks()) track.onended = () => this.stop();
      await this.choices();
      await this.connect(id);
    } catch (e) {
      this.stop();
      this.say('failed', explain(e));
    }
  }

  async connect(id) {
    const session = new Session(this.gateway, `/whip/${id}`, { state: (s, e) => session === this.session && this.changed(s, id, e) });
    this.session = session;
    for (const track of this.stream.getTracks()) {
      const tr = session.pc.addTransceiver(track, { direction: 'sendonly', streams: [this.stream] });
      if (track.kind === 'video' && !prefer(tr, $('codec').value)) throw new Error(t('error.codec', $('codec').value));
    }
    this.figures = new Figures(session.pc, true);
    clearInterval(this.timer);
    this.timer = setInterval(() => this.measure(), 1000);
    await session.start();
  }

  changed(state, id, error) {
    if (state === 'up') {
      this.attempts = 0;
      this.say('live', t('publish.live', id));
    } else if (state === 'dropped') {
      this.say('dropped', t('tile.dropped'));
    } else if (state === 'down') {
      this.again(id, error);
    }
  }

  /** The camera stays on and the id the same: viewers wait for us at the gateway. */
  again(id, error) {
    const final = error && [400, 401, 403, 406, 409, 422].includes(error.status);
    if (final || !this.stream) {
      this.stop();
      return this.say('failed', explain(error));
    }
    const seconds = error?.retryAfter || Math.min(2 ** (this.attempts = (this.attempts ?? 0) + 1), 15);
    this.say('dropped', t('tile.retry', error?.message ?? '', seconds));
    this.retryTimer = setTimeout(() => this.connect(id).catch(e => this.again(id, e)), seconds * 1000);
  }

  async measure() {
    if (this.session && $('publish-state').dataset.publishState === 'live') $('publish-figures').textContent = figuresText(await this.figures.read());
  }

  stop() {
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
    this.say('idle', t('publish.ended'));
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
