// Where tiles go: rectangles for a stage of a given size. Arithmetic only.
//
// A tile is a picture of 16:9 with a caption below it: what a camera has written into its corners must stay legible, so nothing
// is laid over a picture.

export const GAP = 8;
export const MOST = 49; // tiles of a page: the gateway takes 64 tracks in a view
const RATIO = 16 / 9;

const heightOf = (width, caption) => Math.floor(width / RATIO) + caption;
/** The widest tile of which so many columns and rows fit. */
function widest(columns, rows, { w: width, h: height, caption }) {
  const across = (width - (columns - 1) * GAP) / columns;
  const down = ((height - (rows - 1) * GAP) / rows - caption) * RATIO;
  return Math.floor(Math.min(across, down));
}

/** The best grid for n tiles: whichever makes them largest. @return columns, rows, width of a tile */
export function grid(n, box) {
  let best = { columns: 1, rows: Math.max(n, 1), width: 0 };
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns), w = widest(columns, rows, box);
    if (w > best.width) best = { columns, rows, width: w };
  }
  return best;
}

/** How many tiles go on a page so that none is narrower than `least`; pages are filled evenly. */
export function perPage(n, box, least) {
  let most = Math.min(n, MOST);
  while (most > 1 && grid(most, box).width < least) most--;
  const pages = Math.max(1, Math.ceil(n / Math.max(most, 1)));
  return Math.max(1, Math.ceil(n / pages));
}

/** What is on the page that is asked for, or on the last one. */
function turn(tiles, per, page) {
  const pages = Math.max(1, Math.ceil(tiles.length / per)), at = Math.max(0, Math.min(page, pages - 1));
  return { pages, page: at, tiles: tiles.slice(at * per, (at + 1) * per) };
}

function place(key, x, y, w, h, large = false) {
  return { key, x: Math.round(x), y: Math.round(y), w: Math.round(w), h: Math.round(h), large };
}

/** Tiles in a grid in the middle of a rectangle; a last row that is not full is centred. */
function fill(tiles, { columns, rows, width }, box) {
  const h = heightOf(width, box.caption), top = box.y + Math.max(0, (box.h - rows * h - (rows - 1) * GAP) / 2);
  return tiles.map((key, i) => {
    const row = Math.floor(i / columns), inRow = Math.min(columns, tiles.length - row * columns);
    const left = box.x + (box.w - inRow * width - (inRow - 1) * GAP) / 2;
    return place(key, left + (i % columns) * (width + GAP), top + row * (h + GAP), width, h);
  });
}

function equal(tiles, box, page, least) {
  const per = perPage(tiles.length, box, least), on = turn(tiles, per, page);
  return { ...on, places: fill(on.tiles, grid(Math.max(1, Math.min(per, tiles.length)), box), box) };
}

/** A strip at the right. Where the large tile leaves room beside it anyway, the strip is wider. */
function beside(large, tiles, box, page) {
  const rows = Math.min(tiles.length, 5), five = Math.max(132, widest(1, rows, box)); // five fit above each other
  const w = Math.round(Math.min(Math.max(box.w * 0.17, 132), 420, five)), h = heightOf(w, box.caption);
  const inColumn = Math.max(1, Math.floor((box.h + GAP) / (h + GAP)));
  const room = columns => Math.min(box.w - columns * (w + GAP), (box.h - box.caption) * RATIO);
  let columns = 1;
  while (columns * inColumn < tiles.length && room(columns + 1) >= room(1) * 0.97) columns++;
  const per = columns * inColumn, on = turn(tiles, per, page), strip = columns * (w + GAP);
  const used = Math.min(inColumn, Math.ceil(on.tiles.length / columns));
  const at = { ...box, x: box.x + box.w - strip + GAP, w: strip - GAP };
  return { ...on, places: [place(large, box.x, box.y, box.w - strip, box.h, true), ...fill(on.tiles, { columns, rows: used, width: w }, at)] };
}

/** A phone held upright: the large one above, the others below it. */
function above(large, tiles, box, page, least) {
  const h = Math.round(Math.min(heightOf(box.w, box.caption), box.h * 0.62)), rest = { ...box, y: box.y + h + GAP, h: box.h - h - GAP };
  const below = equal(tiles, rest, page, Math.min(least, Math.floor((box.w - 2 * GAP) / 3)));
  return { ...below, places: [place(large, box.x, box.y, box.w, h, true), ...below.places] };
}

/**
 * @param tiles  keys, in their order
 * @param large  the key of the one that is large, or nothing
 * @param caption  how high it is, pixels
 * @param least  no tile of a grid is narrower than this, but there are more pages; pixels
 * @return places: key, x, y, w, h, large; page and pages, which may differ from the page that was asked for
 */
export function arrange({ tiles, large, width, height, caption = 30, page = 0, least = 150 }) {
  const box = { x: 0, y: 0, w: width, h: height, caption }, others = tiles.filter(key => key !== large);
  if (!large) return equal(others, box, page, least);
  if (!others.length) return { pages: 1, page: 0, tiles: [], places: [place(large, 0, 0, width, height, true)] };
  return width > height * 1.15 ? beside(large, others, box, page) : above(large, others, box, page, least);
}
