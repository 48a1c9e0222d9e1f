// GStreamer's webrtcbin, publishing and watching: a third stack beside the two browsers'.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { camera, cameraView, chromium, freeTcp, freeUdp, missing, page, pause, signer, startGateway, until }
  from './lib.mjs';

describe('webrtcbin', { skip: missing, timeout: 240000 }, () => {
  let gw;
  before(async () => { gw = await startGateway(); });
  after(async () => { await gw?.stop(); });

  for (const codec of ['H264', 'VP8']) {
    test(`publishes ${codec} and watches`, async () => {
      const id = `city/gst-${codec.toLowerCase()}`, cam = camera(gw, id, { codec });
      try {
        await gw.state(id, 'live');
        const seen = await cameraView(gw, id);
        assert.equal(seen.codec, codec);
        const span = seen.last - seen.first + 1;
        assert.ok(seen.distinct >= 0.95 * span && span > 60, JSON.stringify(seen));
        assert.equal(seen.backwards, 0);
        assert.ok(seen.audio_dbfs > -40 && seen.audio_buffers > 100, JSON.stringify(seen));
        assert.ok(seen.first_frame_ms < 3000, `first picture after ${seen.first_frame_ms} ms`);
      } finally {
        assert.equal(await cam.stop(), 0, cam.log);
      }
      await until(async () => (await gw.endpoint(id)).state === 'idle', 5000, 'idle after DELETE');
    });
  }

  test('is watched in Chromium, and consent outlives 30 seconds', async () => {
    const id = 'city/gst-long', cam = camera(gw, id), browser = await chromium();
    try {
      await gw.state(id, 'live');
      const view = await page(browser);
      await view.muster('watch', { url: gw.whep(id), token: gw.token('watch') });
      await view.muster('pictures', 'view', 20);
      await pause(35000);
      await view.muster('forget', 'view');
      await view.muster('pictures', 'view', 40, 5000);
      const seen = await view.muster('seen', 'view');
      assert.ok(seen.backwards === 0 && seen.last - seen.first + 1 <= seen.distinct / 0.95, JSON.stringify(seen));
    } finally {
      await browser.close();
      await cam.stop();
    }
  });

  test('comes back by itself after the gateway was killed', async () => {
    const id = 'city/gst-back', cam = camera(gw, id);
    try {
      await gw.state(id, 'live');
      await gw.kill();
      await gw.start();
      await gw.state(id, 'live', 40000);
      const seen = await cameraView(gw, id, { seconds: 2 });
      assert.ok(seen.decoded > 20, JSON.stringify(seen));
    } finally {
      await cam.stop();
    }
  });
});

/** A one-to-one NAT: what comes to its own port goes to `port`, from a port of its own for each sender, and back. */
async function nat(port) {
  const behind = new Map(), out = dgram.createSocket('udp4'), stats = { in: 0, out: 0 };
  out.on('message', (data, from) => {
    const key = `${from.address}:${from.port}`;
    let s = behind.get(key);
    if (!s) {
      s = dgram.createSocket('udp4').on('message', (d) => { stats.out++; out.send(d, from.port, from.address); });
      behind.set(key, s);
    }
    stats.in++;
    s.send(data, port, '127.0.0.1');
  });
  await new Promise((yes) => out.bind(0, '127.0.0.1', yes));
  return { port: out.address().port, stats, close: () => [out, ...behind.values()].forEach((s) => s.close()) };
}

async function publishAndWatch(gw, id) {
  const cam = camera(gw, id, { codec: 'VP8' });
  try {
    await gw.state(id, 'live');
    const seen = await cameraView(gw, id, { seconds: 2 });
    assert.ok(seen.decoded > 20 && seen.backwards === 0, JSON.stringify(seen));
    return (await gw.api('/v1/sessions')).json.sessions;
  } finally {
    await cam.stop();
  }
}

test('behind a one-to-one NAT, clients go where media.advertise says', { skip: missing, timeout: 60000 }, async () => {
  const port = await freeUdp(), outside = await nat(port);
  const gw = await startGateway({ media: { port, advertise: [`127.0.0.1:${outside.port}`] } });
  try {
    const sessions = await publishAndWatch(gw, 'city/nat');
    assert.ok(outside.stats.in > 100 && outside.stats.out > 50, JSON.stringify(outside.stats));
    assert.ok(sessions.every((s) => s.remote?.startsWith('127.0.0.1:')), JSON.stringify(sessions));
  } finally {
    await gw.stop();
    outside.close();
  }
});

test('a key that leaves the configuration ends what its tokens run', { skip: missing, timeout: 60000 }, async () => {
  const gw = await startGateway(), cam = camera(gw, 'city/key'), stream = new AbortController();
  try {
    await gw.state('city/key', 'live');
    const events = await fetch(`${gw.url}/v1/events`, { signal: stream.signal,
      headers: { Authorization: `Bearer ${gw.token('operate')}` } });
    const next = signer();
    fs.writeFileSync(path.join(gw.dir, 'next.pub'), next.publicPem);
    fs.writeFileSync(gw.file, fs.readFileSync(gw.file, 'utf8').replace('token.pub', 'next.pub'));
    gw.child.kill('SIGHUP');
    const sessions = async () => (await gw.api('/v1/sessions', { token: next.sign('operate') })).json?.sessions;
    await until(async () => (await sessions())?.length === 0, 5000, 'the end of its session');
    for await (const text of events.body) void text; // ends by itself
  } finally {
    stream.abort();
    await cam.stop();
    await gw.stop();
  }
});

test('over IPv6', { skip: missing, timeout: 60000 }, async () => {
  const gw = await startGateway({ http: { listen: [`[::1]:${await freeTcp()}`] }, media: { listen: ['::1'] } });
  try {
    const sessions = await publishAndWatch(gw, 'city/six');
    assert.ok(sessions.length > 0 && sessions.every((s) => s.remote?.startsWith('[::1]:')), JSON.stringify(sessions));
  } finally {
    await gw.stop();
  }
});
