// Firefox ESR: VP8 only, Debian's has no H.264 in WebRTC.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { camera, cameraView, compare, firefox, missing, ownAddress, page, startGateway } from './lib.mjs';

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
