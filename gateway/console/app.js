// The console: signs in, keeps the list and the wall up to date.

import { Gateway } from './gateway.js';
import { EndpointList } from './endpoints.js';
import { Publisher } from './publish.js';
import { Tile } from './tile.js';
import { t, translate, switchLanguage } from './i18n.js';

const $ = id => document.getElementById(id);
const TOKEN = 'muster-token', WALL = 'muster-wall';
const tiles = new Map();
let gateway, list, publisher, following, site = '', link = '';

/** The token from the link leaves the address bar: it must not end up in a history or a screenshot. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    sessionStorage.setItem(TOKEN, given.trim());
    history.replaceState(null, '', location.pathname + location.search);
  }
  return sessionStorage.getItem(TOKEN);
}

function notice(text) {
  $('notice').textContent = text;
  $('notice').hidden = !text;
}

function view(signedIn) {
  $('token-view').hidden = signedIn;
  for (const id of ['wall-view', 'publish-open', 'sign-out']) $(id).hidden = !signedIn;
}

function setLink(state) {
  link = state;
  $('link').dataset.link = state;
  $('link').textContent = state ? t(`link.${state}`) : '';
}

/** Make the wall fit: as square as the number of pictures allows. */
function arrange() {
  const columns = Math.ceil(Math.sqrt(tiles.size)) || 1;
  $('tiles').style.setProperty('--columns', columns);
  $('wall-empty').hidden = tiles.size > 0;
  list.watched = new Set(tiles.keys());
  list.show();
  sessionStorage.setItem(WALL, JSON.stringify([...tiles.keys()]));
}

function toggle(id) {
  if (tiles.has(id)) return tiles.get(id).close();
  if (!window.RTCPeerConnection) return notice(t('error.webrtc'));
  const tile = new Tile(gateway, id, () => {
    tiles.delete(id);
    arrange();
  });
  tiles.set(id, tile);
  $('tiles').append(tile.element);
  tile.update(list.get(id));
  arrange();
}

async function refresh() {
  const asked = gateway;
  try {
    const endpoints = [];
    for (let after = ''; after !== null;) {
      const page = await asked.json(`/v1/endpoints?after=${encodeURIComponent(after)}`);
      if (asked !== gateway) return;
      site = page.site;
      endpoints.push(...page.endpoints);
      after = page.next;
    }
    $('site').textContent = site;
    list.set(endpoints);
    for (const [id, tile] of tiles) tile.update(list.get(id));
    notice('');
  } catch (e) {
    if (asked === gateway) refused(e);
  }
}

function refused(e) {
  if (e.status === 401) {
    signOut();
    notice(t('token.refused', e.message));
  } else if (e.status === 403) {
    setLink('poll');
    notice(t('list.forbidden'));
  } else {
    setLink('off');
  }
}

let soon;
function refreshSoon() {
  clearTimeout(soon);
  soon = setTimeout(refresh, 100);
}

function signIn(token) {
  sessionStorage.setItem(TOKEN, token);
  gateway = new Gateway(token);
  list = new EndpointList(toggle);
  publisher = new Publisher(gateway);
  following = new AbortController();
  notice('');
  view(true);
  refresh().then(restore);
  gateway.follow(following.signal, {
    event: refreshSoon,
    up: () => {
      setLink('on');
      refreshSoon();
    },
    down: refused,
  });
  // viewers come and go without an event
  following.timer = setInterval(() => document.hidden || refresh(), 10000);
}

/** After a reload the wall is as it was. */
function restore() {
  for (const id of JSON.parse(sessionStorage.getItem(WALL) || '[]')) {
    if (!tiles.has(id) && list.get(id)) toggle(id);
  }
}

function signOut() {
  if (!gateway) return;
  clearInterval(following.timer);
  following.abort();
  publisher.stop();
  publisher.view.close();
  for (const tile of [...tiles.values()]) tile.close();
  sessionStorage.removeItem(TOKEN);
  gateway = null;
  setLink('');
  $('token').value = '';
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
  setLink(link);
  if (!gateway) return;
  list.show();
  for (const tile of tiles.values()) tile.label();
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
  publisher?.session?.end();
});
document.addEventListener('keydown', e => {
  if (e.key === '/' && gateway && !e.target.closest('input, textarea, select, dialog')) {
    e.preventDefault();
    $('search').focus();
  }
});

translate();
const token = takeToken();
if (token) signIn(token);
else view(false);
if (!window.RTCPeerConnection) notice(t('error.webrtc'));
