// The token of this tab: never in an address, a log or a picture of the screen.

const TOKEN = 'muster-token';

/** The token from the link leaves the address bar: it must not end up in a history or a screenshot. @return the tab's token, or null */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    keepToken(given.trim());
    history.replaceState(null, '', location.pathname + location.search);
  }
  return sessionStorage.getItem(TOKEN);
}

export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export function forgetToken() {
  sessionStorage.removeItem(TOKEN);
}
