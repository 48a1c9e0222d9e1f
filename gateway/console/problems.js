// What the gateway refuses, in Chinese. It answers in English: a title for each kind of problem, a detail for this one.

/** Sentences that a person at the console meets. What stands in brackets in a pattern is told, too. */
const details = [
  [/^The token has expired/, () => '令牌已过期或尚未生效，请索取新令牌。'],
  [/^The token was revoked/, () => '令牌已被吊销，请索取新令牌。'],
  [/^The token is not one that this gateway takes/, () => '网关不认可此令牌：签名、密钥或格式不对。'],
  [/^The request needs a token/, () => '请求缺少令牌。'],
  [/^[Tt]he token lacks the scope this needs: (.+?)\.?$/, scope => `令牌缺少所需权限：${scope}。`],
  [/^The token is for other endpoints/, () => '令牌只适用于其他端点。'],
  [/^The session was made with another token/, () => '该会话由另一令牌建立，只有该令牌或管理员可以更改。'],
  [/^(?:There is no session|session \S+ is not here)/, () => '会话已结束或不存在。'],
  [/^[Ee]ndpoint (\S+) is not known here/, id => `此处没有端点 ${id}：一天内没有推流，或从未推流。`],
  [/^(\S+) does not publish now/, id => `${id} 当前无人推流。`],
  [/^(\S+) is published already, by (.+?) since/, (id, who) => `${id} 已由 ${who} 推流，请先停止那一路。`],
  [/^endpoint (\S+) is not of this site, which is (\S+)/, (id, site) => `端点 ${id} 不属于本站点，本站点为 ${site}。`],
  [/^endpoint id "(.*)" is not/, id => `编号“${id}”不符合 站点/名称 的格式。`],
  [/^(\S+) is a listener: a chair has to make it/, id => `${id} 是旁听，需先由主席改为参会。`],
  [/^(\S+) is a listener: make it/, id => `${id} 是旁听，请先改为参会。`],
  [/^(\S+) is a listener: it cannot share/, id => `${id} 是旁听，不能共享屏幕。`],
  [/^(\S+) shares a screen: one at a time/, id => `${id} 正在共享屏幕，同时只能有一路。`],
  [/^the chair muted (\S+): ask for the floor/, () => '主席已将您静音，请申请发言。'],
  [/^only a chair of conference (\S+) may /, () => '只有主席可以这样做。'],
  [/^(\S+) is not in conference (\S+)/, id => `${id} 不在会议中。`],
  [/^conference (\S+) is locked/, id => `会议 ${id} 已锁定，请联系主席解除锁定。`],
  [/^conference (\S+) is full \((\d+)/, (id, n) => `会议 ${id} 已满（${n} 人）。`],
  [/^there is a conference (\S+) already/, id => `已有会议 ${id}。`],
  [/^there are (\d+) conferences: end one/, n => `会议数已达上限 ${n}，请先结束一个。`],
  [/there is no conference (\S+)/i, id => `没有会议 ${id}，可能已结束。`],
  [/^(\S+) is in no conference/, id => `${id} 不在任何会议中。`],
  [/^(\S+) is in conference (\S+): leave/, (id, conference) => `${id} 已在会议 ${conference} 中，请先离开。`],
  [/^removed by the chair/, () => '您已被主席移出会议。'],
  [/^removed by an operator/, () => '您已被值班员移出会议。'],
  [/^(\S+) was removed from conference (\S+): a chair/, id => `${id} 已被移出会议，需由主席或值班员允许后才能重新加入。`],
  [/^(\S+) was not removed from/, id => `${id} 未被移出会议。`],
  [/^(\S+) is not there now: give the floor/, id => `${id} 当前不在线，请把发言权交给在线的人。`],
  [/conference (?:has )?ended|^ended\b|it ended/, () => '会议已结束。'],
  [/elsewhere/, () => '同一编号已在别处入会，本页已退出。'],
  [/token (?:has )?(?:ended|expired)/, () => '令牌已过期，请索取新令牌。'],
  [/gateway (?:is )?stop/, () => '网关正在停机。'],
  [/limit of (\d+) endpoints is reached/, n => `端点数已达上限 ${n}。`],
  [/limit of (\d+) sessions is reached/, n => `会话数已达上限 ${n}，请稍后重试。`],
  [/this token has (\d+) sessions/, n => `此令牌的会话数已达上限 ${n}，请先结束一些，或换用另一令牌。`],
  [/^(\d+) event streams are open/, n => `事件流已达上限 ${n} 路，请稍后重试。`],
  [/the gateway is about to stop/, () => '网关即将停机，暂不接受新会话，请稍后重试。'],
  [/out of memory|Out of memory/, () => '网关内存不足，请稍后重试。'],
  [/^m-line \d+ \((\w+)\) offers (.+?); the gateway relays (.+)$/,
    (kind, has, takes) => `浏览器提供的${kind === 'audio' ? '音频' : '视频'}编码为 ${has}，网关只转发 ${takes}。`],
  [/^(\S+) sends (.+); the viewer takes (.+)$/, (id, sends, takes) => `${id} 发送 ${sends}；浏览器可接收 ${takes}。`],
];

const titles = {
  'Bad request': '请求有误', 'Bad endpoint id': '编号有误', 'Not found': '不存在', 'No such endpoint': '没有此端点', 'No such session': '没有此会话',
  'No token': '缺少令牌', 'Invalid token': '令牌无效', 'Not allowed': '令牌权限不足',
  'No codec in common': '没有共同的编码', 'Not now': '目前不能进行', 'Session has changed': '会话已变更', 'Too large': '请求过大',
  'Wrong content type': '类型不支持', 'Unsupported media type': '类型不支持', 'Method not allowed': '不支持此操作',
  'Offer cannot be taken': '网关不支持此请求', 'If-Match is missing': '请求缺少 If-Match', 'Not available': '网关已满或正在停机',
  'Too many readers': '事件流过多', 'Too many sessions': '会话过多', 'Out of memory': '网关内存不足',
};

const statuses = {
  0: '会话已结束', 400: '请求有误', 401: '令牌无效', 403: '令牌权限不足', 404: '不存在', 405: '不支持此操作', 406: '没有共同的编码', 409: '目前不能进行', 412: '会话已变更',
  413: '请求过大', 415: '类型不支持', 422: '网关不支持此请求', 428: '请求不完整', 429: '请求过于频繁', 500: '网关内部错误', 502: '代理无法连接网关',
  503: '网关已满或正在停机', 504: '代理等待网关超时', 507: '网关存储已满',
};

/** A problem (RFC 9457) in Chinese. What is not known here keeps the gateway's own words behind the title. */
export function chinese(status, { title, detail }) {
  for (const [pattern, say] of details) {
    const found = detail?.match(pattern);
    if (found) return say(...found.slice(1));
  }
  const kind = titles[title] ?? statuses[status] ?? `HTTP ${status}`;
  return detail ? `${kind}（${detail}）` : `${kind}。`;
}
