export interface LineTailOptions {
  readonly headLines: number;
  readonly tailLines: number;
  /** Longer lines are cut here. */
  readonly maxLineChars: number;
  /** Every complete line as it comes, already cut. */
  readonly onLine?: ((line: string) => void) | undefined;
}

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/** Keeps the first and the last lines of a text stream in bounded memory, however much or how badly broken up it comes. */
export class LineTail {
  readonly #options: LineTailOptions;
  readonly #head: string[] = [];
  readonly #tail: string[] = [];
  #tailStart = 0;
  #omittedLines = 0;
  #pending = '';

  constructor(options: LineTailOptions) {
    this.#options = options;
  }

  push(chunk: Buffer): void {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      if (chunk[at] !== NEWLINE && chunk[at] !== CARRIAGE_RETURN) continue;
      this.#append(chunk, start, at);
      this.#endLine();
      start = at + 1;
    }
    this.#append(chunk, start, chunk.length);
  }

  /** Head, a line that counts what is missing (if anything), tail, and what came after the last line break. */
  lines(): string[] {
    const tail = [...this.#tail.slice(this.#tailStart), ...this.#tail.slice(0, this.#tailStart)];
    const omitted = this.#omittedLines > 0 ? [`… ${this.#omittedLines} lines omitted …`] : [];
    return [...this.#head, ...omitted, ...tail, ...(this.#pending === '' ? [] : [this.#pending])];
  }

  #append(chunk: Buffer, start: number, end: number): void {
    const room = this.#options.maxLineChars - this.#pending.length;
    if (room > 0 && end > start) this.#pending += chunk.toString('utf8', start, Math.min(end, start + room));
  }

  #endLine(): void {
    const line = this.#pending;
    if (line === '') return;
    this.#pending = '';
    if (this.#head.length < this.#options.headLines) {
      this.#head.push(line);
    } else if (this.#tail.length < this.#options.tailLines) {
      this.#tail.push(line);
    } else {
      this.#tail[this.#tailStart] = line;
      this.#tailStart = (this.#tailStart + 1) % this.#tail.length;
      this.#omittedLines++;
    }
    this.#options.onLine?.(line);
  }
}
