import type { Writable } from 'node:stream';
import { startChild, type Child } from '../supervisor/child-process.ts';
import { classifyFfmpegEnd } from '../supervisor/ffmpeg-exit.ts';
import type { TranscoderHost } from './transcoder-host.ts';

export interface EncoderProcessOptions {
  readonly host: TranscoderHost;
  readonly kind: 'audio' | 'video';
  readonly args: readonly string[];
  /** What it writes, as it comes. When this throws, the encoder is killed. Not called after `close` or `abandon`. */
  readonly onOutput: (chunk: Buffer) => void;
  /** Once, with why it ended, unless it was closed or abandoned first. */
  readonly onEnd: (reason: string) => void;
}

/** One ffmpeg that encodes from its stdin to its stdout. Close it with `close` or `abandon`. */
export class EncoderProcess {
  readonly #host: TranscoderHost;
  readonly #child: Child;
  #waitingSinceUs: number | undefined;
  #isOver = false;

  constructor({ host, kind, args, onOutput, onEnd }: EncoderProcessOptions) {
    this.#host = host;
    this.#child = startChild({
      program: host.ffmpegPath,
      args,
      name: `${kind}-transcode`,
      nonce: host.nonce,
      inputFd: 0,
      outputFds: [1],
      logger: host.logger,
      clock: host.clock,
    });
    this.#child.outputs.get(1)?.on('data', (chunk: Buffer) => {
      if (this.#isOver) return;
      try {
        onOutput(chunk);
      } catch (error) {
        host.logger.warn({ error: String(error) }, `${kind} encoder wrote what cannot be read`);
        void this.#child.kill();
      }
    });
    void this.#child.ended.then((end) => {
      if (this.#isOver) return;
      this.#isOver = true;
      const { exitClass, detail } = classifyFfmpegEnd(end, this.#child.stderrLines(), false);
      onEnd(`${exitClass}: ${detail}`);
    });
  }

  /** Undefined when it could not be started; the end follows. */
  get input(): Writable | undefined {
    return this.#child.input;
  }

  /** It has been given something that it must answer. */
  noteInput(): void {
    this.#waitingSinceUs ??= this.#host.clock.monotonicUs();
  }

  /** It has given a frame. */
  noteFrame(): void {
    this.#waitingSinceUs = undefined;
  }

  /** For how long there has been input but no frame. */
  waitedUs(nowUs: number): number {
    return this.#waitingSinceUs === undefined ? 0 : nowUs - this.#waitingSinceUs;
  }

  /** Kills it; it says nothing any more. */
  async abandon(): Promise<void> {
    this.#isOver = true;
    await this.#child.kill();
  }

  /** Ends it in order; it says nothing any more. */
  async close(): Promise<void> {
    this.#isOver = true;
    await this.#child.stop();
  }
}
