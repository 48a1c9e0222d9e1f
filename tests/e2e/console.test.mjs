// The console as people use it: links, lists, publishing, the wall, two languages, keyboard, phone; and what it does when
// things go wrong. Pictures of it are left in the build folder, console/*.png.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { SHARE_TAB, build, camera, chromium, claimsOf, consolePage, film, missing, pause, startGateway, until } from './lib.mjs';
import { chinese } from '../../gateway/console/problems.js';

const ALL = 'publish watch operate';
const shots = path.join(build, 'console');
const shot = async (p, name) => p.screenshot({ path: path.join(shots, `${name}.png`) });
const row = (id) => `[data-endpoint="${id}"] button`;
const tile = (id, what = '') => `[data-tile="${id}"] ${what}`;
const ENGLISH = /[A-Za-z]{3,} [A-Za-z]{2,} [A-Za-z]{2,}/; // three words of it

describe('the console', { skip: missing, timeout: 400000 }, () => {
  let gw, browser, cam, frames;
  before(async () => {
    fs.mkdirSync(shots, { recursive: true });
    gw = await startGateway();
    const file = path.join(gw.dir, 'film.y4m');
    frames = film(file);
    browser = await chromium([SHARE_TAB, `--use-file-for-fake-video-capture=${file}`]);
    cam = camera(gw, 'city/cam-1', { codec: 'VP8' });
    await gw.state('city/cam-1', 'live');
  });
  after(async () => {
    await browser?.close();
    await cam?.stop();
    await gw?.stop();
  });

  const open = (token, options) => consolePage(browser, gw, token, options);
  async function done(...pages) {
    for (const p of pages) {
      assert.deepEqual(p.errors, []);
      assert.deepEqual(await p.evaluate(() => seen.breaches), [], 'the content policy');
      await p.browserContext().close();
    }
  }
  /** Open the dialog and publish. @return the id */
  async function publish(p, { id, source, sound } = {}) {
    await p.click('[data-action=publish-open]');
    await p.waitForFunction(() => document.querySelector('#source').options.length > 0);
    if (id) await p.$eval('#name', (e, v) => { e.value = v; }, id);
    if (source !== undefined) await p.select('#source', source);
    if (sound !== undefined) await p.select('#microphone', sound);
    const used = await p.$eval('#name', (e) => e.value);
    await p.click('[data-action=publish-start]');
    return used;
  }
  const published = (p, id) => p.says('#publish-state', new RegExp(id.replace('/', '.')));

  test('a link with a token opens it', async () => {
    const p = await open(gw.token(ALL));
    await p.says(row('city/cam-1'), /live.*since \d\d:\d\d:\d\d · \d+ viewers? · VP8/);
    assert.equal(await p.evaluate(() => location.hash + location.search), '', 'the token is out of the address bar');
    assert.equal(await p.text('#count'), '1 live of 1');
    await p.says('#link', /^connected$/);
    assert.equal(await p.text('#site'), 'city');
    await p.reload();
    await p.says(row('city/cam-1'), /live/);
    await done(p);
  });

  test('publishes from the page, and another page watches', async () => {
    const pub = await open(gw.token(ALL)), view = await open(gw.token('watch'));
    await view.says(row('city/cam-1'), /live/);
    await view.says('#link', /^connected$/);
    const lists = await view.asked(/GET .v1.endpoints$/);
    const id = await publish(pub);
    assert.match(id, /^city\/web-\w{4}$/);
    await published(pub, id);
    await view.says(row(id), /live/);
    await view.click(row(id));
    await view.says(tile(id, '[data-figures]'), /\d+×\d+ · \d+ fps · [\d.]+ [kM]bit\/s · loss [\d.]+ % · jitter \d+ ms · RTT \d+ ms · \w+/);
    await pub.says('#publish-figures', /\d+×\d+ · \d+ fps · [\d.]+ [kM]bit\/s · loss [\d.]+ % .* · \w+/);
    await view.says(row(id), /1 viewer/);
    await shot(pub, 'publishing');

    const numbers = await view.numbers(id, 4000), read = numbers.filter((n) => n >= 0);
    const steps = read.slice(1).map((n, i) => (n - read[i] + frames) % frames);
    assert.ok(read.length > 30 && read.length >= 0.9 * numbers.length, `read ${read.length} of ${numbers.length}`);
    assert.ok(steps.every((s) => s < frames / 2), `backwards: ${read}`);
    const advanced = steps.reduce((sum, s) => sum + s, 0);
    assert.ok(advanced > 50, `pictures advance: ${advanced} in 4 s`);

    await pub.click('[data-action=publish-close]');
    assert.equal(await pub.text('[data-action=publish-open]'), `Publishing ${id}`);
    await pub.click('[data-action=publish-open]');
    await pub.click('[data-action=publish-stop]');
    await gw.state(id, 'idle', 2000); // it was meant: nobody waits for a return
    await view.says(tile(id, '[data-overlay]'), /Nobody publishes/);
    await view.says(row(id), /idle/);
    assert.ok(await pub.evaluate(() => seen.tracks.length === 2 && seen.tracks.every((t) => t.readyState === 'ended')), 'the camera is off');

    await pub.click('[data-action=publish-start]'); // under the same id: the wall picks it up by itself
    await published(pub, id);
    await view.says(tile(id, '[data-overlay]'), /^$/);
    assert.ok((await view.numbers(id, 2000)).length > 10);
    assert.equal(await view.asked(/GET .v1.endpoints$/), lists, 'events are told whole: the list is not read again for them');
    await done(pub, view);
  });

  test('the list comes in pages, and what happens comes after it', async () => {
    // The gateway's answers are made up here: a list that takes a while, and an event stream that says what the test wants.
    const p = await open(gw.token(ALL), { prepare: () => {
      const fetch = globalThis.fetch, at = (id, state) => ({ id: `city/${id}`, state, since: new Date().toISOString(), tracks: [], viewers: 0 });
      const json = (o) => new Response(JSON.stringify(o), { headers: { 'Content-Type': 'application/json' } });
      globalThis.tell = (event, data) => globalThis.stream.enqueue(new TextEncoder().encode(`id: x-1\nevent: ${event}\ndata: ${JSON.stringify({ time_us: 1, data })}\n\n`));
      globalThis.at = at;
      globalThis.fetch = async (url, options) => {
        if (url === '/v1/events') return new Response(new ReadableStream({ start: (c) => { globalThis.stream = c; } }));
        if (!url.startsWith('/v1/endpoints')) return fetch(url, options);
        seen.requests.push(`GET ${url}`);
        if (url.includes('?after=')) return json({ site: 'city', endpoints: [at('b', 'live'), at('c', 'live')] });
        await new Promise((yes) => { globalThis.answer = yes; });
        return json({ site: 'city', endpoints: [at('a', 'live')], next: 'city/a' });
      };
    } });
    await p.waitForFunction(() => globalThis.answer && globalThis.stream);
    await p.evaluate(() => {
      tell('endpoint.idle', at('a', 'idle')); // while the list is on its way: newer than it
      tell('endpoint.removed', at('c', 'idle'));
      tell('endpoint.live', at('d', 'live'));
      setTimeout(answer, 200);
    });
    const states = () => p.evaluate(() => [...document.querySelectorAll('[data-endpoint]')].map((r) => `${r.dataset.endpoint} ${r.dataset.state}`).join());
    await until(async () => await states() === 'city/b live,city/d live,city/a idle', 5000, 'both pages and what happened').catch(async (e) => {
      throw new Error(`${e.message}: ${await states()}`);
    });
    assert.ok(await p.asked(/after=city%2Fa$/));
    const asked = await p.asked(/endpoints/);
    await p.evaluate(() => {
      tell('session.created', { id: 's', kind: 'whep', endpoint: 'city/b' });
      tell('endpoint.removed', at('d', 'idle'));
      tell('endpoint.lost', at('b', 'lost'));
    });
    await until(async () => await states() === 'city/b lost,city/a idle', 5000, 'the events');
    assert.equal(await p.asked(/endpoints/), asked, 'no list is read for an event');
    await p.evaluate(() => tell('reset'));
    await until(async () => await p.asked(/endpoints/) > asked, 5000, 'the list read anew');
    await p.evaluate(() => answer());
    await until(async () => await states() === 'city/a live,city/b live,city/c live', 5000, 'the list as it is');
    await done(p);
  });

  test('a wall of several, and a phone', async () => {
    const others = [camera(gw, 'city/cam-2'), camera(gw, 'city/cam-3', { codec: 'VP8' })];
    try {
      const ids = ['city/cam-1', 'city/cam-2', 'city/cam-3'];
      for (const id of ids) await gw.state(id, 'live');
      for (const language of ['en', 'zh']) {
        const p = await open(gw.token(ALL), { language });
        for (const id of ids) {
          await p.waitForSelector(row(id));
          await p.click(row(id));
        }
        for (const id of ids) await p.says(tile(id, '[data-figures]'), /fps/);
        await p.click(tile(ids[0])); // its header and buttons
        await shot(p, `wall-${language}`);
        await p.setViewport({ width: 360, height: 740 });
        await pause(300);
        const wide = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${wide} pixels too wide for a phone (${language})`);
        await shot(p, `phone-${language}`);
        await p.click('[data-action=publish-open]');
        await pause(300);
        await shot(p, `phone-publish-${language}`);
        await done(p);
      }
    } finally {
      for (const c of others) await c.stop();
    }
  });

  test('what one token showed is not for the next', async () => {
    const p = await open(gw.token(ALL));
    await p.waitForSelector(row('city/cam-1'));
    await p.click(row('city/cam-1'));
    await p.says(tile('city/cam-1', '[data-figures]'), /fps/);
    await publish(p, { id: 'city/mine' });
    await published(p, 'city/mine');
    await p.click('[data-action=publish-close]');
    await p.click('[data-action=sign-out]');
    await p.waitForSelector('[data-view=token]', { visible: true });
    await gw.state('city/mine', 'idle');
    await until(async () => (await gw.endpoint('city/cam-1')).viewers === 0, 5000, 'the viewer gone');
    assert.equal(await p.evaluate(() => document.querySelectorAll('[data-endpoint], [data-tile]').length), 0);

    await p.type('#token', gw.token('publish watch', { endpoint: 'city/other' }));
    await p.click('[data-action=token-use]');
    await p.says('[data-list-empty]', /no endpoint yet/);
    assert.equal(await p.text('#count'), '0 live of 0');
    assert.equal(await p.evaluate(() => document.querySelectorAll('[data-endpoint], [data-tile]').length), 0);
    await p.click('[data-action=publish-open]');
    assert.equal(await p.$eval('#name', (e) => e.value), 'city/other', "the token's own endpoint is proposed");
    assert.equal(await p.evaluate(() => seen.listeners), 1, 'one listener, however many sign in');
    await done(p);
  });

  test('a new link in an old tab proposes what the new token is for', async () => {
    const p = await open(gw.token(ALL));
    await publish(p, { id: 'city/before' });
    await published(p, 'city/before');
    await p.goto(`${gw.url}/healthz`);
    await p.goto(`${gw.url}/#token=${gw.token('publish watch', { endpoint: 'city/after' })}`);
    await p.says('[data-action=publish-open]', /Publish/);
    await p.click('[data-action=publish-open]');
    assert.equal(await p.$eval('#name', (e) => e.value), 'city/after');
    await done(p);
  });

  test('tabs of one browser propose different ids', async () => {
    const token = gw.token(ALL), one = await open(token), two = await open(token, { context: one.browserContext() });
    await one.bringToFront();
    const first = await publish(one);
    await published(one, first);
    await two.bringToFront();
    const second = await publish(two);
    assert.notEqual(second, first);
    await published(two, second);
    assert.equal((await gw.endpoint(first)).state, 'live');
    assert.equal((await gw.endpoint(second)).state, 'live');
    await done(one);
  });

  test('an id that somebody else publishes', async () => {
    const p = await open(gw.token(ALL));
    await publish(p, { id: 'city/cam-1' });
    await p.says('#publish-state', /city\/cam-1 is published elsewhere/);
    assert.equal(await p.$eval('#publish-state', (e) => e.dataset.publishState), 'failed');
    assert.ok(await p.evaluate(() => seen.tracks.every((t) => t.readyState === 'ended')));
    await done(p);
  });

  test('a token that may only watch says why it cannot publish', async () => {
    const p = await open(gw.token('watch'));
    await p.says(row('city/cam-1'), /live/);
    await p.click('[data-action=publish-open]');
    await p.says('#publish-state', /may watch only.*scope “publish”/);
    assert.ok(await p.$eval('[data-action=publish-start]', (e) => e.disabled));
    await shot(p, 'no-scope');
    await done(p);
  });

  test('a token that may only publish says why there is no list, and publishes', async () => {
    const p = await open(gw.token('publish', { endpoint: 'city/only' }));
    await p.says('#notice', /may not list endpoints/);
    const id = await publish(p);
    assert.equal(id, 'city/only');
    await published(p, id);
    await p.says('#notice', /may not list endpoints/);
    await done(p);
  });

  test('both languages, everywhere', async () => {
    const p = await open(gw.token(ALL));
    await p.says(row('city/cam-1'), /live/);
    await p.click(row('city/cam-1'));
    await p.says(tile('city/cam-1', '[data-figures]'), /loss/);
    await p.click('[data-action=language]');
    await p.says(row('city/cam-1'), /在线.*起.*观看/);
    await p.says(tile('city/cam-1', '[data-figures]'), /丢包.*往返/);
    assert.equal(await p.evaluate(() => document.documentElement.lang), 'zh-CN');
    await p.reload();
    await p.says('#link', /已连接/); // the choice is kept
    await p.click('[data-action=publish-open]');
    await p.$eval('#name', (e) => { e.value = 'elsewhere/x'; });
    await p.click('[data-action=publish-start]');
    await p.says('#publish-state', /不属于本站点/);
    const words = () => p.evaluate(() => {
      for (const s of document.querySelectorAll('#source, #microphone')) s.hidden = true; // the devices' own names
      return document.body.innerText;
    });
    assert.doesNotMatch(await words(), ENGLISH, 'no English is left');
    await p.keyboard.press('Escape');
    await p.click('[data-action=language]');
    await p.says('#link', /^connected$/);
    assert.doesNotMatch((await words()).replace('中文', ''), /\p{Script=Han}/u);
    await done(p);
  });

  test('problems are told in Chinese', () => {
    const rows = [
      [401, 'Invalid token', 'The token has expired, or is not valid yet: ask for a new one.', /过期/],
      [403, 'Not allowed', 'The token lacks the scope this needs: watch or operate.', /权限：watch or operate。/],
      [409, 'Not now', 'city/x is published already, by cam-7 since session abcdef...: end that one first', /city\/x 已由 cam-7 推流/],
      [406, 'No codec in common', 'm-line 1 (video) offers VP9; the gateway relays H264, VP8', /视频编码为 VP9/],
      [409, 'Not now', 'city/x does not publish now: try again, or wait for its endpoint.live event', /当前无人推流/],
      [503, 'Not available', 'the limit of 5 sessions is reached: try again later', /上限 5/],
      [404, 'No such thing', 'Something new.', /^不存在（Something new\.）$/],
      [503, undefined, undefined, /^网关已满或正在停机。$/],
      [418, 'Teapot', 'Short and stout.', /^HTTP 418（Short and stout\.）$/],
    ];
    for (const [status, title, detail, pattern] of rows) assert.match(chinese(status, { title, detail }), pattern);
  });

  test('a token that ends is told, and signs out', async () => {
    const token = gw.token(ALL), p = await open(token, { language: 'zh' });
    await p.says(row('city/cam-1'), /在线/);
    await gw.api('/v1/tokens/revoke', { method: 'POST', body: { jti: claimsOf(token).jti } });
    await p.says('#notice', /令牌已被吊销/);
    assert.doesNotMatch(await p.text('#notice'), ENGLISH);
    await p.waitForSelector('[data-view=token]', { visible: true });
    assert.equal(await p.evaluate(() => sessionStorage.getItem('muster-token')), null);
    await shot(p, 'signed-out-zh');
    await p.type('#token', 'a.b.c');
    await p.click('[data-action=token-use]');
    await p.says('#notice', /网关不认可此令牌/);
    await done(p);
  });

  test('a notice stays as long as its reason', async () => {
    const p = await open(gw.token(ALL), { prepare: () => { delete globalThis.RTCPeerConnection; } });
    await p.says(row('city/cam-1'), /live/); // the list came, and cleared only what it had said itself
    await p.says('#notice', /no WebRTC/);
    await p.click('[data-action=language]');
    await p.says('#notice', /不支持 WebRTC/);
    await done(p);
  });

  test('by keyboard', async () => {
    const p = await open();
    await p.waitForSelector('[data-view=token]', { visible: true });
    await p.focus('#token');
    await p.keyboard.sendCharacter(gw.token(ALL));
    await p.keyboard.press('Tab');
    await p.keyboard.press('Enter');
    await p.says(row('city/cam-1'), /live/);
    await p.keyboard.press('/');
    await p.keyboard.type('no such');
    await p.says('[data-list-empty]', /Nothing matches/);
    for (let i = 0; i < 'no such'.length; i++) await p.keyboard.press('Backspace');
    await p.keyboard.type('CAM-1 live');
    await p.says(row('city/cam-1'), /live/);
    const focused = () => p.evaluate(() => document.activeElement.closest('[data-tile]')?.dataset.tile ?? document.activeElement.dataset.action ?? document.activeElement.id);
    await p.keyboard.press('Tab');
    assert.equal(await focused(), 'watch');
    await p.keyboard.press('Enter');
    await p.says(tile('city/cam-1', '[data-figures]'), /fps/);
    assert.equal(await focused(), 'watch', 'the list drawn anew keeps the focus');
    await until(async () => {
      await p.keyboard.press('Tab');
      return await focused() === 'city/cam-1';
    }, 5000, 'the tile in focus');
    await p.keyboard.press('m');
    assert.equal(await p.$eval(tile('city/cam-1', 'video'), (v) => v.muted), false);
    assert.equal(await p.$eval(tile('city/cam-1', '[data-action=audio]'), (b) => b.getAttribute('aria-label')), 'Mute: city/cam-1');
    await p.keyboard.press('Delete');
    await p.waitForFunction(() => !document.querySelector('[data-tile]:not(template *)'));
    await p.focus('[data-action=publish-open]');
    await p.keyboard.press('Enter');
    await p.waitForSelector('#publish-view[open]');
    await p.keyboard.press('Escape');
    await p.waitForSelector('#publish-view:not([open])');
    const nameless = await p.evaluate(() => [...document.querySelectorAll('button, input, select, textarea, video')]
      .filter((e) => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim())).map((e) => e.outerHTML));
    assert.deepEqual(nameless, [], 'everything has a name for a screen reader');
    await done(p);
  });

  test('what the browser gave is given back when the rest fails', async () => {
    const p = await open(gw.token(ALL), { prepare: () => {
      globalThis.beforeCapture = async (name) => {
        if (name === 'getUserMedia') throw new DOMException('', 'NotAllowedError');
      };
    } });
    await publish(p, { id: 'city/half', source: 'screen' });
    await p.says('#publish-state', /not allowed/);
    assert.deepEqual(await p.evaluate(() => seen.tracks.map((t) => t.readyState)), ['ended'], 'the screen is not shared');
    await done(p);
  });

  test('a screen is shared from the page', async () => {
    const pub = await open(gw.token(ALL)), view = await open(gw.token('watch'));
    await publish(pub, { id: 'city/screen', source: 'screen', sound: '' });
    await published(pub, 'city/screen');
    await view.waitForSelector(row('city/screen'));
    await view.click(row('city/screen'));
    await view.says(tile('city/screen', '[data-figures]'), /\d+×\d+ · \d+ fps/);
    await pub.evaluate(() => seen.tracks[0].dispatchEvent(new Event('ended'))); // "Stop sharing" of the browser itself
    await gw.state('city/screen', 'idle', 2000);
    await done(pub, view);
  });

  test('Stop and sign-out while the browser asks', async () => {
    for (const way of ['[data-action=publish-stop]', 'sign out']) {
      const p = await open(gw.token(ALL), { prepare: () => {
        globalThis.beforeCapture = () => new Promise((yes) => { globalThis.allow = yes; });
      } });
      await publish(p, { id: 'city/stopped' });
      await p.waitForFunction(() => globalThis.allow);
      if (way === 'sign out') {
        await p.click('[data-action=publish-close]');
        await p.click('[data-action=sign-out]');
        await p.type('#token', gw.token(ALL));
        await p.click('[data-action=token-use]');
        await p.says('#link', /^connected$/);
      } else {
        await p.click(way);
      }
      await p.evaluate(() => allow());
      await p.waitForFunction(() => seen.tracks.length && seen.tracks.every((t) => t.readyState === 'ended'));
      await pause(500);
      assert.equal(await p.asked(/POST/), 0, 'nothing was published');
      assert.equal((await gw.api('/v1/endpoints/city/stopped')).status, 404);
      await done(p);
    }
  });

  test('a path that comes back during an ICE restart is kept', async () => {
    const p = await open(gw.token('watch'));
    await p.waitForSelector(row('city/cam-1'));
    await p.click(row('city/cam-1'));
    await p.says(tile('city/cam-1', '[data-figures]'), /fps/);
    // The browser says that the path is gone, and that it is back just before the restart is answered.
    await p.evaluate(() => {
      const pc = seen.pcs[0];
      let state = 'disconnected';
      const tell = (now) => {
        state = now;
        pc.dispatchEvent(new Event('connectionstatechange'));
      };
      Object.defineProperty(pc, 'connectionState', { get: () => state });
      globalThis.beforeFetch = async (url, { method }) => {
        if (method !== 'PATCH') return;
        tell('connected');
        await new Promise((yes) => setTimeout(yes, 300));
      };
      tell('disconnected');
    });
    await p.says(tile('city/cam-1', '[data-overlay]'), /broke/);
    await until(() => p.asked(/PATCH/), 6000, 'the restart');
    await pause(11000);
    assert.equal(await p.asked(/POST/), 1, 'the session is the same');
    assert.equal(await p.asked(/DELETE/), 0);
    assert.ok((await p.numbers('city/cam-1', 1500)).length > 10, 'pictures go on');
    await done(p);
  });
});

test('two that publish one id do not fight over it', { skip: missing, timeout: 90000 }, async () => {
  const gw = await startGateway({ endpoints: { second_publisher: 'take_over' } }), browser = await chromium();
  try {
    // The same token, as everybody has it who opened the same link; and one that cannot ask who publishes.
    for (const [scope, may] of [[ALL, 'all'], ['publish', 'only publish']]) {
      const id = `city/both-${scope.length}`, token = gw.token(scope), pages = [];
      for (let i = 0; i < 2; i++) {
        const p = await consolePage(browser, gw, token);
        await p.says('[data-action=publish-open]', /Publish/);
        await p.click('[data-action=publish-open]');
        await p.$eval('#name', (e, v) => { e.value = v; }, id);
        await p.click('[data-action=publish-start]');
        await p.says('#publish-state', new RegExp(`Live as ${id}`));
        pages.push(p);
      }
      const gone = () => Promise.all(pages.map((p) => p.$eval('#publish-state', (e) => e.dataset.publishState)))
        .then((s) => s.includes('failed') && s.includes('live') && s);
      const states = await until(gone, 20000, `one of two (${may}) gives way`);
      await pages[states.indexOf('failed')].says('#publish-state', /published elsewhere/);
      await pause(4000);
      const { sessions } = (await gw.api('/v1/sessions')).json;
      assert.equal(sessions.filter((s) => s.endpoint === id && s.state === 'connected').length, 1);
      assert.deepEqual(await gone(), states, 'and it stays so');
      for (const p of pages) await p.browserContext().close();
    }
  } finally {
    await browser.close();
    await gw.stop();
  }
});

test('the gateway goes and comes back: so do publisher and viewer, and nothing is left over', { skip: missing, timeout: 90000 }, async () => {
  const gw = await startGateway(), browser = await chromium();
  try {
    const pub = await consolePage(browser, gw, gw.token(ALL)), view = await consolePage(browser, gw, gw.token(ALL));
    await pub.says('#link', /^connected$/);
    await pub.click('[data-action=publish-open]');
    await pub.$eval('#name', (e) => { e.value = 'city/back'; });
    await pub.click('[data-action=publish-start]');
    await pub.says('#publish-state', /Live/);
    await view.waitForSelector(row('city/back'));
    await view.click(row('city/back'));
    await view.says(tile('city/back', '[data-figures]'), /fps/);
    await gw.kill();
    await pub.says('#link', /no connection/);
    await pub.waitForFunction(() => seen.pcs.length >= 3, { timeout: 40000 });
    const left = (p) => p.evaluate(() => seen.pcs.filter((pc) => pc.signalingState !== 'closed').length);
    assert.ok(await left(pub) <= 1, `${await left(pub)} peer connections of failed attempts are left`);
    await gw.start();
    await pub.says('#publish-state', /Live/, 30000);
    await view.says(tile('city/back', '[data-overlay]'), /^$/, 30000);
    await pub.says('#link', /^connected$/);
    assert.equal(await left(pub), 1);
    assert.equal(await left(view), 1);
  } finally {
    await browser.close();
    await gw.stop();
  }
});

test('no way for media is said, and tried again', { skip: missing, timeout: 60000 }, async () => {
  const gw = await startGateway({ media: { advertise: ['192.0.2.77'] } }), browser = await chromium();
  try {
    const p = await consolePage(browser, gw, gw.token(ALL));
    await p.says('#link', /^connected$/);
    await p.click('[data-action=publish-open]');
    await p.$eval('#name', (e) => { e.value = 'city/nowhere'; });
    await p.click('[data-action=publish-start]');
    await p.says('#publish-state', /No media path to the gateway: is media.listen reachable from here\?/, 15000);
    await p.keyboard.press('Escape');
    await p.click('[data-action=language]');
    assert.match(await p.text('#publish-state'), /没有媒体通路.*media\.listen/);
    await until(async () => await p.asked(/POST/) >= 2, 30000, 'another try');
  } finally {
    await browser.close();
    await gw.stop();
  }
});
