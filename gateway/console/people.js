// Who is here, who wants to speak, and what a chair can do about it.

import { t, clock } from './i18n.js';
import { morph } from './morph.js';
import { inOrder, placeInQueue, queue, whyNot } from './room.js';

const ROLES = ['chair', 'participant', 'listener'], LAYOUTS = ['equal', 'speaker', 'choice'];

export class People {
  /** @param on on.act(act, members), on.confirm(text, yes): a promise of true or false, on.pin(endpoint) */
  constructor(on) {
    this.on = on;
    this.root = document.getElementById('people-body');
    this.open = ''; // whose actions are shown
    this.drawn = '';
  }

  show(meeting) {
    const { state, me, speaker } = meeting;
    if (!state) return;
    Object.assign(this, { state, me, speaker });
    const now = JSON.stringify([state, me, this.open, document.documentElement.lang]);
    if (now !== this.drawn) {
      this.drawn = now;
      this.draw();
    }
    for (const row of this.root.querySelectorAll('[data-person]')) row.classList.toggle('speaking', row.dataset.person === speaker);
  }

  draw() {
    const { state, me } = this;
    const ordered = inOrder(state.members), here = ordered.filter(m => m.present && m.role !== 'listener');
    const listeners = ordered.filter(m => m.present && m.role === 'listener'), away = ordered.filter(m => !m.present);
    const parts = [], chair = state.members.some(m => m.endpoint === me && m.role === 'chair'), asking = queue(state);
    if (chair) parts.push(this.forChairs());
    if (asking.length) parts.push(this.group(t('people.queue'), asking.map(m => this.asks(m, chair)), 'queue'));
    parts.push(this.group(t('people.here', here.length), here.map(m => this.person(m)), 'here'));
    if (listeners.length) parts.push(this.group(t('people.listeners', listeners.length), listeners.map(m => this.person(m)), 'listeners'));
    if (away.length) parts.push(this.group(t('people.away', away.length), away.map(m => this.person(m)), 'away'));
    morph(this.root, parts);
  }

  group(title, rows, name) {
    const list = make('ul', { className: 'persons' }, ...rows);
    list.dataset.group = name;
    return keyed(name, make('section', {}, make('h3', { textContent: title }), list));
  }

  forChairs() {
    const { state } = this, layout = make('select', { onchange: e => this.on.act('layout', { value: e.target.value }) });
    layout.dataset.act = 'layout';
    for (const name of LAYOUTS) layout.append(new Option(t(`layout.${name}`), name));
    layout.value = state.layout;
    const buttons = make('div', { className: 'acts' },
      this.button('act.muteall', 'mute.all'), this.button('act.unmuteall', 'unmute.all'),
      this.button(state.locked ? 'act.unlock' : 'act.lock', state.locked ? 'unlock' : 'lock'));
    if (state.floor) buttons.append(this.button('act.revoke', 'floor.revoke'));
    if (state.screen && state.screen !== this.me) buttons.append(this.button('act.stopscreen', 'screen.stop'));
    if (state.broadcast) buttons.append(this.button('act.unbroadcast', 'broadcast', { endpoint: '' }));
    buttons.append(this.button('act.end', 'end', {}, { text: t('ask.end', state.title), yes: t('ask.yes.end') }));
    return keyed('chairs', make('section', { className: 'chairs' }, make('h3', { textContent: t('people.chair') }),
      make('label', { className: 'choice' }, make('span', { textContent: t('act.layout') }), layout), buttons, ...this.removed()));
  }

  /** Who was removed, for who may let it in again. */
  removed() {
    const list = make('ul', { className: 'removed' });
    for (const { endpoint } of (this.state.former ?? []).filter(f => f.removed)) {
      list.append(keyed(endpoint, make('li', {}, make('span', { className: 'name', textContent: endpoint }), this.button('act.admit', 'admit', { endpoint }))));
    }
    return list.children.length ? [make('h3', { textContent: t('people.removed') }), list] : [];
  }

  /** @param ask asked first: text, and what yes is called */
  button(key, act, members = {}, ask) {
    const why = whyNot(act, this.state, this.me, members.endpoint);
    const button = make('button', { type: 'button', textContent: t(key), className: ask ? 'bad' : '', title: why ? t(...why) : '' });
    button.dataset.act = act;
    button.dataset.key = key;
    button.setAttribute('aria-disabled', String(!!why));
    button.onclick = async () => {
      if (!ask || await this.on.confirm(ask.text, ask.yes)) this.on.act(act, members);
    };
    return button;
  }

