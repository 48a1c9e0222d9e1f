// What the conference's state means to one of its members: who is shown, who is large, who speaks next, who may do what.
// No page, no network: the state is as GET /v1/conferences/{id} has it.

const LINGERS = 120000; // ms: who is lost longer keeps its line in the list, but no tile

export const keyOf = (endpoint, label = 'video') => `${endpoint} ${label}`;
export const ofKey = key => {
  const [endpoint, label] = key.split(' ');
  return { endpoint, label };
};

export function member(state, endpoint) {
  return endpoint ? state?.members.find(m => m.endpoint === endpoint) : undefined;
}

/** By rank, then as they came: a place that does not change is found again without looking. */
export function inOrder(members) {
  return [...members].sort((a, b) => a.rank - b.rank);
}

/** Who asks for the floor: by rank, then by time, as the gateway grants it. */
export function queue(state) {
  return state.members.filter(m => m.hand && m.present).sort((a, b) => a.rank - b.rank || (a.hand < b.hand ? -1 : a.hand > b.hand ? 1 : 0));
}

/** 1 is next; 0: does not ask. */
export function placeInQueue(state, endpoint) {
  return queue(state).findIndex(m => m.endpoint === endpoint) + 1;
}

/** Whether the conference lets the others hear it. */
export function heard(state, m) {
  if (!m?.present || m.muted || m.role === 'listener') return false;
  return !state.moderated || m.role === 'chair' || state.floor === m.endpoint;
}

/** Who has a tile: all that may send but oneself, and who was lost not long ago. */
export function onStage(state, me, now) {
  return inOrder(state.members.filter(m => m.endpoint !== me && m.role !== 'listener' && (m.present || now - Date.parse(m.since) < LINGERS)));
}

/** When somebody lost will have to leave the stage; ms from now, 0: nobody. */
export function leavesIn(state, me, now) {
  const times = state.members.filter(m => !m.present && m.endpoint !== me).map(m => Date.parse(m.since) + LINGERS - now).filter(ms => ms > 0);
  return times.length ? Math.min(...times) + 50 : 0;
}

/**
 * Who is large: one's own choice, then the chair's, then who speaks.
 * @param mode   'chair': as the chair has it; 'equal', 'speaker', 'choice': this member's own
 * @param spoke  who spoke last: between two sentences nobody does, and the picture stays
 */
export function large(state, me, mode, spoke) {
  const own = member(state, me)?.views, there = id => id && id !== me && member(state, id)?.present ? id : '';
  const speaks = () => there(spoke) || there(state.speaker) || there(state.floor) || onStage(state, me, 0).find(m => m.present)?.endpoint || '';
  if (mode === 'equal') return '';
  if (mode === 'speaker') return speaks();
  if (there(own)) return own;
  if (there(state.broadcast)) return state.broadcast;
  return mode === 'chair' && state.layout === 'speaker' ? speaks() : '';
}

/** All that can be shown, and which of it is large. A screen that is shared comes before everybody. @return tiles, large: keys */
export function shown(state, me, mode, spoke, now) {
  const people = onStage(state, me, now), big = large(state, me, mode, spoke);
  const screen = state.screen && state.screen !== me && member(state, state.screen)?.present ? keyOf(state.screen, 'screen') : '';
  const first = screen && big ? [big] : []; // beside a screen, who speaks comes first
  const ids = [...first, ...people.map(m => m.endpoint).filter(id => !first.includes(id))];
  const tiles = ids.map(id => keyOf(id));
  if (screen && mode !== 'equal') return { tiles: [screen, ...tiles], large: screen };
  if (screen) tiles.unshift(screen);
  if (!tiles.length) return { tiles: [keyOf(me)], large: '' }; // alone: one sees oneself
  return { tiles, large: big && tiles.length > 1 ? keyOf(big) : '' };
}

/** Why a member may not do something now: a key of a text and what it says, or null where nothing stands in the way. */
export function whyNot(act, state, me, target) {
  const own = member(state, me), about = member(state, target);
  if (!own) return ['why.outside'];
  const chair = own.role === 'chair', self = !target || target === me;
  switch (act) {
    case 'floor.request':
      return own.role === 'listener' ? ['why.listener'] : null;
    case 'screen.start': {
      const holder = member(state, state.screen);
      if (own.role === 'listener') return ['why.listener'];
      return holder && holder !== own && !chair && own.rank >= holder.rank ? ['why.screen', holder.name] : null;
    }
    case 'unmute':
      if (self && own.role === 'listener') return ['why.listener'];
      if (self) return own.muted_by_chair && !chair ? ['why.muted'] : null;
      break;
    case 'floor.grant':
      if (chair && about?.role === 'listener') return ['why.target'];
      if (chair && about && !about.present) return ['why.away'];
  }
  const own_affair = ['floor.release', 'large', 'mute'].includes(act) && self || act === 'large' || act === 'screen.stop' && state.screen === me;
  return chair || own_affair ? null : ['why.chair'];
}
