// Texts: each in both languages, each that is named is there, each that is there is named; and what the gateway refuses is told
// in Chinese.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import './env.mjs';

const console_ = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../gateway/console');
const { texts, add } = await import('../../gateway/console/i18n.js');
const { conferenceTexts } = await import('../../gateway/console/conference-texts.js');
const { chinese } = await import('../../gateway/console/problems.js');
const own = { en: { ...texts.en }, zh: { ...texts.zh } };
const sources = fs.readdirSync(console_).filter((f) => /\.(js|html)$/.test(f)).map((f) => fs.readFileSync(path.join(console_, f), 'utf8')).join('\n');

test('every text is there in both languages, and says the same things', () => {
  for (const { en, zh } of [own, conferenceTexts]) {
    assert.deepEqual(Object.keys(en).filter((k) => !(k in zh)), [], 'without Chinese');
    assert.deepEqual(Object.keys(zh).filter((k) => !(k in en)), [], 'without English');
    for (const key of Object.keys(en)) {
      const told = [en[key], zh[key]].map((text) => typeof text === 'function' ? text.length : 0);
      if (key !== 'q.encodings') assert.equal(told[0], told[1], key);
      const said = typeof zh[key] === 'function' ? zh[key]('东区', 3) : zh[key];
      if (!['language', 'language.label', 'bye'].includes(key)) assert.match(said, /[\u4e00-\u9fff]|^[A-Z]+$/, `${key} in Chinese: ${said}`);
      assert.notEqual(typeof en[key] === 'function' ? en[key]('East', 3) : en[key], '', key);
    }
  }
});

test('no text of one page replaces one of the other', () => {
  assert.deepEqual(Object.keys(conferenceTexts.en).filter((k) => k in own.en), []);
});

test('whatever is named is there', () => {
  add(conferenceTexts);
  const named = [...sources.matchAll(/\bt\('([^']+)'/g), ...sources.matchAll(/data-i18n(?:-label|-placeholder)?="([^"]+)"/g), ...sources.matchAll(/\['(why\.\w+)'/g)].map((m) => m[1]);
  assert.ok(named.length > 150, `${named.length}`);
  assert.deepEqual([...new Set(named)].filter((k) => !(k in texts.en)), []);
});

test('whatever is there is named', () => {
  const made = [...sources.matchAll(/\bt\(`([^`$]*)\$/g)].map((m) => m[1]);
  const unnamed = Object.keys(conferenceTexts.en).filter((k) => !made.some((start) => start && k.startsWith(start)) && sources.split(`'${k}'`).length + sources.split(`"${k}"`).length < 5);
  // twice in the texts themselves, once more where it is used
  assert.deepEqual(unnamed, []);
});

test('numbers have their endings', () => {
  const say = conferenceTexts.en['ctl.floor.wait'];
  assert.deepEqual([1, 2, 3, 4, 11, 12, 13, 21, 22, 101, 111].map((n) => say(n).split(' ')[0]), ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '22nd', '101st', '111th']);
});

test('what a conference refuses is told in Chinese', () => {
  const english = /[A-Za-z]{3,} [A-Za-z]{2,}/;
  const details = ['city.east/hall is a listener: a chair has to make it a participant first', 'city/a is a listener: make it a participant first', 'city/a is a listener: it cannot share a screen',
    'city/a shares a screen: one at a time', 'the chair muted city/a: ask for the floor', 'only a chair of conference morning may lock it', 'only a chair of conference morning may show a site to all',
    'city/a is not in conference morning', 'conference morning is locked: ask a chair to unlock it', 'conference morning is full (512 members)', 'there is a conference morning already',
    'there are 1024 conferences: end one first', 'removed by the chair', 'removed by an operator', 'city/a was removed from conference morning: a chair or an operator has to admit it again', 'city/a was not removed from conference morning', 'city/a is not there now: give the floor to somebody who is', 'came in elsewhere',
    'the conference has ended', 'there is no conference morning', 'the token lacks the scope this needs: conference', 'city/a is in conference morning: leave that one first', 'city/a is in no conference'];
  for (const detail of details) assert.doesNotMatch(chinese(403, { title: 'not allowed', detail }), english, detail);
});
