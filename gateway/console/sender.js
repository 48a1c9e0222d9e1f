// The up connection: what this page sends. The page offers, the gateway answers; one negotiation at a time.

import { Path } from './path.js';

/** The encodings of a camera: the gateway hands each viewer the one that fits, and says which nobody needs. */
const CAMERA = [
  { rid: 'l', scaleResolutionDownBy: 4, maxBitrate: 150e3 },
  { rid: 'm', scaleResolutionDownBy: 2, maxBitrate: 500e3 },
  { rid: 'h', scaleResolutionDownBy: 1, maxBitrate: 1500e3 },
];
const ENCODINGS = { audio: undefined, video: CAMERA, screen: [{ maxBitrate: 2500e3, maxFramerate: 15 }] };

export class Sender {
  /** @param on  on.state(state), on.dead(), on.error(error): the gateway refused an offer; on.simulcast(layers) */
  constructor(signal, ice, on) {
    this.signal = signal;
    this.on = on;
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: ice });
    this.labels = new Map(); // transceivers
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
      tr = this.pc.addTransceiver(track, { direction: 'sendonly', sendEncodings: ENCODINGS[label] });
      this.labels.set(label, tr);
      if (label === 'video') this.on.simulcast(tr.sender.getParameters().encodings.length);
      return this.negotiate();
    }
    const direction = track ? 'sendonly' : 'inactive', changes = tr.direction !== direction;
    tr.direction = direction;
    await tr.sender.replaceTrack(track).catch(() => {}); // closed meanwhile
    if (changes) await this.negotiate();
  }

  track(label) {
    return this.labels.get(label)?.sender.track ?? null;
  }

  /** Only the encodings in `wanted` are looked at by anybody: the others rest. */
  layers(label, wanted) {
    const sender = this.labels.get(label)?.sender;
    if (!sender) return;
    const change = async () => {
      const parameters = sender.getParameters();
      if (parameters.encodings.length < 2) return;
      for (const e of parameters.encodings) e.active = wanted.includes(e.rid);
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
