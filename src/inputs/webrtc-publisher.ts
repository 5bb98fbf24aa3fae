import type { Clock } from '../domain/clock.ts';
import type { Logger } from '../domain/logger.ts';
import type { AudioCodec, AudioTrack, VideoCodec } from '../domain/media.ts';
import type { Hub } from '../hub/hub.ts';
import type { LiveStream } from '../hub/live-stream.ts';
import type { MediaEvent, MediaWorker } from '../webrtc/media-worker.ts';

export interface WebrtcPublisher {
  readonly name: string;
  readonly mediaSessionId: string;
  readonly video?: { readonly codec: VideoCodec } | undefined;
  readonly audio?: { readonly codec: Exclude<AudioCodec, 'aac'> } | undefined;
}

export interface WebrtcPublishersOptions {
  readonly hub: Hub;
  readonly worker: MediaWorker;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Brings the streams of WebRTC publishers into the hub: frames only while somebody needs units. */
export class WebrtcPublishers {
  readonly #options: WebrtcPublishersOptions;
  readonly #streams = new Map<string, LiveStream>();

  constructor(options: WebrtcPublishersOptions) {
    this.#options = options;
  }

  published({ name, mediaSessionId, video, audio }: WebrtcPublisher): void {
    const { hub, worker, clock, logger } = this.#options;
    const stream = hub.publish(name, {
      id: mediaSessionId,
      source: {
        webrtcStreamId: mediaSessionId,
        requestKeyframe: () => worker.requestKeyframe(mediaSessionId),
        setFramesWanted: (wanted) => worker.setFramesWanted(mediaSessionId, wanted),
      },
      tracks: {
        video: video && { codec: video.codec, width: 0, height: 0 },
        audio: audio && audioTrack(audio.codec),
      },
      clock,
      logger,
    });
    this.#streams.set(mediaSessionId, stream);
  }

  unpublished(mediaSessionId: string, reason: string): void {
    const stream = this.#streams.get(mediaSessionId);
    if (!stream) return;
    this.#streams.delete(mediaSessionId);
    this.#options.hub.remove(stream, reason);
  }

  /** Takes every event of the media worker; those that are not about frames are left alone. */
  onMediaEvent(event: MediaEvent): void {
    switch (event.type) {
      case 'frame':
        this.#streams.get(event.streamId)?.writeFrame(event.frame);
        break;
      case 'framesLost':
        this.#streams.get(event.streamId)?.framesLost();
        break;
      case 'senderReport':
        this.#streams.get(event.streamId)?.writeSenderReport(event.kind, event.ntpUs, event.rtpTime);
        break;
      default:
    }
  }
}

/** Opus over RTP is always 48 kHz stereo on the wire (RFC 7587 §4.1), G.711 8 kHz mono (RFC 3551 §4.5.14). */
function audioTrack(codec: Exclude<AudioCodec, 'aac'>): AudioTrack {
  return codec === 'opus' ? { codec, sampleRateHz: 48_000, channels: 2 } : { codec, sampleRateHz: 8000, channels: 1 };
}
