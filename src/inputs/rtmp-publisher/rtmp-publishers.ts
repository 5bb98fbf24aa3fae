import type { Clock } from '../../domain/clock.ts';
import type { Logger } from '../../domain/logger.ts';
import type { Hub } from '../../hub/hub.ts';
import type { FlvAudioTranscoders } from '../../transcode/flv-audio.ts';
import { LivePublication } from './live-publication.ts';
import type { RtmpPublication, RtmpPublicationOptions } from './rtmp-publication.ts';

const IDLE_TIMEOUT_MS = 15_000;

export interface RtmpPublishersOptions {
  readonly hub: Hub;
  /** For sound that is neither AAC nor G.711 nor Opus. */
  readonly legacyAudio: FlvAudioTranscoders;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default 15 s. */
  readonly idleTimeoutMs?: number | undefined;
}

/** Brings what RTMP encoders publish into the hub. */
export class RtmpPublishers {
  readonly #options: RtmpPublishersOptions;

  constructor(options: RtmpPublishersOptions) {
    this.#options = options;
  }

  open(options: RtmpPublicationOptions): RtmpPublication {
    const { logger, idleTimeoutMs = IDLE_TIMEOUT_MS } = this.#options;
    const child = logger.child({ mediaSessionId: options.mediaSessionId });
    return new LivePublication({ ...this.#options, ...options, idleTimeoutMs, logger: child });
  }
}
