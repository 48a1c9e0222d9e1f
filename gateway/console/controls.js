// The buttons below the pictures: what each would do now, and why it may not.

import { t } from './i18n.js';
import { placeInQueue, queue, whyNot } from './room.js';
import { ownGrade } from './quality.js';

const MODES = ['chair', 'equal', 'speaker', 'choice'];

/** @param state a meeting; @return by name: text, icon, pressed, why (a text, '' if it may be done) */
export function faces(meeting, { mayShare = true } = {}) {
  const { state, me, own, tracks, muted } = meeting, place = state ? placeInQueue(state, me) : 0, holds = !!state?.floor && state.floor === me;
  const why = act => {
    const reason = state && whyNot(act, state, me);
    return reason ? t(...reason) : '';
  };
  const open = !muted && !!tracks.audio && own?.role !== 'listener';
  const free = state && !state.floor && (!state.moderated || own?.role === 'chair');
  return {
    mic: { text: t(open ? 'ctl.mute' : 'ctl.unmute'), icon: open ? 'mic' : 'mic-off', pressed: !open, why: open ? '' : why('unmute') },
    camera: { text: t(tracks.video ? 'ctl.camera.off' : 'ctl.camera.on'), icon: tracks.video ? 'camera' : 'camera-off', pressed: !tracks.video, why: own?.role === 'listener' ? t('why.listener') : '' },
    share: { text: t(tracks.screen ? 'ctl.unshare' : 'ctl.share'), icon: 'screen', on: !!tracks.screen, why: tracks.screen ? '' : mayShare ? why('screen.start') : t('why.noscreen') },
    floor: { text: holds ? t('ctl.floor.give') : place ? t('ctl.floor.wait', place) : t(free ? 'ctl.floor.take' : 'ctl.floor'), icon: holds ? 'floor' : 'hand', on: holds, waits: place > 0, more: place && !holds ? t('ctl.floor.down') : '', why: holds || place ? '' : why('floor.request') },
    people: { text: t('ctl.people'), icon: 'people' },
    quality: { text: t('ctl.quality'), icon: 'chart' },
    devices: { text: t('ctl.devices'), icon: 'gear' },
    leave: { text: t('ctl.leave'), icon: 'leave' },
  };
}

export class Controls {
  /** @param on on.control(name), on.mode(name) */
  constructor(on) {
    this.buttons = new Map([...document.querySelectorAll('[data-control]')].map(b => [b.dataset.control, b]));
    for (const [name, button] of this.buttons) button.onclick = () => on.control(name);
    this.layout = document.getElementById('layout');
    this.layout.onchange = () => on.mode(this.layout.value);
  }

  show(meeting, { mode, drawer, mayShare }) {
    for (const [name, face] of Object.entries(faces(meeting, { mayShare }))) this.face(this.buttons.get(name), face, name === drawer);
    if (this.drawn !== document.documentElement.lang) {
      this.drawn = document.documentElement.lang;
      this.layout.replaceChildren(...MODES.map(m => new Option(t(`layout.${m}`), m)));
    }
    this.layout.value = mode;
    const asking = meeting.state ? queue(meeting.state).length : 0, badge = document.getElementById('asking');
    badge.hidden = !asking;
    badge.textContent = String(asking);
    this.self(meeting);
  }

  face(button, { text, icon, pressed, on, waits, why, more }, open) {
    const title = [more ? `${text}: ${more}` : text, button.dataset.key ? `(${button.dataset.key.toUpperCase()})` : ''].join(' ').trim();
    write(button.querySelector('span'), text);
    button.querySelector('use').setAttribute('href', `#i-${icon}`);
    button.title = why ? `${title}: ${why}` : title;
    button.setAttribute('aria-label', why ? `${text}: ${why}` : text);
    button.setAttribute('aria-disabled', String(!!why));
    button.classList.toggle('off', !!pressed);
    button.classList.toggle('on', !!on);
    button.classList.toggle('waits', !!waits);
    if (button.hasAttribute('aria-expanded')) button.setAttribute('aria-expanded', String(open));
  }

  /** One's own picture and connection. */
  self(meeting) {
    const video = document.getElementById('self-video'), track = meeting.tracks.video, box = document.getElementById('self');
    if ((video.srcObject?.getTracks()[0] ?? null) !== track) video.srcObject = track ? new MediaStream([track]) : null;
    box.classList.toggle('none', !track || meeting.own?.role === 'listener');
    box.classList.toggle('speaking', !!meeting.me && meeting.speaker === meeting.me);
    const grade = ownGrade(meeting), bars = document.getElementById('self-quality');
    bars.querySelector('svg').dataset.grade = grade;
    bars.title = t(`q.${grade || 'unknown'}`);
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
