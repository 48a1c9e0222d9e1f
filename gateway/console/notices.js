// What the page tells by itself: what stands until it is over, and what is read once.

import { t } from './i18n.js';
import { member, placeInQueue } from './room.js';

const READS = 7000; // ms
const MOST = 3;

export class Notices {
  /** @param meeting gives the meeting, or nothing */
  constructor(meeting) {
    this.meeting = meeting;
    this.standing = new Map(); // by what they are about: functions that make the text
    this.place = 0;
  }

  /** @param text makes the text; nothing: all is well there */
  say(about, text) {
    if (text) this.standing.set(about, text);
    else this.standing.delete(about);
    this.show();
  }

  show() {
    const notice = document.getElementById('notice');
    notice.textContent = [...this.standing.values()].map(say => say()).join(' ');
    notice.hidden = this.standing.size === 0;
  }

  toast(text, kind = '') {
    const box = document.getElementById('toasts'), last = box.lastElementChild;
    if (!text || last?.textContent === text) return;
    const p = Object.assign(document.createElement('p'), { textContent: text, className: kind });
    box.append(p);
    while (box.children.length > MOST) box.firstElementChild.remove();
    setTimeout(() => p.remove(), READS);
  }

  line(state) {
    if (state === 'up' && this.wasLost) this.toast(t('say.back'));
    this.wasLost = state === 'lost';
  }

  /** What happened in the conference, as far as it is about this member or about all. */
  event(kind, { endpoint, why }) {
    const { state, me } = this.meeting() ?? {}, mine = endpoint === me, before = this.holder;
    if (!state) return;
    switch (kind) {
      case 'conference.floor':
        this.holder = endpoint;
        if (mine) this.toast(t(this.meeting().tracks.audio ? 'say.floor.open' : 'say.floor'), 'good');
        else if (before === me) this.toast(endpoint && /rank/.test(why ?? '') ? t('say.floor.taken', member(state, endpoint)?.name ?? endpoint) : t('say.floor.lost'));
        return this.queue();
      case 'conference.hand': return this.queue();
      case 'conference.muted':
      case 'conference.unmuted':
        if (/chair/.test(why ?? '') && (mine || !endpoint && member(state, me)?.role !== 'chair')) this.toast(t(kind === 'conference.muted' ? 'say.muted' : 'say.unmuted'));
        return;
      case 'conference.role':
        if (mine) this.toast(t('say.role', t(`role.${why}`)), 'good');
        return;
      case 'screen.lost': return this.toast(t('say.screen.lost'));
      case 'conference.locked': return this.toast(t('say.locked'));
      case 'conference.unlocked': return this.toast(t('say.unlocked'));
    }
  }

  /** Whoever is next wants to know it. */
  queue() {
    setTimeout(() => {
      const { state, me } = this.meeting() ?? {}, place = state ? placeInQueue(state, me) : 0;
      if (place === 1 && this.place > 1) this.toast(t('say.next'));
      this.place = place;
    }, 300);
  }

  forget() {
    document.getElementById('toasts').replaceChildren();
    this.wasLost = false;
    this.place = 0;
    this.holder = undefined;
  }
}
