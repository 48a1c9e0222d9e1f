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

  function grainOf(width, height) {
    const canvas = new OffscreenCanvas(width, height), ctx = canvas.getContext('2d'), cell = 8;
    for (let y = 0; y < height; y += cell) {
      for (let x = 0; x < width; x += cell) {
        ctx.fillStyle = `hsl(${Math.random() * 360} 50% ${30 + Math.random() * 40}%)`;
        ctx.fillRect(x, y, cell, cell);
      }
    }
    return canvas;
  }
  /** A canvas that draws `fps` numbered pictures a second. */
  function countingCanvas({ width = 320, height = 180, fps = 20, noise = false, hidden = false } = {}) {
    const canvas = document.createElement('canvas');
    canvas.hidden = hidden;
    canvas.width = width;
    canvas.height = height;
    document.body.append(canvas);
    const ctx = canvas.getContext('2d');
    const stream = canvas.captureStream(0), track = stream.getVideoTracks()[0];
    const capture = track.requestFrame ? track : stream; // Firefox has it on the stream
    track.contentHint = 'detail'; // keep the size, give up frames if need be
    const source = { canvas, track, count: 0 };
    const grain = noise && grainOf(2 * width, 2 * height); // what an encoder spends its bits on
    source.timer = setInterval(() => {
      ctx.fillStyle = `hsl(${source.count % 360} 40% 40%)`;
      ctx.fillRect(0, 0, width, height);
      if (grain) ctx.drawImage(grain, -Math.random() * width, -Math.random() * height);
      ctx.fillStyle = '#ff0';
      ctx.fillRect((source.count * 4) % width, height / 2, 24, 24);
      drawStrip(ctx, width, height, source.count++);
      capture.requestFrame();
    }, 1000 / fps);
    return source;
  }
  let toneContext;
  /** @return a track, whose `gain` may be changed */
  function tone(hz = 440) {
    const ctx = toneContext ??= new AudioContext(), oscillator = ctx.createOscillator(), gain = ctx.createGain();
    const out = ctx.createMediaStreamDestination();
    oscillator.frequency.value = hz;
    gain.gain.value = 0.3;
    oscillator.connect(gain).connect(out);
    oscillator.start();
    return Object.assign(out.stream.getAudioTracks()[0], { gain: gain.gain });
  }

  // --- a member's camera and microphone, and what it sees and hears on the console's page ---------------------------------------

  /** What a camera and a microphone give for getUserMedia: a counting canvas, a tone. */
  function fakeMedia({ video }, { camera, hz }) {
    return new MediaStream([video ? countingCanvas({ ...camera, hidden: true }).track : tone(hz)]);
  }
  const looks = {};
  /** Follow a tile's pictures from now on, whatever connection they come by: { at, n, width }, at of Date. */
  function look(endpoint, label = 'video') {
    const seen = looks[endpoint] = [], tile = () => document.querySelector(`[data-seat="${endpoint}"][data-label=${label}] video`);
    let before;
    setInterval(() => {
      const element = tile(), track = element?.srcObject?.getVideoTracks()[0];
      if (!track || track === before) return;
      before = track;
      readPictures(track, element, (p, w, h) => track === tile()?.srcObject?.getVideoTracks()[0] && seen.push({ at: Date.now(), n: readStrip(p, w, h), width: w }));
    }, 20);
  }
  const ears = new Map();
  /** The strength of each of these tones in some sound, as a share of all of it; silence: 0. */
  function spectrum(track, hzs) {
    if (!ears.has(track)) {
      const analyser = ear.createAnalyser();
      analyser.fftSize = 8192;
      analyser.smoothingTimeConstant = 0;
      ear.createMediaStreamSource(new MediaStream([track])).connect(analyser);
      ears.set(track, analyser);
    }
    const analyser = ears.get(track), bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    const power = bins.map((db) => 10 ** (db / 10)), all = power.reduce((sum, x) => sum + x, 0);
    return hzs.map((hz) => {
      const at = Math.round(hz * analyser.fftSize / ear.sampleRate);
      return all > 1e-7 ? power.slice(at - 4, at + 5).reduce((sum, x) => sum + x, 0) / all : 0;
    });
  }
  /** The same of a browser that plays nothing, as Firefox on a machine without a sound card: recorded, decoded. */
  async function recorded(track, hzs) {
    const recorder = new MediaRecorder(new MediaStream([track])), parts = [];
    const stopped = new Promise((yes) => { recorder.onstop = yes; });
    recorder.ondataavailable = (e) => parts.push(e.data);
    recorder.start();
    setTimeout(() => recorder.stop(), 400);
    await stopped;
    const sound = await new OfflineAudioContext(1, 48000, 48000).decodeAudioData(await new Blob(parts).arrayBuffer()).catch(() => null);
    const samples = sound?.getChannelData(0).slice(-9600) ?? [], all = samples.reduce((sum, x) => sum + x * x, 0);
    return hzs.map((hz) => { // Goertzel
      const factor = 2 * Math.cos(2 * Math.PI * hz / 48000);
      let s1 = 0, s2 = 0;
      for (const x of samples) [s1, s2] = [x + factor * s1 - s2, s1];
      return all > 1e-5 * samples.length ? 2 * (s1 * s1 + s2 * s2 - factor * s1 * s2) / (samples.length * all) : 0;
    });
  }
  let ear, plays;
  /** The share that each of these tones has of what a player of the page plays: the most of all players. */
  async function tones(hzs) {
    ear ??= new AudioContext();
    plays ??= await Promise.race([ear.resume().then(() => true), new Promise((yes) => setTimeout(() => yes(false), 500))]);
    const tracks = [...document.querySelectorAll('#sounds audio')].map((a) => a.srcObject?.getAudioTracks()[0]).filter((t) => t?.readyState === 'live');
    const all = await Promise.all(tracks.map((t) => plays ? spectrum(t, hzs) : recorded(t, hzs)));
    return Object.fromEntries(hzs.map((hz, i) => [hz, Math.max(0, ...all.map((row) => row[i]))]));
  }
  /** Frames that each encoding of the picture has sent, by width. */
  async function sentFrames(pc) {
    const out = {};
    for (const x of (await pc.getStats()).values()) if (x.type === 'outbound-rtp' && x.kind === 'video' && x.frameWidth) out[x.frameWidth] = (out[x.frameWidth] ?? 0) + x.framesSent;
    return out;
  }

  // --- WHIP and WHEP -----------------------------------------------------------------------------------------------------

  async function request(method, url, token, headers = {}, body = undefined) {
    if (token) headers.Authorization = `Bearer ${token}`;
    const r = await fetch(url, { method, headers, body });
    const text = await r.text();
    return { status: r.status, text, type: r.headers.get('content-type') || '', etag: r.headers.get('etag'),
      location: r.headers.get('location'), link: r.headers.get('link') };
  }
  /** The TURN servers of a Link header (RFC 9725, section 4.6), written apart from the console's own reader. */
  function turnServers(link) {
    return (link ?? '').split(/,\s*(?=<)/).filter((l) => l.startsWith('<turn')).map((l) => {
      const p = Object.fromEntries([...l.matchAll(/; ([\w-]+)="([^"]*)"/g)].map((m) => [m[1], m[2]]));
      return { urls: l.slice(1, l.indexOf('>')), username: p.username, credential: p.credential };
    });
  }
  /** Offer at once, gather when the answer has named the servers, and by them only. */
  async function exchangeByRelay(pc, url, token) {
    const offer = await pc.createOffer();
    const r = await request('POST', url, token, { 'Content-Type': 'application/sdp' }, offer.sdp);
    if (r.status !== 201) throw new Error(`POST ${r.status} ${r.text}`);
    pc.setConfiguration({ ...pc.getConfiguration(), iceTransportPolicy: 'relay', iceServers: turnServers(r.link) });
    await pc.setLocalDescription(offer);
    await pc.setRemoteDescription({ type: 'answer', sdp: r.text });
    return { pc, token, url: new URL(r.location, url).href, etag: r.etag, answer: r.text };
  }
  /** What these servers give a connection that may use nothing else: kinds of candidates, and codes of errors. */
  async function gather(iceServers) {
    const pc = new RTCPeerConnection({ iceTransportPolicy: 'relay', iceServers }), got = { types: [], errors: [] };
    pc.onicecandidate = (e) => e.candidate?.candidate && got.types.push(e.candidate.type);
    pc.onicecandidateerror = (e) => got.errors.push(e.errorCode);
    pc.addTransceiver('video', { direction: 'recvonly' });
    await pc.setLocalDescription(await pc.createOffer());
    await within(on(pc, 'icegatheringstatechange', () => pc.iceGatheringState === 'complete'), 15000, 'gathering');
    pc.close();
    return got;
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
  /** Chromium knows dependency descriptors, and does not offer them by itself. */
  const describe = (transceiver) => transceiver.setHeaderExtensionsToNegotiate(
    transceiver.getHeaderExtensionsToNegotiate().map((e) => ({ ...e,
      direction: /dependency-descriptor/.test(e.uri) ? 'sendrecv' : e.direction })));
  /** Publish under a name of the page's own. source: 'canvas', or 'screen': this tab as the browser shows it, filled by the canvas */
  async function publish({ name = 'pub', url, token, codec, source = 'canvas', audio = 'tone', trickle: late, encodings, descriptors, hint, relay, ...size }) {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' }), stream = new MediaStream();
    const counter = sessions[name]?.counter || countingCanvas(size);
    let video = counter.track;
    if (hint) video.contentHint = hint;
    if (source === 'screen') {
      counter.canvas.style.cssText = 'position:fixed;inset:0;width:100vw;height:100vh';
      video = (await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 15 } })).getVideoTracks()[0];
      video.contentHint = 'detail';
    }
    const t = pc.addTransceiver(video, { direction: 'sendonly', streams: [stream], ...(encodings && { sendEncodings: encodings }) });
    if (codec) prefer(t, codec);
    if (descriptors) describe(t);
    if (audio === 'tone') pc.addTransceiver(tone(), { direction: 'sendonly', streams: [stream] });
    if (audio === 'fake') {
      const fake = await navigator.mediaDevices.getUserMedia({ audio: true });
      pc.addTransceiver(fake.getAudioTracks()[0], { direction: 'sendonly', streams: [stream] });
    }
    const s = relay ? await exchangeByRelay(pc, url, token) : await exchange(pc, url, token, late);
    s.counter = counter;
    sessions[name] = s;
    if (!late) await connected(pc);
    return { location: s.url, etag: s.etag };
  }
  /** Which encodings of a simulcast publisher are sent. */
  async function send(name, rids) {
    const sender = sessions[name].pc.getSenders().find((x) => x.track?.kind === 'video'), parameters = sender.getParameters();
    for (const e of parameters.encodings) e.active = rids.includes(e.rid);
    await sender.setParameters(parameters);
  }
  function note(seen, picture, width, height) {
    const n = readStrip(picture, width, height);
    if (n < 0) seen.unreadable++;
    else seen.numbers.push(n);
    seen.width = width;
  }
  /** Every picture of a track, by the track itself where the browser can, else as the element shows them. */
  function readPictures(track, element, picture) {
    if (globalThis.MediaStreamTrackProcessor) {
      // after a repair several pictures come at once: none may be passed over
      const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 60 }).readable.getReader();
      (async () => {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return;
          picture(value, value.displayWidth, value.displayHeight);
          value.close();
        }
      })();
      return;
    }
    const next = () => {
      if (element.videoWidth) picture(element, element.videoWidth, element.videoHeight);
      element.requestVideoFrameCallback(next);
    };
    element.requestVideoFrameCallback(next);
  }
  /** Watch: decoded pictures are read as they come. */
  async function watch({ name = 'view', url, token, codec, descriptors, relay }) {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const t = pc.addTransceiver('video', { direction: 'recvonly' });
    if (codec) prefer(t, codec);
    if (descriptors) describe(t);
    pc.addTransceiver('audio', { direction: 'recvonly' });
    const element = document.createElement('video');
    element.autoplay = element.playsInline = true;
    document.body.append(element);
    const stream = new MediaStream(), seen = { numbers: [], unreadable: 0 };
    const began = performance.now();
    pc.ontrack = (e) => {
      stream.addTrack(e.track);
      element.srcObject = stream;
      if (e.track.kind !== 'video') return;
      readPictures(e.track, element, (p, w, h) => {
        note(seen, p, w, h);
        seen.firstMs ??= performance.now() - began;
      });
    };
    const s = relay ? await exchangeByRelay(pc, url, token) : await exchange(pc, url, token);
    s.seen = seen;
    s.element = element;
    sessions[name] = s;
    await connected(pc);
    return { location: s.url, etag: s.etag };
  }

  // --- the console session (docs/signalling.md), as little of it as a member of a conference needs ---------------------------

  /** Three encodings of a picture; bits a second of each. */
  const ENCODINGS = [{ rid: 'l', scaleResolutionDownBy: 4, maxBitrate: 100000 }, { rid: 'm', scaleResolutionDownBy: 2, maxBitrate: 300000 },
    { rid: 'h', scaleResolutionDownBy: 1, maxBitrate: 1200000 }];
  /**
   * Come into a conference. `camera`: publish a counting canvas of that kind and a tone of `hz`; `single`: in one encoding. Whoever is viewed is in
   * sessions[name].seen[endpoint]; view() says whom. `deaf`: takes nothing, not even sound.
   */
  async function enter({ name = 'room', url, token, endpoint, conference, camera, deaf }) {
    const ws = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/console`, 'muster.1');
    const s = { ws, deaf, seen: {}, slots: {}, answers: new Map(), said: [], state: null, speaker: null, quality: null };
    sessions[name] = s;
    s.ask = (type, rest = {}) => within(new Promise((yes, no) => {
      const id = s.answers.size + 1;
      s.answers.set(id, { yes, no });
      ws.send(JSON.stringify({ type, id, ...rest }));
    }), 10000, type);
    await within(on(ws, 'open', () => ws.readyState === WebSocket.OPEN), 5000, 'WebSocket');
    ws.onclose = (e) => s.said.push(`closed ${e.code} ${e.reason}`);
    ws.onmessage = ({ data }) => hear(s, JSON.parse(data));
    await s.ask('hello', { token, endpoint });
    await s.ask('join', { conference, name: endpoint });
    if (camera) await publishUp(s, camera);
    return endpoint;
  }
  async function hear(s, m) {
    if (m.id) {
      const { yes, no } = s.answers.get(m.id) ?? {};
      if (m.type === 'error') no?.(new Error(`${m.error.status} ${m.error.title}: ${m.error.detail}`));
      else yes?.(m);
    } else if (m.type === 'offer') {
      if (!s.deaf) await answerDown(s, m);
    } else if (m.type === 'tracks') {
      s.slots = Object.fromEntries(m.tracks.map((t) => [t.mid, t]));
    } else if (m.type === 'layers') {
      await restLayers(s, m.wanted);
    } else if (['speaker', 'quality', 'conference'].includes(m.type)) {
      s[m.type] = m;
    } else {
      s.said.push(JSON.stringify(m));
    }
  }
  async function publishUp(s, camera) {
    s.up = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    s.counter = countingCanvas(camera);
    s.counter.track.contentHint = 'motion'; // of a screen the browser sends fewer encodings
    const stream = new MediaStream();
    s.tone = tone(camera.hz);
    const audio = s.up.addTransceiver(s.tone, { direction: 'sendonly', streams: [stream] });
    const video = s.up.addTransceiver(s.counter.track, { direction: 'sendonly', streams: [stream],
      sendEncodings: camera.single ? undefined : ENCODINGS });
    prefer(video, 'VP8');
    s.video = video;
    await s.up.setLocalDescription(await s.up.createOffer());
    await within(on(s.up, 'icegatheringstatechange', () => s.up.iceGatheringState === 'complete'), 5000, 'gathering');
    const tracks = [{ mid: audio.mid, label: 'audio' }, { mid: video.mid, label: 'video' }];
    const { sdp } = await s.ask('offer', { sdp: s.up.localDescription.sdp, tracks, fresh: true });
    await s.up.setRemoteDescription({ type: 'answer', sdp });
    await connected(s.up);
  }
  async function restLayers(s, wanted) {
    if (!s.video || s.video.sender.getParameters().encodings.length < 2) return;
    const p = s.video.sender.getParameters();
    for (const e of p.encodings) e.active = wanted.includes(e.rid);
    await s.video.sender.setParameters(p).catch((e) => s.said.push(e.message));
  }
  async function answerDown(s, m) {
    if (!s.down || m.fresh) {
      s.down?.close();
      s.down = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
      s.down.ontrack = (e) => hang(s, e);
    }
    await s.down.setRemoteDescription({ type: 'offer', sdp: m.sdp });
    await s.down.setLocalDescription(await s.down.createAnswer());
    await s.ask('answer', { n: m.n, sdp: s.down.localDescription.sdp });
  }
  function hang(s, { track, transceiver }) {
    const element = document.createElement(track.kind);
    element.autoplay = element.playsInline = true;
    element.srcObject = new MediaStream([track]);
    document.body.append(element);
    if (track.kind !== 'video') return;
    readPictures(track, element, (p, w, h) => {
      const endpoint = s.slots[transceiver.mid]?.endpoint;
      if (endpoint) note(s.seen[endpoint] ??= { numbers: [], unreadable: 0 }, p, w, h);
    });
  }
  /** Pictures sent so far of each encoding, by rid: a busy machine's encoder leaves some out. */
  async function sent(name) {
    const all = [...(await sessions[name].up.getStats()).values()].filter((x) => x.type === 'outbound-rtp' && x.kind === 'video');
    return Object.fromEntries(all.map((x) => [x.rid, x.framesSent]));
  }
  /** @param tiles  { endpoint: [width, height] } */
  async function view(name, tiles) {
    await sessions[name].ask('view', { tracks: Object.entries(tiles).map(([endpoint, [width, height]]) =>
      ({ endpoint, label: 'video', width, height })) });
  }
  /** Only this one of those that entered is heard; '': none. */
  function talk(name) {
    for (const [n, s] of Object.entries(sessions)) if (s.tone) s.tone.gain.value = n === name ? 0.3 : 0;
  }
  /** How the sound goes on, and what came of each endpoint's pictures; pictures read are forgotten. */
  async function heard(name) {
    const s = sessions[name], out = { said: s.said, link: s.quality?.link, audioPackets: 0, audioSamples: 0, concealed: 0, of: {} };
    for (const x of (await s.down.getStats()).values()) {
      if (x.type !== 'inbound-rtp' || x.kind !== 'audio' || !s.slots[x.mid]?.endpoint) continue;
      out.audioPackets += x.packetsReceived;
      out.audioSamples += x.totalSamplesReceived ?? 0;
      out.concealed += (x.concealedSamples ?? 0) - (x.silentConcealedSamples ?? 0);
    }
    for (const [endpoint, seen] of Object.entries(s.seen)) {
      out.of[endpoint] = { numbers: seen.numbers.splice(0), unreadable: seen.unreadable, width: seen.width };
    }
    return out;
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
      if (x.type === 'transport' && x.selectedCandidatePairId) {
        const pair = stats.get(x.selectedCandidatePairId), local = stats.get(pair.localCandidateId);
        out.path = `${local.candidateType} ${local.protocol}`; // a relay's protocol is the one it relays
      }
    }
    return out;
  }
  return {
    gather, turnServers, sessions, request, patch, fragmentOf, publish, send, watch, trickle: (name) => trickle(sessions[name]),
    restartIce: (name) => restartIce(sessions[name]), end: (name) => end(sessions[name]), pictures, forget, seen, figures,
    state: (name) => sessions[name].pc.connectionState,
    /** As a page that crashes or loses its network: no DELETE. */
    vanish: (name) => sessions[name].pc.close(),
    connected: (name) => connected(sessions[name].pc),
    drawStrip, readStrip, countingCanvas, tone, exchange, enter, talk, view, heard, fakeMedia, look, looks, tones, sentFrames, count: (name) => sessions[name].counter.count, sent, only,
  };
})();
