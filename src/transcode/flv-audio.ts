import type { Logger } from '../domain/logger.ts';
import type { AudioTrack, AudioUnit } from '../domain/media.ts';
import type { TimedAudio } from './audio-input.ts';

export interface FlvAudioOptions {
  /** The body of the tag that announces the configuration, for codecs that have one. */
  readonly header: Buffer | undefined;
  readonly logger: Logger;
  /** AAC on the timeline of what is fed, without holes. Not called after `close`. */
  readonly onUnit: (unit: AudioUnit) => void;
}

/** Sound of one publisher in codecs of RTMP that the hub does not know (MP3, Speex, unusual AAC) on its way to AAC. */
export interface FlvAudioTranscode {
  readonly track: AudioTrack;
  /** `data` is the body of an audio tag, in the codec of those before it; it is kept. Input that goes back in time is dropped. */
  feed(unit: TimedAudio): void;
  /** Idempotent; nothing is delivered from the call on. */
  close(): void;
}

export interface FlvAudioTranscoders {
  flvAudio(options: FlvAudioOptions): FlvAudioTranscode;
}
