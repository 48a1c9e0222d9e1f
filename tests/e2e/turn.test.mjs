// Clients that no UDP reaches get in by the relay of a real coturn, with passwords that the gateway made.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { chromium, compare, consolePage, missing, missingTurn, page, startGateway, startTurn, until } from './lib.mjs';

/** A picture goes from one page to another and is whole. @return both pages */
async function show(gw, browser, id, options) {
  const pub = await page(browser), view = await page(browser);
  await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish', { endpoint: id }), codec: 'VP8', ...options });
  await gw.state(id, 'live');
  await view.muster('watch', { url: gw.whep(id), token: gw.token('watch', { endpoint: id }), ...options });
  const seen = await compare(pub, view);
  assert.ok(seen.distinct >= 0.95 * seen.sent && seen.sent > 50, JSON.stringify(seen));
  assert.equal(seen.backwards, 0, JSON.stringify(seen));
  return { pub, view };
}

describe('TURN', { skip: missing || missingTurn, timeout: 180000 }, () => {
  let gw, turn, browser;
  before(async () => {
    turn = await startTurn();
    gw = await startGateway({ ice: { servers: [turn.url('udp'), turn.url('tcp')], secret_file: turn.secretFile, lifetime: '10min' } });
    browser = await chromium();
  });
  after(async () => {
    await browser?.close();
    await gw?.stop();
    await turn?.stop();
  });

  test('a picture is published and watched through the relay', async () => {
    const { pub, view } = await show(gw, browser, 'city/relayed', { relay: true });
    for (const [p, name] of [[pub, 'pub'], [view, 'view']]) assert.match((await p.muster('figures', name)).path, /^relay /);
    await pub.close();
    await view.close();
  });

  test('the console watches through the relay', async () => {
    const pub = await page(browser), id = 'city/console';
    await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish', { endpoint: id }), codec: 'VP8' });
    await gw.state(id, 'live');
    const view = await consolePage(browser, gw, gw.token('watch operate'), { prepare: () => {
      const Pc = globalThis.RTCPeerConnection;
      globalThis.RTCPeerConnection = class extends Pc {
        constructor(config) {
          super({ ...config, iceTransportPolicy: 'relay' });
        }
      };
    } });
    await view.waitForSelector(`[data-endpoint="${id}"] button`);
    await view.click(`[data-endpoint="${id}"] button`);
    await view.waitForSelector(`[data-tile="${id}"] video`);
    const numbers = (await view.numbers(id, 6000)).filter((n) => n >= 0);
    assert.ok(new Set(numbers).size > 20, `${numbers.length} pictures`);
    assert.deepEqual(view.errors, []);
    await pub.close();
    await view.close();
  });

  test('a password that is over, or of another secret, is refused', async () => {
    const p = await page(browser), servers = (c) => [{ urls: turn.url('udp'), ...c }];
    const good = await p.muster('gather', servers(turn.credentials('e2e', 600)));
    assert.deepEqual([...new Set(good.types)], ['relay'], JSON.stringify(good));
    for (const bad of [turn.credentials('e2e', -60), turn.credentials('e2e', 600, 'another secret')]) {
      const got = await p.muster('gather', servers(bad));
      assert.deepEqual(got.types, []);
      assert.ok(got.errors.includes(401), JSON.stringify(got));
    }
    await p.close();
  });

  test('the relay leads nowhere but to the gateway', async () => {
    const other = await startGateway({ media: { advertise: ['127.0.0.2'] },
      ice: { servers: [turn.url('udp')], secret_file: turn.secretFile } });
    const p = await page(browser);
    try {
      p.muster('publish', { url: other.whip('city/x'), token: other.token('publish'), relay: true }).catch(() => {});
      await until(() => /error 403/.test(turn.log), 10000, 'a peer refused');
    } finally {
      await p.close();
      await other.stop();
    }
  });

  test('who has no token is told of no server, and the log knows no password', async () => {
    const url = gw.whip('city/nobody');
    const preflight = await fetch(url, { method: 'OPTIONS', headers: { Origin: 'https://elsewhere', 'Access-Control-Request-Method': 'POST' } });
    const denied = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: 'v=0' });
    assert.deepEqual([preflight.status, preflight.headers.get('link'), denied.status, denied.headers.get('link')], [200, null, 401, null]);
    const secret = fs.readFileSync(turn.secretFile, 'utf8').trim();
    assert.ok(!gw.log.includes(secret));
    assert.doesNotMatch(gw.log, /credential=/);
  });
});
