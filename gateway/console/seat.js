// One tile of a conference: a member's picture or screen, who it is, and why it is as it is.

import { t, clock } from './i18n.js';
import { member, ofKey, placeInQueue } from './room.js';

const STALE = 150; // ms: pictures of whoever was in the slot before may still come so long
const STUCK = 8; // s with packets and no picture: the browser cannot decode it

export class Seat {
  /** @param on on.pin(endpoint): make it large for me, or no longer */
  constructor(key, on) {
    Object.assign(this, ofKey(key));
    this.key = key;
    this.element = document.getElementById('seat-template').content.firstElementChild.cloneNode(true);
    this.element.dataset.seat = this.endpoint;
    this.element.dataset.label = this.label;
    this.video = this.find('video');
    this.element.ondblclick = () => on.pin(this.endpoint);
    this.element.onkeydown = e => {
      if (e.target !== this.element || e.key !== 'Enter' && e.key !== ' ') return;
      e.preventDefault();
      on.pin(this.endpoint);
    };
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  /** Set where the tile is. Styles are set by property: the content policy allows no other. */
  move({ x, y, w, h, large }) {
    const style = this.element.style;
    style.transform = `translate(${x}px, ${y}px)`;
    style.width = `${w}px`;
    style.height = `${h}px`;
    this.element.classList.toggle('large', large);
    this.width = w / rem();
    this.element.classList.toggle('narrow', this.width < 20);
    this.element.classList.toggle('tiny', this.width < 9);
  }

  /** @param track what is in its slot, or null */
  watch(track) {
    if (this.track === track) return;
    this.track = track;
    this.shows = false;
    clearTimeout(this.timer);
    this.video.srcObject = track ? new MediaStream([track]) : null;
    if (!track) return;
    this.video.play().catch(() => {}); // muted: browsers allow that
    // What comes first may be of the one who had the slot before: a name never stands below another's picture.
    const since = performance.now();
    const first = () => {
      if (this.track !== track) return;
      if (performance.now() - since < STALE) return this.whenDrawn(first);
      this.shows = true;
      this.element.classList.add('shows');
    };
    this.element.classList.remove('shows');
    this.whenDrawn(first);
  }

  whenDrawn(then) {
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(then);
    else this.timer = setTimeout(() => this.video.videoWidth ? then() : this.whenDrawn(then), 100);
  }

  /** @param meeting what is known now */
  show(meeting) {
    const { state, me, quality } = meeting, m = member(state, this.endpoint);
    if (!m) return;
    const figures = quality?.down?.find(d => d.endpoint === this.endpoint && d.label === this.label);
    const own = this.endpoint === me, screen = this.label === 'screen', place = m.hand ? placeInQueue(state, m.endpoint) : 0;
    const over = this.over(m, figures, own, meeting.receiver?.why(this.endpoint, this.label)), name = screen ? t('room.screen', m.name) : m.name;
    const small = figures?.why === 'link' && m.present;
    write(this.find('[data-name]'), name);
    write(this.find('[data-role]'), [own ? t('room.you') : '', m.role === 'participant' ? '' : t(`role.${m.role}`), t('rank', m.rank), small ? t('tile.small') : ''].filter(Boolean).join(' · '));
    write(this.find('.over'), over);
    write(this.find('.nobody'), m.name);
    this.mark('hand', place > 0 && !screen, t('mark.hand', place), place);
    this.mark('floor', state.floor === m.endpoint && !screen, t('mark.floor'));
    this.mark('muted', m.muted && !screen && m.present, t('mark.muted'));
    const marks = this.element.querySelectorAll('.marks i:not([hidden])').length;
    this.element.classList.toggle('long', widthOf(name) > this.width - 3 - 1.6 * marks);
    this.element.classList.toggle('told', !!over);
    const classes = this.element.classList, level = own ? '' : grade(figures);
    classes.toggle('lost', !m.present);
    classes.toggle('holds', state.floor === m.endpoint && !screen);
    classes.toggle('own', own && !screen);
    classes.toggle('dark', ['paused', 'rests'].includes(figures?.why) && !own);
    this.find('.bars').dataset.grade = level;
    const says = [name, m.role === 'participant' ? '' : t(`role.${m.role}`), t('rank', m.rank), m.muted ? t('mark.muted') : '', place ? t('mark.hand', place) : '',
      state.floor === m.endpoint ? t('mark.floor') : '', over, small ? t('tile.link') : ''].filter(Boolean).join(', ');
    if (this.element.getAttribute('aria-label') !== says) this.element.setAttribute('aria-label', says);
    this.element.title = own ? '' : t(state.members.find(x => x.endpoint === me)?.views === m.endpoint ? 'tile.unpin' : 'tile.pin');
  }

  /** What stands in the picture's place, or nothing. */
  over(m, figures, own, missing) {
    if (!m.present) return t('tile.gone', clock(m.since));
    if (own) return '';
    if (missing === 'codec' || figures?.why === 'codec') return t('tile.undecoded');
    if (missing === 'full') return t('tile.full');
    if (figures?.why === 'paused') return t('tile.paused');
    if (figures?.why === 'rests' || missing === 'idle') return t('tile.rests');
    if (this.shows) return this.undecoded(figures) ? t('tile.undecoded') : '';
    if (figures?.why === 'waits') return this.undecoded(figures) ? t('tile.undecoded') : t('tile.waits');
    return '';
  }

  /** Counts once a second, with the figures. */
  undecoded(figures) {
    if (figures && figures !== this.seen) {
      this.seen = figures;
      this.stuck = figures.bps > 20000 && !this.video.videoWidth ? (this.stuck ?? 0) + 1 : 0;
    }
    return this.stuck > STUCK;
  }

  mark(name, on, text, inside = '') {
    const mark = this.find(`[data-mark=${name}]`);
    mark.hidden = !on;
    mark.title = text;
    const em = mark.querySelector('em');
    if (em) write(em, String(inside));
  }

  speaking(on) {
    this.element.classList.toggle('speaking', on);
  }

  close() {
    clearTimeout(this.timer);
    this.track = null;
    this.video.srcObject = null;
    this.element.remove();
  }
}

/** How well a picture comes: what the gateway sends of what there is. */
export function grade(figures) {
  switch (figures?.why) {
    case 'whole':
    case 'tile': return 'good';
    case 'link': return figures.layers > 1 && figures.layer === 0 ? 'bad' : 'fair';
    case 'paused': return 'bad';
    default: return '';
  }
}

/** About, in rem: a Chinese character is as wide as it is high. */
function widthOf(name) {
  return [...name].reduce((sum, c) => sum + (c.charCodeAt(0) > 0x2e80 ? 1.03 : 0.62), 0);
}

/** A large screen has larger letters. */
export function rem() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) || 15;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
