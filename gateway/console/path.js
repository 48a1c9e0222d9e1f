// Watches over the path of a peer connection: a short break heals by itself, a longer one by an ICE restart, and where that does
// not help either, whoever owns it has to begin anew.

const HEALS = 1000; // ms: a path that is interrupted may come back by itself; browsers notice late enough
const TRIES = [5000, 8000, 12000]; // ms that each ICE restart has

export class Path {
  /** @param on  on.restart(): make new credentials; on.state('connecting' | 'up' | 'dropped'); on.dead() */
  constructor(pc, on) {
    this.pc = pc;
    this.on = on;
    this.tries = 0;
    pc.addEventListener('connectionstatechange', () => this.changed());
  }

  changed() {
    switch (this.pc.connectionState) {
      case 'connected':
        this.stop();
        this.tries = 0;
        this.on.state('up');
        break;
      case 'disconnected':
        this.on.state('dropped');
        this.soon(HEALS);
        break;
      case 'failed':
        this.on.state('dropped');
        this.soon(0);
    }
  }

  /** It was used for the first time, or anew: it has its time to come up. */
  begun() {
    if (this.pc.connectionState !== 'connected' && !this.timer) this.soon(TRIES[1]);
  }

  /** The machine's network changed: do not wait until the path is found broken. */
  network() {
    if (this.pc.connectionState !== 'new') this.soon(0);
  }

  soon(ms) {
    this.stop();
    this.timer = setTimeout(() => this.again(), ms);
  }

  again() {
    this.timer = null;
    const { connectionState: state } = this.pc;
    if (state === 'closed') return;
    if (this.tries === TRIES.length) {
      this.on.dead();
      return;
    }
    this.on.restart();
    if (state !== 'connected') this.soon(TRIES[this.tries++]);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
  }
}
