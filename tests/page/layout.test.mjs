// Where tiles go: never outside the stage, never over each other, as large as can be, every one on some page.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arrange, grid, perPage } from '../../gateway/console/layout.js';

const CAPTION = 30, box = (w, h) => ({ w, h, caption: CAPTION });
const sizes = [[360, 420], [390, 640], [768, 900], [1280, 600], [1920, 950], [3840, 2000], [800, 300]];
const keys = (n) => Array.from({ length: n }, (_, i) => `k${i}`);
const overlap = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

test('tiles stay on the stage and apart, and every one is on some page', () => {
  for (const [width, height] of sizes) {
    for (const n of [1, 2, 3, 5, 7, 12, 25, 49, 64, 120]) {
      for (const large of ['', 'k0']) {
        const seen = new Set(), first = arrange({ tiles: keys(n), large, width, height });
        for (let page = 0; page < first.pages; page++) {
          const { places } = arrange({ tiles: keys(n), large, width, height, page });
          const what = `${n} at ${width}×${height}, ${large || 'equal'}, page ${page}`;
          for (const [i, a] of places.entries()) {
            assert.ok(a.w > 30 && a.h > CAPTION, `${what}: ${JSON.stringify(a)}`);
            assert.ok(a.x >= 0 && a.y >= 0 && a.x + a.w <= width + 1 && a.y + a.h <= height + 1, `${what}: ${JSON.stringify(a)}`);
            for (const b of places.slice(i + 1)) assert.ok(!overlap(a, b), `${what}: ${JSON.stringify([a, b])}`);
            seen.add(a.key);
          }
          assert.ok(places.length <= 64);
        }
        assert.equal(seen.size, n, `${n} at ${width}×${height}`);
      }
    }
  }
});

test('a grid makes the most of the room', () => {
  assert.equal(grid(1, box(1280, 720)).columns, 1);
  assert.deepEqual([grid(2, box(1280, 600)).columns, grid(2, box(390, 640)).columns], [2, 1]);
  assert.equal(grid(9, box(1600, 1000)).columns, 3);
});

test('pages are filled evenly', () => {
  assert.equal(perPage(5, box(1920, 1000), 150), 5);
  const per = perPage(26, box(1280, 600), 200);
  assert.ok(per < 26 && Math.ceil(26 / per) * per - 26 < Math.ceil(26 / per), `${per}`);
});

test('a page that is no more becomes the last one', () => {
  const many = arrange({ tiles: keys(60), width: 390, height: 640, page: 99 });
  assert.ok(many.pages > 1);
  assert.equal(many.page, many.pages - 1);
  assert.equal(arrange({ tiles: keys(2), width: 390, height: 640, page: 3 }).page, 0);
});

test('the large one takes most of the room, beside or above the others', () => {
  const [wide] = arrange({ tiles: keys(6), large: 'k2', width: 1280, height: 600 }).places;
  assert.ok(wide.key === 'k2' && wide.large && wide.w > 800 && wide.h === 600);
  const [tall, next] = arrange({ tiles: keys(6), large: 'k2', width: 390, height: 640 }).places;
  assert.ok(tall.w === 390 && next.y >= tall.h);
  assert.equal(arrange({ tiles: ['k0'], large: 'k0', width: 500, height: 400 }).places[0].w, 500);
});

test('without room nothing breaks', () => {
  assert.doesNotThrow(() => arrange({ tiles: keys(5), large: 'k0', width: 0, height: 0 }));
  assert.deepEqual(arrange({ tiles: [], width: 100, height: 100 }).places, []);
});
