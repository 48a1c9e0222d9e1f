// The list of endpoints: what is live, since when, who watches, in which codecs; with search.

import { t, clock } from './i18n.js';

const order = { live: 0, lost: 1, idle: 2 };

export class EndpointList {
  /** @param toggle called with the id of the endpoint that was chosen */
  constructor(toggle) {
    this.toggle = toggle;
    this.all = new Map();
    this.rows = new Map();
    this.watched = new Set();
    this.known = false; // whether the gateway has told a list yet
    this.list = document.getElementById('list');
    this.search = document.getElementById('search');
    this.search.oninput = () => this.show();
  }

  set(endpoints) {
    this.all = new Map(endpoints.map(e => [e.id, e]));
    this.known = true;
    this.show();
  }

  /** One endpoint has changed, or is new. A storm of changes is drawn once. */
  put(endpoint) {
    this.all.set(endpoint.id, endpoint);
    this.showSoon();
  }

  remove(id) {
    this.all.delete(id);
    this.showSoon();
  }

  showSoon() {
    this.timer ??= setTimeout(() => this.show(), 100);
  }

  /** What one token showed is not for who signs in next. */
  clear() {
    this.all.clear();
    this.rows.clear();
    this.watched.clear();
    this.list.replaceChildren();
    this.search.value = '';
    this.known = false;
    this.show();
  }

  get(id) {
    return this.all.get(id);
  }

  show() {
    clearTimeout(this.timer);
    this.timer = null;
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = e => `${e.id} ${e.state} ${t(`state.${e.state}`)} ${codecs(e)}`.toLowerCase();
    const shown = [...this.all.values()].filter(e => words.every(w => text(e).includes(w)))
      .sort((a, b) => order[a.state] - order[b.state] || (a.id < b.id ? -1 : 1));
    const ids = new Set(shown.map(e => e.id));
    for (const [id, row] of this.rows) {
      if (!ids.has(id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
    // rows are moved, not made anew: the focus stays where it is
    let at = this.list.firstElementChild;
    for (const e of shown) {
      const row = this.row(e);
      if (row === at) at = at.nextElementSibling;
      else this.list.insertBefore(row, at);
    }
    const live = [...this.all.values()].filter(e => e.state === 'live').length;
    document.getElementById('count').textContent = this.known ? t('list.count', live, this.all.size) : '';
    const empty = document.getElementById('list-empty');
    empty.hidden = shown.length > 0 || !this.known;
    empty.textContent = t(this.all.size ? 'list.empty' : 'list.none');
  }

  row(e) {
    let row = this.rows.get(e.id);
    if (!row) {
      row = document.createElement('li');
      const button = row.appendChild(document.createElement('button'));
      for (const name of ['id', 'state', 'more']) button.appendChild(document.createElement('span')).className = name;
      button.dataset.action = 'watch';
      button.onclick = () => this.toggle(e.id);
      row.dataset.endpoint = e.id;
      this.rows.set(e.id, row);
    }
    const button = row.firstElementChild, on = this.watched.has(e.id);
    const more = [t('since', clock(e.since)), t('viewers', e.viewers), codecs(e)].filter(Boolean).join(' · ');
    row.dataset.state = e.state;
    button.setAttribute('aria-pressed', String(on));
    button.setAttribute('aria-label', `${t(on ? 'list.unwatch' : 'list.watch', e.id)}, ${t(`state.${e.state}`)}, ${more}`);
    write(button.children[0], e.id);
    write(button.children[1], t(`state.${e.state}`));
    write(button.children[2], more);
    return row;
  }
}

/** A text that is as it was is not laid out again. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The picture's codec first. */
function codecs(e) {
  const tracks = [...(e.tracks ?? [])].sort((a, b) => (b.kind === 'video') - (a.kind === 'video'));
  return [...new Set(tracks.map(track => track.codec).filter(Boolean))].join(' ');
}
