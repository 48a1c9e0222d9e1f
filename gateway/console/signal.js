// The console session's line (docs/signalling.md): one WebSocket, requests by number, and whatever the gateway says by itself.
// A line that is lost is picked up again with its session, so that whoever uses it hears of the loss and need do nothing.

import { GatewayError } from './gateway.js';
import { t, refusal } from './i18n.js';

const VERSION = 'muster.1';
const ANSWERS = 10000; // ms: an answer that is not here by then was lost with the line
const WAITS = 10000; // ms that a request waits for a line that is down
const SILENT = 5000; // ms: figures come each second, so a line without them is dead
const SLOWEST = 3000; // ms between two tries at most: a gateway that is back is found soon
const FINAL = [400, 401, 403, 404, 422];

/** How long to wait before the try after `failures` of them: soon at first, then apart, so that a thousand do not come at once. */
export function backOff(failures, random) {
  const ms = Math.min(250 * 2 ** failures, SLOWEST);
  return ms / 2 + random * ms / 2;
}

export class Signal {
  /**
   * @param on  on.state('connecting' | 'up' | 'lost'); on.welcome(message): may return a promise, requests that waited go after
   *            it; on.message(message); on.over(error): refused, or ended by the gateway: no more tries
   */
  constructor(on, { url, Socket = globalThis.WebSocket, random = Math.random } = {}) {
    Object.assign(this, { on, url, Socket, random });
    this.asked = new Map(); // by id: what waits for its answer
    this.queue = []; // what waits for the line
    this.last = this.failures = 0;
    this.session = '';
    this.state = 'off';
    this.ready = false;
  }

  /** @param hello token, endpoint */
  open(hello) {
    this.hello = hello;
    this.connect();
    this.watch = setInterval(() => this.look(), 1000);
  }

  /** Ask. @param again whether it does no harm to ask twice: then it is asked anew where its answer was lost. @return the answer */
  request(type, members = {}, { again = false } = {}) {
    return new Promise((yes, no) => {
      const question = { type, members, again, yes, no, until: Date.now() + WAITS };
      if (this.ready) this.ask(question);
      else if (this.state === 'off') no(lineLost());
      else this.queue.push(question);
    });
  }

  /** For good. A last request may be on its way. */
  close() {
    this.rest();
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
  }

  /** The network came or went, or the machine woke: do not wait for the next try. */
  nudge() {
    if (this.state === 'lost' || this.state === 'connecting') {
      this.failures = 0;
      this.drop();
      this.connect();
    }
  }

  // --- below here: the socket ---

  connect() {
    clearTimeout(this.retry);
    if (this.state === 'off') this.say('connecting');
    const socket = this.socket = new this.Socket(this.url, VERSION);
    const mine = f => (...args) => socket === this.socket && f(...args);
    socket.onopen = mine(() => this.greet());
    socket.onmessage = mine(e => this.heard(e.data));
    socket.onclose = mine(() => this.lost());
    this.late = setTimeout(mine(() => this.lost()), ANSWERS);
  }

  greet() {
    const { token, endpoint } = this.hello, members = { token };
    if (endpoint) members.endpoint = endpoint;
    if (this.session) members.session = this.session;
    this.ask({ type: 'hello', members, yes: m => this.welcomed(m), no: e => this.refused(e) });
  }

  async welcomed(welcome) {
    const socket = this.socket;
    clearTimeout(this.late);
    this.failures = 0;
    this.session = welcome.session;
    this.ready = true;
    this.pulse = false;
    this.at = Date.now();
    this.say('up');
    await this.on.welcome(welcome);
    if (socket !== this.socket || !this.ready) return;
    const now = Date.now();
    for (const question of this.queue.splice(0)) {
      if (question.until > now) this.ask(question);
      else question.no(lineLost());
    }
  }

  refused(error) {
    if (FINAL.includes(error.status)) this.over(error);
    else this.lost(error.retryAfter);
  }

  over(error) {
    this.close();
    this.on.over(error);
  }

  ask(question) {
    const id = this.last = this.last % 0x7fffffff + 1;
    question.id = id;
    this.asked.set(id, question);
    if (question.type !== 'hello') question.timer = setTimeout(() => this.asked.delete(id) && question.no(lineLost()), ANSWERS);
    this.socket.send(JSON.stringify({ type: question.type, id, ...question.members }));
  }

  heard(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // no client can do anything about it
    }
    this.at = Date.now();
    const question = this.asked.get(message.id);
    if (question) {
      this.asked.delete(message.id);
      clearTimeout(question.timer);
      if (message.type === 'error') question.no(errorOf(message.error ?? {}));
      else question.yes(message);
    } else if (message.type === 'bye') {
      if (message.again) this.lost(); // it is being restarted
      else this.over(new GatewayError(0, () => t('bye', refusal(0, { detail: message.why ?? '' }))));
    } else if (message.type !== 'error') {
      if (message.type === 'quality') this.pulse = true;
      this.on.message(message);
    }
  }

  /** Each second: a line on which nothing comes any more is not one. */
  look() {
    if (this.ready && this.pulse && Date.now() - this.at > SILENT) this.lost();
    const now = Date.now();
    this.queue = this.queue.filter(question => question.until > now || question.no(lineLost()));
  }

  lost(seconds = 0) {
    if (this.state === 'off') return;
    this.drop();
    this.say('lost');
    const wait = Math.max(seconds * 1000, backOff(this.failures++, this.random()));
    this.retry = setTimeout(() => this.connect(), wait);
  }

  /** Leave the socket, and put back what may be asked again. */
  drop() {
    clearTimeout(this.retry);
    clearTimeout(this.late);
    const socket = this.socket;
    this.socket = null;
    this.ready = false;
    socket?.close();
    const asked = [...this.asked.values()];
    this.asked.clear();
    for (const question of asked) {
      clearTimeout(question.timer);
      if (question.again) this.queue.push(question);
      else if (question.type !== 'hello') question.no(lineLost());
    }
  }

  rest() {
    clearTimeout(this.retry);
    clearTimeout(this.late);
    clearInterval(this.watch);
    for (const question of [...this.asked.values(), ...this.queue]) {
      clearTimeout(question.timer);
      if (question.type !== 'hello') question.no(lineLost());
    }
    this.asked.clear();
    this.queue = [];
    this.ready = false;
    this.state = 'off';
  }

  say(state) {
    if (this.state === state) return;
    this.state = state;
    this.on.state(state);
  }
}

function lineLost() {
  return Object.assign(new GatewayError(0, () => t('error.line')), { lineLost: true });
}

function errorOf({ status = 0, title, detail, retry_after: seconds = 0 }) {
  return new GatewayError(status, () => refusal(status, { title, detail }), seconds);
}
