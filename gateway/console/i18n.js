// Texts in Chinese and English. A text is a string, or a function of what it says.

import { chinese } from './problems.js';

export const texts = {
  en: {
    'nav.wall': 'Wall', 'nav.conference': 'Conferences', 'nav.label': 'Pages',
    'language': '中文', 'language.label': 'Switch to Chinese',
    'close': 'Close',
    'token.title': 'Sign in', 'token.use': 'Sign in', 'token.out': 'Sign out', 'token.label': 'Token',
    'token.help': 'Paste the token you were given, or open the link that contains it. An operator makes one with “musterctl token”.',
    'token.refused': why => `The gateway did not take the token: ${why}`,
    'list.title': 'Endpoints', 'list.search': 'Search by id or codec', 'list.empty': 'Nothing matches the search.',
    'list.count': (live, all) => `${live} live of ${all}`,
    'list.forbidden': 'This token may not list endpoints. You can still publish with it.',
    'list.watch': id => `Watch ${id}`, 'list.unwatch': id => `Stop watching ${id}`,
    'wall.title': 'Wall', 'wall.empty': 'Choose one or several endpoints to watch.',
    'state.live': 'live', 'state.idle': 'idle', 'state.lost': 'lost',
    'list.none': 'There is no endpoint yet. One appears when it first publishes.',
    'since': t => `since ${t}`, 'viewers': n => n === 1 ? '1 viewer' : `${n} viewers`,
    'link.on': 'connected', 'link.off': 'no connection to the gateway: trying again', 'link.poll': 'connected, without events',
    'tile.connecting': 'Connecting …', 'tile.waiting': 'Nobody publishes this now. It starts by itself.',
    'tile.lost': t => `Lost since ${t}. It comes back by itself.`,
    'tile.retry': (why, s) => `${why} Trying again in ${s} s.`,
    'tile.dropped': 'The connection broke: picking it up again …',
    'tile.again': why => `${why} Trying again …`,
    'audio.on': 'Mute', 'audio.off': 'Unmute', 'full': 'Full screen',
    'figures.loss': 'loss', 'figures.jitter': 'jitter', 'figures.rtt': 'RTT',
    'publish.open': 'Publish this camera', 'publish.title': 'Publish from this machine', 'publish.preview': 'What you send',
    'publish.name': 'Id (site/name)', 'publish.source': 'Picture', 'publish.microphone': 'Sound', 'publish.codec': 'Codec', 'publish.size': 'Size',
    'publish.start': 'Publish', 'publish.stop': 'Stop', 'publish.screen': 'Share a screen', 'publish.none': 'None', 'publish.auto': 'Best in common',
    'publish.camera': n => `Camera ${n}`, 'publish.mic': n => `Microphone ${n}`,
    'publish.starting': 'Starting: the browser may ask for leave …', 'publish.connecting': 'Connecting …', 'publish.live': id => `Live as ${id}`,
    'publish.ended': 'Stopped.', 'publish.on': id => `Publishing ${id}`,
    'publish.scope': 'This token may watch only. Ask an operator for one with the scope “publish”.',
    'publish.elsewhere': id => `${id} is published elsewhere now, so this page stopped. Choose another id, or end the other publisher.`,
    'error.network': 'The gateway cannot be reached. Check the network and its address.',
    'error.nopath': 'No media path to the gateway: is media.listen reachable from here?',
    'error.ended': 'The gateway ended the session.',
    'error.webrtc': 'This browser has no WebRTC: use a current Chromium, Chrome, Edge, Firefox or Safari.',
    'error.insecure': 'The browser gives camera and microphone only to https pages (or localhost). Open the gateway by https.',
    'error.denied': 'The browser was not allowed to use the camera, microphone or screen. Allow it in the address bar and publish again.',
    'error.nodevice': 'There is no such camera or microphone. Plug one in, or choose another picture.',
    'error.busy': 'Another program uses the camera. Close it and publish again.',
    'error.nothing': 'Choose a picture, a sound, or both.',
    'error.noscreen': 'This browser cannot share a screen.',
    'error.codec': c => `The gateway or this browser cannot do ${c} here. Choose another codec.`,
    'error.play': 'The browser cannot decode what this endpoint sends.',
    'error.id': 'An id is site/name, such as city.east/cam-7: a site of lower-case letters, digits, dots and inner dashes, and a name of 1 to 64 letters, digits, dots, dashes and underscores that begins with neither dot nor dash.',
  },
  zh: {
    'nav.wall': '电视墙', 'nav.conference': '会议', 'nav.label': '页面',
    'language': 'English', 'language.label': '切换到英文',
    'close': '关闭',
    'token.title': '登录', 'token.use': '登录', 'token.out': '退出', 'token.label': '令牌',
    'token.help': '粘贴发给您的令牌，或打开含令牌的链接。运维人员可用 “musterctl token” 生成令牌。',
    'token.refused': why => `网关不接受此令牌：${why}`,
    'list.title': '端点', 'list.search': '按编号或编码搜索', 'list.empty': '没有匹配的端点。',
    'list.count': (live, all) => `在线 ${live} / 共 ${all}`,
    'list.forbidden': '此令牌无权查看端点列表，但仍可用于推流。',
    'list.watch': id => `观看 ${id}`, 'list.unwatch': id => `停止观看 ${id}`,
    'wall.title': '电视墙', 'wall.empty': '请选择一个或多个端点观看。',
    'state.live': '在线', 'state.idle': '空闲', 'state.lost': '中断',
    'list.none': '还没有端点。端点首次推流后会出现在这里。',
    'since': t => `${t} 起`, 'viewers': n => `${n} 人观看`,
    'link.on': '已连接', 'link.off': '与网关的连接已断开，正在重连', 'link.poll': '已连接（无事件流）',
    'tile.connecting': '正在连接……', 'tile.waiting': '当前无人推流，开始后将自动播放。',
    'tile.lost': t => `信号自 ${t} 中断，恢复后自动继续。`,
    'tile.retry': (why, s) => `${why} ${s} 秒后重试。`,
    'tile.dropped': '连接中断，正在恢复……',
    'tile.again': why => `${why} 正在重试……`,
    'audio.on': '静音', 'audio.off': '开声音', 'full': '全屏',
    'figures.loss': '丢包', 'figures.jitter': '抖动', 'figures.rtt': '往返',
    'publish.open': '推送本机摄像头', 'publish.title': '从本机推流', 'publish.preview': '本机画面',
    'publish.name': '编号（站点/名称）', 'publish.source': '画面', 'publish.microphone': '声音', 'publish.codec': '编码', 'publish.size': '分辨率',
    'publish.start': '开始推流', 'publish.stop': '停止', 'publish.screen': '共享屏幕', 'publish.none': '无', 'publish.auto': '自动选择',
    'publish.camera': n => `摄像头 ${n}`, 'publish.mic': n => `麦克风 ${n}`,
    'publish.starting': '正在启动，浏览器可能会请求授权……', 'publish.connecting': '正在连接……', 'publish.live': id => `正在以 ${id} 推流`,
    'publish.ended': '已停止。', 'publish.on': id => `正在推流 ${id}`,
    'publish.scope': '此令牌只能观看。请向运维人员索取带 publish 权限的令牌。',
    'publish.elsewhere': id => `${id} 已在别处推流，本页已停止。请换一个编号，或先停止另一路推流。`,
    'error.network': '无法连接网关，请检查网络和地址。',
    'error.nopath': '到网关没有媒体通路：从本机能否到达 media.listen 的地址？',
    'error.ended': '网关结束了会话。',
    'error.webrtc': '此浏览器不支持 WebRTC，请使用新版 Chromium、Chrome、Edge、Firefox 或 Safari。',
    'error.insecure': '浏览器只允许 https 页面（或 localhost）使用摄像头和麦克风，请用 https 打开网关。',
    'error.denied': '浏览器未获准使用摄像头、麦克风或屏幕。请在地址栏允许后重新推流。',
    'error.nodevice': '没有这个摄像头或麦克风，请接好设备或另选画面。',
    'error.busy': '摄像头被其他程序占用，请关闭该程序后重新推流。',
    'error.nothing': '请选择画面、声音或两者。',
    'error.noscreen': '此浏览器不能共享屏幕。',
    'error.codec': c => `网关或浏览器在此不支持 ${c}，请另选编码。`,
    'error.play': '浏览器无法解码该端点的媒体。',
    'error.id': '编号格式为 站点/名称，例如 city.east/cam-7：站点用小写字母、数字、点和中间的横线；名称为 1 至 64 个字母、数字、点、横线或下划线，不以点或横线开头。',
  },
};

