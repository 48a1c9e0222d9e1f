// Real browsers behind a bad link: delay, loss, and a rate that falls and comes back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromium, compare, impair, missing, page, startGateway } from './lib.mjs';

describe('behind a bad link', { skip: missing, timeout: 300000 }, () => {
  let gw, browser;
  before(async () => {
    gw = await startGateway();
    browser = await chromium();
  });
  after(async () => {
    await browser?.close();
    await gw?.stop();
  });

  // A frame is whole when its number could be read at the far side: a browser that lacks a packet shows none.
  for (const [name, ends] of [['to the viewer', ['view']], ['from the publisher', ['pub']]]) {
    test(`5 % of the packets lost ${name}, 60 ms there and back`, async () => {
      const id = `city/lossy-${ends[0]}`, link = await impair(gw, 'both delay=30 loss=5');
      const pub = await page(browser, { link: ends.includes('pub') && link });
      const view = await page(browser, { link: ends.includes('view') && link });
      await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish'), codec: 'VP8' });
      await gw.state(id, 'live');
      await view.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
      await link.figures();
      const seen = await compare(pub, view, 30000), figures = await link.figures();
      const said = JSON.stringify({ seen, figures });
      for (const way of [figures.up, figures.down]) assert.ok(way.packets > 20, `it goes over the link: ${said}`);
      const media = ends.includes('view') ? figures.down : figures.up;
      assert.ok(media.lost > 0.03 * media.packets, `the link loses: ${said}`);
      assert.ok(seen.distinct >= 0.995 * seen.sent - 1, said); // one may be on its way at either end
      assert.equal(seen.backwards, 0, said);
      await pub.close();
      await view.close();
      await link.stop();
    });
  }
});
