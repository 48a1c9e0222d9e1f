// A publisher that sends its picture in three encodings, and viewers that get the one that is best for them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chromium, missing, page, pause, startGateway, until } from './lib.mjs';

const skip = missing;
// Chromium sends three from 960x540 on.
const ENCODINGS = [{ rid: 'l', scaleResolutionDownBy: 4 }, { rid: 'm', scaleResolutionDownBy: 2 }, { rid: 'h' }];
let gw, browser;

before(async () => {
  if (skip) return;
  gw = await startGateway();
  browser = await chromium();
});
after(async () => {
  await browser?.close();
  await gw?.stop();
});

const publish = (p, id, options = {}) => p.muster('publish', { url: gw.whip(id), token: gw.token('publish'), codec: 'VP8',
  encodings: ENCODINGS, width: 960, height: 540, ...options });
const layersOf = async (id) => (await gw.endpoint(id)).tracks.find((t) => t.label === 'video').layers;
const chosenOf = async (id) => (await gw.api('/v1/sessions')).json.sessions
  .filter((s) => s.kind === 'whep' && s.endpoint === id).flatMap((s) => s.streams).find((s) => s.kind === 'video')?.chosen;
/** Until pictures of this width come, and some more of them without going back. */
async function shows(view, width, ms = 15000) {
  await until(async () => (await view.muster('seen', 'view')).width === width, ms, `pictures of width ${width}`)
    .catch(async (e) => { throw new Error(`${e.message}; ${JSON.stringify(await view.muster('seen', 'view'))}`); });
  await view.muster('pictures', 'view', 10);
}

test('all encodings come in, a viewer sees the largest, and the next one when that stops', { skip, timeout: 90000 }, async () => {
  const id = 'city/three', pub = await page(browser), view = await page(browser);
  await publish(pub, id);
  await until(async () => {
    const layers = await layersOf(id);
    return layers.length === 3 && layers.every((l) => l.flows && l.bps > 0 && l.fps > 0);
  }, 20000, 'three encodings that flow').catch(async (e) => { throw new Error(`${e.message}: ${JSON.stringify(await layersOf(id))}`); });
  assert.deepEqual((await layersOf(id)).map((l) => [l.rid, l.width, l.height]),
    [['l', 240, 135], ['m', 480, 270], ['h', 960, 540]]);
  await view.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
  await shows(view, 960);
  const chosen = await until(async () => (await chosenOf(id))?.width === 960 && chosenOf(id), 5000, 'figures of what was chosen');
  assert.equal(chosen.layers, 3);
  assert.equal(chosen.layer, 2);
  await pub.muster('send', 'pub', ['l', 'm']);
  await shows(view, 480);
  await pub.muster('send', 'pub', ['l']);
  await shows(view, 240);
  await pub.muster('send', 'pub', ['l', 'm', 'h']);
  await shows(view, 960, 30000);
  const seen = await view.muster('seen', 'view');
  assert.equal(seen.backwards, 0);
  assert.ok(seen.unreadable <= 5, `${seen.unreadable} unreadable`);
});

test('its viewer stays while the publisher comes back with one encoding and then with three', { skip, timeout: 90000 }, async () => {
  const id = 'city/back', pub = await page(browser), again = await page(browser), view = await page(browser);
  await publish(pub, id);
  await view.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
  await shows(view, 960, 20000);
  await pub.muster('vanish', 'pub');
  await pause(2500); // until the old session counts as gone
  await publish(again, id, { encodings: undefined, width: 320, height: 180 });
  await shows(view, 320);
  assert.equal((await layersOf(id)).length, 1);
  await again.muster('vanish', 'pub');
  await pause(2500);
  await publish(pub, id);
  await shows(view, 960, 20000);
  assert.equal(await view.muster('state', 'view'), 'connected');
});

// --- layers within a stream -------------------------------------------------------------------------------------------------

for (const [codec, mode, spatials, temporals, descriptors] of [['VP9', 'L3T3_KEY', 3, 3, false], ['VP9', 'L1T2', 1, 2, false],
  ['AV1', 'L1T3', 1, 3, true], ['AV1', 'L2T2', 2, 2, true]]) {
  test(`${codec} ${mode}: layers are told apart, and a viewer sees all of them`, { skip, timeout: 90000 }, async () => {
    const id = `city/${codec}-${mode}`.replace('_', '-'), pub = await page(browser), view = await page(browser);
    await publish(pub, id, { codec, descriptors, hint: spatials > 1 ? 'motion' : undefined, encodings: [{ scalabilityMode: mode }] });
    await until(async () => {
      const [l] = await layersOf(id);
      return l.flows && l.spatials === spatials && l.temporals === temporals && l.width === 960 && l.height === 540;
    }, 40000, `${spatials} and ${temporals} layers`)
      .catch(async (e) => { throw new Error(`${e.message}: ${JSON.stringify(await layersOf(id))}`); });
    await view.muster('watch', { url: gw.whep(id), token: gw.token('watch'), descriptors });
    await shows(view, 960);
    const chosen = await until(() => chosenOf(id), 5000, 'figures of what was chosen');
    assert.equal(chosen.layers, 1);
    assert.equal((await view.muster('seen', 'view')).backwards, 0);
    await pub.muster('end', 'pub');
  });
}