/** Texts of one page only. @param more by language, as above */
export function add(more) {
  for (const [name, rows] of Object.entries(more)) Object.assign(texts[name], rows);
}

let language = localStorage.getItem('muster-language') || (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');

export function t(key, ...args) {
  const text = texts[language][key] ?? texts.en[key] ?? key;
  return typeof text === 'function' ? text(...args) : text;
}

/** What the gateway answered, in the page's language; the gateway itself speaks English. */
export function refusal(status, problem) {
  return language === 'zh' ? chinese(status, problem) : problem.detail || problem.title || `HTTP ${status}`;
}

/** Fill every element that names a text. */
export function translate(root = document) {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  for (const e of root.querySelectorAll('[data-i18n]')) e.textContent = t(e.dataset.i18n);
  for (const e of root.querySelectorAll('[data-i18n-label]')) e.setAttribute('aria-label', t(e.dataset.i18nLabel));
  for (const e of root.querySelectorAll('[data-i18n-placeholder]')) e.placeholder = t(e.dataset.i18nPlaceholder);
}

export function switchLanguage() {
  language = language === 'zh' ? 'en' : 'zh';
  localStorage.setItem('muster-language', language);
  translate();
}

const clocks = new Map(); // making a formatter is slow, and a list has a thousand times in it
function formatter(options) {
  const key = document.documentElement.lang + options;
  if (!clocks.has(key)) {
    const time = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
    clocks.set(key, new Intl.DateTimeFormat(document.documentElement.lang, options === 'time' ? time : { month: 'short', day: 'numeric', ...time }));
  }
  return clocks.get(key);
}

/** Clock time of a moment as the API writes it (RFC 3339); with the date when it was not today. */
export function clock(since) {
  const date = new Date(since);
  return formatter(date.toDateString() === new Date().toDateString() ? 'time' : 'date').format(date);
}
