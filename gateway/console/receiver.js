// The down connection: what the gateway sends. It offers, the page answers. An m-section is a slot; whose track is in it just
// now is told apart from the offers.

import { Path } from './path.js';

export class Receiver {
  /** @param on  on.state(state), on.dead(), on.slots(): what is in the slots changed */
  constructor(signal, ice, on) {
    this.signal = signal;
    this.on = on;
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: ice });
    this.slots = []; // mid, kind, endpoint, label
    this.work = Promise.resolve();
    this.path = new Path(this.pc, { restart: () => this.restart(), state: on.state, dead: on.dead });
    this.pc.onicecandidate = e => e.candidate?.candidate && this.candidate(e.candidate);
    this.pc.ontrack = () => on.slots();
  }

  candidate({ candidate, sdpMid: mid }) {
    if (this.signal.ready) this.signal.request('candidate', { pc: 'down', candidate, mid }).catch(() => {});
  }

  /** An offer of the gateway. They are answered in their order. */
  offer({ n, sdp }) {
    this.work = this.work.then(async () => {
      await this.pc.setRemoteDescription({ type: 'offer', sdp });
      await this.pc.setLocalDescription();
      this.path.begun();
      await this.signal.request('answer', { n, sdp: this.pc.localDescription.sdp });
      this.on.slots();
    }).catch(() => {}); // without an answer the gateway offers again, and a path that does not come up is begun anew
  }

  tracks(slots) {
    this.slots = slots;
    this.on.slots();
  }

  /** @return mid and track of an endpoint, or null while it is in no slot */
  find(endpoint, label) {
    const slot = this.slots.find(s => s.endpoint === endpoint && s.label === label);
    const track = slot && this.pc.getTransceivers().find(tr => tr.mid === slot.mid)?.receiver.track;
    return track ? { mid: slot.mid, track } : null;
  }

  /** All slots of sound: each has a player of its own, whoever is in it. */
  sounds() {
    return this.pc.getTransceivers().filter(tr => tr.mid !== null && tr.receiver.track.kind === 'audio' && tr.currentDirection !== 'inactive')
      .map(tr => ({ mid: tr.mid, track: tr.receiver.track }));
  }

  restart() {
    this.signal.request('restart', {}, { again: true }).catch(() => {}); // tried again in a while
  }

  close() {
    this.path.stop();
    this.pc.close();
  }
}
