// The keyboard of a conference: one key an act, listed in the help, and never while somebody types.

import { t } from './i18n.js';
import { make } from './people.js';

const HELP = [['M', 'help.m'], ['V', 'help.v'], ['S', 'help.s'], ['F', 'help.f'], ['P', 'help.p'], ['Q', 'help.q'], ['← →', 'help.arrows'], ['0 1 2 3', 'help.digits'],
  ['Enter', 'help.enter'], ['W', 'help.w'], ['?', 'help.help'], ['Esc', 'help.esc']];
const MODES = ['chair', 'equal', 'speaker', 'choice'];

/** Whether a key goes into a field, or into a dialog that is open. */
function typing(target) {
  return target.closest?.('input, textarea, select, [contenteditable], dialog[open]');
}

/** @param on on.control(name), on.page(by), on.mode(name), on.full(), on.help(), on.escape(); on.active(): whether it is for us */
export function listen(on) {
  const control = name => () => on.control(name);
  const acts = {
    m: control('mic'), v: control('camera'), s: control('share'), f: control('floor'), p: control('people'), q: control('quality'), w: on.full, '?': on.help, Escape: on.escape,
    ArrowLeft: () => on.page(-1), ArrowRight: () => on.page(1), PageUp: () => on.page(-1), PageDown: () => on.page(1),
  };
  MODES.forEach((mode, i) => { acts[i] = () => on.mode(mode); });
  document.addEventListener('keydown', e => {
    if (!on.active() || e.ctrlKey || e.altKey || e.metaKey || e.isComposing || typing(e.target)) return;
    const act = acts[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!act || e.repeat && e.key.length === 1) return;
    e.preventDefault();
    act();
  });
}

export function help() {
  document.getElementById('help-keys').replaceChildren(...HELP.map(([key, text]) =>
    make('div', {}, make('dt', {}, ...key.split(' ').map(k => make('kbd', { textContent: k }))), make('dd', { textContent: t(text) }))));
  document.getElementById('help').showModal();
}
