// The gateway's API: requests with a token, errors that say what to do, the event stream.

import { t, refusal } from './i18n.js';

/** What a request failed with. status 0: the gateway was not reached. */
export class GatewayError extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
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

  async request(path, options = {}) {
    let response;
    try {
      response = await fetch(path, { cache: 'no-store', ...options, headers: { Authorization: `Bearer ${this.token}`, ...options.headers } });
    } catch (e) {
      if (e.name === 'AbortError') throw e;
      throw new GatewayError(0, t('error.network'));
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    throw new GatewayError(response.status, refusal(response.status, problem.detail || problem.title || `HTTP ${response.status}`), Number(response.headers.get('Retry-After')) || 0);
  }

  async json(path) {
    return (await this.request(path)).json();
  }

  /**
   * Follow /v1/events until the signal is aborted. EventSource sends no headers, so the stream is read by hand.
   * on.event(kind, data), on.up(), on.down(error)
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
          on.event(event.kind, event.data ? JSON.parse(event.data).data : {});
        }
      } catch (e) {
        if (signal.aborted) return;
        on.down(e);
        if (e.status === 401 || e.status === 403) return;
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
      const silence = new Promise((_, fail) => { timer = setTimeout(() => fail(new GatewayError(0, t('error.network'))), 45000); });
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
