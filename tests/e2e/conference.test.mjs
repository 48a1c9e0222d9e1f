// A conference as people hold it: in by the lobby, seeing and hearing each other, muted by the chair, asking for the floor, sharing a
// screen; and what happens when the line is cut or the page is loaded anew. Pictures of it are left in the build folder,
// console/conference-*.png.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { SHARE_TAB, build, chromium, consolePage, film, missing, pause, startGateway, until } from './lib.mjs';

const shots = path.join(build, 'console');
const PAGE = '/console/conference.html';
const seat = (id, what = '') => `[data-seat="${id}"][data-label=video] ${what}`;
const screenOf = (id, what = '') => `[data-seat="${id}"][data-label=screen] ${what}`;
const control = (name, what = '') => `[data-control=${name}] ${what}`;
const [HALL, EAST, WEST] = ['city/hall', 'city/east', 'city/west'];

describe('a conference', { skip: missing, timeout: 400000 }, () => {
  let gw, browser, frames;
  const open = [];
  before(async () => {
    fs.mkdirSync(shots, { recursive: true });
    gw = await startGateway();
    const file = path.join(gw.dir, 'film.y4m');
    frames = film(file, { width: 640, height: 360, frames: 100 });
    browser = await chromium([SHARE_TAB, `--use-file-for-fake-video-capture=${file}`]);
  });
  afterEach(async () => { // those of a test that failed: they would be in the next one's way
    for (const p of open.splice(0)) await p.browserContext().close().catch(() => {});
  });
  after(async () => {
    await browser?.close();
    await gw?.stop();
  });

  const shot = (p, name) => p.screenshot({ path: path.join(shots, `conference-${name}.png`) });
  const token = (endpoint, role = 'participant', rank = 5) => gw.token('conference watch', { endpoint, role, rank });
  async function hold(id, more = {}) {
    const made = await gw.api('/v1/conferences', { method: 'POST', body: { id, title: `Conference ${id}`, ...more } });
    assert.equal(made.status, 201, made.text);
  }
  const conference = async (id) => (await gw.api(`/v1/conferences/${id}`)).json;
  /** Through the lobby. */
  async function come(id, endpoint, name, { role, rank, ...options } = {}) {
    const p = await consolePage(browser, gw, token(endpoint, role, rank), { where: PAGE, ...options });
    open.push(p);
    await p.waitForSelector(`[data-conference="${id}"]`);
    await p.click(`[data-conference="${id}"]`);
    await p.waitForFunction(() => document.querySelector('#preview').videoWidth > 0);
    await p.$eval('#name', (e, v) => { e.value = v; }, name);
    await p.click('#join');
    await p.waitForSelector('#room-view:not([hidden])');
    await p.says('#link', /^(connected|已连接)$/);
    return p;
  }
  async function done(...pages) {
    for (const p of pages) {
      assert.deepEqual(p.errors, []);
      assert.deepEqual(await p.evaluate(() => seen.breaches), [], 'the content policy');
      await p.browserContext().close();
      open.splice(open.indexOf(p), 1);
    }
  }
  /** Pictures come, and go forward. */
  async function advances(p, selector, ms = 2500) {
    await p.waitForFunction((s) => document.querySelector(s)?.videoWidth > 0, { timeout: 15000 }, selector);
    const numbers = await p.numbersOf(selector, ms), read = numbers.filter((n) => n >= 0);
    const steps = read.slice(1).map((n, i) => (n - read[i] + frames) % frames), all = steps.reduce((sum, s) => sum + s, 0);
    assert.ok(read.length > 8, `${selector}: read ${read.length} of ${numbers.length} pictures`);
    assert.ok(all >= 10 && steps.every((s) => s < frames / 2), `${selector}: ${read}`);
  }
  /** How much sound came so far. */
  const energy = (p) => p.evaluate(async () => {
    let sum = 0;
    for (const pc of seen.pcs.filter((x) => x.connectionState === 'connected')) {
      for (const s of (await pc.getStats()).values()) if (s.type === 'inbound-rtp' && s.kind === 'audio') sum += s.totalAudioEnergy ?? 0;
    }
    return sum;
  });
  async function hears(p, ms = 8000) {
    const before = await energy(p);
    await until(async () => await energy(p) > before + 1e-6, ms, 'sound comes');
  }
  const member = async (id, endpoint) => (await conference(id)).members.find((m) => m.endpoint === endpoint);

  test('three see and hear each other', async () => {
    await hold('three');
    const hall = await come('three', HALL, '市应急指挥中心', { role: 'chair', rank: 1, language: 'zh' });
    const east = await come('three', EAST, 'East district'), west = await come('three', WEST, 'West district');
    for (const [p, others] of [[hall, [EAST, WEST]], [east, [HALL, WEST]], [west, [HALL, EAST]]]) {
      for (const id of others) await advances(p, seat(id, 'video'));
      await hears(p);
    }
    await hall.says(seat(EAST, '[data-name]'), /^East district$/);
    await east.says(seat(HALL, '[data-name]'), /^市应急指挥中心$/);
    await east.click(control('quality'));
    await east.says('#quality-body', /bears.*\d.*bit\/s/);
    await shot(hall, 'zh');
    await shot(east, 'quality');
    await done(hall, east, west);
  });

  test('the chair mutes; the floor is asked for, granted, and given back', async () => {
    await hold('floor', { moderated: true });
    const hall = await come('floor', HALL, 'Hall', { role: 'chair', rank: 1 }), east = await come('floor', EAST, 'East');
    await east.says('#hint', /heard once you have the floor/);
    await hall.click(control('people'));
    await hall.click('[data-act="mute.all"]');
    await east.says('#toasts', /A chair muted you/);
    await east.says(control('mic', 'span'), /^Unmute$/);
    await until(async () => (await member('floor', EAST)).muted_by_chair, 3000, 'muted');
    await east.click(control('mic'));
    await east.says('#toasts', /ask to speak/);

    await east.keyboard.press('f');
    await east.says(control('floor', 'span'), /1st in the queue/);
    await hall.says('[data-group=queue]', /East/);
    await shot(hall, 'people');
    await hall.click('[data-group=queue] [data-act="floor.grant"]');
    await east.says(control('floor', 'span'), /Give back/);
    await east.says('#toasts', /You have the floor: your microphone is open/);
    await east.says(control('mic', 'span'), /^Mute$/);
    assert.equal(await east.evaluate(() => seen.tracks.filter((t) => t.kind === 'audio' && t.readyState === 'live').at(-1).enabled), true);
    await hears(hall);
    await until(() => hall.$eval(seat(EAST), (e) => e.classList.contains('speaking')), 10000, 'the one who speaks has a frame');
    await east.keyboard.press('f');
    await until(async () => !(await conference('floor')).floor, 3000, 'given back');
    await done(hall, east);
  });

  test('a screen is large with everybody, until another takes over', async () => {
    await hold('screen');
    const hall = await come('screen', HALL, 'Hall', { role: 'chair', rank: 1 }), east = await come('screen', EAST, 'East');
    await east.keyboard.press('s');
    await east.says(control('share', 'span'), /Stop sharing/);
    await hall.waitForSelector(screenOf(EAST));
    await hall.waitForFunction((s) => document.querySelector(s)?.videoWidth > 0, { timeout: 15000 }, screenOf(EAST, 'video'));
    assert.ok(await hall.$eval(screenOf(EAST), (e) => e.classList.contains('large')));
    await shot(hall, 'screen');
    await hall.keyboard.press('s');
    await east.says('#toasts', /Your screen is no longer shared/);
    await east.waitForSelector(screenOf(HALL));
    await hall.keyboard.press('s');
    await until(async () => !(await conference('screen')).screen, 3000, 'stopped');
    await done(hall, east);
  });

  test('a line that is cut says so within a second and heals; pictures go on meanwhile', async () => {
    await hold('line');
    const hall = await come('line', HALL, 'Hall', { role: 'chair', rank: 1 }), east = await come('line', EAST, 'East');
    await advances(hall, seat(EAST, 'video'));
    const pcs = await hall.evaluate(() => seen.pcs.length);
    const since = await hall.evaluate(() => document.querySelector('#link').textContent && performance.now());
    await hall.evaluate(() => {
      globalThis.beforeHeal = new Promise((yes) => new MutationObserver(() => /lost/.test(document.querySelector('#link').textContent) && yes(performance.now()))
        .observe(document.querySelector('#link'), { childList: true, characterData: true, subtree: true }));
      seen.sockets.at(-1).close(4000);
    });
    assert.ok(await hall.evaluate(() => beforeHeal) - since < 1000);
    await hall.says('#link', /^connected$/);
    await advances(hall, seat(EAST, 'video'));
    assert.equal(await hall.evaluate(() => seen.pcs.length), pcs, 'the connections are those of before');
    await hall.keyboard.press('m');
    await east.waitForSelector(`${seat(HALL)} [data-mark=muted]:not([hidden])`);
    await done(hall, east);
  });

  test('a page that is loaded anew is back in its place', async () => {
    await hold('reload');
    const hall = await come('reload', HALL, 'Hall', { role: 'chair', rank: 1 }), east = await come('reload', EAST, 'East');
    await hall.click(control('people'));
    await hall.click(`[data-person="${EAST}"] .person`);
    await hall.select(`[data-person="${EAST}"] select`, 'chair');
    await until(async () => (await member('reload', EAST)).role === 'chair', 3000, 'a second chair');
    await east.reload();
    await advances(east, seat(HALL, 'video'));
    await advances(hall, seat(EAST, 'video'));
    assert.equal((await member('reload', EAST)).role, 'chair');
    await done(hall, east);
  });

  test('removed and ended: it says so, and the lobby is back', async () => {
    await hold('end');
    const hall = await come('end', HALL, 'Hall', { role: 'chair', rank: 1 }), east = await come('end', EAST, 'East', { language: 'zh' }), west = await come('end', WEST, 'West');
    await hall.click(control('people'));
    await hall.click(`[data-person="${EAST}"] .person`);
    await hall.click(`[data-person="${EAST}"] [data-act=remove]`);
    await hall.click('#confirm button[value=no]');
    assert.ok(await member('end', EAST), 'a question answered with no');
    await hall.click(`[data-person="${EAST}"] [data-act=remove]`);
    await hall.click('#confirm-yes');
    await east.says('#notice', /移出/);
    await east.waitForSelector('#lobby-view:not([hidden])');
    await hall.click('[data-act=end]');
    await hall.click('#confirm-yes');
    await west.says('#notice', /ended/);
    await west.waitForSelector('#lobby-view:not([hidden])');
    assert.ok(await west.evaluate(() => seen.tracks.slice(0, 2).every((t) => t.readyState === 'ended')), 'the camera of the conference is off');
    await done(hall, east, west);
  });

  test('the lobby hears of a new conference; a listener is told why it may not speak', async () => {
    const p = await consolePage(browser, gw, token(EAST, 'listener'), { where: PAGE, language: 'zh' });
    open.push(p);
    await p.says('#conferences-title', /会议/);
    await hold('quiet');
    await p.waitForSelector('[data-conference=quiet]'); // by an event, without a reload
    await p.click('[data-conference=quiet]');
    await p.$eval('#name', (e) => { e.value = '旁听席'; });
    await p.click('#join');
    await p.says('#hint', /旁听/);
    await p.click(control('floor'));
    await p.says('#toasts', /旁听/);
    await pause(500);
    assert.equal((await member('quiet', EAST)).hand, null);
    await done(p);
  });
});
