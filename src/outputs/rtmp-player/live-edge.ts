/** Less than this is how media comes: unevenly, and some pictures at once. */
const TOLERANCE_MS = 100;

/**
 * How far a stream has come by the clock. Its time runs as the clock does, late at times and then faster, but what comes before its
 * time was there already: the pictures since the last keyframe, which a feed begins with, and a transcoder that catches up with
 * them.
 */
export class LiveEdge {
  /** The most that the stream's time has been before the clock's. */
  #aheadMs: number | undefined;

  /** By how much the edge moves away from the clock's time; `timestampMs` is of the newest media. */
  push(timestampMs: number, nowUs: number): number {
    const aheadMs = timestampMs - nowUs / 1000;
    const movedMs = aheadMs - (this.#aheadMs ??= aheadMs);
    if (movedMs <= TOLERANCE_MS) return 0;
    this.#aheadMs = aheadMs;
    return movedMs;
  }
}
