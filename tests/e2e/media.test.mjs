// Chromium publishes, Chromium and webrtcbin watch: pictures are compared by the number burnt into them.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SHARE_TAB, cameraView, chromium, compare, missing, page, startGateway, until } from './lib.mjs';

describe('media through the gateway', { skip: missing, timeout: 300000 }, () => {
  let gw, browser;
  before(async () => {
    gw = await startGateway();
    browser = await chromium();
  });
  after(async () => {
    await browser?.close();
    await gw?.stop();
  });

  for (const codec of ['H264', 'VP8']) {
    test(`Chromium publishes ${codec}; a page and webrtcbin watch`, async () => {
      const id = `city/chromium-${codec.toLowerCase()}`;
      const pub = await page(browser), view = await page(browser);
      await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish', { endpoint: id }), codec });
      await gw.state(id, 'live');
      await view.muster('watch', { url: gw.whep(id), token: gw.token('watch', { endpoint: id }) });
      const seen = await compare(pub, view);
      assert.ok(seen.distinct >= 0.95 * seen.sent, JSON.stringify(seen));
      assert.equal(seen.backwards, 0, JSON.stringify(seen));
      assert.ok(seen.unreadable <= 1, JSON.stringify(seen));
      const figures = await view.muster('figures', 'view');
      assert.equal(figures.codec, `video/${codec}`);
      assert.ok(figures.audioPackets > 100 && figures.audioEnergy > 0.001, `sound: ${JSON.stringify(figures)}`);

      const third = await cameraView(gw, id, { codec, seconds: 3 });
      assert.equal(third.codec, codec);
      assert.ok(third.decoded >= 0.95 * third.frames && third.frames > 30, JSON.stringify(third));
      assert.equal(third.backwards, 0);
      assert.ok(third.audio_dbfs > -40, `sound: ${third.audio_dbfs} dBFS`);
      await pub.close();
      await view.close();
    });
  }

  test('a late viewer sees a picture at once', async () => {
    const id = 'city/late', pub = await page(browser), view = await page(browser);
    await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish'), codec: 'VP8', audio: 'none' });
    await view.muster('watch', { url: gw.whep(id), token: gw.token('watch'), name: 'first' });
    await view.muster('pictures', 'first', 20);
    for (let i = 0; i < 5; i++) {
      await view.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
      await view.muster('pictures', 'view', 1, 3000);
      const { firstMs } = await view.muster('seen', 'view');
      assert.ok(firstMs < 2000, `first picture after ${firstMs} ms`);
      assert.equal(await view.muster('end', 'view'), 200);
    }
    await pub.close();
    await view.close();
  });

  test('a screen is shared', async () => {
    const sharing = await chromium([SHARE_TAB]);
    try {
      const id = 'city/screen', pub = await page(sharing), view = await page(browser);
      await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish'), codec: 'VP8', source: 'screen', audio: 'none', fps: 10 });
      await view.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
      const seen = await compare(pub, view);
      // The browser paints when it likes: of ten numbers a second it may show one twice and skip another.
      assert.ok(seen.readable >= 0.9 * seen.sent && seen.sent > 25, JSON.stringify(seen));
      assert.ok(seen.distinct >= 0.8 * seen.readable && seen.backwards === 0, JSON.stringify(seen));
      assert.ok(seen.unreadable <= 1, JSON.stringify(seen));
      await view.close();
    } finally {
      await sharing.close();
    }
  });

  test('candidates trickle by PATCH', async () => {
    const id = 'city/trickle', pub = await page(browser), view = await page(browser);
    await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish'), codec: 'VP8', audio: 'none', trickle: true });
    assert.equal(await pub.muster('trickle', 'pub'), 204);
    await pub.muster('connected', 'pub');
    await view.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
    await view.muster('pictures', 'view', 10);
    await pub.close();
    await view.close();
  });

  test('an ICE restart by PATCH keeps the media', async () => {
    const id = 'city/restart', pub = await page(browser), view = await page(browser);
    await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish'), codec: 'VP8', audio: 'none' });
    await view.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
    await view.muster('pictures', 'view', 10);
    for (const [p, name] of [[pub, 'pub'], [view, 'view']]) {
      const r = await p.muster('restartIce', name);
      assert.equal(r.status, 200);
      assert.ok(r.after && r.after !== r.before, JSON.stringify(r));
      const seen = await compare(pub, view, 3000);
      assert.ok(seen.distinct >= 0.9 * seen.sent && seen.backwards === 0, `${name}: ${JSON.stringify(seen)}`);
    }
    await pub.close();
    await view.close();
  });
});

for (const profile of ['AEAD_AES_128_GCM', 'AES128_CM_SHA1_80']) {
  test(`media flows with ${profile}`, { skip: missing, timeout: 60000 }, async () => {
    const gw = await startGateway({ srtp: { profiles: [profile] } });
    const browser = await chromium();
    try {
      const id = 'city/profile', pub = await page(browser), view = await page(browser);
      await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish'), codec: 'VP8' });
      await view.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
      await view.muster('pictures', 'view', 20);
      // figures of a session, its profile among them, come once a second
      const profiles = await until(async () => {
        const found = (await gw.api('/v1/sessions')).json.sessions.map((s) => s.profile);
        return found.length === 2 && found.every(Boolean) && found;
      }, 5000, 'both profiles');
      assert.deepEqual(profiles.map((s) => s.replace(/^SRTP_/, '')), [profile, profile]);
    } finally {
      await browser.close();
      await gw.stop();
    }
  });
}