  /** Somebody in the queue. */
  asks(m, chair) {
    const row = make('li', { className: 'asks' }, make('b', { textContent: String(placeInQueue(this.state, m.endpoint)) }),
      make('span', { className: 'name', textContent: m.name }), make('small', { textContent: `${t('rank', m.rank)} · ${clock(m.hand)}` }));
    if (chair) row.append(this.button('act.grant', 'floor.grant', { endpoint: m.endpoint }));
    return keyed(m.endpoint, row);
  }

  person(m) {
    const { state, me } = this, place = placeInQueue(state, m.endpoint), open = this.open === m.endpoint;
    const about = [m.endpoint === me ? t('room.you') : '', t(`role.${m.role}`), t('rank', m.rank), m.present ? '' : t('tile.gone', clock(m.since))].filter(Boolean);
    const marks = make('span', { className: 'marks' });
    const mark = (icon, text, inside = '') => marks.append(make('i', { title: text }, iconOf(icon), inside ? make('em', { textContent: inside }) : ''));
    if (place) mark('hand', t('mark.hand', place), String(place));
    if (state.floor === m.endpoint) mark('floor', t('mark.floor'));
    if (state.screen === m.endpoint) mark('screen', t('mark.screen'));
    if (state.broadcast === m.endpoint) mark('large', t('mark.broadcast'));
    if (m.present && m.role !== 'listener') mark(m.muted ? 'mic-off' : 'mic', m.muted ? t('mark.muted') : t('ctl.mic'));
    const head = make('button', { type: 'button', className: 'person', onclick: () => this.toggle(m.endpoint) },
      make('span', { className: 'name', textContent: m.name }), marks, make('small', { textContent: about.join(' · ') }), make('small', { className: 'id', textContent: m.endpoint }));
    head.setAttribute('aria-expanded', String(open));
    head.setAttribute('aria-label', [m.name, ...about, ...[...marks.children].map(i => i.title)].join(', '));
    const row = make('li', {}, head, open ? this.actions(m) : '');
    row.dataset.person = row.dataset.key = m.endpoint;
    row.classList.toggle('speaking', m.endpoint === this.speaker);
    row.classList.toggle('lost', !m.present);
    row.classList.toggle('muted', m.muted);
    return row;
  }

  toggle(endpoint) {
    this.open = this.open === endpoint ? '' : endpoint;
    this.drawn = '';
    this.show(this);
  }

  actions(m) {
    const { state, me } = this, endpoint = m.endpoint, self = endpoint === me;
    const own = state.members.find(x => x.endpoint === me), chair = own?.role === 'chair';
    const acts = make('div', { className: 'acts', role: 'group' });
    acts.setAttribute('aria-label', t('people.actions', m.name));
    if (!self && m.present) acts.append(this.button(own?.views === endpoint ? 'act.unlarge' : 'act.large', 'large', { endpoint: own?.views === endpoint ? '' : endpoint }));
    if (state.floor === endpoint) acts.append(this.button('act.revoke', self ? 'floor.release' : 'floor.revoke'));
    else if (!self) acts.append(this.button('act.grant', 'floor.grant', { endpoint }));
    if (!self) acts.append(this.button(m.muted ? 'act.unmute' : 'act.mute', m.muted ? 'unmute' : 'mute', { endpoint }));
    acts.append(this.button(state.broadcast === endpoint ? 'act.unbroadcast' : 'act.broadcast', 'broadcast', { endpoint: state.broadcast === endpoint ? '' : endpoint }));
    acts.append(this.roles(m, chair));
    if (!self) acts.append(this.button('act.remove', 'remove', { endpoint }, { text: t('ask.remove', m.name), yes: t('ask.yes.remove') }));
    return make('div', {}, chair ? '' : make('p', { className: 'hint', textContent: t('why.chair') }), acts);
  }

  roles(m, chair) {
    const select = make('select', { disabled: !chair, onchange: e => this.on.act('role', { endpoint: m.endpoint, value: e.target.value }) });
    for (const role of ROLES) select.append(new Option(t(`role.${role}`), role));
    select.value = m.role;
    select.dataset.act = 'role';
    select.dataset.key = 'role';
    select.setAttribute('aria-label', t('act.role'));
    return select;
  }
}

/** Two with one key are the same, before and after a change. */
function keyed(key, element) {
  element.dataset.key = key;
  return element;
}

export function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function iconOf(name) {
  const ns = 'http://www.w3.org/2000/svg', svg = document.createElementNS(ns, 'svg'), use = document.createElementNS(ns, 'use');
  svg.setAttribute('class', 'i');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}
