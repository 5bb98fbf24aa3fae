import type { Clock } from '../../domain/clock.ts';
import type { Logger } from '../../domain/logger.ts';
import type { RtmpPushGate } from '../../egress/gate.ts';
import type { Hub } from '../../hub/hub.ts';
import type { Renditions } from '../../hub/renditions.ts';
import type { SpawnQueue } from '../../supervisor/spawn-limits.ts';
import type { LoadSound } from './audio-swap.ts';
import type { OutBufferSettings } from './out-buffer.ts';
import type { PushBounds } from './push-bounds.ts';
import type { UsageLimits } from './usage-limit.ts';

/** What every push needs from its surroundings. */
export interface RtmpPushServices {
  readonly hub: Hub;
  readonly renditions: Renditions;
  readonly gate: RtmpPushGate;
  readonly loadSound: LoadSound;
  readonly ffmpegPath: string;
  /** `rtmp_publisher_ip`; undefined = the system chooses. */
  readonly localAddress?: string | undefined;
  readonly preserveAspectRatio: boolean;
  /** `rtmp_push_stall_timeout_ms` */
  readonly stallTimeoutMs: number;
  readonly bounds: PushBounds;
  /** Undefined where `rtmp_out_buffer_enabled` is off. */
  readonly outBuffer?: OutBufferSettings | undefined;
  /** Undefined where a push may use what it likes. */
  readonly usageLimits?: UsageLimits | undefined;
  readonly spawnQueue: SpawnQueue;
  readonly clock: Clock;
  readonly logger: Logger;
}
