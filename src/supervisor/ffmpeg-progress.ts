/** One block of `ffmpeg -progress`; what ffmpeg reports as N/A is undefined. */
export interface FfmpegProgress {
  readonly outTimeUs: number | undefined;
  readonly totalSizeBytes: number | undefined;
  readonly fps: number | undefined;
  /** Media seconds per second. */
  readonly speed: number | undefined;
  readonly bitrateBps: number | undefined;
  /** True for the last block of a process that ended in order. */
  readonly isEnd: boolean;
}

/** A key and a value are short; anything longer is not from ffmpeg and is skipped up to the next line break. */
const MAX_LINE_CHARS = 256;
const MAX_KEYS = 64;

/** Parses the key=value lines of `-progress pipe:1`. Memory is bounded, and nothing that comes in can make it throw. */
export class FfmpegProgressParser {
  #line = '';
  #isLineTooLong = false;
  readonly #values = new Map<string, string>();

  push(chunk: Buffer): FfmpegProgress[] {
    const blocks: FfmpegProgress[] = [];
    for (const byte of chunk) {
      if (byte !== 10) {
        if (this.#line.length < MAX_LINE_CHARS) this.#line += String.fromCharCode(byte);
        else this.#isLineTooLong = true;
        continue;
      }
      if (!this.#isLineTooLong) this.#endLine(blocks);
      this.#line = '';
      this.#isLineTooLong = false;
    }
    return blocks;
  }

  #endLine(blocks: FfmpegProgress[]): void {
    const separator = this.#line.indexOf('=');
    if (separator <= 0) return;
    const key = this.#line.slice(0, separator);
    const value = this.#line.slice(separator + 1).trim();
    if (key !== 'progress') {
      if (this.#values.size < MAX_KEYS || this.#values.has(key)) this.#values.set(key, value);
      return;
    }
    blocks.push({
      outTimeUs: this.#number('out_time_us', 1),
      totalSizeBytes: this.#number('total_size', 1),
      fps: this.#number('fps', 1),
      speed: this.#number('speed', 1),
      bitrateBps: this.#number('bitrate', 1000),
      isEnd: value === 'end',
    });
    this.#values.clear();
  }

  #number(key: string, factor: number): number | undefined {
    const match = /^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/i.exec(this.#values.get(key) ?? '');
    return match ? Number(match[0]) * factor : undefined;
  }
}
