// A conference of Chromium and webrtcbin through what can befall it: the gateway is killed and restarted, the line is cut, addresses change;
// and one of twelve. With Firefox among them: mixed-firefox.test.mjs.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { chromium, missing, pause, startGateway, until } from './lib.mjs';
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
    console.log('whole', await allWhole(here));
    await compareFrames(here, 4000);
  });

  for (const how of ['killed', 'stopped']) {
    test(`the gateway is ${how} and started: all are back within 5 s, as they were`, async () => {
      const { hall, east, car } = await three(how), CAR = car.endpoint;
      await hall.evaluate(() => document.querySelector('[data-control=people]').click());
      await east.keyboard.press('f');
      await until(async () => (await conference(gw, how)).floor === EAST, 3000, 'the floor');
      car.tell({ type: 'act', act: 'mute', endpoint: CAR });
      await until(async () => (await place(gw, how, CAR)).muted, 3000, 'muted');
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
      console.log('members in', Date.now() - ready);
      await allSeeAndHear(here, 5000 - (Date.now() - ready), ready);
      console.log('all in', Date.now() - ready);
      const is = await conference(gw, how), kept = (c) => c.members.map(({ endpoint, name, role, rank, muted, muted_by_chair: chair }) =>
        [endpoint, name, role, rank, endpoint === CAR || muted, chair].join()).sort();
      assert.deepEqual(kept(is), kept(was));
      assert.equal(is.floor, EAST);
    });
  }
});
