// Real browsers behind a bad link: delay, loss, and a rate that falls and comes back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromium, compare, impair, missing, page, pause, startGateway, until } from './lib.mjs';

describe('behind a bad link', { skip: missing, timeout: 400000 }, () => {
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

  // --- a conference: three encodings up, the one that fits down ---------------------------------------------------------------

  // Chromium sends three encodings of this and larger ones only.
  const SIZE = { width: 960, height: 540, fps: 15 };

  /** One who is seen and one who sees, the latter over `link`, in a conference of their own; seen large already. */
  async function room(id, link, camera = SIZE) {
    const made = await gw.api('/v1/conferences', { method: 'POST', body: { id, title: id } });
    assert.equal(made.status, 201, made.text);
    const seen = `city/${id}-seen`, sees = `city/${id}-sees`;
    const pub = await page(browser, { of: gw }), view = await page(browser, { link, of: gw });
    const come = (p, endpoint, more) => p.muster('enter', { url: gw.url, token: gw.token('conference', { endpoint }), endpoint,
      conference: id, ...more });
    await come(pub, seen, { camera });
    await come(view, sees);
    await view.muster('view', 'room', { [seen]: [camera.width, camera.height] });
    const look = async () => {
      const { of, ...rest } = await view.muster('heard', 'room');
      return { at: performance.now(), ...rest, ...of[seen] };
    };
    return {
      pub, view, look,
      /** Until pictures are `width` wide. @return how long that took, ms */
      async wide(width, ms) {
        const began = performance.now();
        let last, pictures = 0;
        await until(async () => {
          last = await look(); // the pictures since the look before
          pictures = last.width === width ? pictures + last.numbers.length : 0;
          return pictures > 2;
        }, ms, `${width} wide`)
          .catch((e) => { throw new Error(`${e.message}: ${JSON.stringify(last)}`); });
        return performance.now() - began;
      },
      /** What is seen and heard, four times a second. */
      async follow(ms) {
        const looks = [await look()]; // what had come before
        for (const end = performance.now() + ms; performance.now() < end;) {
          await pause(250);
          looks.push(await look());
        }
        return looks;
      },
      async close() {
        await pub.close();
        await view.close();
      },
    };
  }
  /** Sound of the worst two seconds: packets that came, as a share of those that were due. By counts: a busy machine looks late. */
  function worstSound(looks) {
    let worst = 1;
    for (let i = 0, k = 0; k < looks.length; k++) {
      while (looks[k].at - looks[i + 1]?.at >= 2000) i++;
      const ms = looks[k].at - looks[i].at;
      if (ms >= 2000) worst = Math.min(worst, (looks[k].audioPackets - looks[i].audioPackets) * 20 / ms);
    }
    return worst;
  }

  test('2 Mbit/s become 500 kbit/s and 2 Mbit/s again', async () => {
    const link = await impair(gw, 'both delay=20 rate=2000 queue=5000');
    const r = await room('narrow', link, { ...SIZE, noise: true });
    await r.wide(SIZE.width, 20000);
    await link.figures();
    const looks = await r.follow(5000), wide = await link.figures();
    await link.set('both rate=500');
    looks.push(...await r.follow(20000));
    const narrow = await link.figures();
    await link.set('both rate=2000');
    const back = await r.wide(SIZE.width, 15000);
    const from = await r.pub.muster('sent', 'room');
    looks.push(...await r.follow(5000));
    const keepsUp = (await r.pub.muster('sent', 'room')).h - from.h > 0.9 * 5 * SIZE.fps; // else the machine has not the time to encode
    const last = await link.figures(), heard = looks.at(-1), first = looks[0];
    const said = JSON.stringify({ wide: wide.down, narrow: narrow.down, last: last.down, back, sound: worstSound(looks), heard });
    assert.ok(wide.down.kbps > 600, `there is something to give up: ${said}`);
    for (const { down } of [wide, narrow, last]) {
      assert.ok(down.queue_max_ms < 2000, `queue: ${said}`);
      assert.ok(down.queue_p95_ms < 500, `queue: ${said}`);
      assert.equal(down.overflowed, 0, said);
    }
    assert.ok(looks.some((l) => l.width < SIZE.width), `a smaller one meanwhile: ${said}`);
    assert.ok(back < (keepsUp ? 10000 : 15000), `large again: ${said}`);
    // while a queue builds up, packets come further apart; they do not stop
    assert.ok(worstSound(looks) > 0.4, `sound is never interrupted: ${said}`);
    assert.ok(heard.concealed - first.concealed < 0.05 * (heard.audioSamples - first.audioSamples), `sound: ${said}`);
    await r.close();
    await link.stop();
  });

  test('a conference with 5 % of the packets lost, 60 ms there and back', async () => {
    const link = await impair(gw, 'both delay=30 loss=5');
    const r = await room('lossy', link);
    await r.wide(SIZE.width, 20000);
    const from = await r.pub.muster('sent', 'room'), looks = await r.follow(30000), to = await r.pub.muster('sent', 'room');
    const whole = new Set(looks.slice(1).flatMap((l) => l.numbers)).size, sent = to.h - from.h;
    const said = JSON.stringify({ from, to, whole, last: looks.at(-1), link: await link.figures() });
    assert.ok(sent > 100, said);
    assert.ok(whole >= 0.995 * sent - 4, said); // some are on their way at either end
    assert.ok(worstSound(looks) > 0.8, `sound: ${worstSound(looks)} ${said}`);
    await r.close();
    await link.stop();
  });
});
