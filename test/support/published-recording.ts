import { open } from 'node:fs/promises';
import { FlvTagReader } from '../../src/protocol/flv/tag-reader.ts';

const MAX_TAG_BYTES = 8 << 20;
const READ_BYTES = 1 << 20;

/** What a destination has taken of one stream, since the last time it was asked. Times are of the stream's own timeline. */
export interface TakenMedia {
  /** The longest step between two pictures, and between two frames of sound, the step from the last time included. */
  readonly maxVideoGapMs: number;
  readonly maxAudioGapMs: number;
  /** How far the timeline went on. */
  readonly mediaMs: number;
}

/** Follows the FLV file into which a destination writes a publication while that goes on. */
export class PublishedRecording {
  readonly #path: string;
  readonly #reader = new FlvTagReader({ maxTagBytes: MAX_TAG_BYTES });
  readonly #lastMs: { video: number | undefined; audio: number | undefined } = { video: undefined, audio: undefined };
  #offsetBytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** The time of the newest picture and of the newest sound that were taken. */
  get newestMs(): { readonly video: number | undefined; readonly audio: number | undefined } {
    return this.#lastMs;
  }

  async take(): Promise<TakenMedia> {
    const gaps = { video: 0, audio: 0 };
    const startMs = this.#lastMs.video;
    for await (const bytes of this.#newBytes()) {
      for (const { type, timestampMs } of this.#reader.push(bytes)) {
        if (type === 'script') continue;
        gaps[type] = Math.max(gaps[type], timestampMs - (this.#lastMs[type] ?? timestampMs));
        this.#lastMs[type] = timestampMs;
      }
    }
    const mediaMs = (this.#lastMs.video ?? 0) - (startMs ?? 0);
    return { maxVideoGapMs: gaps.video, maxAudioGapMs: gaps.audio, mediaMs };
  }

  async *#newBytes(): AsyncGenerator<Buffer> {
    const file = await open(this.#path);
    try {
      for (;;) {
        const buffer = Buffer.alloc(READ_BYTES);
        const { bytesRead } = await file.read(buffer, 0, READ_BYTES, this.#offsetBytes);
        if (bytesRead === 0) return;
        this.#offsetBytes += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }
}
