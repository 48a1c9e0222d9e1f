// WHIP (RFC 9725) and WHEP: one peer connection, one session at the gateway.
//
// The gateway is ICE lite: it learns our addresses from our checks, so the offer goes out at once and candidates are not
// trickled. When the network changes, ICE is restarted by PATCH and the session goes on.

import { GatewayError } from './gateway.js';
import { t } from './i18n.js';

const HEALS = 2500; // ms: a path that is interrupted often comes back by itself
const CONNECTS = 8000; // ms from the answer: without a path by then there is hardly one, and somebody should look
const GIVES_UP = 20000; // ms from the answer: a lossy link may need that long for its handshake
const RESTARTS = 10000; // ms from the answer to an ICE restart: then a new session is the better way
const PARTS = 1000; // ms: the goodbye to a gateway that does not answer

export class Session {
  /** @param url /whip/<id> or /whep/<id>; on.state('connecting' | 'nopath' | 'up' | 'dropped' | 'down', error);
   *  'nopath' is told while it still tries */
  constructor(gateway, url, on) {
    this.gateway = gateway;
    this.url = url;
    this.on = on;
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.pc.addEventListener('connectionstatechange', () => this.changed());
    this.closed = this.wasUp = this.restarting = false;
  }

  async start() {
    const pc = this.pc;
    this.on.state('connecting');
    pc.setConfiguration({ bundlePolicy: 'max-bundle', iceServers: await this.gateway.iceServers() });
    if (this.closed) return;
    await pc.setLocalDescription();
    if (this.closed) return;
    const response = await this.gateway.request(this.url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp });
    this.location = new URL(response.headers.get('Location'), location.href).pathname;
    const answer = await response.text();
    if (this.closed) {
      this.end();
      return;
    }
    await pc.setRemoteDescription({ type: 'answer', sdp: answer });
    if (this.closed) return;
    this.hearGoodbye();
    this.limit(CONNECTS, () => {
      this.on.state('nopath', noPath());
      this.limit(GIVES_UP - CONNECTS, () => this.fail(noPath()));
    });
  }

  /** The gateway ends a session with a DTLS alert; without it the browser would wait for seconds for packets. */
  hearGoodbye() {
    const dtls = this.pc.getTransceivers().map(x => x.sender.transport ?? x.receiver.transport).find(Boolean);
    dtls?.addEventListener('statechange', () => {
      if (dtls.state === 'closed') this.fail(Object.assign(new GatewayError(404, () => t('error.ended')), { goodbye: true }));
    });
  }

  changed() {
    if (this.closed) return;
    switch (this.pc.connectionState) {
      case 'connected':
        clearTimeout(this.timer);
        this.wasUp = true;
        this.on.state('up');
        break;
      case 'disconnected': // often heals by itself within a second or two
        this.on.state('dropped');
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.restart(), HEALS);
        break;
      case 'failed':
        if (this.wasUp) this.restart();
        else this.fail(noPath());
        break;
      case 'closed':
        this.fail();
    }
  }

  /** ICE restart (RFC 9725, section 4.3.2). A session that is gone is 404: the caller begins anew. */
  async restart() {
    if (this.closed || this.restarting || !this.location) return;
    clearTimeout(this.timer);
    this.restarting = true;
    try {
      const pc = this.pc;
      const offer = await pc.createOffer({ iceRestart: true });
      await pc.setLocalDescription(offer);
      const response = await this.gateway.request(this.location, {
        method: 'PATCH',
        headers: { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*' },
        body: fragment(offer.sdp),
      });
      const answer = merge(pc.currentRemoteDescription.sdp, await response.text());
      if (this.closed) return;
      await pc.setRemoteDescription({ type: 'answer', sdp: answer });
      this.limit(RESTARTS, () => this.fail(noPath()));
    } catch (e) {
      this.fail(e);
    } finally {
      this.restarting = false;
    }
  }

  /** Give the path its time. After a restart the old one may have come back before the answer: then all is well. */
  limit(ms, missed) {
    clearTimeout(this.timer);
    if (this.pc.connectionState === 'connected') return;
    this.timer = setTimeout(() => {
      if (this.pc.connectionState !== 'connected') missed();
    }, ms);
  }

  fail(error) {
    if (this.closed) return;
    this.close();
    this.on.state('down', error);
  }

  /** The gateway is told first: a connection that only closes may come back, and its viewers would wait for it. */
  async close() {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.timer);
    await Promise.race([this.end(), new Promise(done => setTimeout(done, PARTS))]);
    this.pc.close();
  }

  /** Tell the gateway; also while the page goes away. */
  async end() {
    const path = this.location;
    this.location = null;
    if (path) await this.gateway.request(path, { method: 'DELETE', keepalive: true }).catch(() => {});
  }
}

