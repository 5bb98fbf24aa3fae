import type { Clock } from '../domain/clock.ts';
import type { Logger } from '../domain/logger.ts';
import { CombinedSource, type RenditionPart } from './combined-source.ts';
import type { LiveStream } from './live-stream.ts';
import { isAsPublished, normaliseVideoNeed } from './plan-video.ts';
import { SharedByKey } from './shared.ts';
import { transcodeAudio, type TranscodedTrack, type TranscodeOptions, transcodeVideo } from './transcoded-track.ts';
import type { TranscoderFactory, VideoNeed } from './transcoder.ts';
import type { RenditionNeed, UnitSource } from './unit-source.ts';

const LINGER_MS = 5_000;

export interface RenditionsOptions {
  readonly factory: TranscoderFactory;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Held by one reader of a rendition; released by it. */
export interface RenditionLease {
  readonly source: UnitSource;
  /** Idempotent. */
  release(): void;
}

interface StreamShares {
  readonly tracks: SharedByKey<TranscodedTrack>;
  readonly sources: SharedByKey<CombinedSource>;
}

/**
 * Gives readers a stream in the form they can take (design §1 "Renditions"). What the stream already is comes from the
 * stream; of everything else there is one per stream and need, whoever asks: one audio transcoder per codec, one video
 * transcoder per size, rate and interval. It stops 5 s after its last release.
 */
export class Renditions {
  readonly #options: RenditionsOptions;
  readonly #byStream = new WeakMap<LiveStream, StreamShares>();

  constructor(options: RenditionsOptions) {
    this.#options = options;
  }

  /** Never waits: the source gives units as soon as they are there, and ends when the stream or a transcoder gives up. */
  renditionOf(stream: LiveStream, need: RenditionNeed): RenditionLease {
    const video = planVideoPart(stream, need);
    const audio = planAudioPart(stream, need);
    if (isWholeStream(stream, video, audio)) return { source: stream, release: () => {} };
    const shares = this.#sharesOf(stream);
    const lease = shares.sources.lease(`${video.key} ${audio.key}`, () => {
      const { clock, logger } = this.#options;
      return new CombinedSource({
        video: this.#videoPart(stream, shares, video),
        audio: this.#audioPart(stream, shares, audio),
        clock,
        logger: logger.child({ mediaSessionId: stream.id, rendition: `${video.key} ${audio.key}` }),
      });
    });
    return { source: lease.value.broadcast, release: () => lease.release() };
  }

  #videoPart(stream: LiveStream, shares: StreamShares, plan: VideoPart): RenditionPart | undefined {
    if (plan.mode !== 'transcode') return plan.mode === 'copy' ? { source: stream } : undefined;
    const lease = shares.tracks.lease(plan.key, () => transcodeVideo(this.#transcodeOf(stream), plan.need));
    return { source: lease.value.source, lease };
  }

  #audioPart(stream: LiveStream, shares: StreamShares, plan: AudioPart): RenditionPart | undefined {
    const from = stream.tracks.audio;
    if (from === undefined) return undefined;
    if (plan.mode !== 'transcode') return plan.mode === 'copy' ? { source: stream } : undefined;
    const lease = shares.tracks.lease(plan.key, () => transcodeAudio(this.#transcodeOf(stream), from, plan.to));
    return { source: lease.value.source, lease };
  }

  #transcodeOf(stream: LiveStream): TranscodeOptions {
    const { factory, logger } = this.#options;
    return { from: stream, factory, logger: logger.child({ mediaSessionId: stream.id }) };
  }

  #sharesOf(stream: LiveStream): StreamShares {
    let shares = this.#byStream.get(stream);
    if (shares === undefined) {
      const { clock } = this.#options;
      // Tracks need no linger of their own: a source that lingers holds them.
      shares = { tracks: new SharedByKey(clock, 0), sources: new SharedByKey(clock, LINGER_MS) };
      this.#byStream.set(stream, shares);
    }
    return shares;
  }
}

type VideoPart =
  | { readonly mode: 'none' | 'copy'; readonly key: string }
  | { readonly mode: 'transcode'; readonly key: string; readonly need: VideoNeed };

type AudioPart =
  | { readonly mode: 'none' | 'copy'; readonly key: string }
  | { readonly mode: 'transcode'; readonly key: string; readonly to: 'aac' | 'opus' };

function planVideoPart(stream: LiveStream, wanted: RenditionNeed): VideoPart {
  const track = stream.tracks.video;
  if (wanted.video === 'none' || track === undefined) return { mode: 'none', key: 'video:none' };
  const need = normaliseVideoNeed(wanted);
  const isTaken = track.codec === 'h264' && !(wanted.webrtcReady === true && track.isWebrtcReady === false);
  if (isTaken && isAsPublished(need)) return { mode: 'copy', key: 'video:copy' };
  const { widthPx, heightPx, fps, keyFrameIntervalFrames } = need;
  const canvas = `${widthPx ?? 'auto'}x${heightPx ?? 'auto'}`;
  const key = `video:${canvas} fps:${fps ?? 'auto'} gop:${keyFrameIntervalFrames ?? 'auto'}`;
  return { mode: 'transcode', key, need };
}

function planAudioPart(stream: LiveStream, wanted: RenditionNeed): AudioPart {
  const track = stream.tracks.audio;
  if (wanted.audio === 'none' || track === undefined) return { mode: 'none', key: 'audio:none' };
  if (track.codec === wanted.audio) return { mode: 'copy', key: 'audio:copy' };
  return { mode: 'transcode', key: `audio:${wanted.audio}`, to: wanted.audio };
}

/** Whether the stream, all of it, is what is needed. */
function isWholeStream(stream: LiveStream, video: VideoPart, audio: AudioPart): boolean {
  const isVideoWhole = video.mode === 'copy' || stream.tracks.video === undefined;
  return isVideoWhole && audio.mode === 'copy';
}
