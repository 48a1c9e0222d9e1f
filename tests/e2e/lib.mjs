// Starts what the end-to-end tests need: a gateway of their own on free ports, browsers, the synthetic camera.
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import dgram from 'node:dgram';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';

const here = path.dirname(fileURLToPath(import.meta.url));
export const build = process.env.MUSTER_BUILD || path.join(here, '../../build');
const musterd = path.join(build, 'gateway/daemon/musterd');
const cameraProgram = path.join(build, 'tests/tools/muster-camera');
const impairProgram = path.join(build, 'tests/tools/muster-impair');
/** Why tests cannot run here, or false: for node:test's skip. */
export const missing = fs.existsSync(musterd) ? false : `${musterd} is not built`;

export async function until(test, ms, what) {
  for (const end = Date.now() + ms; Date.now() < end;) {
    const value = await test();
    if (value) return value;
    await new Promise((yes) => setTimeout(yes, 50));
  }
  throw new Error(`${what}: not within ${ms} ms`);
}
export const pause = (ms) => new Promise((yes) => setTimeout(yes, ms));

export const freeTcp = () => new Promise((yes, no) => {
  const s = net.createServer().once('error', no).listen(0, '127.0.0.1', () => {
    const { port } = s.address();
    s.close(() => yes(port));
  });
});
export const freeUdp = () => new Promise((yes, no) => {
  const s = dgram.createSocket('udp4').once('error', no).bind(0, '127.0.0.1', () => {
    const { port } = s.address();
    s.close(() => yes(port));
  });
});

/** The machine's own IPv4 address, for a browser that gathers no loopback candidate; [] where there is only loopback. */
export const ownAddress = () => Object.values(os.networkInterfaces()).flat()
  .filter((a) => a.family === 'IPv4' && !a.internal).map((a) => a.address).slice(0, 1);

/** Ends a child: SIGTERM, SIGKILL after a while. @return its exit code or signal */
export async function endChild(child, ms = 15000) {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode ?? child.signalCode;
  const gone = new Promise((yes) => child.once('exit', (code, signal) => yes(code ?? signal)));
  const timer = setTimeout(() => child.kill('SIGKILL'), ms);
  child.kill('SIGTERM');
  const how = await gone;
  clearTimeout(timer);
  return how;
}

// --- tokens -----------------------------------------------------------------------------------------------------------------

const b64 = (x) => Buffer.from(x).toString('base64url');
/** An Ed25519 key that signs tokens (RFC 8037), named by its thumbprint (RFC 7638). */
export function signer() {
  const { privateKey, publicKey } = crypto.generateKeyPairSync('ed25519');
  const { x } = publicKey.export({ format: 'jwk' });
  const kid = crypto.createHash('sha256').update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest('base64url');
  return {
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }),
    /** Claims and header may be overridden, to forge. */
    sign(scope, { endpoint, header = {}, ...claims } = {}) {
      const now = Math.floor(Date.now() / 1000);
      const body = { jti: crypto.randomUUID(), sub: 'e2e', scope, iat: now, exp: now + 600, ...claims };
      if (endpoint) body.endpoint = endpoint;
      const head = { alg: 'EdDSA', typ: 'JWT', kid, ...header };
      const text = `${b64(JSON.stringify(head))}.${b64(JSON.stringify(body))}`;
      const signature = head.alg === 'none' ? '' : b64(crypto.sign(null, Buffer.from(text), privateKey));
      return `${text}.${signature}`;
    },
  };
}
export const claimsOf = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url'));

// --- the gateway ---------------------------------------------------------------------------------------------------------

