// The list of endpoints: what is live, since when, who watches, in which codecs; with search.

import { t, clock } from './i18n.js';

/** A moment as the API writes it: text, or seconds, milliseconds or microseconds since 1970. */
export function moment(since) {
  if (typeof since !== 'number') return new Date(since);
  return new Date(since > 1e14 ? since / 1000 : since > 1e11 ? since : since * 1000);
}

const order = { live: 0, lost: 1, idle: 2 };

export class EndpointList {
  /** @param toggle called with the id of the endpoint that was chosen */
  constructor(toggle) {
    this.toggle = toggle;
    this.all = new Map();
    this.rows = new Map();
    this.watched = new Set();
    this.list = document.getElementById('list');
    this.search = document.getElementById('search');
    this.search.oninput = () => this.show();
  }

  set(endpoints) {
    this.all = new Map(endpoints.map(e => [e.id, e]));
    this.show();
  }

  get(id) {
    return this.all.get(id);
  }

  show() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = e => `${e.id} ${e.state} ${t(`state.${e.state}`)} ${codecs(e)}`.toLowerCase();
    const shown = [...this.all.values()].filter(e => words.every(w => text(e).includes(w)))
      .sort((a, b) => order[a.state] - order[b.state] || (a.id < b.id ? -1 : 1));
    for (const [id, row] of this.rows) {
      if (!shown.some(e => e.id === id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
    // rows are moved, not made anew: the focus stays where it is
    shown.forEach((e, i) => {
      const row = this.row(e);
      if (this.list.children[i] !== row) this.list.insertBefore(row, this.list.children[i] ?? null);
    });
    const live = [...this.all.values()].filter(e => e.state === 'live').length;
    document.getElementById('count').textContent = t('list.count', live, this.all.size);
    document.getElementById('list-empty').hidden = shown.length > 0;
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
    const more = [t('since', clock(moment(e.since))), t('viewers', e.viewers), codecs(e)].filter(Boolean).join(' · ');
    row.dataset.state = e.state;
    button.setAttribute('aria-pressed', String(on));
    button.setAttribute('aria-label', `${t(on ? 'list.unwatch' : 'list.watch', e.id)}, ${t(`state.${e.state}`)}, ${more}`);
    button.children[0].textContent = e.id;
    button.children[1].textContent = t(`state.${e.state}`);
    button.children[2].textContent = more;
    return row;
  }
}

function codecs(e) {
  return [...new Set((e.tracks ?? []).map(track => track.codec).filter(Boolean))].join(' ');
}
