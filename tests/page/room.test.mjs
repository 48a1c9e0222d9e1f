// What the conference's state means to one member.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heard, keyOf, large, leavesIn, ofKey, onStage, placeInQueue, queue, shown, whyNot } from '../../gateway/console/room.js';

const NOW = Date.parse('2025-06-01T03:00:00Z');
const at = (s) => new Date(NOW - s * 1000).toISOString();
const person = (name, more = {}) => ({ endpoint: `city/${name}`, name, role: 'participant', rank: 8, present: true, muted: false,
  muted_by_chair: false, since: at(600), hand: null, views: null, ...more });
const conference = (members, more = {}) => ({ id: 'morning', title: 'Morning', since: at(900), moderated: false, locked: false, layout: 'equal',
  floor: null, screen: null, broadcast: null, speaker: null, members, ...more });

test('the queue goes by rank, then by time; who is away waits outside it', () => {
  const s = conference([person('a', { hand: at(5) }), person('b', { hand: at(9) }), person('c', { rank: 2, hand: at(1) }), person('d', { hand: at(99), present: false }), person('e')]);
  assert.deepEqual(queue(s).map((m) => m.name), ['c', 'b', 'a']);
  assert.deepEqual(['c', 'a', 'd', 'e'].map((n) => placeInQueue(s, `city/${n}`)), [1, 3, 0, 0]);
});

test('who is lost keeps the tile for two minutes; listeners have none', () => {
  const s = conference([person('me'), person('a'), person('l', { role: 'listener' }), person('gone', { present: false, since: at(300) }), person('lost', { present: false, since: at(10) })]);
  assert.deepEqual(onStage(s, 'city/me', NOW).map((m) => m.name), ['a', 'lost']);
  assert.ok(Math.abs(leavesIn(s, 'city/me', NOW) - 110000) < 100);
  assert.equal(leavesIn(conference([person('a')]), 'city/me', NOW), 0);
});

test('large: own choice, the chair\'s, who speaks', () => {
  const s = conference([person('me'), person('a'), person('b'), person('c')]);
  const is = (mode, spoke = '') => large(s, 'city/me', mode, spoke).replace('city/', '');
  assert.equal(is('chair'), '');
  s.layout = 'speaker';
  assert.deepEqual([is('chair'), is('chair', 'city/b'), is('equal', 'city/b'), is('choice', 'city/b')], ['a', 'b', '', '']);
  s.floor = 'city/c';
  assert.deepEqual([is('chair'), is('chair', 'city/me')], ['c', 'c'], 'nobody is shown to himself');
  s.broadcast = 'city/a';
  assert.deepEqual([is('chair', 'city/b'), is('choice'), is('speaker', 'city/b')], ['a', 'a', 'b']);
  s.members[0].views = 'city/c';
  assert.deepEqual([is('chair'), is('choice'), is('equal')], ['c', 'c', '']);
  s.members[3].present = false;
  assert.equal(is('chair'), 'a', 'who is lost is not large');
});

test('a screen comes first, and who is large beside it', () => {
  const s = conference([person('me'), person('a'), person('b')], { screen: 'city/a', broadcast: 'city/b' });
  const { tiles, large: big } = shown(s, 'city/me', 'chair', '', NOW);
  assert.equal(big, keyOf('city/a', 'screen'));
  assert.deepEqual(tiles.map(ofKey).map((k) => `${k.endpoint} ${k.label}`), ['city/a screen', 'city/b video', 'city/a video']);
  assert.equal(shown(s, 'city/me', 'equal', '', NOW).large, '');
  assert.equal(shown(s, 'city/a', 'chair', '', NOW).tiles.length, 2, 'one\'s own screen is not shown to oneself');
});

test('alone one sees oneself', () => {
  assert.deepEqual(shown(conference([person('me')]), 'city/me', 'chair', '', NOW), { tiles: [keyOf('city/me')], large: '' });
});

test('ranks order the stage and time keeps places', () => {
  const s = conference([person('x', { rank: 9 }), person('y', { rank: 1 }), person('z', { rank: 9 })]);
  assert.deepEqual(onStage(s, '', NOW).map((m) => m.name), ['y', 'x', 'z']);
});

test('who is heard', () => {
  const s = conference([person('a'), person('chair', { role: 'chair' }), person('m', { muted: true }), person('l', { role: 'listener' })]);
  assert.deepEqual(s.members.map((m) => heard(s, m)), [true, true, false, false]);
  s.moderated = true;
  assert.deepEqual(s.members.map((m) => heard(s, m)), [false, true, false, false]);
  s.floor = 'city/a';
  assert.equal(heard(s, s.members[0]), true);
});

test('what may not be done says why', () => {
  const s = conference([person('chair', { role: 'chair', rank: 1 }), person('p', { muted: true, muted_by_chair: true }), person('l', { role: 'listener' })]);
  const why = (act, who, target) => whyNot(act, s, `city/${who}`, target && `city/${target}`)?.[0] ?? null;
  assert.equal(why('floor.request', 'l'), 'why.listener');
  assert.equal(why('floor.request', 'p'), null);
  assert.equal(why('unmute', 'p'), 'why.muted');
  assert.equal(why('unmute', 'chair', 'p'), null);
  assert.equal(why('mute', 'p'), null);
  assert.equal(why('mute', 'p', 'l'), 'why.chair');
  assert.equal(why('large', 'l', 'p'), null);
  assert.equal(why('floor.grant', 'chair', 'l'), 'why.target');
  for (const act of ['floor.grant', 'floor.revoke', 'role', 'remove', 'lock', 'broadcast', 'layout', 'end', 'mute.all']) {
    assert.equal(why(act, 'p', 'chair'), 'why.chair', act);
    assert.equal(why(act, 'chair', 'p'), null, act);
  }
  assert.equal(why('screen.start', 'l'), 'why.listener');
  s.screen = 'city/chair';
  assert.deepEqual(whyNot('screen.start', s, 'city/p'), ['why.screen', 'chair']);
  assert.equal(why('screen.stop', 'p'), 'why.chair');
  assert.equal(why('screen.stop', 'chair'), null);
  assert.equal(why('mute', 'nobody'), 'why.outside');
});
