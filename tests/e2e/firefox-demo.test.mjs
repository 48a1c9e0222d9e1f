// The demo in Debian's default browser as it comes: no preference that helps WebRTC, the console's link opened as a person would.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import puppeteer from 'puppeteer-core';
import { endChild, freeTcp, freeUdp, missing, ownAddress, until } from './lib.mjs';

const demo = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../scripts/demo');
const noAddress = ownAddress().length ? false : 'this machine has only loopback';

test('the demo shows a camera in Firefox', { skip: missing || noAddress, timeout: 180000 }, async () => {
  const run = fs.mkdtempSync(path.join(os.tmpdir(), 'muster-demo-'));
  const child = spawn(demo, { stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, MUSTER_DEMO_RUN: run, MUSTER_DEMO_HTTP: await freeTcp(), MUSTER_DEMO_UDP: await freeUdp() } });
  let out = '', browser;
  for (const o of [child.stdout, child.stderr]) o.on('data', (d) => { out += d; });
  try {
    const link = await until(() => {
      if (child.exitCode !== null) throw new Error(`the demo ended with ${child.exitCode}:\n${out}`);
      return out.match(/http:\S+#token=\S+/)?.[0];
    }, 120000, 'the demo\'s link');
    browser = await puppeteer.launch({ browser: 'firefox', executablePath: '/usr/bin/firefox-esr', headless: true,
      protocolTimeout: 60000, extraPrefsFirefox: { 'network.captive-portal-service.enabled': false } });
    const p = await browser.newPage();
    await p.goto(link);
    await p.waitForSelector('[data-endpoint="city/cam-2"][data-state=live] button');
    await p.click('[data-endpoint="city/cam-2"] button');
    await until(() => p.evaluate(() => document.querySelector('[data-tile="city/cam-2"] video')?.currentTime > 1), 20000,
      'a second of pictures');
    assert.equal(await p.evaluate(() => document.querySelector('[data-tile="city/cam-2"] video').videoWidth), 640);
  } finally {
    await browser?.close();
    await endChild(child);
    fs.rmSync(run, { recursive: true, force: true });
  }
});
