// Members of a conference of different kinds, all told apart by their pictures' numbers and their tones: the console's page in a
// browser, and webrtcbin (muster-member).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { build, consolePage, endChild, pause, until } from './lib.mjs';

const PAGE = '/console/conference.html';
export const CAMERA = { width: 480, height: 270, fps: 15 };
/** Of Firefox's own microphone: without a sound card it has no other tone. */
export const FOX_HZ = 1000;
const CLEAR = 0.15; // of a player's sound: who speaks has one of his own
const memberProgram = path.join(build, 'tests/tools/muster-member');

export async function hold(gw, id, more = {}) {
  const made = await gw.api('/v1/conferences', { method: 'POST', body: { id, title: `Conference ${id}`, layout: 'equal', ...more } });
  assert.equal(made.status, 201, made.text);
}
export const conference = async (gw, id) => (await gw.api(`/v1/conferences/${id}`)).json;
export const place = async (gw, id, endpoint) => (await conference(gw, id)).members.find((m) => m.endpoint === endpoint);

/** Into a conference through the lobby. `hz`: its tone; 0: it sends nothing. */
export async function come(browser, gw, id, endpoint, { hz = 0, camera = CAMERA, role = 'participant', rank = 5, prepare = [], beforeJoin, ...options } = {}) {
  const p = await consolePage(browser, gw, gw.token('conference watch', { endpoint, role, rank }), { where: PAGE,
    prepare: [...prepare, [(media) => {
      globalThis.links = []; // what the gateway found of the link, each second
      const Socket = globalThis.WebSocket;
      globalThis.WebSocket = class extends Socket {
        constructor(...args) {
          super(...args);
          this.addEventListener('message', ({ data }) => {
            const m = JSON.parse(data);
            if (m.type === 'quality' && m.link) links.push([m.link.estimate, m.link.sent, m.link.limit, ...m.down.filter((d) => d.label === 'video').map((d) => `${d.width} ${d.why}`)].join());
          });
        }
      };
      const its = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (asked) => {
        if (media.own && asked.audio) return its({ audio: true });
        if (!media.hz) throw new DOMException('none', 'NotFoundError');
        while (!globalThis.muster) await new Promise((yes) => setTimeout(yes, 5)); // the console's modules run before it
        return muster.fakeMedia(asked, media);
      };
    }, { camera, hz, own: hz === FOX_HZ }]], ...options });
  const who = Object.assign(p, { kind: 'page', endpoint, hz });
  await p.waitForSelector(`[data-conference="${id}"]`);
  await p.click(`[data-conference="${id}"]`);
  if (hz && await p.evaluate(() => !document.querySelector('#ask').hidden)) await p.click('#ask');
  if (hz) await p.waitForFunction(() => document.querySelector('#preview').videoWidth > 0);
  await p.$eval('#name', (e, v) => { e.value = v; }, endpoint);
  await beforeJoin?.(p);
  await p.click('#join');
  await p.waitForSelector('#room-view:not([hidden])');
  await p.says('#link', /^connected$/);
  who.looked = new Set();
  /** What came of each since `since` (of Date). */
  who.pictures = async (of, since) => {
    for (const e of of) if (!who.looked.has(e)) await p.muster('look', e);
    for (const e of of) who.looked.add(e);
    return p.evaluate((es, t) => Object.fromEntries(es.map((e) => [e, muster.looks[e].filter((x) => x.at > t)])), of, since);
  };
  who.tones = (hzs) => p.muster('tones', hzs);
  who.sent = () => p.evaluate(async () => muster.sentFrames(seen.pcs.findLast((pc) => pc.getSenders().some((s) => s.track?.kind === 'video') && pc.connectionState !== 'closed')));
  who.leave = async () => {
    assert.deepEqual(p.errors, [], endpoint);
    await p.evaluate(() => document.querySelector('#room-view:not([hidden]) [data-control=leave]')?.click());
    if (p.browserContext() !== browser.defaultBrowserContext()) await p.browserContext().close();
    else await p.close();
  };
  return who;
}

/** webrtcbin, which comes back by itself as often as the gateway goes. Looks at those in `sees`. */
export async function webrtcbin(gw, id, endpoint, { hz, role = 'participant', rank = 5, codec = 'VP8', sees = [] }) {
  const file = path.join(gw.dir, `member-${crypto.randomUUID()}.token`);
  fs.writeFileSync(file, gw.token('conference', { endpoint, role, rank }));
  const child = spawn(memberProgram, ['--url', gw.url, '--token-file', file, '--conference', id, '--name', endpoint, '--endpoint', endpoint,
    '--codec', codec, '--tone', String(hz), '--stay'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const who = { kind: 'webrtcbin', endpoint, hz, child, slots: {}, told: [] }, asked = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const m = JSON.parse(line);
    if (m.type === 'tracks') who.slots = Object.fromEntries(m.tracks.filter((t) => t.endpoint && t.kind === 'video').map((t) => [t.endpoint, t.mid]));
    if (m.here === 'report') asked.shift()?.(m);
    else who.told.push(m);
  });
  const tell = (order) => child.stdin.write(`${JSON.stringify(order)}\n`);
  who.tell = tell;
  who.report = (tones = []) => new Promise((yes) => {
    asked.push(yes);
    tell({ do: 'report', tones });
  });
  who.tones = async (hzs) => (await who.report(hzs)).tones;
  who.forget = () => tell({ do: 'forget' });
  who.leave = async () => {
    tell({ type: 'leave' });
    tell({ do: 'quit' });
    await endChild(child);
  };
  await until(() => who.told.some((m) => m.type === 'conference' && m.state), 10000, `${endpoint} is in`);
  tell({ type: 'view', tracks: sees.map((e) => ({ endpoint: e, label: 'video', ...CAMERA, fps: undefined })) });
  return who;
}

