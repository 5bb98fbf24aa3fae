interface Mark {
  readonly endBytes: number;
  readonly mediaMs: number;
}

/** Tells up to which media time a peer has taken a stream, from the number of bytes that it has taken. */
export class MediaTime {
  /** One for each message that has not been taken. */
  readonly #marks: Mark[] = [];
  #lastTimestampMs: number | undefined;
  #writtenMs = 0;
  #acceptedMs = 0;

  /** A message of that RTMP timestamp, which wraps at 2^32, was written; with it the stream is `endBytes` long. */
  written(timestampMs: number, endBytes: number): void {
    this.#writtenMs += (timestampMs - (this.#lastTimestampMs ?? timestampMs)) | 0;
    this.#lastTimestampMs = timestampMs;
    this.#marks.push({ endBytes, mediaMs: this.#writtenMs });
  }

  /** From the timestamp of the first message on. `acceptedBytes` must not fall. */
  acceptedMs(acceptedBytes: number): number {
    let count = 0;
    for (const { endBytes, mediaMs } of this.#marks) {
      if (endBytes > acceptedBytes) break;
      this.#acceptedMs = mediaMs;
      count += 1;
    }
    if (count > 0) this.#marks.splice(0, count);
    return this.#acceptedMs;
  }
}
