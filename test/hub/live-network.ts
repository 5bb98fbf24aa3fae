import { silentLogger } from '../../src/domain/logger.ts';
import type { MediaUnit } from '../../src/domain/media.ts';
import { LiveStream } from '../../src/hub/live-stream.ts';
import { ManualClock } from '../support/manual-clock.ts';

const NTP_1970_MS = 2_208_988_800_000;
const FRAME_MS = 20;

/** What the network and the sender do; times of capture in milliseconds. */
export interface LiveNetwork {
  readonly seconds: number;
  readonly audioDelayMs: (captureMs: number) => number;
  /** Default: as audio, and 40 ms for the encoder. */
  readonly videoDelayMs?: (captureMs: number) => number;
  readonly isAudioSent?: (captureMs: number) => boolean;
  readonly isVideoSent?: (captureMs: number) => boolean;
  /** What the media clocks say. Default: the capture time. */
  readonly mediaClockMs?: (captureMs: number) => number;
  /** 0 for a sender without reports. */
  readonly reportPeriodMs: number;
}

export interface Heard {
  /** Timeline minus capture time. */
  readonly captureMs: number;
  readonly offsetMs: number;
}

export interface LiveResult {
  readonly units: readonly MediaUnit[];
  readonly sounds: readonly Heard[];
  readonly pictures: readonly Heard[];
  /** Slots of the 20 ms grid without the sender's sound, between two times of the timeline. */
  silenceMs(fromMs: number, toMs: number): number;
  /** The furthest that picture and sound of one moment are apart, for captures between two times whose sound is heard. */
  worstSkewMs(fromMs: number, toMs: number): number;
}

/** Plays a sender of 50 sounds and 30 pictures a second through a network into a live stream on a manual clock. */
export function playLive(network: LiveNetwork): LiveResult {
  const clock = new ManualClock();
  const stream = new LiveStream({
    name: 's',
    id: 'i',
    source: { setFramesWanted: () => {}, requestKeyframe: () => {} },
    tracks: {
      video: { codec: 'h264', width: 640, height: 360 },
      audio: { codec: 'opus', sampleRateHz: 48_000, channels: 2 },
    },
    clock,
    logger: silentLogger,
  });
  const units: MediaUnit[] = [];
  stream.addReader({
    label: 'test',
    fromCachedGop: true,
    maxQueueBytes: 1 << 24,
    onUnit: (unit) => units.push(unit) > 0,
    onEnd: () => {},
  });
  for (const { atMs, happen } of schedule(network, stream)) {
    clock.advance(Math.max(0, atMs - clock.monotonicUs() / 1000));
    happen(Math.round(atMs * 1000));
  }
  stream.end('test over');
  return resultOf(units);
}

interface Arrival {
  readonly atMs: number;
  readonly happen: (arrivalUs: number) => void;
}

function schedule(network: LiveNetwork, stream: LiveStream): Arrival[] {
  const { seconds, audioDelayMs, reportPeriodMs } = network;
  const videoDelayMs = network.videoDelayMs ?? ((captureMs: number) => audioDelayMs(captureMs) + 40);
  const mediaClockMs = network.mediaClockMs ?? ((captureMs: number) => captureMs);
  const arrivals: Arrival[] = [];
  let lastAudioMs = 0;
  let lastVideoMs = 0;
  const audioRtp = (ms: number): number => 7_000 + Math.round(mediaClockMs(ms) * 48);
  const videoRtp = (ms: number): number => 900_000 + Math.round(mediaClockMs(ms) * 90);

  for (let ms = 0; ms < seconds * 1000; ms += FRAME_MS) {
    // Packets of one track do not overtake each other.
    lastAudioMs = Math.max(lastAudioMs, ms + audioDelayMs(ms));
    if (network.isAudioSent?.(ms) === false) continue;
    const rtpTime = audioRtp(ms);
    const common = {
      kind: 'audio',
      codec: 'opus',
      clockRateHz: 48_000,
      isKeyframe: true,
      width: 0,
      height: 0,
    } as const;
    const happen = (arrivalUs: number): void =>
      stream.writeFrame({ ...common, rtpTime, arrivalUs, data: named(0x78, ms) });
    arrivals.push({ atMs: lastAudioMs, happen });
  }
  for (let index = 0; index < seconds * 30; index += 1) {
    const ms = Math.round((index * 1000) / 30);
    lastVideoMs = Math.max(lastVideoMs, ms + videoDelayMs(ms));
    if (network.isVideoSent?.(ms) === false) continue;
    const rtpTime = videoRtp(ms);
    const isKeyframe = index % 60 === 0;
    const common = { kind: 'video', codec: 'h264', clockRateHz: 90_000, width: 640, height: 360 } as const;
    const happen = (arrivalUs: number): void =>
      stream.writeFrame({ ...common, rtpTime, arrivalUs, isKeyframe, data: named(0, ms) });
    arrivals.push({ atMs: lastVideoMs, happen });
  }
  if (reportPeriodMs > 0) {
    for (let ms = 0; ms < seconds * 1000; ms += reportPeriodMs) {
      const happen = (): void => {
        stream.writeSenderReport('audio', (NTP_1970_MS + ms) * 1000, audioRtp(ms));
        stream.writeSenderReport('video', (NTP_1970_MS + ms) * 1000, videoRtp(ms));
      };
      arrivals.push({ atMs: ms + audioDelayMs(ms), happen });
    }
  }
  return arrivals.toSorted((one, other) => one.atMs - other.atMs);
}

/** A frame that says when it was captured. 0x78 is the TOC byte of 20 ms of Opus (RFC 6716 §3.1). */
function named(toc: number, captureMs: number): Buffer {
  const data = Buffer.alloc(8, toc);
  data.writeUInt32BE(captureMs, 4);
  return data;
}

function resultOf(units: readonly MediaUnit[]): LiveResult {
  const heard = ({ ptsUs, data }: MediaUnit): Heard => {
    const captureMs = data.readUInt32BE(4);
    return { captureMs, offsetMs: ptsUs / 1000 - captureMs };
  };
  const isSilence = (unit: MediaUnit): boolean => unit.data.length < 8;
  const audio = units.filter((unit) => unit.kind === 'audio');
  const sounds = audio.filter((unit) => !isSilence(unit)).map((unit) => heard(unit));
  const pictures = units.filter((unit) => unit.kind === 'video').map((unit) => heard(unit));
  return {
    units,
    sounds,
    pictures,
    silenceMs: (fromMs, toMs) =>
      FRAME_MS *
      audio.filter((unit) => isSilence(unit) && unit.ptsUs >= fromMs * 1000 && unit.ptsUs < toMs * 1000).length,
    worstSkewMs: (fromMs, toMs) =>
      Math.max(
        ...pictures
          .filter(({ captureMs }) => captureMs >= fromMs && captureMs < toMs)
          .map((picture) => {
            const sound = sounds.findLast(({ captureMs }) => captureMs <= picture.captureMs);
            const isHeard = sound !== undefined && picture.captureMs - sound.captureMs < 2 * FRAME_MS;
            return isHeard ? Math.abs(picture.offsetMs - sound.offsetMs) : 0;
          }),
      ),
  };
}
