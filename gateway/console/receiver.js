// The down connection: what the gateway sends. It offers, the page answers. An m-section is a slot; whose track is in it just
// now is told apart from the offers.

import { Path } from './path.js';

export class Receiver {
  /** @param on  on.state(state), on.slots(): what is in the slots changed; on.error(error) */
  constructor(signal, ice, on) {
    this.signal = signal;
    this.ice = ice;
    this.on = on;
    this.slots = []; // mid, kind, endpoint, label
    this.missing = []; // endpoint, label, why: what was asked for and is in none
    this.begin();
  }

  begin() {
    this.close();
    this.used = false;
    this.work = Promise.resolve(); // what a connection was doing when it was closed never ends
    const pc = this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: this.ice });
    this.path = new Path(pc, {
      restart: () => this.restart(), state: s => pc === this.pc && this.on.state(s), dead: () => this.anew(),
    });
    pc.onicecandidate = e => e.candidate?.candidate && this.candidate(e.candidate);
    pc.ontrack = () => this.on.slots();
  }

  candidate({ candidate, sdpMid: mid }) {
    if (this.signal.ready) this.signal.request('candidate', { pc: 'down', candidate, mid }).catch(() => {}); // our checks say the same
  }

  /** An offer of the gateway. They are answered in their order. */
  offer({ n, sdp, fresh }) {
    if (fresh && this.used) this.begin();
    this.used = true;
    const pc = this.pc;
    this.work = this.work.then(async () => {
      await pc.setRemoteDescription({ type: 'offer', sdp });
      await pc.setLocalDescription();
      if (pc !== this.pc) return;
      this.path.begun();
      await this.signal.request('answer', { n, sdp: pc.localDescription.sdp });
      this.on.slots();
    }).catch(e => e.lineLost || pc !== this.pc || this.on.error(e)); // one without an answer is offered again when the line is back
  }

  /** The gateway ended this connection: another follows when something is to be seen. */
  over() {
    this.slots = [];
    this.begin();
    this.on.slots();
  }

  tracks({ tracks = [], missing = [] }) {
    this.slots = tracks;
    this.missing = missing;
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

  /** Why what was asked for is in no slot, or nothing. */
  why(endpoint, label) {
    return this.missing.find(m => m.endpoint === endpoint && m.label === label)?.why ?? '';
  }

  restart() {
    this.signal.request('restart', {}, { again: true }).catch(() => {}); // tried again in a while
  }

  /** The gateway is to make a new connection for a new one. */
  anew() {
    this.begin();
    this.path.begun();
    this.signal.request('restart', { fresh: true }, { again: true }).catch(() => {});
    this.on.slots();
  }

  close() {
    this.path?.stop();
    this.pc?.close();
  }
}
