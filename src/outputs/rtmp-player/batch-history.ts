import type { Batch } from './batch.ts';

const MAX_BYTES = 16 * 1024 * 1024;
const MAX_DURATION_MS = 10_000;
/** A viewer that begins with older pictures than this is given a new keyframe as soon as the source can make one. */
const FRESH_MS = 3_000;

/** The batches since the last keyframe, for viewers that join; forgotten whole when they become too many. */
export class BatchHistory {
  #batches: Batch[] = [];
  #bytes = 0;

  /** The first begins with a keyframe. */
  get batches(): readonly Batch[] {
    return this.#batches;
  }

  get byteLength(): number {
    return this.#bytes;
  }

  /** Whether pictures begin not long ago. */
  get isFresh(): boolean {
    const first = this.#batches[0];
    return first !== undefined && this.#batches.at(-1)!.timestampMs - first.timestampMs <= FRESH_MS;
  }

  push(batch: Batch): void {
    if (batch.startsWithKeyframe) this.#clear();
    else if (this.#batches.length === 0) return;
    this.#batches.push(batch);
    this.#bytes += batch.byteLength;
    const isTooLong = batch.timestampMs - this.#batches[0]!.timestampMs > MAX_DURATION_MS;
    if (isTooLong || this.#bytes > MAX_BYTES) this.#clear();
  }

  #clear(): void {
    this.#batches = [];
    this.#bytes = 0;
  }
}
