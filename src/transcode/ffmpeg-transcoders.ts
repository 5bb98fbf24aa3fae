import { ProtocolError } from '../domain/errors.ts';
import type { Closable } from '../domain/life-cycle.ts';
import type { Logger } from '../domain/logger.ts';
import type { AudioUnit, VideoUnit } from '../domain/media.ts';
import type {
  AudioTranscoderOptions,
  Transcoder,
  TranscoderFactory,
  VideoTranscoderOptions,
} from '../hub/transcoder.ts';
import { startAudioTranscode } from './audio-transcode.ts';
import type { FlvAudioOptions, FlvAudioTranscode, FlvAudioTranscoders } from './flv-audio.ts';
import type { TranscoderHost } from './transcoder-host.ts';
import { startVideoTranscode } from './video-transcode.ts';

const AUDIO_BITRATE_BPS = { aac: 128_000, opus: 96_000 } as const;
const MAX_VIDEO_QUEUE_BYTES = 4 * 1024 * 1024;

/**
 * The transcoders of the hub and of RTMP publishers, each one supervised ffmpeg. `close` ends those that are still there: a rendition lingers after its
 * last reader, but not after the server.
 */
export function createFfmpegTranscoders(host: TranscoderHost): TranscoderFactory & FlvAudioTranscoders & Closable {
  const open = new Set<Closable>();
  const closeOne = async (transcode: Closable, reason: string): Promise<void> => {
    await transcode.close(reason);
    open.delete(transcode);
  };
  const hostFor = (logger: Logger | undefined): TranscoderHost => (logger ? { ...host, logger } : host);
  return {
    async close(reason) {
      await Promise.all([...open].map((transcode) => closeOne(transcode, reason)));
    },
    audio({ from, to, onUnit, onEnd, logger }: AudioTranscoderOptions): Transcoder<AudioUnit> {
      try {
        const transcode = startAudioTranscode({
          host: hostFor(logger),
          from,
          to,
          bitrateBps: AUDIO_BITRATE_BPS[to],
          onUnit,
          onEnd,
        });
        open.add(transcode);
        return { feed: (unit) => transcode.feed(unit), close: () => closeOne(transcode, 'released') };
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        onEnd(error.message);
        return { feed: () => {}, close: () => Promise.resolve() };
      }
    },
    flvAudio({ header, logger, onUnit }: FlvAudioOptions): FlvAudioTranscode {
      const transcode = startAudioTranscode({
        host: hostFor(logger),
        from: { codec: 'flv', header },
        to: 'aac',
        bitrateBps: AUDIO_BITRATE_BPS.aac,
        onUnit,
        onEnd: (reason) => logger.error({ reason }, 'the sound of a publisher is silent from now on'),
      });
      open.add(transcode);
      return {
        track: transcode.track,
        feed: (unit) => transcode.feed(unit),
        close: () => {
          closeOne(transcode, 'released').catch((error: unknown) => {
            logger.error({ err: error }, 'a transcoder failed to close');
          });
        },
      };
    },
    video({ need, onUnit, onEnd, requestKeyframe, logger }: VideoTranscoderOptions): Transcoder<VideoUnit> {
      const transcode = startVideoTranscode({
        host: hostFor(logger),
        need,
        maxQueueBytes: MAX_VIDEO_QUEUE_BYTES,
        onUnit,
        onEnd,
        onKeyframeNeeded: requestKeyframe,
      });
      open.add(transcode);
      return { feed: (unit) => transcode.feed(unit), close: () => closeOne(transcode, 'released') };
    },
  };
}
