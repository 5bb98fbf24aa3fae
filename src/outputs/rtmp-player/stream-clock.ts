/**
 * RTMP times of one stream: milliseconds since its first unit, never going back within a kind. They grow without end; the chunk
 * layer takes them modulo 2^32.
 */
export class StreamClock {
  #zeroUs: number | undefined;
  readonly #last = { audio: 0, video: 0 };

  /** The time of a unit, by its decoding time. */
  timestampMs(kind: 'audio' | 'video', timeUs: number): number {
    const timestampMs = Math.max(this.#last[kind], this.#sinceZeroMs(timeUs));
    this.#last[kind] = timestampMs;
    return timestampMs;
  }

  /** How long after `timestampMs` a picture is shown. */
  compositionTimeMs(ptsUs: number, timestampMs: number): number {
    return Math.max(0, this.#sinceZeroMs(ptsUs) - timestampMs);
  }

  /** Where the stream's timeline has this clock's zero; a unit that is asked about first puts it there. */
  zeroUs(timeUs: number): number {
    this.#zeroUs ??= timeUs;
    return this.#zeroUs;
  }

  #sinceZeroMs(timeUs: number): number {
    return Math.floor((timeUs - this.zeroUs(timeUs)) / 1000);
  }
}
