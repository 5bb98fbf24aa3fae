import type { Clock } from '../domain/clock.ts';
import type { Logger } from '../domain/logger.ts';

/** What every transcoding process needs from its surroundings. */
export interface TranscoderHost {
  readonly ffmpegPath: string;
  /** Marks our children in their environment. */
  readonly nonce: string;
  readonly clock: Clock;
  readonly logger: Logger;
}
