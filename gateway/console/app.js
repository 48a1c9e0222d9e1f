// The console: signs in, keeps the list and the wall up to date.

import { Gateway } from './gateway.js';
import { EndpointList } from './endpoints.js';
import { Publisher } from './publish.js';
import { Tile } from './tile.js';
import { takeToken, keepToken, forgetToken } from './token.js';
import { t, translate, switchLanguage } from './i18n.js';

const $ = id => document.getElementById(id);
const WALL = 'muster-wall';
const tiles = new Map();
const list = new EndpointList(toggle), publisher = new Publisher(showPublishing);
let gateway, following, site = '', link = '';

// --- what the page says about itself ---

const notices = new Map(); // by what they are about: each is cleared by whoever gave it
/** @param text makes the text; nothing: all is well there. Without either, what stands is said anew. */
function notice(about, text) {
  if (text) notices.set(about, text);
  else notices.delete(about);
  $('notice').textContent = [...notices.values()].map(say => say()).join(' ');
  $('notice').hidden = notices.size === 0;
}

function view(signedIn) {
  $('token-view').hidden = signedIn;
  for (const id of ['wall-view', 'publish-open', 'sign-out', 'site', 'pages']) $(id).hidden = !signedIn;
}

function setLink(state) {
  link = state;
  $('link').dataset.link = state;
  $('link').textContent = state ? t(`link.${state}`) : '';
}

/** A camera that is on must not be forgotten behind a closed dialog. */
function showPublishing() {
  const button = $('publish-open'), on = publisher.active;
  button.dataset.publishing = on ? publisher.state : '';
  button.textContent = on ? t('publish.on', publisher.id) : t('publish.open');
}

/** After the language changed, everything that is not in the page's source is said anew. */
function relabel() {
  setLink(link);
  notice();
  list.show();
  publisher.show();
  showPublishing();
  if (publisher.view.open) publisher.choices();
  for (const tile of tiles.values()) tile.label();
}

// --- the wall ---

/** Make the wall fit: as square as the number of pictures allows. */
function arrange() {
  const columns = Math.ceil(Math.sqrt(tiles.size)) || 1;
  $('tiles').style.setProperty('--columns', columns);
  $('tiles').style.setProperty('--rows', Math.ceil(tiles.size / columns) || 1);
  $('wall-empty').hidden = tiles.size > 0;
  list.watched = new Set(tiles.keys());
  list.show();
  sessionStorage.setItem(WALL, JSON.stringify([...tiles.keys()]));
}

function toggle(id) {
  if (tiles.has(id)) return tiles.get(id).close();
  if (!window.RTCPeerConnection) return;
  const tile = new Tile(gateway, id, {
    up: () => reread(id),
    closed: () => {
      tiles.delete(id);
      arrange();
      setTimeout(reread, 500, id);
    },
  });
  tiles.set(id, tile);
  $('tiles').append(tile.element);
  tile.update(list.get(id));
  arrange();
}

/** After a reload the wall is as it was. */
function restore() {
  for (const id of JSON.parse(sessionStorage.getItem(WALL) || '[]')) {
    if (!tiles.has(id) && list.get(id)) toggle(id);
  }
}

// --- what the gateway says ---

let reading; // the list is on its way: by id what events tell meanwhile, which may be newer than it; null: removed
async function refresh() {
  const asked = gateway, newer = reading = new Map();
  try {
    const answer = await asked.endpoints();
    if (newer !== reading) return; // signed out, or asked again
    site = answer.site;
    $('site').textContent = site;
    list.set(answer.endpoints.filter(e => !newer.has(e.id)).concat([...newer.values()].filter(Boolean)));
    for (const [id, tile] of tiles) tile.update(list.get(id));
    notice('list');
    if (link === 'off') setLink('poll');
  } catch (e) {
    if (newer === reading) refused(e);
  } finally {
    if (newer === reading) reading = null;
  }
}

/** One endpoint, after we have begun or ceased to watch it: how many watch is told by no event. */
async function reread(id) {
  const asked = gateway, before = list.get(id);
  const answer = await asked?.json(`/v1/endpoints/${id}`).catch(() => null);
  if (answer && asked === gateway && list.get(id) === before) list.put(answer);
}

/** An event carries the whole endpoint, so that the list is read once and not for each of them. */
function event(kind, data) {
  if (kind === 'reset') return refresh();
  if (!kind.startsWith('endpoint.') || !data.id) return;
  const now = kind === 'endpoint.removed' ? null : data;
  reading?.set(data.id, now);
  if (now) list.put(now);
  else list.remove(data.id);
  tiles.get(data.id)?.update(now);
}

function refused(e) {
  if (e.status === 401) {
    signOut();
    notice('token', () => t('token.refused', e.message));
  } else if (e.status === 403) {
    setLink('poll');
    notice('list', () => t('list.forbidden'));
  } else {
    setLink('off');
  }
}

/**
 * Viewers come and go without an event, so the list is read anew now and then: once a minute, as a thousand endpoints are
 * 200 kB. While there is no event stream that is all there is: every ten seconds.
 */
let quiet = 0;
function tick() {
  if (document.hidden || (link === 'on' && ++quiet < 6)) return;
  quiet = 0;
  refresh();
}

// --- in and out ---

function signIn(token) {
  keepToken(token);
  gateway = new Gateway(token);
  publisher.use(gateway);
  following = new AbortController();
  notice('token');
  view(true);
  gateway.follow(following.signal, {
    event,
    up: () => {
      setLink('on');
      refresh().then(restore); // what happened while nobody listened
    },
    down: e => {
      refused(e);
      if (link === 'off' && !list.known) refresh().then(restore);
    },
  });
  following.timer = setInterval(tick, 10000);
}

function signOut() {
  if (!gateway) return;
  clearInterval(following.timer);
  following.abort();
  publisher.use(null);
  for (const tile of [...tiles.values()]) tile.close();
  forgetToken();
  gateway = reading = null;
  list.clear();
  setLink('');
  notice('list');
  $('token').value = $('site').textContent = site = '';
  view(false);
  $('token').focus();
}

$('token-form').onsubmit = e => {
  e.preventDefault();
  const token = $('token').value.trim();
  if (token) signIn(token);
};
$('sign-out').onclick = signOut;
$('publish-open').onclick = () => publisher.open(site);
$('language').onclick = () => {
  switchLanguage();
  relabel();
};
window.addEventListener('hashchange', () => {
  const token = takeToken();
  if (token && token !== gateway?.token) {
    signOut();
    signIn(token);
  }
});
window.addEventListener('pagehide', () => {
  for (const tile of tiles.values()) tile.session.end();
  publisher.session?.end();
});
document.addEventListener('keydown', e => {
  if (e.key === '/' && gateway && !e.target.closest('input, textarea, select, dialog')) {
    e.preventDefault();
    $('search').focus();
  }
});

translate();
relabel();
if (!window.RTCPeerConnection) notice('webrtc', () => t('error.webrtc'));
const token = takeToken();
if (token) signIn(token);
else view(false);