/** Start musterd with a configuration of its own. `overrides` is merged group by group. */
export async function startGateway(overrides = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'muster-e2e-'));
  const key = signer();
  fs.writeFileSync(path.join(dir, 'token.pub'), key.publicPem);
  const config = {
    site: 'city', state: path.join(dir, 'state'),
    http: { listen: [`127.0.0.1:${await freeTcp()}`] },
    media: { workers: 1, port: await freeUdp(), listen: ['127.0.0.1'] },
    auth: { keys: [path.join(dir, 'token.pub')] },
    log: { level: 'debug', target: 'stderr' },
    drain: { deadline: '2s' },
  };
  for (const [group, rows] of Object.entries(overrides)) {
    config[group] = typeof rows === 'object' && !Array.isArray(rows) ? { ...config[group], ...rows } : rows;
  }
  const file = path.join(dir, 'musterd.yaml');
  fs.writeFileSync(file, yaml(config));
  const gw = { dir, config, file, url: `http://${config.http.listen[0]}`, log: '', key };
  gw.whip = (id) => `${gw.url}/whip/${id}`;
  gw.whep = (id) => `${gw.url}/whep/${id}`;
  gw.token = (scope, options) => key.sign(scope, options);
  gw.start = async () => {
    gw.child = spawn(musterd, ['--config', file], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const out of [gw.child.stdout, gw.child.stderr]) out.on('data', (d) => { gw.log += d; });
    await until(async () => {
      if (gw.child.exitCode !== null) throw new Error(`musterd ended with ${gw.child.exitCode}:\n${gw.log}`);
      return fetch(`${gw.url}/healthz`).then((r) => r.ok, () => false);
    }, 10000, 'readiness');
  };
  gw.api = async (where, { method = 'GET', body, token = key.sign('admin') } = {}) => {
    const r = await fetch(gw.url + where, {
      method,
      headers: { Authorization: `Bearer ${token}`, ...(body ? { 'Content-Type': 'application/json' } : {}) },
      body: body && JSON.stringify(body),
    });
    const text = await r.text();
    return { status: r.status, json: /json/.test(r.headers.get('content-type') || '') ? JSON.parse(text) : null, text };
  };
  gw.endpoint = async (id) => (await gw.api(`/v1/endpoints/${id}`)).json;
  gw.state = (id, state, ms = 10000) => until(async () => (await gw.endpoint(id))?.state === state, ms, `${id} ${state}`);
  gw.kill = () => new Promise((yes) => { gw.child.once('exit', yes); gw.child.kill('SIGKILL'); });
  gw.stop = async () => {
    const how = await endChild(gw.child);
    fs.rmSync(dir, { recursive: true, force: true });
    return how;
  };
  await gw.start();
  return gw;
}
/** Block style, so that an error names a line that a person can find. */
function yaml(value, indent = '') {
  if (Array.isArray(value)) return value.map((v) => `${indent}- ${JSON.stringify(v)}\n`).join('');
  return Object.entries(value).map(([k, v]) => typeof v === 'object' ? `${indent}${k}:\n${yaml(v, indent + '  ')}`
    : `${indent}${k}: ${typeof v === 'string' && /^[\w./-]+$/.test(v) ? v : JSON.stringify(v)}\n`).join('');
}

// --- coturn -----------------------------------------------------------------------------------------------------------------

const turnserver = '/usr/bin/turnserver';
/** Why there is no TURN server, or false: for node:test's skip. */
export const missingTurn = fs.existsSync(turnserver) ? false : `${turnserver} is not installed`;

/**
 * coturn as configs/coturn/turnserver.conf has it, on loopback: what names a place is changed, and each such line must be there.
 * turn.credentials(user, seconds, secret): as coturn's manual says they are made.
 */
export async function startTurn() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'muster-turn-')), port = await freeTcp();
  const secret = crypto.randomBytes(32).toString('hex');
  const here127 = { 'listening-ip': '127.0.0.1', 'relay-ip': '127.0.0.1', 'listening-port': port, 'static-auth-secret': secret,
    'allowed-peer-ip': '127.0.0.1', 'tls-listening-port': null, cert: null, pkey: null };
  let conf = fs.readFileSync(path.join(here, '../../configs/coturn/turnserver.conf'), 'utf8');
  for (const [key, value] of Object.entries(here127)) {
    const line = new RegExp(`^${key}=.*\n`, 'm');
    if (!line.test(conf)) throw new Error(`turnserver.conf has no ${key}`);
    conf = conf.replace(line, value === null ? '' : `${key}=${value}\n`);
  }
  conf += `no-tls\nno-dtls\nallow-loopback-peers\nlog-file=stdout\npidfile=${dir}/pid\nuserdb=${dir}/turndb\nverbose\n`;
  fs.writeFileSync(path.join(dir, 'turnserver.conf'), conf, { mode: 0o600 });
  fs.writeFileSync(path.join(dir, 'secret'), `${secret}\n`, { mode: 0o600 });
  const turn = { port, dir, log: '', secretFile: path.join(dir, 'secret') };
  turn.url = (transport) => `turn:127.0.0.1:${port}?transport=${transport}`;
  turn.credentials = (user, seconds, key = secret) => {
    const username = `${Math.floor(Date.now() / 1000) + seconds}:${user}`;
    return { username, credential: crypto.createHmac('sha1', key).update(username).digest('base64') };
  };
  turn.child = spawn(turnserver, ['-c', path.join(dir, 'turnserver.conf')], { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const out of [turn.child.stdout, turn.child.stderr]) out.on('data', (d) => { turn.log += d; });
  turn.stop = async () => {
    await endChild(turn.child, 5000);
    fs.rmSync(dir, { recursive: true, force: true });
  };
  await until(async () => {
    if (turn.child.exitCode !== null) throw new Error(`turnserver ended with ${turn.child.exitCode}:\n${turn.log}`);
    return new Promise((yes) => {
      const s = net.connect(port, '127.0.0.1', () => { s.destroy(); yes(true); }).once('error', () => yes(false));
    });
  }, 10000, 'the TURN server').catch(async (e) => { await turn.stop(); throw e; });
  return turn;
}

