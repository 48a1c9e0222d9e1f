// What the console's modules expect of a browser when they are loaded.
globalThis.localStorage ??= { getItem: () => 'en', setItem() {} };
globalThis.document ??= { documentElement: { lang: 'en' }, querySelectorAll: () => [] };
if (!globalThis.navigator) globalThis.navigator = { language: 'en' };

/** A WebSocket that the test holds the other end of. */
export class Socket {
  static all = [];
  constructor(url, protocol) {
    Object.assign(this, { url, protocol, sent: [], closed: false });
    Socket.all.push(this);
  }
  static get last() {
    return Socket.all.at(-1);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  open() {
    this.onopen();
    return this;
  }
  /** As the gateway: answer what was asked last. */
  answer(type, members = {}) {
    this.say({ type, id: this.sent.at(-1).id, ...members });
  }
  say(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }
  cut() {
    this.onclose({ code: 1006 });
  }
}

/** Time that the test moves. (node:test's own is not in every node that Debian has.) */
export function clock(now = 1e12) {
  const real = { setTimeout, clearTimeout, setInterval, clearInterval, now: Date.now };
  const timers = new Map();
  let last = 0;
  const add = (fn, ms, every) => (timers.set(++last, { fn, at: now + ms, every }), last);
  globalThis.setTimeout = (fn, ms = 0) => add(fn, ms);
  globalThis.setInterval = (fn, ms) => add(fn, ms, ms);
  globalThis.clearTimeout = globalThis.clearInterval = (id) => timers.delete(id);
  Date.now = () => now;
  return {
    tick(ms) {
      for (const end = now + ms; ;) {
        const [id, next] = [...timers].sort((a, b) => a[1].at - b[1].at)[0] ?? [];
        if (!next || next.at > end) {
          now = end;
          return;
        }
        now = next.at;
        if (next.every) next.at += next.every;
        else timers.delete(id);
        next.fn();
      }
    },
    restore() {
      Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout, setInterval: real.setInterval, clearInterval: real.clearInterval });
      Date.now = real.now;
    },
  };
}
