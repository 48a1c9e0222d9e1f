// This machine's cameras, microphones and loudspeakers, and what the browser cannot do.

import { t } from './i18n.js';

const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 25, max: 30 } };
const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const exact = id => id && id !== 'default' ? { deviceId: { exact: id } } : {};

/** @return rows of value and text; devices have names only once the browser gave access */
export async function choices(kind) {
  const all = await navigator.mediaDevices?.enumerateDevices?.().catch(() => []) ?? [];
  return all.filter(d => d.kind === kind).map((d, i) => [d.deviceId || 'default', d.label || t(`device.${kind}`, i + 1)]);
}

export async function camera(id) {
  return (await navigator.mediaDevices.getUserMedia({ video: { ...PICTURE, ...exact(id) } })).getVideoTracks()[0];
}

export async function microphone(id) {
  return (await navigator.mediaDevices.getUserMedia({ audio: { ...SOUND, ...exact(id) } })).getAudioTracks()[0];
}

export async function screen() {
  const [track] = (await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } }, audio: false })).getVideoTracks();
  track.contentHint = 'detail'; // text stays legible, rather than smooth
  return track;
}

export const canChooseSpeaker = () => 'setSinkId' in HTMLMediaElement.prototype;

/** What this browser or page lacks: keys of texts. The first kind stops everything, the second only something. */
export function lacks() {
  if (!window.RTCPeerConnection) return { all: ['error.webrtc'], some: [] };
  const some = [], codecs = window.RTCRtpSender?.getCapabilities?.('video')?.codecs ?? [];
  if (!navigator.mediaDevices) some.push('lack.insecure');
  else if (!navigator.mediaDevices.getDisplayMedia) some.push('lack.screen');
  if (!('setParameters' in RTCRtpSender.prototype) || !('setCodecPreferences' in RTCRtpTransceiver.prototype)) some.push('lack.simulcast');
  if (codecs.length && !codecs.some(c => /h264/i.test(c.mimeType))) some.push('lack.h264');
  return { all: [], some };
}

/** What went wrong with a device, in words. */
export function explain(e, kind) {
  switch (e?.name) {
    case 'NotAllowedError': return t('device.denied');
    case 'NotFoundError':
    case 'OverconstrainedError': return t(kind === 'audio' ? 'device.nomic' : 'device.nocamera');
    case 'NotReadableError':
    case 'AbortError': return t('device.busy');
    case 'NotSupportedError': return t('lack.screen');
    default: return e?.message || t('device.failed');
  }
}

/** How loud a track is: 0 to 1, some times a second. */
export class Level {
  constructor(show) {
    this.show = show;
  }

  follow(track) {
    this.stop();
    if (!track || !window.AudioContext) return;
    try {
      const context = this.context = new AudioContext(), analyser = context.createAnalyser(), samples = new Float32Array(512);
      analyser.fftSize = 1024;
      context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
      this.timer = setInterval(() => {
        analyser.getFloatTimeDomainData(samples);
        const power = samples.reduce((sum, s) => sum + s * s, 0) / samples.length;
        this.show(track.enabled ? Math.max(0, Math.min(1, 1 + Math.log10(power + 1e-9) / 5)) : 0);
      }, 80);
    } catch {
      this.stop(); // a picture of the level is no reason to fail
    }
  }

  stop() {
    clearInterval(this.timer);
    this.context?.close().catch(() => {});
    this.context = null;
    this.show(0);
  }
}
