import { WindowMinimum } from '../../hub/window-minimum.ts';
import type { Batch } from './batch.ts';

/** In which there is an acknowledgement, and a large keyframe has passed: a viewer is behind by no more than the least of that time. */
const EVEN_US = 600_000;

/**
 * What of the past a viewer has not been given yet, because it joined behind the live edge. It is given no faster than it is taken, so
 * that what lags is still here and can be left out: a viewer that falls further behind than it began is slow, one that comes nearer
 * is not, however long it takes.
 */
export class CatchUp {
  #batches: Batch[] = [];
  #bytes = 0;
  readonly #recent = new WindowMinimum(EVEN_US);
  /** The least that it was behind since it joined. */
  #nearestBytes = Infinity;

  /** Whether everything goes through here; otherwise the viewer is given what is live. */
  get isOn(): boolean {
    return this.#batches.length > 0;
  }

  push(batches: readonly Batch[]): void {
    if (!this.isOn) this.#begin();
    this.#batches.push(...batches);
    for (const { byteLength } of batches) this.#bytes += byteLength;
  }

  /**
   * By how much it is further behind than it was: `backlogBytes` is what is on its way, and for `aheadBytes`, which came before
   * their time, it cannot be blamed.
   */
  lostBytes(backlogBytes: number, aheadBytes: number, nowUs: number): number {
    const behindBytes = this.behindBytes(backlogBytes);
    this.#recent.add(behindBytes, nowUs);
    this.#nearestBytes = Math.min(this.#nearestBytes + aheadBytes, behindBytes);
    return this.#recent.value - this.#nearestBytes;
  }

  behindBytes(backlogBytes: number): number {
    return backlogBytes + this.#bytes;
  }

  /** Takes the next out: as much as there is room for, of one group of pictures, and at least one batch where there is any room. */
  next(roomBytes: number): Batch[] {
    let count = 0;
    for (let leftBytes = roomBytes; leftBytes > 0 && count < this.#batches.length; count++) {
      const { byteLength, startsWithKeyframe } = this.#batches[count]!;
      if (startsWithKeyframe && count > 0) break;
      leftBytes -= byteLength;
    }
    return this.#takeOut(count);
  }

  /** Takes out what is before the newest keyframe that is kept, or everything; the rest is a new beginning. */
  skip(): Batch[] {
    const newest = this.#batches.findLastIndex(({ startsWithKeyframe }) => startsWithKeyframe);
    const skipped = this.#takeOut(newest > 0 ? newest : this.#batches.length);
    this.#begin();
    return skipped;
  }

  clear(): void {
    this.#takeOut(this.#batches.length);
  }

  #begin(): void {
    this.#nearestBytes = Infinity;
    this.#recent.reset();
  }

  #takeOut(count: number): Batch[] {
    const taken = this.#batches.splice(0, count);
    for (const { byteLength } of taken) this.#bytes -= byteLength;
    return taken;
  }
}