// --- browsers --------------------------------------------------------------------------------------------------------------

const CHROMIUM = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-default-apps', '--mute-audio',
  '--autoplay-policy=no-user-gesture-required', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
  '--allow-loopback-in-peer-connection'];
const FIREFOX = {
  'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false, 'media.peerconnection.ice.loopback': true,
  'media.autoplay.default': 0, 'media.autoplay.blocking_policy': 0, 'media.gmp-manager.updateEnabled': false,
  'dom.min_background_timeout_value': 10, 'dom.timeout.enable_budget_timer_throttling': false,
  'network.captive-portal-service.enabled': false, 'network.connectivity-service.enabled': false,
  'app.normandy.enabled': false, 'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
};
/** For getDisplayMedia: the page that asks shares its own tab. A whole screen of the fake device shows nothing that can be read. */
export const SHARE_TAB = '--use-fake-device-for-media-stream=display-media-type=browser';
export const chromium = (args = []) => puppeteer.launch({ executablePath: '/usr/bin/chromium', headless: true, timeout: 90000, args: [...CHROMIUM, ...args] });
export const firefox = () => puppeteer.launch({ browser: 'firefox', executablePath: '/usr/bin/firefox-esr', headless: true,
  timeout: 90000, protocolTimeout: 60000, extraPrefsFirefox: FIREFOX });

let blank; // a page of another origin than the gateway's: so every test also needs its CORS headers
const blankUrl = () => (blank ??= new Promise((yes) => {
  const s = http.createServer((q, r) => {
    r.writeHead(200, { 'content-type': 'text/html' });
    r.end(q.url === '/favicon.ico' ? '' : '<!doctype html><meta charset=utf-8><title>t</title><body></body>');
  });
  s.unref();
  s.listen(0, '127.0.0.1', () => yes(`http://127.0.0.1:${s.address().port}/`));
}));
/** A page in a window of its own (a hidden one draws nothing), with page.js in it. page.muster(name, ...args) calls it.
 *  `link`: of impair(), what its peer connections go over. `of`: the gateway whose origin it has: a console is refused to others. */
export async function page(browser, { link, of } = {}) {
  const firefoxIs = /firefox/i.test(await browser.version());
  const p = firefoxIs ? await browser.newPage({ type: 'window' }) : await (await browser.createBrowserContext()).newPage();
  await p.goto(of ? `${of.url}/healthz` : await blankUrl());
  if (link) await p.evaluate(...link.detour);
  await p.evaluate(fs.readFileSync(path.join(here, 'page.js'), 'utf8').replace(/\)\(\);\s*$/, ')();0'));
  p.on('pageerror', (e) => console.error('page:', e.message));
  p.muster = (name, ...args) => p.evaluate((n, a) => globalThis.muster[n](...a), name, args);
  return p;
}

/** A film for Chromium's fake camera: `frames` numbered pictures, over and over, with the strip of page.js. */
export function film(file, { width = 320, height = 180, fps = 20, frames = 200 } = {}) {
  const out = fs.openSync(file, 'w'), chroma = Buffer.alloc(width * height / 2, 128), rows = Math.floor(height / 12);
  fs.writeSync(out, `YUV4MPEG2 W${width} H${height} F${fps}:1 Ip A1:1 C420jpeg\n`);
  for (let n = 0; n < frames; n++) {
    const luma = Buffer.alloc(width * height, 90), bits = n.toString(2).padStart(24, '0');
    const cells = `10${bits}${bits.replaceAll('0', '').length % 2}1`;
    for (let x = 0; x < width; x++) luma.fill(cells[Math.floor(x * 28 / width)] === '1' ? 235 : 16, x, x + 1);
    for (let y = 1; y < rows; y++) luma.copy(luma, y * width, 0, width);
    const at = (n * 4) % (width - 24);
    for (let y = height / 2; y < height / 2 + 24; y++) luma.fill(200, y * width + at, y * width + at + 24);
    fs.writeSync(out, Buffer.concat([Buffer.from('FRAME\n'), luma, chroma]));
  }
  fs.closeSync(out);
  return frames;
}