/** Each has pictures, three new ones at least since `since`, and the tone of all the others, and nobody's but theirs. */
export async function allSeeAndHear(members, ms, since = Date.now()) {
  let last;
  const began = Date.now(), hzs = members.map((m) => m.hz).filter(Boolean);
  for (const m of members) if (m.kind === 'webrtcbin') m.forget();
  await until(async () => {
    last = {};
    for (const m of members) {
      const others = members.filter((o) => o !== m && o.hz), got = last[m.endpoint] = { lacks: [] };
      got.tones = await m.tones(hzs);
      if (m.kind === 'page') {
        const pictures = await m.pictures(others.map((o) => o.endpoint), since);
        got.pictures = Object.fromEntries(Object.entries(pictures).map(([e, list]) => [e, list.length]));
      } else {
        const { eyes } = await m.report();
        got.pictures = Object.fromEntries(others.map((o) => [o.endpoint, eyes[m.slots[o.endpoint]]?.pictures ?? 0]));
      }
      for (const o of others) {
        if (!(got.pictures[o.endpoint] >= 3)) got.lacks.push(`picture of ${o.endpoint}`);
        if (!(got.tones[o.hz] > CLEAR)) got.lacks.push(`sound of ${o.endpoint}`);
      }
      if (m.hz && got.tones[m.hz] > CLEAR) got.lacks.push('hears itself');
    }
    return Object.values(last).every((x) => !x.lacks.length);
  }, ms, 'all see and hear each other').catch((e) => { throw new Error(`${e.message}: ${JSON.stringify(last)}`); });
  return Date.now() - began;
}

/** Each page gets all that its tiles can show. @return ms */
export async function allWhole(members, ms = 15000) {
  const began = Date.now();
  let last;
  for (const m of members.filter((x) => x.kind === 'page')) {
    await until(async () => {
      last = await m.$$eval('[data-seat] .bars', (bars) => bars.map((b) => [b.closest('[data-seat]').dataset.seat, b.dataset.grade]));
      return last.length && last.every(([, grade]) => grade === 'good');
    }, ms - (Date.now() - began), `${m.endpoint} gets whole pictures`)
      .catch(async (e) => { throw new Error(`${e.message}: ${JSON.stringify(last)} ${JSON.stringify(await m.evaluate(() => links))}`); });
  }
  return Date.now() - began;
}

/** Numbers go forward, and of those sent at the size that is shown at least `share` come. */
export async function compareFrames(members, ms, shareOf = () => 0.95) {
  const pages = members.filter((m) => m.kind === 'page'), bins = members.filter((m) => m.kind === 'webrtcbin');
  for (const m of pages) await m.pictures(members.filter((o) => o !== m && o.hz).map((o) => o.endpoint), 0);
  const sent = async () => Object.fromEntries(await Promise.all(pages.map(async (m) => [m.endpoint, m.hz ? await m.sent() : {}])));
  await pause(200);
  for (const m of bins) m.forget();
  const since = Date.now(), before = await sent(), drawn = Object.fromEntries(await Promise.all(bins.map(async (m) => [m.endpoint, (await m.report()).sent])));
  await pause(ms);
  const after = await sent(), rows = [];
  for (const m of members) {
    const others = members.filter((o) => o !== m && o.hz), pictures = m.kind === 'page' && await m.pictures(others.map((o) => o.endpoint), since);
    const report = m.kind === 'webrtcbin' && await m.report();
    for (const o of others) {
      const row = { sees: m.endpoint, of: o.endpoint };
      if (report) {
        const eye = report.eyes[m.slots[o.endpoint]];
        Object.assign(row, { came: eye.distinct, backwards: eye.backwards, widths: [eye.width] });
      } else {
        const numbers = pictures[o.endpoint].map((x) => x.n).filter((n) => n >= 0);
        Object.assign(row, { came: new Set(numbers).size, backwards: numbers.filter((n, i) => n < numbers[i - 1]).length,
          unreadable: pictures[o.endpoint].length - numbers.length, widths: [...new Set(pictures[o.endpoint].map((x) => x.width))] });
      }
      // what a page encoded at that size; where another one was shown meanwhile, both had the same pictures; what webrtcbin drew
      row.sent = o.kind === 'page' ? Math.max(0, ...row.widths.map((w) => (after[o.endpoint][w] ?? 0) - (before[o.endpoint][w] ?? 0)))
        : (await o.report()).sent - drawn[o.endpoint];
      rows.push(row);
    }
  }
  const said = JSON.stringify(rows);
  for (const r of rows) {
    assert.equal(r.backwards, 0, said);
    assert.ok(r.sent > 5 * ms / 1000, `somebody sends: ${said}`);
    assert.ok(r.came >= shareOf(r) * r.sent - 2, `${r.sees} of ${r.of}: ${said}`); // some are on their way at either end
  }
  return rows;
}
