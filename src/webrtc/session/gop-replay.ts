import type { CancelTimer, Clock } from '../../domain/clock.ts';
import { rtpTimestamp } from '../../protocol/rtp/packet.ts';
import { ByteBudget } from './byte-budget.ts';
import type { SourceTrack } from './media-source.ts';
import type { OutgoingTrack } from './outgoing-track.ts';
import { SHORT_STEP_TICKS_DIVISOR } from './replay.ts';

const STEP_MS = 10;
const MIN_BURST_BYTES = 64 * 1024;
/** What the stream's own rate is multiplied with at least: less would show old pictures for longer than it takes to look at them. */
const MIN_SPEED = 4;
/** An estimate follows what is being sent, and is therefore too low for anything more. */
const ESTIMATE_HEADROOM = 2;
const USUAL_BPS = 20_000_000;

export interface GopReplayOptions {
  readonly source: SourceTrack;
  /** Not live. */
  readonly out: OutgoingTrack;
  readonly clock: Clock;
  /** What the viewer says it can take; infinite where it says nothing. */
  readonly availableBps: number;
  readonly send: (sourceIndex: number) => void;
  /** The viewer has all that there is; or nothing is left to go on with, until the next keyframe. */
  readonly onEnd: (isUpToDate: boolean) => void;
}

/**
 * The pictures since the newest keyframe, and what comes meanwhile, at a pace that a viewer can take (see `replay.ts`):
 * timestamps begin at the present and become those of the stream when it is expected to have caught up with that. Begins at
 * once; `stop` ends it without a word.
 */
export class GopReplay {
  readonly #options: GopReplayOptions;
  readonly #budget: ByteBudget;
  #next: number;
  #cancelSteps: CancelTimer | undefined;

  /** The source has its newest keyframe. */
  constructor(options: GopReplayOptions) {
    const { source, out } = options;
    this.#options = options;
    this.#next = source.keyframe.index;
    const { boundaryTimestamp, divisor, bytesPerSecond } = planReplay(options);
    out.start(source.rewriter.map(this.#next));
    out.setReplay(boundaryTimestamp, divisor);
    const burstBytes = Math.max(MIN_BURST_BYTES, (2 * STEP_MS * bytesPerSecond) / 1000);
    this.#budget = new ByteBudget({ bytesPerSecond, burstBytes });
  }

  start(): void {
    this.#cancelSteps = this.#options.clock.every(STEP_MS, () => this.#step());
    this.#step();
  }

  stop(): void {
    this.#cancelSteps?.();
  }

  #step(): void {
    const { source, out, clock, send, onEnd } = this.#options;
    const { store, keyframe, rewriter } = source;
    if (keyframe.index > this.#next) {
      this.#next = keyframe.index;
      out.skipTo(rewriter.map(this.#next));
    }
    const nowUs = clock.monotonicUs();
    for (let packet = store.get(this.#next); packet; packet = store.get(this.#next)) {
      if (!this.#budget.spend(packet.length, nowUs)) return;
      send(this.#next++);
    }
    this.stop();
    onEnd(this.#next > store.highest);
  }
}

interface ReplayPlan {
  readonly boundaryTimestamp: number;
  readonly divisor: number;
  readonly bytesPerSecond: number;
}

/**
 * With all timestamps on the stream's clock: the pictures from the keyframe to the boundary are spread over the time from now
 * to the boundary, which is as long as it takes to send them.
 */
function planReplay({ source, out, availableBps }: GopReplayOptions): ReplayPlan {
  const { store, keyframe, clockRateHz } = source;
  let bytes = 0;
  for (let index = keyframe.index; index <= store.highest; index++) bytes += store.get(index)!.length;
  const newest = rtpTimestamp(store.get(store.highest)!);
  const seen = out.newestTimestamp;
  const begin = seen !== undefined && ((seen - newest) | 0) >= 0 ? (seen + 1) >>> 0 : newest;
  const ageTicks = (begin - rtpTimestamp(store.get(keyframe.index)!)) | 0;
  const streamBytesPerSecond = bytes / Math.max(1, ageTicks / clockRateHz);
  const usualBytesPerSecond = Math.min(USUAL_BPS, ESTIMATE_HEADROOM * availableBps) / 8;
  const bytesPerSecond = Math.max(MIN_SPEED * streamBytesPerSecond, usualBytesPerSecond);
  const ticks = Math.ceil(
    Math.max(
      (bytes / (bytesPerSecond - streamBytesPerSecond)) * clockRateHz,
      ageTicks / (SHORT_STEP_TICKS_DIVISOR - 1),
      1,
    ),
  );
  return { boundaryTimestamp: (begin + ticks) >>> 0, divisor: (ageTicks + ticks) / ticks, bytesPerSecond };
}
