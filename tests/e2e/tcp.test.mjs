// Browsers whose firewall lets no UDP through: ICE-TCP, and what becomes of it where UDP works, and when the connection breaks.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { chromium, compare, freeTcp, missing, page, startGateway, until } from './lib.mjs';

/** Connections to `port` go through here, until they are cut. */
async function passage(port) {
  const open = new Set(), p = { port: await freeTcp(), connections: 0 };
  const server = net.createServer((inner) => {
    const outer = net.connect(port, '127.0.0.1');
    p.connections++;
    for (const [a, b] of [[inner, outer], [outer, inner]]) {
      open.add(a);
      a.setNoDelay(true).pipe(b);
      a.on('error', () => {}).on('close', () => { open.delete(a); b.destroy(); });
    }
  });
  await new Promise((yes) => server.listen(p.port, '127.0.0.1', yes));
  p.cut = () => open.forEach((s) => s.destroy());
  p.close = () => { p.cut(); server.close(); };
  return p;
}

describe('media by TCP', { skip: missing, timeout: 180000 }, () => {
  let gw, browser, port;
  before(async () => {
    port = await freeTcp();
    gw = await startGateway({ media: { tcp: port } });
    browser = await chromium();
  });
  after(async () => {
    await browser?.close();
    await gw?.stop();
  });

  async function pair(id, codec, prepare) {
    const pub = await page(browser), view = await page(browser);
    await prepare(pub, view);
    await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish', { endpoint: id }), codec });
    await gw.state(id, 'live');
    await view.muster('watch', { url: gw.whep(id), token: gw.token('watch', { endpoint: id }) });
    return [pub, view];
  }

  for (const codec of ['H264', 'VP8']) {
    test(`Chromium publishes and watches ${codec} where only TCP passes`, async () => {
      const id = `city/tcp-${codec.toLowerCase()}`;
      const [pub, view] = await pair(id, codec, (...pages) => Promise.all(pages.map((p) => p.muster('only', 'tcp'))));
      const seen = await compare(pub, view);
      assert.ok(seen.distinct >= 0.95 * seen.sent && seen.sent > 60, JSON.stringify(seen));
      assert.equal(seen.backwards, 0, JSON.stringify(seen));
      for (const [p, name] of [[pub, 'pub'], [view, 'view']])
        assert.equal((await p.muster('figures', name)).protocol, 'tcp');
      const figures = await view.muster('figures', 'view');
      assert.ok(figures.audioPackets > 100 && figures.audioEnergy > 0.001, `sound: ${JSON.stringify(figures)}`);
      const protocols = await until(async () => {
        const found = (await gw.api('/v1/sessions')).json.sessions.map((s) => s.protocol);
        return found.length === 2 && found.every(Boolean) && found;
      }, 5000, 'both protocols');
      assert.deepEqual(protocols, ['tcp', 'tcp']);
      assert.equal(await view.muster('end', 'view'), 200);
      assert.equal(await pub.muster('end', 'pub'), 200);
      await pub.close();
      await view.close();
    });
  }

  test('where UDP passes too it is used', async () => {
    const [pub, view] = await pair('city/both', 'VP8', () => {});
    await view.muster('pictures', 'view', 20);
    for (const [p, name] of [[pub, 'pub'], [view, 'view']])
      assert.equal((await p.muster('figures', name)).protocol, 'udp');
    await pub.close();
    await view.close();
  });

  test('a connection that is cut is made again, and the session goes on', async () => {
    const way = await passage(port);
    try {
      const [pub, view] = await pair('city/cut', 'VP8', (...pages) => Promise.all(pages.map((p) => p.muster('only', 'tcp', way.port))));
      await view.muster('pictures', 'view', 20);
      const before = way.connections;
      way.cut();
      await until(() => way.connections > before + 1, 15000, 'new connections of both');
      const seen = await compare(pub, view, 3000);
      assert.ok(seen.distinct >= 0.9 * seen.sent && seen.backwards === 0 && seen.sent > 30, JSON.stringify(seen));
      assert.equal((await gw.endpoint('city/cut')).state, 'live');
      await pub.close();
      await view.close();
    } finally {
      way.close();
    }
  });
});
