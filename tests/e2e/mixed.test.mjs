// A conference of Chromium and webrtcbin through what can befall it: the gateway is killed and restarted, the line is cut, addresses change;
// and one of twelve. With Firefox among them: mixed-firefox.test.mjs.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { chromium, detour, missing, movingNat, page, pause, startGateway, until } from './lib.mjs';
import { allSeeAndHear, allWhole, come, compareFrames, conference, hold, place, webrtcbin } from './members.mjs';

const [HALL, EAST] = ['city/hall', 'city/east'], TONES = { [HALL]: 500, [EAST]: 800 };

describe('a conference of different clients', { skip: missing, timeout: 170000 }, () => {
  let gw, browser;
  const here = [];
  before(async () => {
    gw = await startGateway();
    browser = await chromium();
  });
  afterEach(async () => {
    for (const m of here.splice(0)) await m.leave().catch(() => {});
  });
  after(async () => {
    await browser?.close();
    await gw?.stop();
  });
  async function enter(id, endpoint, options = {}) {
    const m = await come(browser, gw, id, endpoint, { hz: TONES[endpoint], ...options });
    here.push(m);
    return m;
  }
  async function three(id, more) {
    await hold(gw, id, more);
    const hall = await enter(id, HALL, { role: 'chair', rank: 1 }), east = await enter(id, EAST);
    const car = await webrtcbin(gw, id, `city/car-${id}`, { hz: 1200, sees: [HALL, EAST] });
    here.push(car);
    await allSeeAndHear(here, 15000);
    return { hall, east, car };
  }

  test('each sees and hears the others', async () => {
    await three('seen');
    await allWhole(here);
    await compareFrames(here, 4000);
  });

  test('twelve: all tiles are shown within a second, and who speaks within 300 ms', async () => {
    const others = Array.from({ length: 11 }, (_, i) => `city/m${i}`), crowd = await page(browser, { of: gw });
    await hold(gw, 'twelve');
    // eleven in one page: each has its own session, connections, picture and tone
    for (const [i, endpoint] of others.entries()) {
      await crowd.muster('enter', { name: endpoint, url: gw.url, token: gw.token('conference', { endpoint }), endpoint,
        conference: 'twelve', deaf: true, camera: { width: 240, height: 135, fps: 8, hz: 400 + 100 * i, single: true } });
    }
    await crowd.muster('talk', '');
    const watch = () => {
      globalThis.shown = new Promise((yes) => {
        let since;
        const all = () => document.querySelectorAll('#stage .shows').length === 11;
        new MutationObserver((_, o) => since !== undefined && all() && (o.disconnect(), yes(performance.now() - since)))
          .observe(document.querySelector('#stage'), { subtree: true, childList: true, attributes: true });
        document.querySelector('#join').addEventListener('click', () => { since = performance.now(); }, { once: true });
      });
    };
    const overhear = [() => {
      globalThis.speaks = []; // { endpoint, at, ms until the page shows it }
      const Socket = globalThis.WebSocket;
      globalThis.WebSocket = class extends Socket {
        constructor(...args) {
          super(...args);
          this.addEventListener('message', ({ data }) => { // before the page's own
            const m = JSON.parse(data);
            if (m.type === 'speaker' && m.endpoint) speaks.push({ endpoint: m.endpoint, at: performance.now() });
          });
        }
      };
    }];
    const p = await come(browser, gw, 'twelve', HALL, { prepare: [overhear], beforeJoin: (x) => x.evaluate(watch) }), took = [];
    here.push(p);
    for (let i = 0; ; i++) {
      took.push(Math.round(await p.evaluate(() => shown)));
      if (i === 5) break;
      await p.click('[data-control=leave]');
      await p.waitForSelector('#lobby-view:not([hidden])');
      await p.waitForSelector('[data-conference=twelve]');
      await p.evaluate(watch);
      await p.click('[data-conference=twelve]');
      await p.click('#join');
    }
    console.log('tiles', took);
    assert.ok(Math.max(...took) < 1000, `tiles: ${took}`);

    await p.evaluate(() => {
      speaks.length = 0;
      new MutationObserver(() => {
        const who = document.querySelector('#stage .speaking')?.dataset.seat, said = speaks.findLast((s) => s.endpoint === who);
        if (said) said.ms ??= performance.now() - said.at;
      }).observe(document.querySelector('#stage'), { subtree: true, attributes: true, attributeFilter: ['class'] });
    });
    for (const endpoint of others.slice(0, 5)) {
      await crowd.muster('talk', endpoint);
      await p.waitForFunction((e) => document.querySelector('#stage .speaking')?.dataset.seat === e, { timeout: 5000 }, endpoint);
    }
    const speaks = await p.evaluate(() => speaks);
    assert.ok(speaks.length >= 5);
    for (const s of speaks) assert.ok(s.ms < 300, JSON.stringify(speaks));
    await crowd.close();
  });

  // --- the line is cut, the address changes -----------------------------------------------------------------------------------

  test('the line is cut: pictures and sound go on without a gap', async () => {
    await hold(gw, 'line');
    const hall = await enter('line', HALL, { role: 'chair', rank: 1 }), east = await enter('line', EAST);
    await allSeeAndHear(here, 15000);
    await allWhole(here);
    const pcs = await hall.evaluate(() => seen.pcs.length), since = Date.now();
    for (const p of [hall, east]) {
      await p.evaluate(() => {
        globalThis.lost = new Promise((yes) => new MutationObserver(() => /lost/.test(document.querySelector('#link').textContent) && yes())
          .observe(document.querySelector('#link'), { childList: true, characterData: true, subtree: true }));
        seen.sockets.at(-1).close(4000);
      });
    }
    await Promise.all([hall, east].map((p) => p.evaluate(() => lost)));
    await Promise.all([hall, east].map((p) => p.says('#link', /^connected$/)));
    await until(() => Date.now() - since > 3000, 4000, 'three seconds');
    for (const [p, of] of [[hall, EAST], [east, HALL]]) {
      const { [of]: pictures } = await p.pictures([of], since), gaps = pictures.slice(1).map((x, i) => x.at - pictures[i].at);
      assert.ok(Math.max(...gaps) < 500 && pictures.length >= 40, `${of}: ${pictures.length} pictures, gaps ${gaps}`);
    }
    await allSeeAndHear(here, 3000);
    assert.equal(await hall.evaluate(() => seen.pcs.length), pcs, 'the connections are those of before');
    await hall.keyboard.press('m');
    await until(async () => (await place(gw, 'line', HALL)).muted, 3000, 'what is done reaches the conference');
  });

  test('a NAT forgets the address of a client: it sees, hears, is seen and heard within 5 s', async () => {
    const nat = await movingNat(gw.config.media.port);
    await hold(gw, 'nat');
    await enter('nat', HALL, { role: 'chair', rank: 1 });
    await enter('nat', EAST, { prepare: [detour(gw.config.media.port, nat.port)] });
    await allSeeAndHear(here, 15000);
    const before = nat.stats();
    assert.ok(before.in > 20 && before.out > 20, `it goes over the NAT: ${JSON.stringify(before)}`);
    nat.move();
    await allSeeAndHear(here, 5000, Date.now() + 200);
    for (const m of here.splice(0)) await m.leave(); // while the gateway can hear of it
    nat.close();
  });

  for (const how of ['killed', 'stopped']) {
    test(`the gateway is ${how} and started: all are back within 5 s, as they were`, async () => {
      const { hall, east, car } = await three(how), CAR = car.endpoint;
      await hall.evaluate(() => document.querySelector('[data-control=people]').click());
      await east.keyboard.press('f');
      await until(async () => (await conference(gw, how)).floor === EAST, 3000, 'the floor');
      car.tell({ type: 'act', act: 'mute', endpoint: CAR });
      await until(async () => (await place(gw, how, CAR)).muted, 3000, 'muted');
      await until(async () => /^muster_conference_saves_waiting 0$/m.test((await gw.api('/metrics')).text), 3000, 'it is on the disk');
      const was = await conference(gw, how);
      if (how === 'killed') {
        await gw.kill();
      } else {
        const gone = new Promise((yes) => gw.child.once('exit', yes));
        gw.child.kill('SIGTERM');
        await gone;
      }
      await pause(1000);
      await gw.start();
      const ready = Date.now();
      await until(async () => (await conference(gw, how)).members.every((m) => m.present), 5000, 'all are in');
      car.tell({ type: 'act', act: 'unmute', endpoint: CAR });
      await allSeeAndHear(here, 5000 - (Date.now() - ready), ready);
      const is = await conference(gw, how), kept = (c) => c.members.map(({ endpoint, name, role, rank, muted, muted_by_chair: chair }) =>
        [endpoint, name, role, rank, endpoint === CAR || muted, chair].join()).sort();
      assert.deepEqual(kept(is), kept(was));
      assert.equal(is.floor, EAST);
    });
  }
});
