// Who may do what, and what becomes of sessions: tokens, revocation, second publishers, return, DELETE, restart.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromium, claimsOf, compare, missing, page, pause, signer, startGateway, until } from './lib.mjs';

const OFFER = { 'Content-Type': 'application/sdp' };
const post = (url, token, headers = OFFER, body = 'v=0\r\n') => fetch(url, {
  method: 'POST', headers: { ...headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) }, body,
});

describe('tokens and sessions', { skip: missing, timeout: 300000 }, () => {
  let gw, browser;
  before(async () => {
    gw = await startGateway({ endpoints: { hold: '10s' } });
    browser = await chromium();
  });
  after(async () => {
    await browser?.close();
    await gw?.stop();
  });
  const publish = async (id, options = {}) => {
    const p = await page(browser);
    await p.muster('publish', { url: gw.whip(id), token: gw.token('publish'), codec: 'VP8', audio: 'none', ...options });
    return p;
  };
  const watch = async (id, options = {}) => {
    const p = await page(browser);
    await p.muster('watch', { url: gw.whep(id), token: gw.token('watch'), ...options });
    await p.muster('pictures', 'view', 5);
    return p;
  };

  test('the token matrix', async () => {
    const id = 'city/matrix', now = Math.floor(Date.now() / 1000), stranger = signer();
    const rows = [
      ['no token', gw.whip(id), null, 401],
      ['no JWT', gw.whip(id), 'abc', 401],
      ['no JWT of three parts', gw.whip(id), 'a.b.c', 401],
      ['another key', gw.whip(id), stranger.sign('publish'), 401],
      ['algorithm none', gw.whip(id), gw.token('publish', { header: { alg: 'none' } }), 401],
      ['algorithm of another key', gw.whip(id), gw.token('publish', { header: { alg: 'HS256' } }), 401],
      ['expired', gw.whip(id), gw.token('publish', { iat: now - 600, exp: now - 120 }), 401],
      ['not yet valid', gw.whip(id), gw.token('publish', { nbf: now + 300 }), 401],
      ['without an end', gw.whip(id), gw.token('publish', { exp: undefined }), 401],
      ['watch may not publish', gw.whip(id), gw.token('watch'), 403],
      ['publish may not watch', gw.whep(id), gw.token('publish'), 403],
      ['another endpoint', gw.whip(id), gw.token('publish', { endpoint: 'city/other' }), 403],
      ['a longer name', gw.whip(id), gw.token('publish', { endpoint: 'city/mat' }), 403],
      ['nobody publishes there', gw.whep('city/nobody'), gw.token('watch'), 404],
    ];
    for (const [what, url, token, status] of rows) {
      // A sound offer is not needed: who may not is told so before the offer is read. 404 needs one.
      const p = status === 404 ? await page(browser) : null;
      if (p) {
        await assert.rejects(p.muster('watch', { url, token }), /POST 404/, what);
        await p.close();
        continue;
      }
      const r = await post(url, token);
      assert.equal(r.status, status, `${what}: ${await r.text()}`);
      assert.match(r.headers.get('content-type'), /application\/problem\+json/, what);
      if (status === 401) assert.match(r.headers.get('www-authenticate') || '', /^Bearer/, what);
    }
    const token = gw.token('publish', { endpoint: 'city/mat*' });
    const type = await post(gw.whip(id), token, { 'Content-Type': 'text/plain' });
    assert.equal(type.status, 415);
    for (const sdp of ['', 'hello', 'v=1\r\n', 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video x y z\r\n', '\0\0\0']) {
      const r = await post(gw.whip(id), token, OFFER, sdp);
      const problem = await r.json();
      assert.equal(r.status, 400, JSON.stringify(problem));
      assert.equal(problem.status, 400);
      assert.ok(problem.detail, 'says what is wrong');
    }
    for (const sdp of ['v=0\r\n', 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n']) { // well formed, but nothing in it can be published
      const empty = await post(gw.whip(id), token, OFFER, sdp), problem = await empty.json();
      assert.equal(empty.status, 422, JSON.stringify(problem));
      assert.match(problem.detail, /no audio and no video/);
    }
    const large = await post(gw.whip(id), token, OFFER, 'v=0\r\n' + 'a=x\r\n'.repeat(60000));
    assert.equal(large.status, 413);
    for (const where of ['/v1/status', '/v1/sessions', '/metrics']) {
      assert.equal((await gw.api(where, { token: gw.token('watch') })).status, 403, where);
      assert.equal((await fetch(gw.url + where)).status, 401, where); // as a browser would: with Sec-Fetch-Mode
      assert.equal((await gw.api(where, { token: gw.token('operate') })).status, 200, where);
    }
  });

  test('a revoked token ends what it runs within two seconds', async () => {
    const id = 'city/revoked', pub = await publish(id), token = gw.token('watch');
    const view = await watch(id, { token }), other = await watch(id);
    const r = await gw.api('/v1/tokens/revoke', { method: 'POST', body: { jti: claimsOf(token).jti } });
    assert.equal(r.status, 200, r.text);
    assert.equal(r.json.sessions_ended, 1);
    await pause(2000);
    await view.muster('forget', 'view');
    await other.muster('pictures', 'view', 10);
    assert.equal((await view.muster('seen', 'view')).readable, 0);
    assert.equal((await post(gw.whep(id), token)).status, 401);
    for (const p of [pub, view, other]) await p.close();
  });

  test('a token that expires ends what it runs within two seconds', async () => {
    const id = 'city/expires', pub = await publish(id), view = await page(browser);
    const token = gw.token('watch', { exp: Math.floor(Date.now() / 1000) + 6 }), { exp } = claimsOf(token);
    await view.muster('watch', { url: gw.whep(id), token });
    await view.muster('pictures', 'view', 5);
    await pause(exp * 1000 + 2000 - Date.now());
    assert.equal((await gw.endpoint(id)).viewers, 0);
    await view.muster('forget', 'view');
    await pause(1000);
    assert.equal((await view.muster('seen', 'view')).readable, 0);
    await pub.close();
    await view.close();
  });

  test('a publisher that drops and returns keeps its viewers', async () => {
    const id = 'city/returns', pub = await publish(id), view = await watch(id);
    await pub.muster('vanish', 'pub');
    await gw.state(id, 'lost', 8000);
    assert.equal(await view.muster('state', 'view'), 'connected');
    await pause(1500);
    await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish'), codec: 'VP8', audio: 'none' });
    await gw.state(id, 'live');
    const seen = await compare(pub, view, 3000);
    assert.ok(seen.distinct >= 0.9 * seen.sent && seen.backwards === 0, JSON.stringify(seen));
    assert.equal(await view.muster('state', 'view'), 'connected');
    await pub.close();
    await view.close();
  });

  test('two tabs that share a token do not throw each other out', async () => {
    const id = 'city/second', token = gw.token('publish'), pub = await publish(id, { token });
    const view = await watch(id), second = await page(browser);
    await assert.rejects(second.muster('publish', { url: gw.whip(id), token: gw.token('publish') }), /POST 409/);
    await pause(3000); // a token is shared by two tabs: the first is heard, so the second does not throw it out either
    await assert.rejects(second.muster('publish', { url: gw.whip(id), token }), /POST 409/);
    await view.muster('pictures', 'view', 10);
    for (const p of [pub, view, second]) await p.close();
  });

  test('DELETE ends a session, once', async () => {
    const id = 'city/ends', pub = await publish(id), view = await watch(id);
    const stranger = gw.token('watch', { sub: 'somebody else' });
    const { location } = await view.evaluate(() => ({ location: muster.sessions.view.url }));
    const foreign = await fetch(location, { method: 'DELETE', headers: { Authorization: `Bearer ${stranger}` } });
    assert.ok([403, 404].includes(foreign.status), `somebody else's DELETE: ${foreign.status}`);
    assert.equal((await fetch(location, { method: 'DELETE' })).status, 401);
    assert.equal(await view.muster('end', 'view'), 200);
    await until(async () => (await gw.endpoint(id)).viewers === 0, 5000, 'the viewer gone');
    const again = await view.evaluate((url, token) => muster.request('DELETE', url, token), location, gw.token('watch'));
    assert.equal(again.status, 404);
    assert.equal(await pub.muster('end', 'pub'), 200);
    await until(async () => (await gw.endpoint(id)).state !== 'live', 5000, 'the publisher gone');
    await pub.close();
    await view.close();
  });

  test('PATCH rules', async () => {
    const id = 'city/patch', pub = await publish(id);
    const tries = await pub.evaluate(async () => {
      const s = muster.sessions.pub, sdp = s.pc.localDescription.sdp, body = muster.fragmentOf(sdp), out = {};
      const send = async (headers, text = body) => (await muster.request('PATCH', s.url, s.token,
        { 'Content-Type': 'application/trickle-ice-sdpfrag', ...headers }, text)).status;
      out.none = await send({});
      out.wrong = await send({ 'If-Match': '"not-this-one"' });
      out.type = await send({ 'If-Match': s.etag, 'Content-Type': 'application/json' }, '{}');
      out.good = await send({ 'If-Match': s.etag });
      out.gone = (await muster.request('PATCH', s.url + 'x', s.token,
        { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': s.etag }, body)).status;
      return out;
    });
    assert.deepEqual(tries, { none: 428, wrong: 412, type: 415, good: 204, gone: 404 });
    await pub.close();
  });
});

// Two people, each with a token of their own: a token that comes again is the same publisher returning, whatever the policy.
for (const policy of ['refuse', 'take_over']) {
  test(`a second publisher, policy ${policy}`, { skip: missing, timeout: 60000 }, async () => {
    const gw = await startGateway({ endpoints: { second_publisher: policy } }), browser = await chromium();
    try {
      const id = 'city/over', [first, second, view] = [await page(browser), await page(browser), await page(browser)];
      const how = (sub) => ({ url: gw.whip(id), token: gw.token('publish', { sub }), codec: 'VP8', audio: 'none' });
      await first.muster('publish', how('first'));
      await view.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
      await view.muster('pictures', 'view', 10);
      if (policy === 'refuse') await assert.rejects(second.muster('publish', how('second')), /POST 409 .*by first/);
      else await second.muster('publish', how('second'));
      const seen = await compare(policy === 'refuse' ? first : second, view, 3000);
      assert.ok(seen.distinct >= 0.9 * seen.sent && seen.backwards === 0, JSON.stringify(seen));
      const { sessions } = (await gw.api('/v1/sessions')).json;
      assert.deepEqual(sessions.filter((s) => s.kind === 'whip').map((s) => s.subject), [policy === 'refuse' ? 'first' : 'second']);
    } finally {
      await browser.close();
      await gw.stop();
    }
  });
}

test('a viewer whose browser is killed is gone when its consent is', { skip: missing, timeout: 90000 }, async () => {
  const gw = await startGateway(), browser = await chromium(), doomed = await chromium();
  try {
    const id = 'city/consent', pub = await page(browser), stays = await page(browser), dies = await page(doomed);
    await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish'), codec: 'VP8', audio: 'none' });
    for (const p of [stays, dies]) {
      await p.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
      await p.muster('pictures', 'view', 5);
    }
    assert.equal((await gw.endpoint(id)).viewers, 2);
    // The whole process group, as a power cut would: nobody says goodbye.
    process.kill(-doomed.process().pid, 'SIGKILL');
    const began = Date.now();
    await pause(15000);
    assert.equal((await gw.endpoint(id)).viewers, 2, 'consent lasts for 30 s');
    await until(async () => (await gw.endpoint(id)).viewers === 1, 40000, 'the dead viewer gone');
    assert.ok(Date.now() - began > 25000, `gone after ${Date.now() - began} ms`);
    const seen = await compare(pub, stays, 3000);
    assert.ok(seen.distinct >= 0.9 * seen.sent && seen.backwards === 0, `who stayed: ${JSON.stringify(seen)}`);
  } finally {
    await browser.close();
    await doomed.close().catch(() => {});
    await gw.stop();
  }
});

test('SIGTERM drains: no new sessions, those that are end, exit code 0', { skip: missing, timeout: 60000 }, async () => {
  const gw = await startGateway({ drain: { deadline: '3s' } }), browser = await chromium();
  try {
    const id = 'city/drain', pub = await page(browser);
    await pub.muster('publish', { url: gw.whip(id), token: gw.token('publish'), codec: 'VP8', audio: 'none' });
    const began = Date.now(), how = await gw.stop();
    assert.equal(how, 0, gw.log.slice(-2000));
    assert.ok(Date.now() - began < 6000, 'by its deadline');
  } finally {
    await browser.close();
  }
});
