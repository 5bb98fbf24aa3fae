import type { AudioUnit, VideoUnit } from '../domain/media.ts';
import type {
  AudioTranscoderOptions,
  Transcoder,
  TranscoderFactory,
  VideoTranscoderOptions,
} from '../hub/transcoder.ts';
import { startAudioTranscode } from './audio-transcode.ts';
import type { TranscoderHost } from './transcoder-host.ts';
import { startVideoTranscode } from './video-transcode.ts';

const AUDIO_BITRATE_BPS = 128_000;
const MAX_VIDEO_QUEUE_BYTES = 4 * 1024 * 1024;

/** The hub's transcoders, each one supervised ffmpeg. */
export function createFfmpegTranscoders(host: TranscoderHost): TranscoderFactory {
  return {
    audio({ from, onUnit, onEnd }: AudioTranscoderOptions): Transcoder<AudioUnit> {
      if (from.codec === 'aac') throw new Error('AAC needs no transcoder');
      const { codec } = from;
      const transcode = startAudioTranscode({ host, codec, bitrateBps: AUDIO_BITRATE_BPS, onUnit, onEnd });
      return { feed: (unit) => transcode.feed(unit), close: () => transcode.close('released') };
    },
    video({ need, onUnit, onEnd, requestKeyframe }: VideoTranscoderOptions): Transcoder<VideoUnit> {
      const transcode = startVideoTranscode({
        host,
        need,
        maxQueueBytes: MAX_VIDEO_QUEUE_BYTES,
        onUnit,
        onEnd,
        onKeyframeNeeded: requestKeyframe,
      });
      return { feed: (unit) => transcode.feed(unit), close: () => transcode.close('released') };
    },
  };
}
