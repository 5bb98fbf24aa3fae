import { AAC_FRAME_SAMPLES } from '../../protocol/aac/silence.ts';

export const SILENT_SAMPLE_RATE_HZ = 48_000;
export const SILENT_CHANNELS = 2;

const FRAME_US = (AAC_FRAME_SAMPLES * 1_000_000) / SILENT_SAMPLE_RATE_HZ;
/** A timeline that jumps further is followed, not filled. */
const MAX_FILL_US = 1_000_000;

/** The times of silent AAC frames, 1024 samples apart on the stream's own timeline (reference/rtmp.md §7). */
export class SilentSound {
  #nextFrame = 0;

  /** Times of the frames that are due by `timeUs`; the first is at `zeroUs`, which stays the same. */
  due(timeUs: number, zeroUs: number): number[] {
    const elapsedUs = timeUs - zeroUs;
    if (elapsedUs - this.#nextFrame * FRAME_US > MAX_FILL_US) this.#nextFrame = Math.floor(elapsedUs / FRAME_US);
    const times: number[] = [];
    for (; this.#nextFrame * FRAME_US <= elapsedUs; this.#nextFrame++) times.push(zeroUs + this.#nextFrame * FRAME_US);
    return times;
  }
}
