import type { Logger } from '../domain/logger.ts';
import type { AudioTrack, MediaUnit, Tracks } from '../domain/media.ts';
import type { Shareable } from './shared.ts';
import type { Transcoder, TranscoderFactory, VideoNeed } from './transcoder.ts';
import { UnitBroadcast } from './unit-broadcast.ts';
import type { Reader, UnitSource } from './unit-source.ts';

/** A transcoder's `feed` never blocks: only the cached GOP is queued, which has its own bound. */
const FEED_QUEUE_BYTES = 32 * 1024 * 1024;
/** Transcoded audio is kept as long as a GOP may be, so that whoever begins with a cached keyframe finds its sound. */
const LOOSE_AUDIO_US = 10_000_000;

/** One track of a stream through one transcoder. Stopped by its last holder; ends when the stream or the transcoder ends. */
export interface TranscodedTrack extends Shareable {
  readonly source: UnitSource;
}

export interface TranscodeOptions {
  readonly from: UnitSource;
  readonly factory: TranscoderFactory;
  readonly logger: Logger;
}

export function transcodeAudio(options: TranscodeOptions, from: AudioTrack, to: 'aac' | 'opus'): TranscodedTrack {
  const track = new Track(options, { audio: { codec: to, sampleRateHz: 48_000, channels: 2 } });
  const transcoder = options.factory.audio({
    logger: options.logger,
    from,
    to,
    onUnit: (unit) => track.broadcast.write(unit),
    onEnd: (reason) => track.broadcast.end(reason),
  });
  track.use(transcoder);
  track.readFrom({ label: `${to} transcoder`, video: 'none' }, (unit) => {
    if (unit.kind === 'audio') transcoder.feed(unit);
  });
  return track;
}

/** The transcoder is started with the first keyframe, when the size of the picture is known. */
export function transcodeVideo(options: TranscodeOptions, need: VideoNeed): TranscodedTrack {
  const track = new Track(options, { video: { codec: 'h264', width: 0, height: 0 } });
  let transcoder: Transcoder | undefined;
  track.readFrom({ label: 'video transcoder', video: 'decode', audio: false }, (unit) => {
    if (unit.kind !== 'video') return;
    if (transcoder === undefined) {
      const { codec, width, height } = unit;
      transcoder = options.factory.video({
        logger: options.logger,
        from: { codec, width, height },
        need,
        onUnit: (encoded) => track.broadcast.write(encoded),
        onEnd: (reason) => track.broadcast.end(reason),
        requestKeyframe: () => options.from.requestKeyframe(),
      });
      track.use(transcoder);
    }
    transcoder.feed(unit);
  });
  return track;
}

class Track implements TranscodedTrack {
  readonly broadcast: UnitBroadcast;
  readonly #options: TranscodeOptions;
  #reader: Reader | undefined;
  #transcoder: Transcoder | undefined;

  constructor(options: TranscodeOptions, tracks: Tracks) {
    this.#options = options;
    this.broadcast = new UnitBroadcast({
      tracks,
      logger: options.logger,
      cache: { looseAudioUs: LOOSE_AUDIO_US },
      requestKeyframe: () => options.from.requestKeyframe(),
    });
  }

  get source(): UnitSource {
    return this.broadcast;
  }

  get hasEnded(): boolean {
    return this.broadcast.hasEnded;
  }

  use(transcoder: Transcoder): void {
    this.#transcoder = transcoder;
  }

  readFrom(
    options: { label: string; video: 'decode' | 'none'; audio?: boolean },
    feed: (unit: MediaUnit) => void,
  ): void {
    this.#reader = this.#options.from.addReader({
      ...options,
      fromCachedGop: true,
      maxQueueBytes: FEED_QUEUE_BYTES,
      onUnit: (unit) => {
        feed(unit);
        return true;
      },
      onEnd: (reason) => this.broadcast.end(reason),
    });
  }

  stop(): void {
    this.#reader?.close();
    this.broadcast.end('no longer needed');
    this.#transcoder?.close().catch((error: unknown) => {
      this.#options.logger.error({ err: error }, 'a transcoder failed to close');
    });
  }
}