function noPath() {
  return Object.assign(new GatewayError(0, () => t('error.nopath')), { noPath: true });
}

/** A trickle fragment (RFC 8840) with the offer's new credentials. */
function fragment(sdp) {
  const line = name => sdp.match(new RegExp(`^a=${name}:.*$`, 'm'))[0].trim();
  const media = sdp.match(/^m=.*$/m)[0].trim();
  return [line('ice-ufrag'), line('ice-pwd'), media, line('mid'), ''].join('\r\n');
}

/** The old answer with the credentials of a fragment. */
function merge(sdp, frag) {
  for (const name of ['ice-ufrag', 'ice-pwd']) {
    const line = frag.match(new RegExp(`^a=${name}:.*$`, 'm'))[0].trim();
    sdp = sdp.replace(new RegExp(`^a=${name}:[^\\r\\n]*`, 'mg'), () => line);
  }
  return sdp;
}

/** Prefer one video codec; repair and red formats stay behind it. @return false: the browser does not have it */
export function prefer(transceiver, codec) {
  if (!codec || !transceiver.setCodecPreferences) return !codec;
  const all = RTCRtpSender.getCapabilities('video').codecs;
  const wanted = all.filter(c => c.mimeType.toLowerCase() === `video/${codec.toLowerCase()}`);
  if (!wanted.length) return false;
  transceiver.setCodecPreferences([...wanted, ...all.filter(c => /\/(rtx|red|ulpfec|flexfec-03)$/i.test(c.mimeType))]);
  return true;
}

/** Figures of a connection, compared with those of the last call. @param out true: what we send */
export class Figures {
  constructor(pc, out) {
    this.pc = pc;
    this.out = out;
    this.last = { at: 0, bytes: 0, packets: 0, lost: 0 };
  }

  async read() {
    const report = await this.pc.getStats();
    const now = { at: performance.now(), bytes: 0, packets: 0, lost: 0 };
    const figures = {};
    for (const s of report.values()) {
      if (s.type === (this.out ? 'outbound-rtp' : 'inbound-rtp')) {
        now.bytes += s.bytesSent ?? s.bytesReceived ?? 0;
        if (s.kind !== 'video') continue;
        now.packets += s.packetsSent ?? s.packetsReceived ?? 0;
        now.lost += s.packetsLost ?? 0;
        Object.assign(figures, { width: s.frameWidth, height: s.frameHeight, fps: s.framesPerSecond, jitter: s.jitter, frames: s.framesDecoded ?? s.framesSent });
        figures.codec = report.get(s.codecId)?.mimeType.split('/')[1];
      } else if (s.type === 'remote-inbound-rtp' && s.kind === 'video') {
        now.lost += s.packetsLost ?? 0;
        figures.jitter = s.jitter;
      } else if (s.type === 'candidate-pair' && s.nominated) {
        figures.rtt = s.currentRoundTripTime;
      }
    }
    const seconds = (now.at - this.last.at) / 1000;
    const packets = now.packets - this.last.packets, lost = Math.max(0, now.lost - this.last.lost);
    figures.bitrate = Math.max(0, (now.bytes - this.last.bytes) * 8 / seconds);
    figures.loss = packets + lost > 0 ? lost / (packets + (this.out ? 0 : lost)) : 0;
    this.last = now;
    return figures;
  }
}
