import type { Batch } from './batch.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const WINDOW_MS = 5_000;
/** Less than this says nothing about a rate: a feed begins with pictures that are all there at once. */
const MIN_SPAN_MS = 1_000;

/** How much of a stream may be on its way to one viewer (reference/rtmp.md §6). */
export interface ViewerBounds {
  /** Beyond the larger of the two, pictures are dropped. */
  readonly soft: { readonly bytes: number; readonly seconds: number };
  /** Beyond the larger of the two, the viewer is given up. */
  readonly hard: { readonly bytes: number; readonly seconds: number };
}

/** Two seconds of 128 kbit/s: where less is sent, an acknowledgement is worth a part of it. */
export const USUAL_VIEWER_BOUNDS: ViewerBounds = {
  soft: { bytes: 32 * KIB, seconds: 2 },
  hard: { bytes: 4 * MIB, seconds: 10 },
};

/** `rtmp.server_buffer_enabled`: for viewers of large pictures, at the price of a longer delay. */
export const LARGE_VIEWER_BOUNDS: ViewerBounds = {
  soft: { bytes: 8 * MIB, seconds: 8 },
  hard: { bytes: 32 * MIB, seconds: 20 },
};

/** Of the soft limit: who catches up has no more on its way, ... */
const CATCH_UP_RATIO = 1 / 4;
/** ... and may fall back by so much. Links and acknowledgements are uneven; more than this is slowness. */
const LOSS_RATIO = 1 / 5;

interface Window {
  readonly startMs: number;
  bytes: number;
  largestBytes: number;
}

/** The limits in bytes that follow from what the stream sent in the last five to ten seconds. */
export class ViewerLimits {
  readonly #bounds: ViewerBounds;
  #before: Window | undefined;
  #now: Window | undefined;
  #bytesPerSecond = 0;
  #largestBytes = 0;
  #softBytes: number;
  #hardBytes: number;

  constructor(bounds: ViewerBounds) {
    this.#bounds = bounds;
    this.#softBytes = bounds.soft.bytes;
    this.#hardBytes = bounds.hard.bytes;
  }

  get softBytes(): number {
    return this.#softBytes;
  }

  get hardBytes(): number {
    return this.#hardBytes;
  }

  /** Of the stream; little is known of it in its first second. */
  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /** How much may be on its way to a viewer that is given what was there before it came. */
  get catchUpBytes(): number {
    return this.#softBytes * CATCH_UP_RATIO;
  }

  /** By how much such a viewer may fall back. Whoever waits for a keyframe gets nothing else meanwhile. */
  get lossBytes(): number {
    return Math.max(this.#softBytes * LOSS_RATIO, this.#largestBytes);
  }

  push({ timestampMs, byteLength, largestMessageBytes }: Batch): void {
    if (this.#now === undefined || timestampMs - this.#now.startMs >= WINDOW_MS) {
      this.#before = this.#now;
      this.#now = { startMs: timestampMs, bytes: 0, largestBytes: 0 };
    }
    this.#now.bytes += byteLength;
    this.#now.largestBytes = Math.max(this.#now.largestBytes, largestMessageBytes);
    const { soft, hard } = this.#bounds;
    const spanMs = Math.max(MIN_SPAN_MS, timestampMs - (this.#before ?? this.#now).startMs);
    this.#bytesPerSecond = (((this.#before?.bytes ?? 0) + this.#now.bytes) * 1000) / spanMs;
    // One keyframe, however large, is no backlog.
    this.#largestBytes = Math.max(this.#before?.largestBytes ?? 0, this.#now.largestBytes);
    this.#softBytes = Math.max(soft.bytes, soft.seconds * this.#bytesPerSecond, 2 * this.#largestBytes);
    this.#hardBytes = Math.max(hard.bytes, hard.seconds * this.#bytesPerSecond, 4 * this.#largestBytes);
  }
}
