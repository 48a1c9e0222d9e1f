// The gateway's API: requests with a token, errors that say what to do, the event stream.

import { t, refusal } from './i18n.js';

const ICE_FRESH = 600000; // ms: credentials are good for longer than a session takes to begin
const ANSWERS = 15000; // ms: a request that has no answer by then was lost with the network

/** What a request or a session failed with. status 0: the gateway was not reached, or it is not about a request. */
export class GatewayError extends Error {
  /** @param say makes the text: a message that stands while the language is switched is written anew */
  constructor(status, say, retryAfter = 0) {
    super();
    this.status = status;
    this.say = say;
    this.retryAfter = retryAfter;
  }

  get message() {
    return this.say();
  }
}

export class Gateway {
  constructor(token) {
    this.token = token;
  }

  /** The token's claims, unchecked: only to fill in forms. */
  claims() {
    try {
      const part = this.token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
      return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), c => c.charCodeAt(0))));
    } catch {
      return {};
    }
  }

  /** STUN and TURN servers with credentials, asked for once in a while; none where the gateway does not say. */
  iceServers() {
    if (!this.ice || Date.now() - this.iceSince > ICE_FRESH) {
      this.iceSince = Date.now();
      this.ice = this.request('/v1/ice-servers').then(r => r.json()).then(o => o.ice_servers ?? []).catch(() => {
        this.ice = undefined;
        return [];
      });
    }
    return this.ice;
  }

  /** Whether the token has a scope: only to say beforehand what would be refused. A token that cannot be read may have it. */
  may(scope) {
    const scopes = this.claims().scope;
    return typeof scopes !== 'string' || scopes.split(' ').some(s => s === scope || s === 'admin');
  }

  async request(path, options = {}) {
    let response;
    const late = new AbortController(), timer = setTimeout(() => late.abort(), ANSWERS);
    options.signal?.addEventListener('abort', () => late.abort());
    try {
      response = await fetch(path, { cache: 'no-store', ...options, signal: late.signal,
        headers: { Authorization: `Bearer ${this.token}`, ...options.headers } });
    } catch (e) {
      if (options.signal?.aborted) throw e;
      throw new GatewayError(0, () => t('error.network'));
    } finally {
      clearTimeout(timer);
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    throw new GatewayError(response.status, () => refusal(response.status, problem), Number(response.headers.get('Retry-After')) || 0);
  }

  async json(path) {
    return (await this.request(path)).json();
  }

  /** All endpoints that the token covers, page by page where the gateway gives them so. @return { site, endpoints } */
  async endpoints() {
    const all = await this.json('/v1/endpoints');
    for (let next = all.next; next;) {
      const page = await this.json(`/v1/endpoints?after=${encodeURIComponent(next)}`);
      all.endpoints.push(...page.endpoints);
      next = page.next === next ? null : page.next;
    }
    return all;
  }

  /** All conferences, page by page where the gateway gives them so. */
  async conferences() {
    const all = await this.json('/v1/conferences');
    for (let next = all.next; next;) {
      const page = await this.json(`/v1/conferences?after=${encodeURIComponent(next)}`);
      all.conferences.push(...page.conferences);
      next = page.next === next ? null : page.next;
    }
    return all.conferences;
  }

  /**
   * Follow /v1/events until the signal is aborted. EventSource sends no headers, so the stream is read by hand.
   * on.event(kind, data), on.up(): the stream is open, on.down(error): it is not, or no longer
   */
  async follow(signal, on) {
    let last = '';
    for (let wait = 1; !signal.aborted; wait = Math.min(wait * 2, 15)) {
      try {
        const response = await this.request('/v1/events', { signal, headers: last ? { 'Last-Event-ID': last } : {} });
        on.up();
        wait = 0.5;
        for await (const event of parse(response.body, signal)) {
          if (event.id) last = event.id;
          on.event(event.kind, JSON.parse(event.data).data ?? {});
        }
        if (!signal.aborted) on.down(new GatewayError(0, () => t('error.network')));
      } catch (e) {
        if (signal.aborted) return;
        on.down(e);
        if (e.status === 401 || e.status === 403) return;
        wait = Math.max(wait, e.retryAfter ?? 0);
      }
      await new Promise(done => setTimeout(done, wait * 1000));
    }
  }
}

/** Server-sent events (WHATWG HTML, section 9.2). A stream that is silent for three heartbeats is dead. */
async function* parse(body, signal) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  try {
    while (!signal.aborted) {
      let timer;
      const silence = new Promise((_, fail) => { timer = setTimeout(() => fail(new GatewayError(0, () => t('error.network'))), 45000); });
      const { done, value } = await Promise.race([reader.read(), silence]).finally(() => clearTimeout(timer));
      if (done) return;
      text += value;
      for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
        const event = { kind: 'message', data: '', id: '' };
        for (const line of text.slice(0, end).split('\n')) {
          if (line.startsWith('id: ')) event.id = line.slice(4);
          else if (line.startsWith('event: ')) event.kind = line.slice(7);
          else if (line.startsWith('data: ')) event.data += line.slice(6);
        }
        if (event.data) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
