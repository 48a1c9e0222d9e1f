// Firefox ESR: VP8 only, Debian's has no H.264 in WebRTC.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { camera, cameraView, compare, consolePage, firefox, missing, ownAddress, page, startGateway, until } from './lib.mjs';

describe('Firefox', { skip: missing, timeout: 180000 }, () => {
  let gw, browser;
  before(async () => {
    // Firefox offers no loopback candidates, and what it binds elsewhere reaches no loopback address.
    gw = await startGateway({ media: { listen: ['127.0.0.1', ...ownAddress()] } });
    browser = await firefox();
  });
  after(async () => {
    await browser?.close();
    await gw?.stop();
  });

  test('publishes VP8; another window and webrtcbin watch', async () => {
    const id = 'city/firefox', pub = await page(browser), view = await page(browser);
    await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish', { endpoint: id }), codec: 'VP8', audio: 'fake' });
    await gw.state(id, 'live');
    await view.muster('watch', { url: gw.whep(id), token: gw.token('watch', { endpoint: id }) });
    // Firefox shows pictures on the screen's clock, which may drop a few on a busy machine; webrtcbin below counts them all.
    const seen = await compare(pub, view);
    assert.ok(seen.distinct >= 0.8 * seen.sent && seen.sent > 40, JSON.stringify(seen));
    assert.equal(seen.backwards, 0, JSON.stringify(seen));
    const figures = await view.muster('figures', 'view');
    assert.ok(figures.audioPackets > 100, `sound: ${JSON.stringify(figures)}`);
    const third = await cameraView(gw, id, { codec: 'VP8', seconds: 3 });
    assert.ok(third.decoded >= 0.95 * third.frames && third.frames > 30 && third.backwards === 0, JSON.stringify(third));
    await pub.close();
    await view.close();
  });

  test('watches a camera', async () => {
    const id = 'city/cam-vp8', cam = camera(gw, id, { codec: 'VP8' });
    try {
      await gw.state(id, 'live');
      const view = await page(browser);
      await view.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
      await view.muster('pictures', 'view', 40);
      const seen = await view.muster('seen', 'view');
      assert.equal(seen.backwards, 0, JSON.stringify(seen));
      await view.close();
    } finally {
      await cam.stop();
    }
  });
});

test('the console says where Firefox finds no way for media, and goes on trying', { skip: missing, timeout: 90000 }, async () => {
  const gw = await startGateway(), browser = await firefox(); // on 127.0.0.1 only
  const cam = camera(gw, 'city/cam-1', { codec: 'VP8' });
  try {
    await gw.state('city/cam-1', 'live');
    const p = await consolePage(browser, gw, gw.token('watch'));
    await p.waitForSelector('[data-endpoint="city/cam-1"] button');
    await p.click('[data-endpoint="city/cam-1"] button');
    const over = '[data-tile="city/cam-1"] [data-overlay]';
    await p.says(over, /No media path to the gateway: is media\.listen reachable from here\?/, 15000);
    await p.click('[data-action=language]');
    await p.says(over, /没有媒体通路.*media\.listen/);
    const tries = await p.asked(/POST/);
    await until(async () => await p.asked(/POST/) > tries, 30000, 'another try');
    await p.says(over, /没有媒体通路/);
  } finally {
    await browser.close();
    await cam.stop();
    await gw.stop();
  }
});

test('the console publishes and watches in Firefox', { skip: missing, timeout: 90000 }, async () => {
  const gw = await startGateway({ media: { listen: ['127.0.0.1', ...ownAddress()] } }), browser = await firefox();
  try {
    const p = await consolePage(browser, gw, gw.token('publish watch'));
    await p.says('#link', /^connected$/);
    await p.click('[data-action=publish-open]');
    await p.waitForFunction(() => document.querySelector('#source').options.length > 1);
    await p.$eval('#name', (e) => { e.value = 'city/fox'; });
    await p.click('[data-action=publish-start]');
    await p.says('#publish-state', /Live as city\/fox/, 20000);
    await p.click('[data-action=publish-close]');
    await p.waitForSelector('[data-endpoint="city/fox"] button');
    await p.click('[data-endpoint="city/fox"] button');
    await p.says('[data-tile="city/fox"] [data-figures]', /\d+×\d+ · \d+ fps · [\d.]+ [kM]bit\/s · loss/, 20000);
    assert.deepEqual(p.errors, []);
  } finally {
    await browser.close();
    await gw.stop();
  }
});
