/* What runs inside the browsers: a canvas that counts its frames, a small WHIP and WHEP client, and a reader that decodes
 * the count on the far side. Injected into a blank page before anything else runs; everything hangs on `muster`.
 *
 * The strip is that of tests/tools/camera/strip.h: 28 cells along the top twelfth of the picture, white, black, 24 bits,
 * even parity, white.
 */
globalThis.muster = (() => {
  const CELLS = 28, BITS = 24, PART = 12, CONTRAST = 80;
  const parity = (n) => { let p = 0; for (; n; n >>>= 1) p ^= n & 1; return p; };

  function drawStrip(ctx, width, height, number) {
    const rows = Math.floor(height / PART);
    for (let cell = 0; cell < CELLS; cell++) {
      const white = cell === 0 || cell === CELLS - 1 ? 1 : cell === 1 ? 0
        : cell === BITS + 2 ? parity(number) : (number >>> (BITS + 1 - cell)) & 1;
      const from = Math.floor(width * cell / CELLS), to = Math.floor(width * (cell + 1) / CELLS);
      ctx.fillStyle = white ? '#fff' : '#000';
      ctx.fillRect(from, 0, to - from, rows);
    }
  }

  const scratch = document.createElement('canvas');
  scratch.width = CELLS * 8;
  scratch.height = 8;
  const scratchCtx = scratch.getContext('2d', { willReadFrequently: true });
  /** The number in a picture (video element, VideoFrame, canvas), or -1. */
  function readStrip(picture, width, height) {
    scratchCtx.drawImage(picture, 0, 0, width, Math.floor(height / PART), 0, 0, scratch.width, scratch.height);
    const d = scratchCtx.getImageData(0, 0, scratch.width, scratch.height).data;
    const mean = (cell) => {
      let sum = 0, n = 0;
      for (let y = 2; y < 6; y++)
        for (let x = cell * 8 + 2; x < cell * 8 + 6; x++, n++) sum += d[(y * scratch.width + x) * 4 + 1];
      return sum / n;
    };
    const white = mean(0), black = mean(1), middle = (white + black) / 2;
    if (white < black + CONTRAST || mean(CELLS - 1) <= middle) return -1;
    let number = 0;
    for (let cell = 2; cell < BITS + 2; cell++) number = number * 2 + (mean(cell) > middle ? 1 : 0);
    return (mean(BITS + 2) > middle ? 1 : 0) === parity(number) ? number : -1;
  }

  const within = (promise, ms, what) => Promise.race([promise,
    new Promise((_, no) => setTimeout(() => no(new Error(`${what}: not within ${ms} ms`)), ms))]);
  const on = (target, event, test) => new Promise((yes) => {
    const look = () => { if (test()) { target.removeEventListener(event, look); yes(); } };
    target.addEventListener(event, look);
    look();
  });
  const connected = (pc, ms = 10000) => within(on(pc, 'connectionstatechange', () => {
    return pc.connectionState === 'connected';
  }), ms, 'connection');
  async function until(test, ms, what) {
    for (const end = performance.now() + ms; performance.now() < end;) {
      const value = await test();
      if (value) return value;
      await new Promise((yes) => setTimeout(yes, 50));
    }
    throw new Error(`${what}: not within ${ms} ms`);
  }

  // --- a camera of the page's own -------------------------------------------------------------------------------------

  /** A canvas that draws `fps` numbered pictures a second. */
  function countingCanvas({ width = 320, height = 180, fps = 20 } = {}) {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    document.body.append(canvas);
    const ctx = canvas.getContext('2d');
    const stream = canvas.captureStream(0), track = stream.getVideoTracks()[0];
    const capture = track.requestFrame ? track : stream; // Firefox has it on the stream
    track.contentHint = 'detail'; // keep the size, give up frames if need be
    const source = { canvas, track, count: 0 };
    source.timer = setInterval(() => {
      ctx.fillStyle = `hsl(${source.count % 360} 40% 40%)`;
      ctx.fillRect(0, 0, width, height);
      ctx.fillStyle = '#ff0';
      ctx.fillRect((source.count * 4) % width, height / 2, 24, 24);
      drawStrip(ctx, width, height, source.count++);
      capture.requestFrame();
    }, 1000 / fps);
    return source;
  }
  function tone() {
    const ctx = new AudioContext(), oscillator = ctx.createOscillator(), gain = ctx.createGain();
    const out = ctx.createMediaStreamDestination();
    oscillator.frequency.value = 440;
    gain.gain.value = 0.3;
    oscillator.connect(gain).connect(out);
    oscillator.start();
    return out.stream.getAudioTracks()[0];
  }

  // --- WHIP and WHEP -----------------------------------------------------------------------------------------------------

  async function request(method, url, token, headers = {}, body = undefined) {
    if (token) headers.Authorization = `Bearer ${token}`;
    const r = await fetch(url, { method, headers, body });
    const text = await r.text();
    return { status: r.status, text, type: r.headers.get('content-type') || '', etag: r.headers.get('etag'),
      location: r.headers.get('location') };
  }
  let way = {}; // candidates of another protocol are kept from the browser; `port`: the way to the gateway's own
  const only = (protocol, port) => { way = { protocol, port }; };
  const reachable = (sdp) => sdp.replace(/^a=candidate:.*\r\n/gm, (line) => {
    const word = line.split(' ');
    if (way.protocol && word[2] !== way.protocol) return '';
    if (way.port) word[5] = way.port;
    return word.join(' ');
  });
  /** Offer, wait for candidates, POST, take the answer. The session, or an error with the status in it. */
  async function exchange(pc, url, token, trickle) {
    await pc.setLocalDescription(await pc.createOffer());
    const early = pc.localDescription.sdp;
    if (!trickle)
      await within(on(pc, 'icegatheringstatechange', () => pc.iceGatheringState === 'complete'), 5000, 'gathering');
    const r = await request('POST', url, token, { 'Content-Type': 'application/sdp' },
      trickle ? early.replace(/^a=candidate.*\r\n/gm, '') : pc.localDescription.sdp);
    if (r.status !== 201) {
      pc.close();
      throw new Error(`POST ${r.status} ${r.text}`);
    }
    const session = { pc, token, url: new URL(r.location, url).href, etag: r.etag, answer: reachable(r.text) };
    await pc.setRemoteDescription({ type: 'answer', sdp: session.answer });
    return session;
  }
  /** The first sections of an SDP as a fragment (RFC 8840). */
  function fragmentOf(sdp) {
    const line = (re) => (sdp.match(re) || [''])[0];
    const media = sdp.split(/^(?=m=)/m)[1];
    return [line(/^a=group:BUNDLE.*$/m), line(/^a=ice-ufrag:.*$/m), line(/^a=ice-pwd:.*$/m), 'a=ice-options:trickle ice2',
      media.match(/^m=.*$/m)[0], media.match(/^a=mid:.*$/m)[0], ...(media.match(/^a=candidate:.*$/gm) || []),
      'a=end-of-candidates'].map((l) => l.trim() + '\r\n').join('');
  }
  const patch = (s, ifMatch, body, type = 'application/trickle-ice-sdpfrag') => request('PATCH', s.url, s.token,
    { 'Content-Type': type, ...(ifMatch ? { 'If-Match': ifMatch } : {}) }, body);
  /** Candidates after the offer. @return status */
  async function trickle(s) {
    await within(on(s.pc, 'icegatheringstatechange', () => s.pc.iceGatheringState === 'complete'), 5000, 'gathering');
    return (await patch(s, s.etag, fragmentOf(s.pc.localDescription.sdp))).status;
  }
  /** ICE restart by PATCH (RFC 9725, section 4.3.2). @return status and ETags */
  async function restartIce(s) {
    await s.pc.setLocalDescription(await s.pc.createOffer({ iceRestart: true }));
    await within(on(s.pc, 'icegatheringstatechange', () => s.pc.iceGatheringState === 'complete'), 5000, 'gathering');
    const r = await patch(s, '*', fragmentOf(s.pc.localDescription.sdp));
    if (r.status === 200) {
      const value = (name) => r.text.match(new RegExp(`^a=${name}:(.*)$`, 'm'))[1].trim();
      s.answer = s.answer.replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${value('ice-ufrag')}`)
        .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${value('ice-pwd')}`);
      await s.pc.setRemoteDescription({ type: 'answer', sdp: s.answer });
    }
    const result = { status: r.status, before: s.etag, after: r.etag };
    s.etag = r.etag;
    return result;
  }
  async function end(s) {
    const r = await request('DELETE', s.url, s.token);
    s.pc.close();
    return r.status;
  }

  const sessions = {};
  function prefer(transceiver, codec) {
    const kind = transceiver.sender.track ? RTCRtpSender : RTCRtpReceiver;
    const all = kind.getCapabilities('video').codecs;
    const wanted = all.filter((c) => c.mimeType.toUpperCase() === `VIDEO/${codec}` &&
      (codec !== 'H264' || /42e01f|42001f/.test(c.sdpFmtpLine)));
    if (!wanted.length) throw new Error(`this browser has no ${codec}`);
    transceiver.setCodecPreferences([...wanted, ...all.filter((c) => /\/rtx$/i.test(c.mimeType))]);
  }
  /** Publish under a name of the page's own. source: 'canvas', or 'screen': this tab as the browser shows it, filled by the canvas */
  async function publish({ name = 'pub', url, token, codec, source = 'canvas', audio = 'tone', trickle: late, ...size }) {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' }), stream = new MediaStream();
    const counter = sessions[name]?.counter || countingCanvas(size);
    let video = counter.track;
    if (source === 'screen') {
      counter.canvas.style.cssText = 'position:fixed;inset:0;width:100vw;height:100vh';
      video = (await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 15 } })).getVideoTracks()[0];
      video.contentHint = 'detail';
    }
    const t = pc.addTransceiver(video, { direction: 'sendonly', streams: [stream] });
    if (codec) prefer(t, codec);
    if (audio === 'tone') pc.addTransceiver(tone(), { direction: 'sendonly', streams: [stream] });
    if (audio === 'fake') {
      const fake = await navigator.mediaDevices.getUserMedia({ audio: true });
      pc.addTransceiver(fake.getAudioTracks()[0], { direction: 'sendonly', streams: [stream] });
    }
    const s = await exchange(pc, url, token, late);
    s.counter = counter;
    sessions[name] = s;
    if (!late) await connected(pc);
    return { location: s.url, etag: s.etag };
  }
  /** Watch: decoded pictures are read as they come. */
  async function watch({ name = 'view', url, token, codec }) {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const t = pc.addTransceiver('video', { direction: 'recvonly' });
    if (codec) prefer(t, codec);
    pc.addTransceiver('audio', { direction: 'recvonly' });
    const element = document.createElement('video');
    element.autoplay = element.playsInline = true;
    document.body.append(element);
    const stream = new MediaStream(), seen = { numbers: [], unreadable: 0 };
    const picture = (p, w, h) => {
      const n = readStrip(p, w, h);
      if (n < 0) seen.unreadable++;
      else seen.numbers.push(n);
      seen.width = w;
    };
    const began = performance.now();
    pc.ontrack = (e) => {
      stream.addTrack(e.track);
      element.srcObject = stream;
      if (e.track.kind !== 'video') return;
      if (globalThis.MediaStreamTrackProcessor) {
        const reader = new MediaStreamTrackProcessor({ track: e.track }).readable.getReader();
        (async () => {
          for (;;) {
            const { done, value } = await reader.read();
            if (done) return;
            picture(value, value.displayWidth, value.displayHeight);
            seen.firstMs ??= performance.now() - began;
            value.close();
          }
        })();
      } else {
        const next = () => {
          if (element.videoWidth) picture(element, element.videoWidth, element.videoHeight);
          seen.firstMs ??= performance.now() - began;
          element.requestVideoFrameCallback(next);
        };
        element.requestVideoFrameCallback(next);
      }
    };
    const s = await exchange(pc, url, token);
    s.seen = seen;
    s.element = element;
    sessions[name] = s;
    await connected(pc);
    return { location: s.url, etag: s.etag };
  }
  /** Wait for `n` more readable pictures. */
  async function pictures(name, n, ms = 15000) {
    const seen = sessions[name].seen, from = seen.numbers.length;
    await until(() => seen.numbers.length >= from + n, ms, `${n} pictures (${seen.unreadable} unreadable)`);
    return seen.numbers.at(-1);
  }
  function forget(name) {
    const s = sessions[name].seen;
    s.numbers.length = 0;
    s.unreadable = 0;
  }
  function seen(name) {
    const { numbers, unreadable, width, firstMs } = sessions[name].seen;
    let backwards = 0;
    for (let i = 1; i < numbers.length; i++) if (numbers[i] < numbers[i - 1]) backwards++;
    return { readable: numbers.length, distinct: new Set(numbers).size, backwards, unreadable, width, firstMs,
      first: numbers[0], last: numbers.at(-1) };
  }
  /** The few figures of getStats that the tests look at. */
  async function figures(name) {
    const out = { state: sessions[name].pc.connectionState };
    const stats = await sessions[name].pc.getStats(), all = [...stats.values()];
    const pair = stats.get(all.find((x) => x.type === 'transport')?.selectedCandidatePairId) ??
      all.find((x) => x.type === 'candidate-pair' && x.selected);
    out.protocol = stats.get(pair?.localCandidateId)?.protocol;
    for (const x of stats.values()) {
      if (x.type === 'outbound-rtp' && x.kind === 'video') {
        out.framesSent = x.framesSent;
        out.packetsSent = x.packetsSent;
        out.codec = stats.get(x.codecId)?.mimeType;
      }
      if (x.type === 'inbound-rtp' && x.kind === 'video') {
        out.framesDecoded = x.framesDecoded;
        out.packetsLost = x.packetsLost;
        out.codec = stats.get(x.codecId)?.mimeType;
      }
      if (x.type === 'inbound-rtp' && x.kind === 'audio') {
        out.audioPackets = x.packetsReceived;
        out.audioEnergy = x.totalAudioEnergy;
      }
      if (x.type === 'transport' && x.srtpCipher) out.srtp = x.srtpCipher;
    }
    return out;
  }
  return {
    sessions, request, patch, fragmentOf, publish, watch, trickle: (name) => trickle(sessions[name]),
    restartIce: (name) => restartIce(sessions[name]), end: (name) => end(sessions[name]), pictures, forget, seen, figures,
    state: (name) => sessions[name].pc.connectionState,
    /** As a page that crashes or loses its network: no DELETE. */
    vanish: (name) => sessions[name].pc.close(),
    connected: (name) => connected(sessions[name].pc),
    drawStrip, readStrip, countingCanvas, tone, exchange, only,
  };
})();
