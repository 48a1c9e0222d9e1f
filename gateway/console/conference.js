// The conference's page: sign in, lobby, conference; and what connects its parts.

import { Gateway } from './gateway.js';
import { takeToken, keepToken, forgetToken } from './token.js';
import { t, add, translate, switchLanguage } from './i18n.js';
import { conferenceTexts } from './conference-texts.js';
import * as devices from './devices.js';
import { Controls, faces } from './controls.js';
import { help, listen } from './keys.js';
import { Lobby, fill } from './lobby.js';
import { Meeting } from './meeting.js';
import { Notices } from './notices.js';
import { People } from './people.js';
import { Quality } from './quality.js';
import { member } from './room.js';
import { claim, forgetSeat, readSeat, writeSeat } from './place.js';
import { Sounds } from './sounds.js';
import { Stage } from './stage.js';

add(conferenceTexts);
const $ = id => document.getElementById(id);
const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/console`;
const DRAWERS = ['people', 'quality', 'devices'];
const mayShare = !!navigator.mediaDevices?.getDisplayMedia;
let gateway, meeting, drawer = '', wanted = '', wake;

const notices = new Notices(() => meeting);
const lobby = new Lobby({ join: join, refused: e => signOut(() => t('token.refused', e.message)) });
const stage = new Stage({ view: tiles => meeting?.view(tiles), pin });
const people = new People({ act, confirm, pin });
const quality = new Quality();
const sounds = new Sounds({ blocked: on => { $('hear').hidden = !on; } });
const controls = new Controls({ control, mode });

// --- which view ---

function view(name) {
  for (const v of ['token', 'lobby', 'room']) $(`${v}-view`).hidden = v !== name;
  $('pages').hidden = name === 'token';
  $('sign-out').hidden = name !== 'lobby';
  for (const id of ['full', 'help-open', 'title']) $(id).hidden = name !== 'room';
  $('to-lobby').hidden = name === 'room';
  document.body.dataset.view = name;
  if (name === 'token') $('token').focus();
}

function signIn(token) {
  keepToken(token);
  gateway = new Gateway(token);
  notices.say('token');
  const seat = readSeat();
  if (seat?.joined) back(seat);
  else enterLobby();
}

function enterLobby() {
  view('lobby');
  lobby.enter(gateway, { wanted, endpoint: readSeat()?.endpoint });
}

function signOut(why) {
  lobby.leave();
  forgetToken();
  forgetSeat();
  gateway = null;
  $('token').value = '';
  view('token');
  notices.say('token', why);
}

// --- in and out of a conference ---

function join({ conference, name, endpoint, tracks, speaker }) {
  lobby.leave();
  writeSeat({ joined: true, conference, name, endpoint, speaker, audio: deviceOf(tracks.audio), video: deviceOf(tracks.video) });
  enter({ conference, name, endpoint, speaker }, tracks, !tracks.audio);
}

const deviceOf = track => track ? track.getSettings().deviceId || 'default' : '';

/** The page was loaded anew while it was in a conference. */
async function back(seat) {
  if (await claim(seat.endpoint)) {
    notices.say('elsewhere', () => t('join.elsewhere', seat.endpoint));
    writeSeat({ ...seat, joined: false, endpoint: '' });
    return enterLobby();
  }
  view('room');
  const take = (kind, id) => id ? devices[kind](id).catch(() => null) : null;
  const [audio, video] = await Promise.all([take('microphone', seat.audio), take('camera', seat.video)]);
  enter(seat, { audio, video }, seat.muted ?? !audio);
}

function enter({ conference, name, endpoint, speaker, session }, { audio, video }, muted) {
  view('room');
  notices.say('elsewhere');
  $('title').textContent = '';
  meeting = new Meeting({ token: gateway.token, endpoint, conference, name, session }, {
    change: changed,
    session: id => writeSeat({ ...readSeat(), session: id, endpoint: meeting.me }),
    event: (kind, data) => notices.event(kind, data),
    trouble: e => notices.toast(e.message),
    over,
  }, url);
  claim(endpoint, true);
  meeting.muted = muted;
  meeting.setTrack('audio', audio);
  meeting.setTrack('video', video);
  stage.use(meeting);
  sounds.use(speaker ?? '');
  meeting.start();
  draw();
  keepAwake();
}

/** @param error why; nothing: the user left */
function over(error) {
  const left = meeting;
  meeting = null;
  left?.leave();
  stage.use(null);
  sounds.play([]);
  open('');
  wake?.release().catch(() => {});
  wake = null;
  claim('');
  if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  const seat = readSeat() ?? {};
  writeSeat({ endpoint: seat.endpoint });
  setLink('');
  notices.forget();
  if (error?.status === 401) return signOut(() => t('token.refused', error.message));
  enterLobby();
  notices.say('over', error && (() => error.message));
}

// --- what happened ---

function changed(what) {
  if (!meeting) return;
  switch (what) {
    case 'speaker':
      stage.speaking();
      people.show(meeting);
      controls.self(meeting);
      if (stage.follows()) stage.draw();
      return;
    case 'slots':
      sounds.play(meeting.receiver?.sounds().map(s => s.track) ?? []);
      return stage.fill();
    case 'quality':
      stage.fill();
      controls.self(meeting);
      if (drawer === 'quality') quality.show(meeting);
      return;
    case 'own':
      writeSeat({ ...readSeat(), muted: meeting.muted, audio: deviceOf(meeting.tracks.audio), video: deviceOf(meeting.tracks.video) });
      break;
    case 'line':
      notices.line(meeting.line);
  }
  draw();
}

function draw() {
  if (!meeting) return;
  stage.draw();
  controls.show(meeting, { mode: stage.mode, drawer, mayShare });
  people.show(meeting);
  head();
}

/** The line above the pictures, and the connection. */
function head() {
  const { state, line, paths, own } = meeting;
  setLink(line === 'up' && paths.down === 'dropped' ? 'down' : line === 'up' && paths.up === 'dropped' ? 'up.dropped' : line);
  if (!state) {
    $('title').textContent = t('join.entering');
    return;
  }
  const named = id => member(state, id)?.name ?? id;
  $('title').replaceChildren(...[[state.title, 'name'], [t('room.others', state.members.filter(m => m.present).length), 'count'],
    [state.floor && t('room.floor', named(state.floor)), 'floor'], [state.broadcast && t('room.large', named(state.broadcast)), 'broadcast'],
    [state.locked && t('conf.locked'), 'chip'], [state.moderated && t('conf.moderated'), 'chip']].filter(([text]) => text)
    .map(([text, name]) => Object.assign(document.createElement('span'), { textContent: text, className: name })));
  document.title = `${state.title} · Muster`;
  const hint = own?.role === 'listener' ? 'room.listening' : state.moderated && own?.role !== 'chair' && state.floor !== meeting.me ? 'room.unheard'
    : state.members.every(m => !m.present || m.endpoint === meeting.me) ? 'room.alone' : '';
  $('hint').hidden = !hint;
  $('hint').textContent = hint && t(hint);
}

function setLink(state) {
  $('link').dataset.link = state === 'up' ? 'on' : state ? 'off' : '';
  $('link').textContent = state ? t(`line.${state}`) : '';
  document.body.classList.toggle('cut', !!meeting && state !== 'up');
}

// --- what the user does ---

async function act(name, members) {
  try {
    await meeting?.act(name, members);
  } catch (e) {
    notices.toast(e.message);
  }
}

function pin(endpoint) {
  if (!meeting?.own || endpoint === meeting.me) return;
  act('large', { endpoint: meeting.own.views === endpoint ? '' : endpoint });
  if (stage.mode === 'equal' || stage.mode === 'speaker') mode('choice');
}

function mode(name) {
  stage.choose(name);
  if (meeting) controls.show(meeting, { mode: name, drawer, mayShare });
}

async function control(name) {
  if (!meeting) return;
  const face = faces(meeting, { mayShare })[name];
  if (face.why) return notices.toast(face.why);
  try {
    await { mic, camera, share, floor, leave: () => over() }[name]?.();
  } catch (e) {
    notices.toast(e.message || e.name);
  }
  if (DRAWERS.includes(name)) open(drawer === name ? '' : name);
}

async function mic() {
  if (!meeting.tracks.audio) {
    const track = await obtain('microphone', 'audio');
    if (!track) return;
    meeting.setTrack('audio', track);
    return meeting.mute(false);
  }
  await meeting.mute(!meeting.muted);
}

async function camera() {
  if (meeting.tracks.video) return meeting.setTrack('video', null);
  const track = await obtain('camera', 'video');
  if (track) meeting.setTrack('video', track);
}

/** @return a track, or null where there is none: that has been said */
async function obtain(kind, label, id = preferred(label)) {
  const here = meeting;
  try {
    const track = await devices[kind](id).catch(e => id && ['OverconstrainedError', 'NotFoundError'].includes(e.name) ? devices[kind]('') : Promise.reject(e));
    if (here === meeting) return track;
    track.stop();
  } catch (e) {
    notices.toast(navigator.mediaDevices ? devices.explain(e, label) : t('lack.insecure'));
  }
  return null;
}

const preferred = label => JSON.parse(localStorage.getItem('muster-devices') || '{}')[label === 'audio' ? 'microphone' : 'camera'] ?? '';

async function share() {
  if (meeting.tracks.screen) return meeting.setTrack('screen', null);
  const here = meeting;
  let track;
  try {
    track = await devices.screen();
  } catch (e) {
    if (e.name !== 'NotAllowedError') notices.toast(devices.explain(e));
    return; // not allowed: the user thought better of it
  }
  if (here === meeting) await meeting.share(track);
  else track.stop();
}

function floor() {
  const { state, me, own } = meeting;
  return meeting.act(state.floor === me || own.hand ? 'floor.release' : 'floor.request');
}

/** @param name of a drawer; '' none */
function open(name) {
  const before = drawer;
  drawer = name;
  for (const d of DRAWERS) $(d).hidden = d !== name;
  document.body.classList.toggle('drawn', !!name);
  if (!meeting) return;
  if (name === 'quality') quality.show(meeting);
  if (name === 'devices') chooseDevices();
  draw();
  if (name) $(name).querySelector('[data-action=close]').focus();
  else if (before) document.querySelector(`[data-control=${before}]`).focus();
}

async function chooseDevices() {
  const rows = [['audioinput', 'join.microphone', 'audio', 'microphone'], ['videoinput', 'join.camera', 'video', 'camera']];
  if (devices.canChooseSpeaker()) rows.push(['audiooutput', 'join.speaker', 'speaker']);
  const fields = await Promise.all(rows.map(async ([kind, text, label, device]) => {
    const select = document.createElement('select'), field = document.createElement('label'), said = document.createElement('span');
    said.textContent = t(text);
    const found = await devices.choices(kind);
    fill(select, label === 'speaker' ? found : [...found, ['', t('join.off')]], label === 'speaker' ? sounds.speaker : deviceOf(meeting?.tracks[label]));
    if (device && !meeting?.tracks[label]) select.value = '';
    select.dataset.device = label;
    select.onchange = () => useDevice(label, device, select.value);
    field.append(said, select);
    return field;
  }));
  $('devices-body').replaceChildren(...fields);
}

async function useDevice(label, device, id) {
  if (label === 'speaker') {
    sounds.use(id);
    return writeSeat({ ...readSeat(), speaker: id });
  }
  const track = id ? await obtain(device, label, id) : null;
  if (meeting && (track || !id)) meeting.setTrack(label, track);
}

/** @return whether the user said yes */
function confirm(text, yes) {
  $('confirm-text').textContent = text;
  $('confirm-yes').textContent = yes;
  $('confirm').returnValue = 'no';
  $('confirm').showModal();
  return new Promise(done => { $('confirm').onclose = () => done($('confirm').returnValue === 'yes'); });
}

async function keepAwake() {
  if (!meeting || document.hidden) return;
  wake = await navigator.wakeLock?.request('screen').catch(() => null);
  if (!meeting) wake?.release().catch(() => {});
}

function full() {
  if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  else document.documentElement.requestFullscreen?.().catch(() => {});
}

function relabel() {
  notices.show();
  if (meeting) {
    draw();
    if (drawer === 'devices') chooseDevices();
  } else if (!$('lobby-view').hidden) {
    lobby.label();
  }
}

// --- the page ---

$('token-form').onsubmit = e => {
  e.preventDefault();
  const token = $('token').value.trim();
  if (token) signIn(token);
};
$('sign-out').onclick = () => signOut();
$('language').onclick = () => {
  switchLanguage();
  relabel();
};
$('help-open').onclick = help;
$('full').onclick = full;
$('full').disabled = !document.documentElement.requestFullscreen;
$('hear').onclick = () => sounds.resume();
/** From a conference the wall opens beside it; the new tab does not take the seat. */
$('to-wall').onclick = e => {
  if (!meeting) return;
  e.preventDefault();
  const seat = readSeat();
  forgetSeat();
  window.open('/', '_blank');
  writeSeat(seat);
};
for (const button of document.querySelectorAll('[data-drawer] [data-action=close]')) button.onclick = () => open('');
listen({
  active: () => !!meeting, control, mode, full, help, page: by => stage.turn(by),
  escape: () => open(''),
});
document.addEventListener('visibilitychange', keepAwake);
window.addEventListener('online', () => meeting?.network());
window.addEventListener('offline', () => meeting?.signal.lost());
navigator.connection?.addEventListener?.('change', () => meeting?.network());
navigator.mediaDevices?.addEventListener?.('devicechange', () => meeting && drawer === 'devices' && chooseDevices());
window.addEventListener('hashchange', start);

/** A link may carry a token, and a conference to have chosen. */
function start() {
  wanted = new URLSearchParams(location.hash.slice(1)).get('conference') ?? wanted;
  const token = takeToken();
  if (meeting || token && token === gateway?.token) return;
  if (gateway) signOut();
  if (token) signIn(token);
  else view('token');
}

translate();
if (!window.RTCPeerConnection) notices.say('webrtc', () => t('error.webrtc'));
start();
