import type { Clock } from '../../domain/clock.ts';
import type { Logger } from '../../domain/logger.ts';
import type { Hub } from '../../hub/hub.ts';
import type { FlvAudioTranscoders } from '../../transcode/flv-audio.ts';
import { LivePublication } from './live-publication.ts';
import type { RtmpPublication, RtmpPublicationOptions } from './rtmp-publication.ts';

export interface RtmpPublishersOptions {
  readonly hub: Hub;
  /** For sound that is neither AAC nor G.711 nor Opus. */
  readonly legacyAudio: FlvAudioTranscoders;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `rtmp_publisher_idle_timeout_ms`: an encoder that sends nothing for so long is ended. */
  readonly idleTimeoutMs: number;
}

/** Brings what RTMP encoders publish into the hub. */
export class RtmpPublishers {
  readonly #options: RtmpPublishersOptions;

  constructor(options: RtmpPublishersOptions) {
    this.#options = options;
  }

  open(options: RtmpPublicationOptions): RtmpPublication {
    const logger = this.#options.logger.child({ mediaSessionId: options.mediaSessionId });
    return new LivePublication({ ...this.#options, ...options, logger });
  }
}
