// Figures of a conference: what the link bears, what each picture gets and why, what is sent.

import { t } from './i18n.js';
import { morph } from './morph.js';
import { make } from './people.js';
import { member } from './room.js';

export function rate(bps) {
  if (bps === undefined || bps === null) return '–';
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bps / 1e3)} kbit/s`;
}
const percent = x => x === undefined ? '–' : `${(x * 100).toFixed(1)} %`;
const ms = x => x === undefined || x === null ? '–' : `${Math.round(x)} ms`;

/** One's own connection in a word. @return 'good', 'fair', 'bad', '' not measured */
export function ownGrade({ quality, line, paths }) {
  if (line === 'lost' || paths.down === 'dropped' || paths.up === 'dropped') return 'bad';
  if (!quality?.link) return '';
  const { loss = 0, rtt_ms: rtt = 0 } = quality.link, weak = (quality.down ?? []).filter(d => d.why === 'link' || d.why === 'paused');
  if (loss > 0.1 || rtt > 800 || weak.some(d => d.why === 'paused')) return 'bad';
  return loss > 0.02 || rtt > 300 || weak.length ? 'fair' : 'good';
}

export class Quality {
  constructor() {
    this.root = document.getElementById('quality-body');
  }

  async show(meeting) {
    const { quality } = meeting;
    const sent = await this.sent(meeting);
    if (!quality) {
      morph(this.root, [make('p', { className: 'hint', textContent: t('q.none') })]);
      return;
    }
    const link = quality.link ?? {};
    morph(this.root, [
      make('h3', { textContent: t('q.link') }),
      list([['q.estimate', rate(link.estimate)], ['q.sent', rate(link.sent)], ['q.loss', percent(link.loss)], ['q.rtt', ms(link.rtt_ms)], ...(link.limit ? [['q.limit', t(`q.limit.${link.limit}`)]] : [])]),
      make('h3', { textContent: t('q.down') }),
      table(['q.who', 'q.size', 'q.rate', 'q.layer', 'q.why'], (quality.down ?? []).filter(d => d.endpoint).map(d => down(meeting, d))),
      make('h3', { textContent: t('q.up') + (meeting.encodings ? ` (${t('q.encodings', meeting.encodings)})` : '') }),
      table(['q.who', 'q.size', 'q.rate', 'q.lost', 'q.rtt'], (quality.up ?? []).map(u => up(meeting, u, sent))),
    ]);
  }

  /** What the browser itself says of what it sends: the sizes. @return by label and rid */
  async sent({ sender }) {
    const sizes = new Map();
    if (!sender) return sizes;
    const report = await sender.pc.getStats().catch(() => new Map());
    const mids = new Map([...sender.labels].map(([label, tr]) => [tr.mid, label]));
    for (const s of report.values()) {
      if (s.type === 'outbound-rtp' && s.frameWidth && s.active !== false) sizes.set(`${mids.get(s.mid)} ${s.rid ?? ''}`, `${s.frameWidth}×${s.frameHeight}`);
    }
    return sizes;
  }
}

function down({ state }, d) {
  const name = member(state, d.endpoint)?.name ?? d.endpoint, size = d.width ? `${d.width}×${d.height}` : '–';
  const layer = d.layers > 1 ? `${d.layer + 1} / ${d.layers}` : '–';
  return [d.label === 'video' ? name : `${name} (${t(`q.label.${d.label}`)})`, d.label === 'audio' ? '–' : size, rate(d.bps), d.label === 'audio' ? '–' : layer, d.why ? t(`q.why.${d.why}`) : '–'];
}

function up(meeting, u, sent) {
  const rests = meeting.wantedLayers[u.label]?.length !== undefined && u.rid && !meeting.wantedLayers[u.label].includes(u.rid);
  return [[t(`q.label.${u.label}`), u.rid].filter(Boolean).join(' '), rests ? t('q.rested') : sent.get(`${u.label} ${u.rid ?? ''}`) ?? '–', rate(u.bps), u.lost === undefined ? '–' : String(u.lost), ms(u.rtt_ms)];
}

function list(rows) {
  return make('dl', { className: 'figures-list' }, ...rows.map(([key, value]) => make('div', {}, make('dt', { textContent: t(key) }), make('dd', { textContent: value }))));
}

function table(heads, rows) {
  if (!rows.length) return make('p', { className: 'hint', textContent: t('q.none') });
  return make('table', {}, make('thead', {}, make('tr', {}, ...heads.map(h => make('th', { scope: 'col', textContent: t(h) })))),
    make('tbody', {}, ...rows.map(cells => make('tr', {}, ...cells.map((c, i) => make(i ? 'td' : 'th', i ? { textContent: c } : { scope: 'row', textContent: c }))))));
}