/**
 * The console in a window of its own: page.js beside it, and what it did in `seen`: peer connections, requests, breaches of the
 * content policy. With the token in the link, unless there is none.
 */
export async function consolePage(browser, gw, token, { language = 'en', width = 1280, height = 800, prepare, context, where = '/', touch = false } = {}) {
  const own = context ?? (/firefox/i.test(await browser.version()) ? browser.defaultBrowserContext() : await browser.createBrowserContext());
  const p = await own.newPage();
  await p.setViewport({ width, height, isMobile: touch, hasTouch: touch });
  p.errors = [];
  p.on('pageerror', (e) => p.errors.push(e.message));
  await p.evaluateOnNewDocument((l) => {
    if (!localStorage.getItem('muster-language')) localStorage.setItem('muster-language', l);
    const seen = globalThis.seen = { pcs: [], requests: [], breaches: [], listeners: 0, tracks: [], sockets: [] };
    document.addEventListener('securitypolicyviolation', (e) => seen.breaches.push(e.violatedDirective));
    const Pc = globalThis.RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Pc {
      constructor(...args) {
        super(...args);
        seen.pcs.push(this);
      }
    };
    const Socket = globalThis.WebSocket;
    globalThis.WebSocket = class extends Socket {
      constructor(...args) {
        super(...args);
        seen.sockets.push(this);
      }
    };
    const fetch = globalThis.fetch;
    globalThis.fetch = async (path, options = {}) => {
      seen.requests.push(`${options.method ?? 'GET'} ${path}`);
      await globalThis.beforeFetch?.(path, options);
      return fetch(path, options);
    };
    const devices = navigator.mediaDevices;
    if (!devices) return;
    const listen = devices.addEventListener;
    devices.addEventListener = (...args) => {
      seen.listeners++;
      return listen.apply(devices, args);
    };
    for (const name of ['getUserMedia', 'getDisplayMedia']) {
      const ask = devices[name].bind(devices);
      devices[name] = async (...args) => {
        await globalThis.beforeCapture?.(name, ...args);
        const stream = await ask(...args);
        seen.tracks.push(...stream.getTracks());
        return stream;
      };
    }
  }, language);
  for (const script of Array.isArray(prepare) ? prepare : prepare ? [[prepare]] : []) await p.evaluateOnNewDocument(...script);
  await p.evaluateOnNewDocument(fs.readFileSync(path.join(here, 'page.js'), 'utf8').replace('globalThis.muster = (',
    "document.addEventListener('DOMContentLoaded', () => globalThis.muster = (").replace(/\)\(\);\s*$/, ')());'));
  await p.goto(`${gw.url}${where}${token ? `#token=${token}` : ''}`);
  p.muster = (name, ...args) => p.evaluate((n, a) => globalThis.muster[n](...a), name, args);
  p.text = (selector) => p.$eval(selector, (e) => e.textContent.replaceAll('\u00a0', ' '));
  p.says = (selector, pattern, ms = 10000) => until(() => p.$eval(selector, (e) => !e.closest('[hidden]') && e.textContent.replaceAll('\u00a0', ' '))
    .then((text) => text !== false && pattern.test(text), () => false), ms, `${selector} says ${pattern}`)
    .catch(async (e) => { throw new Error(`${e.message}; it says "${await p.text(selector).catch(() => 'nothing')}"`); });
  p.asked = (pattern) => p.evaluate((source) => seen.requests.filter((r) => new RegExp(source).test(r)).length, pattern.source);
  /** Numbers of the pictures of a tile, or of what a selector finds, as they are shown, for `ms`. */
  p.numbers = (id, ms) => p.numbersOf(`[data-tile="${id}"] video`, ms);
  p.numbersOf = (selector, ms) => p.evaluate((what, during) => new Promise((yes) => {
    const video = document.querySelector(what), numbers = [];
    const end = performance.now() + during;
    const next = () => {
      if (video.videoWidth) numbers.push(muster.readStrip(video, video.videoWidth, video.videoHeight));
      if (performance.now() < end) video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
    setTimeout(() => yes(numbers), during + 200);
  }), selector, ms);
  return p;
}

/** What a viewer gets of what a publisher sends, over `ms`. */
export async function compare(pub, view, ms = 5000) {
  await view.muster('pictures', 'view', 5);
  const before = await pub.muster('figures', 'pub');
  await view.muster('forget', 'view');
  await pause(ms);
  const after = await pub.muster('figures', 'pub');
  const seen = await view.muster('seen', 'view');
  return { sent: after.framesSent - before.framesSent, ...seen };
}

// --- a bad link -------------------------------------------------------------------------------------------------------------

/** To be run in a page: what the gateway says of port `from` is `to`. */
export const detour = (from, to) => [(from, to) => {
  const bend = (text) => text?.replace(new RegExp(`^((?:a=)?candidate:\\S+ \\d+ udp \\d+ 127\\.0\\.0\\.1) ${from} `, 'gim'), `$1 ${to} `);
  const its = RTCPeerConnection.prototype, { setRemoteDescription, addIceCandidate } = its;
  its.setRemoteDescription = function (d) {
    return setRemoteDescription.call(this, { type: d.type, sdp: bend(d.sdp) });
  };
  its.addIceCandidate = function (c) {
    return addIceCandidate.call(this, c?.candidate ? { ...(c.toJSON?.() ?? c), candidate: bend(c.candidate) } : c);
  };
}, from, to];

/**
 * A link of its own between pages and the gateway, changed while it runs: link.set('down rate=500 queue=3000') and what else
 * tests/tools/impair takes; link.figures(): what passed each way since the last time. A page goes over it by page(browser, { link });
 * the console's by evaluateOnNewDocument(...link.detour).
 */
export async function impair(gw, way = '', { seed = 1 } = {}) {
  const child = spawn(impairProgram, ['--to', `127.0.0.1:${gw.config.media.port}`, '--seed', String(seed), ...way.split(' ').filter(Boolean)],
    { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the link is gone');
    const said = JSON.parse(value);
    if (said.error) throw new Error(`the link: ${said.error}`);
    return said;
  };
  const { port } = await answer();
  let turn = Promise.resolve(); // one answer a line, in order
  const ask = (line) => (turn = turn.catch(() => {}).then(() => {
    child.stdin.write(`${line}\n`);
    return answer();
  }));
  return {
    port, set: ask, figures: () => ask('figures'),
    /** To be run in a page before its first peer connection: the gateway's candidates name the link's port. */
    detour: detour(gw.config.media.port, port),
    stop() {
      child.stdin.end();
      return endChild(child);
    },
  };
}

// --- the synthetic camera -----------------------------------------------------------------------------------------------------

/** Publish until stopped. */
export function camera(gw, id, { codec = 'H264', token = gw.token('publish', { endpoint: id }), args = [] } = {}) {
  const file = path.join(gw.dir, `camera-${crypto.randomUUID()}.token`);
  fs.writeFileSync(file, token);
  const child = spawn(cameraProgram, ['--url', gw.whip(id), '--token-file', file, '--codec', codec, '--label', id,
    '--size', '320x180', '--fps', '20', '--bitrate', '400', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const cam = { child, log: '' };
  child.stderr.on('data', (d) => { cam.log += d; });
  cam.stop = () => endChild(child);
  return cam;
}
/** Watch for `seconds` from the first picture on. @return its report */
export async function cameraView(gw, id, { codec, seconds = 5, token = gw.token('watch', { endpoint: id }) } = {}) {
  const file = path.join(gw.dir, `view-${crypto.randomUUID()}.token`);
  fs.writeFileSync(file, token);
  const child = spawn(cameraProgram, ['--view', '--url', gw.whep(id), '--token-file', file, '--seconds', String(seconds),
    ...(codec ? ['--codec', codec] : [])], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '', err = '';
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { err += d; });
  const timer = setTimeout(() => child.kill('SIGTERM'), (seconds + 20) * 1000);
  await new Promise((yes) => child.once('close', yes));
  clearTimeout(timer);
  if (!out) throw new Error(`no report: ${err}`);
  return { ...JSON.parse(out.trim().split('\n').at(-1)), err };
}

/** A NAT before UDP port `to`, one outer port for each client, which it forgets when it moves: then all have others. */
export async function movingNat(to) {
  const inside = dgram.createSocket('udp4'), outer = new Map(), stats = { in: 0, out: 0 };
  const forget = () => {
    for (const s of outer.values()) s.close();
    outer.clear();
  };
  inside.on('message', (data, from) => {
    const key = `${from.address}:${from.port}`;
    let s = outer.get(key);
    if (!s) {
      s = dgram.createSocket('udp4').on('message', (d) => {
        stats.out++;
        inside.send(d, from.port, from.address);
      });
      outer.set(key, s);
    }
    stats.in++;
    s.send(data, to, '127.0.0.1');
  });
  await new Promise((yes) => inside.bind(0, '127.0.0.1', yes));
  return { port: inside.address().port, stats: () => ({ ...stats }), move: forget,
    close() {
      forget();
      inside.close();
    } };
}
