// The tiles of a conference: which are shown, where, page by page; and tells which sizes are worth sending.

import { t } from './i18n.js';
import { arrange } from './layout.js';
import { leavesIn, member, ofKey, shown } from './room.js';
import { Seat, rem } from './seat.js';

const SETTLES = 150; // ms: a window that is being dragged tells its size when it stands still
const HIDES = 2000; // ms: who looks into another tab for a moment goes on at once
const SWIPE = 50; // px

export class Stage {
  /** @param on on.view(tiles), on.pin(endpoint) */
  constructor(on) {
    this.on = on;
    this.root = document.getElementById('stage');
    this.pager = document.getElementById('pager');
    this.seats = new Map();
    this.page = 0;
    this.pages = 1;
    this.mode = 'chair';
    new ResizeObserver(() => this.meeting && this.draw()).observe(this.root);
    document.addEventListener('visibilitychange', () => this.seen());
    document.querySelector('[data-action=page-before]').onclick = () => this.turn(-1);
    document.querySelector('[data-action=page-next]').onclick = () => this.turn(1);
    this.swipes();
  }

  swipes() {
    let from = null;
    this.root.addEventListener('pointerdown', e => { from = e.pointerType === 'mouse' ? null : { x: e.clientX, y: e.clientY }; });
    this.root.addEventListener('pointerup', e => {
      const dx = from ? e.clientX - from.x : 0, dy = from ? e.clientY - from.y : 0;
      from = null;
      if (Math.abs(dx) > SWIPE && Math.abs(dx) > 2 * Math.abs(dy)) this.turn(dx < 0 ? 1 : -1);
    });
    this.root.addEventListener('pointercancel', () => { from = null; });
  }

  use(meeting) {
    this.meeting = meeting;
    this.page = 0;
    clearTimeout(this.later);
    if (!meeting) {
      for (const seat of this.seats.values()) seat.close();
      this.seats.clear();
    }
  }

  turn(by) {
    const to = Math.max(0, Math.min(this.page + by, this.pages - 1));
    if (to === this.page) return;
    this.page = to;
    this.draw();
  }

  choose(mode) {
    this.mode = mode;
    this.page = 0;
    this.draw();
  }

  /** After whatever changed. */
  draw() {
    const { meeting } = this;
    if (!meeting?.state || !member(meeting.state, meeting.me)) return;
    const now = Date.now(), { tiles, large } = shown(meeting.state, meeting.me, this.mode, meeting.spoke, now);
    const { clientWidth: width, clientHeight: height } = this.root;
    const plan = arrange({ tiles, large, width, height, caption: this.caption = Math.round(2 * rem()), page: this.page, least: width < 700 ? 130 : 150 });
    this.page = plan.page;
    this.pages = plan.pages;
    this.places = plan.places;
    this.seat(plan.places);
    this.fill();
    this.pagerShows();
    this.tell();
    clearTimeout(this.later);
    const leaves = leavesIn(meeting.state, meeting.me, now);
    if (leaves) this.later = setTimeout(() => this.draw(), leaves);
  }

  /** Seats are moved, not made anew: pictures go on, and the focus stays where it is. */
  seat(places) {
    const keys = new Set(places.map(p => p.key));
    for (const [key, seat] of this.seats) {
      if (keys.has(key)) continue;
      seat.close();
      this.seats.delete(key);
    }
    let at = this.root.firstElementChild;
    for (const place of places) {
      let seat = this.seats.get(place.key);
      if (!seat) this.seats.set(place.key, seat = new Seat(place.key, this.on));
      seat.move(place);
      if (seat.element === at) at = at.nextElementSibling;
      else this.root.insertBefore(seat.element, at);
    }
  }

  /** What is in the slots, and what is known of the members. */
  fill() {
    const { meeting } = this;
    for (const seat of this.seats.values()) {
      const own = seat.endpoint === meeting.me;
      seat.watch(own ? meeting.tracks[seat.label] : meeting.receiver?.find(seat.endpoint, seat.label)?.track ?? null);
      seat.show(meeting);
    }
    this.speaking();
  }

  speaking() {
    const { meeting } = this;
    for (const seat of this.seats.values()) seat.speaking(seat.label === 'video' && seat.endpoint === meeting.speaker);
  }

  /** Whether who speaks decides what is large. */
  follows() {
    return this.mode === 'speaker' || this.mode === 'chair' && this.meeting.state?.layout === 'speaker';
  }

  pagerShows() {
    this.pager.hidden = this.pages < 2;
    document.getElementById('page-at').textContent = t('page.at', this.page + 1, this.pages);
    this.pager.querySelector('[data-action=page-before]').disabled = this.page === 0;
    this.pager.querySelector('[data-action=page-next]').disabled = this.page === this.pages - 1;
  }

  // --- which sizes are worth sending ---

  tell() {
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.meeting && this.on.view(this.hidden ? [] : this.view()), SETTLES);
  }

  view() {
    const { meeting } = this, dense = window.devicePixelRatio || 1;
    return (this.places ?? []).filter(p => {
      const { endpoint } = ofKey(p.key);
      return endpoint !== meeting.me && member(meeting.state, endpoint)?.present;
    }).map(p => ({ ...ofKey(p.key), width: Math.round(p.w * dense), height: Math.round((p.h - this.caption) * dense) }));
  }

  /** Nobody looks at a page that is hidden: its pictures rest, the sound goes on. */
  seen() {
    clearTimeout(this.hiding);
    if (!document.hidden) {
      this.hidden = false;
      this.tell();
    } else {
      this.hiding = setTimeout(() => {
        this.hidden = true;
        this.tell();
      }, HIDES);
    }
  }
}
