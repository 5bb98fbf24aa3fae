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

export const USUAL_VIEWER_BOUNDS: ViewerBounds = {
  soft: { bytes: 128 * KIB, seconds: 2 },
  hard: { bytes: 4 * MIB, seconds: 10 },
};

/** `rtmp.server_buffer_enabled`: for viewers of large pictures, at the price of a longer delay. */
export const LARGE_VIEWER_BOUNDS: ViewerBounds = {
  soft: { bytes: 8 * MIB, seconds: 8 },
  hard: { bytes: 32 * MIB, seconds: 20 },
};

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

  push({ timestampMs, byteLength, largestMessageBytes }: Batch): void {
    if (this.#now === undefined || timestampMs - this.#now.startMs >= WINDOW_MS) {
      this.#before = this.#now;
      this.#now = { startMs: timestampMs, bytes: 0, largestBytes: 0 };
    }
    this.#now.bytes += byteLength;
    this.#now.largestBytes = Math.max(this.#now.largestBytes, largestMessageBytes);
    const { soft, hard } = this.#bounds;
    const spanMs = Math.max(MIN_SPAN_MS, timestampMs - (this.#before ?? this.#now).startMs);
    const bytesPerSecond = (((this.#before?.bytes ?? 0) + this.#now.bytes) * 1000) / spanMs;
    // One keyframe, however large, is no backlog.
    const largestBytes = Math.max(this.#before?.largestBytes ?? 0, this.#now.largestBytes);
    this.#softBytes = Math.max(soft.bytes, soft.seconds * bytesPerSecond, 2 * largestBytes);
    this.#hardBytes = Math.max(hard.bytes, hard.seconds * bytesPerSecond, 4 * largestBytes);
  }
}
