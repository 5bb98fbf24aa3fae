import { silentLogger } from '../../../src/domain/logger.ts';
import type { AudioTrack, AudioUnit, Tracks, VideoUnit } from '../../../src/domain/media.ts';
import { Hub } from '../../../src/hub/hub.ts';
import type { LiveStream } from '../../../src/hub/live-stream.ts';
import { Renditions } from '../../../src/hub/renditions.ts';
import type { TranscoderFactory } from '../../../src/hub/transcoder.ts';
import type { RtmpPlayback } from '../../../src/outputs/rtmp-player/rtmp-playback.ts';
import { RtmpPlayers } from '../../../src/outputs/rtmp-player/rtmp-players.ts';
import { joinAnnexB } from '../../../src/protocol/h264/nal.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { FakeViewer } from './fake-viewer.ts';

export const AAC: AudioTrack = { codec: 'aac', sampleRateHz: 48_000, channels: 2 };
export const FRAME_MS = 40;
const STEP_MS = 20;
const SPS = Buffer.from('6742c01fda0280bfe5c044000003000400000300f03c60ca80', 'hex');
const PPS = Buffer.from('68ce3c80', 'hex');
const AAC_FRAME_US = (1024 * 1_000_000) / 48_000;

interface VideoOptions {
  readonly isKeyframe?: boolean;
  readonly bytes?: number;
  /** Pixels; another level in the SPS for each. */
  readonly height?: number;
  readonly compositionMs?: number;
}

/** The label, an end mark and filling, as the one slice of a picture. */
export function picture(dtsMs: number, options: VideoOptions = {}): VideoUnit {
  const { isKeyframe = false, bytes = 100, height = 360, compositionMs = 0 } = options;
  const slice = Buffer.alloc(bytes, 0x55);
  slice[0] = isKeyframe ? 0x65 : 0x41;
  slice.write(`${dtsMs}.`, 1, 'latin1');
  const sps = Buffer.from(SPS);
  sps[3] = height === 360 ? 0x1f : 0x28;
  return {
    kind: 'video',
    codec: 'h264',
    dtsUs: dtsMs * 1000,
    ptsUs: (dtsMs + compositionMs) * 1000,
    isKeyframe,
    width: (height * 16) / 9,
    height,
    data: joinAnnexB(isKeyframe ? [sps, PPS, slice] : [slice]),
  };
}

/** The n-th AAC frame of a stream; its data is its number. */
export function sound(n: number): AudioUnit {
  const ptsUs = Math.round(n * AAC_FRAME_US);
  return { kind: 'audio', codec: 'aac', ptsUs, durationUs: Math.round(AAC_FRAME_US), data: Buffer.from(`s${n}`) };
}

interface RigOptions {
  readonly tracks?: Tracks;
  readonly sendVideoFirst?: boolean;
  readonly largeBuffers?: boolean;
}

export interface Watcher {
  readonly viewer: FakeViewer;
  readonly playback: RtmpPlayback;
  readonly ends: string[];
  readonly formats: string[];
  starts: number;
}

/** Streams of the real hub and their RTMP players, on a manual clock. */
export class PlayersRig {
  readonly clock = new ManualClock();
  readonly hub = new Hub(silentLogger);
  readonly players: RtmpPlayers;
  readonly wanted: boolean[] = [];
  keyframeRequests = 0;
  /** Of the next pictures. */
  picture: VideoOptions = {};
  keyframeEveryMs = 1_000;
  hasSound = true;
  hasPictures = true;
  /** Of the next unit. */
  mediaMs = 0;
  #sounds = 0;
  #stream: LiveStream | undefined;
  /** A transcoder has given up. */
  failTranscoder: () => void = () => {};
  readonly #tracks: Tracks;
  readonly #watchers: Watcher[] = [];

  constructor(options: RigOptions = {}) {
    this.#tracks = options.tracks ?? { video: { codec: 'h264', width: 0, height: 0 }, audio: AAC };
    /** Audio that is marked and given back at once; video never comes. */
    const factory: TranscoderFactory = {
      audio: ({ to, onUnit, onEnd }) => {
        this.failTranscoder = () => onEnd('it has given up');
        return { feed: (unit) => onUnit({ ...unit, codec: to }), close: async () => {} };
      },
      video: () => ({ feed: () => {}, close: async () => {} }),
    };
    this.players = new RtmpPlayers({
      hub: this.hub,
      renditions: new Renditions({ factory, clock: this.clock, logger: silentLogger }),
      clock: this.clock,
      logger: silentLogger,
      sendVideoFirst: options.sendVideoFirst ?? false,
      largeBuffers: options.largeBuffers ?? false,
    });
    this.publish();
  }

  get stream(): LiveStream {
    return this.#stream!;
  }

  publish(): void {
    this.#stream = this.hub.publish('show', {
      id: 'publication',
      source: {
        setFramesWanted: (wanted) => void this.wanted.push(wanted),
        requestKeyframe: () => void (this.keyframeRequests += 1),
      },
      tracks: this.#tracks,
      clock: this.clock,
      logger: silentLogger,
    });
  }

  unpublish(): void {
    this.hub.remove(this.stream, 'stopped');
  }

  /** A viewer that has been opened and, unless told otherwise, started. */
  watch(options: { suppressSound?: boolean; isStarted?: boolean } = {}): Watcher {
    const viewer = new FakeViewer();
    const ends: string[] = [];
    const formats: string[] = [];
    const playback = this.players.open({
      name: 'show',
      viewer,
      suppressSound: options.suppressSound ?? false,
      onStarted: () => void (watcher.starts += 1),
      onFormat: (width, height) => void formats.push(`${width}x${height}`),
      onEnd: (reason) => void ends.push(reason),
    });
    if (!playback) throw new Error('no such stream');
    const watcher: Watcher = { viewer, playback, ends, formats, starts: 0 };
    this.#watchers.push(watcher);
    if (options.isStarted !== false) playback.start();
    return watcher;
  }

  /** So much media, in real time: pictures every 40 ms and sound before each of its time. */
  async play(durationMs: number): Promise<void> {
    const endMs = this.mediaMs + durationMs;
    for (; this.mediaMs < endMs; this.mediaMs += STEP_MS) {
      if (this.hasPictures && this.mediaMs % FRAME_MS === 0) {
        const isKeyframe = this.mediaMs % this.keyframeEveryMs === 0;
        this.stream.writeUnit(picture(this.mediaMs, { ...this.picture, isKeyframe }));
      }
      for (; this.#sounds * AAC_FRAME_US < (this.mediaMs + STEP_MS) * 1000; this.#sounds++) {
        if (this.hasSound) this.stream.writeUnit(sound(this.#sounds));
      }
      await this.pass(STEP_MS);
    }
  }

  /** Time without media. The hub gives cached units in microtasks. */
  async pass(ms: number): Promise<void> {
    await new Promise((resolve) => void setImmediate(resolve));
    this.clock.advance(ms);
    for (const { viewer } of this.#watchers) if (viewer.bytesPerSecond !== Infinity) viewer.passTime(ms);
  }
}
