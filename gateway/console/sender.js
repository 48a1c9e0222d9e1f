// The up connection: what this page sends. The page offers, the gateway answers; one negotiation at a time.

import { Path } from './path.js';

/** The encodings of a camera, smallest first: the gateway hands each viewer the one that fits, and says which nobody needs. */
const RATES = { l: 150e3, m: 500e3, h: 1500e3 };
/** How far each is scaled down. A browser sends no more sizes than it thinks good for a picture, and leaves out the largest: so
 *  the sizes of a small camera are fewer, and its own is among them. */
function scales(track) {
  const { width = 1280, height = 720 } = track?.getSettings?.() ?? {}, size = width * height;
  return size >= 960 * 540 ? { l: 4, m: 2, h: 1 } : size >= 480 * 270 ? { l: 2, m: 1 } : { l: 1 };
}

/** @param wanted rids that are looked at; nothing: all */
function encodings(track, wanted) {
  const scale = scales(track), has = Object.keys(scale), largest = has.at(-1);
  const looked = wanted?.map(rid => has.includes(rid) ? rid : largest) ?? has;
  return Object.entries(RATES).map(([rid, rate]) => ({ rid, scaleResolutionDownBy: scale[rid] ?? 1, active: looked.includes(rid),
    maxBitrate: rid === largest ? Math.max(rate, largest === 'm' ? 800e3 : 300e3) : rate }));
}

const SCREEN = [{ maxBitrate: 2500e3, maxFramerate: 15 }];

export class Sender {
  /** @param on  on.state(state), on.dead(), on.error(error): the gateway refused an offer; on.simulcast(layers) */
  constructor(signal, ice, on) {
    this.signal = signal;
    this.on = on;
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: ice });
    this.labels = new Map(); // transceivers
    this.wants = new Map(); // by label: the rids that are looked at
    this.resting = new Map(); // by label: the last change of its encodings
    this.unknown = true; // the gateway has not heard of this connection yet
    this.path = new Path(this.pc, { restart: () => this.restart(), state: on.state, dead: on.dead });
    this.pc.onicecandidate = e => e.candidate?.candidate && this.candidate(e.candidate);
  }

  candidate({ candidate, sdpMid: mid }) {
    if (this.signal.ready) this.signal.request('candidate', { pc: 'up', candidate, mid }).catch(() => {}); // our checks say the same
  }

  /** Send a track under a label, another one in its place, or (null) none. */
  async set(label, track) {
    let tr = this.labels.get(label);
    if (!tr && !track) return;
    if (!tr) {
      tr = this.pc.addTransceiver(track, { direction: 'sendonly', sendEncodings: label === 'video' ? encodings(track, this.wants.get(label)) : label === 'screen' ? SCREEN : undefined });
      this.labels.set(label, tr);
      if (label === 'video') this.on.simulcast(tr.sender.getParameters().encodings.length);
      return this.negotiate();
    }
    const direction = track ? 'sendonly' : 'inactive', changes = tr.direction !== direction;
    tr.direction = direction;
    await tr.sender.replaceTrack(track).catch(() => {}); // closed meanwhile
    if (track) this.rest(label);
    if (changes) await this.negotiate();
  }

  track(label) {
    return this.labels.get(label)?.sender.track ?? null;
  }

  /** Only the encodings in `wanted` are looked at by anybody: the others rest. */
  layers(label, wanted) {
    this.wants.set(label, wanted);
    this.rest(label);
  }

  rest(label) {
    const sender = this.labels.get(label)?.sender;
    if (!sender) return;
    const change = async () => {
      const parameters = sender.getParameters();
      if (parameters.encodings.length < 2) return;
      const now = encodings(sender.track, this.wants.get(label));
      for (const e of parameters.encodings) Object.assign(e, now.find(n => n.rid === e.rid));
      await sender.setParameters(parameters);
    };
    const before = this.resting.get(label) ?? Promise.resolve();
    this.resting.set(label, before.then(change).catch(() => {})); // a track that just ended
  }

  restart() {
    this.fresh = true;
    this.negotiate();
  }

  /** The line is back, with the session of before: what was not answered is offered anew. */
  resume() {
    if (this.unanswered) this.negotiate();
  }

  /** @return when there is nothing left to negotiate */
  negotiate() {
    this.wanted = true;
    this.running ??= Promise.resolve().then(() => this.run()).finally(() => { this.running = null; }); // what changes together is offered together
    return this.running;
  }

  async run() {
    while (this.wanted && this.pc.signalingState !== 'closed') {
      this.wanted = false;
      try {
        await this.offer();
        this.unanswered = false;
        this.path.begun();
      } catch (e) {
        await this.pc.setLocalDescription({ type: 'rollback' }).catch(() => {});
        this.unanswered = true;
        if (!e.lineLost && this.pc.signalingState !== 'closed') this.on.error(e);
      }
    }
  }

  async offer() {
    const pc = this.pc, iceRestart = !!this.fresh;
    this.fresh = false;
    try {
      await pc.setLocalDescription(await pc.createOffer({ iceRestart }));
      const tracks = [...this.labels].filter(([, tr]) => tr.direction === 'sendonly').map(([label, tr]) => ({ mid: tr.mid, label }));
      const answer = await this.signal.request('offer', { sdp: pc.localDescription.sdp, tracks, ...(this.unknown ? { fresh: true } : {}) });
      await pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
      this.unknown = false;
    } catch (e) {
      this.fresh = iceRestart;
      throw e;
    }
  }

  close() {
    this.path.stop();
    this.pc.close();
  }
}
