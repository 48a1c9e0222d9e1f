// Chromium, Firefox and webrtcbin in one conference; and a machine whose address changes while it is in one.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import os from 'node:os';
import { after, afterEach, before, describe, test } from 'node:test';
import { chromium, firefox, missing, ownAddress, pause, startGateway, until } from './lib.mjs';
import { FOX_HZ, allSeeAndHear, allWhole, come, compareFrames, conference, hold, place, webrtcbin } from './members.mjs';

const [HALL, FOX, CAR] = ['city/hall', 'city/fox', 'city/car'];
/** An address more for the gateway, in a network that is nobody else's (scripts/test). */
const OWN = !!os.networkInterfaces().mu0, SECOND = '198.18.0.9', THIRD = '198.18.0.7';
const ip = (...args) => execFileSync('ip', args);

describe('a conference of three stacks', { skip: missing, timeout: 170000 }, () => {
  let gw, chrome, fox;
  const here = [];
  before(async () => {
    if (OWN) ip('addr', 'replace', `${SECOND}/24`, 'dev', 'mu0');
    gw = await startGateway({ media: { listen: ['127.0.0.1', ...(OWN ? [SECOND] : ownAddress())] } });
    [chrome, fox] = await Promise.all([chromium(), firefox()]);
  });
  afterEach(async () => {
    for (const m of here.splice(0)) await m.leave().catch(() => {});
  });
  after(async () => {
    await Promise.all([chrome?.close(), fox?.close()]);
    await gw?.stop();
  });
  const enter = async (...args) => here[here.push(await come(...args)) - 1];

  test('each sees and hears the others, and after the gateway was killed again', async () => {
    const id = 'three';
    await hold(gw, id);
    await enter(chrome, gw, id, HALL, { hz: 500, role: 'chair', rank: 1 });
    await enter(fox, gw, id, FOX, { hz: FOX_HZ });
    here.push(await webrtcbin(gw, id, CAR, { hz: 1200, sees: [HALL, FOX] }));
    await allSeeAndHear(here, 20000);
    await allWhole(here);
    // Firefox shows pictures on the screen's clock, which may drop a few on a busy machine
    await compareFrames(here, 4000, ({ sees }) => sees === FOX ? 0.8 : 0.95);

    await here[0].keyboard.press('f');
    await until(async () => (await conference(gw, id)).floor === HALL, 3000, 'the floor');
    await here[1].keyboard.press('m');
    await until(async () => (await place(gw, id, FOX)).muted, 3000, 'muted');
    await until(async () => /^muster_conference_saves_waiting 0$/m.test((await gw.api('/metrics')).text), 3000, 'it is on the disk');
    await gw.kill();
    await pause(1000);
    await gw.start();
    const ready = Date.now();
    await until(async () => (await conference(gw, id)).members.every((m) => m.present), 5000, 'all are in');
    assert.equal((await conference(gw, id)).floor, HALL);
    assert.equal((await place(gw, id, FOX)).muted, true, 'who was muted is');
    assert.equal((await place(gw, id, HALL)).role, 'chair');
    await here[1].keyboard.press('m');
    await allSeeAndHear(here, 5000 - (Date.now() - ready), ready);
  });

  test('the address of a machine changes: it sees, hears, is seen and heard again without a click', { skip: OWN ? false : 'needs a network of its own' }, async () => {
    const id = 'moved';
    await hold(gw, id);
    await enter(chrome, gw, id, HALL, { hz: 500, role: 'chair', rank: 1 });
    await enter(fox, gw, id, FOX, { hz: FOX_HZ });
    await allSeeAndHear(here, 20000);
    const { remote } = (await gw.api('/v1/sessions')).json.sessions.find((s) => s.endpoint === FOX);
    assert.match(remote, /^198\.18\.0\.1:/);
    ip('addr', 'add', `${THIRD}/24`, 'dev', 'mu0');
    ip('addr', 'del', '198.18.0.1/24', 'dev', 'mu0');
    ip('addr', 'replace', `${SECOND}/24`, 'dev', 'mu0'); // it goes with the one it came after
    ip('route', 'replace', 'default', 'via', '198.18.0.2');
    const since = Date.now();
    console.log('moved', await allSeeAndHear(here, 30000, since + 500));
    const now = (await gw.api('/v1/sessions')).json.sessions.find((s) => s.endpoint === FOX);
    console.log(now.remote);
  });
});
