import type { EncoderProcess } from './encoder-process.ts';
import { RestartBackoff } from './restart-backoff.ts';
import type { TranscoderHost } from './transcoder-host.ts';

/** One life of one encoder. */
export interface EncoderRun {
  readonly process: Pick<EncoderProcess, 'waitedUs' | 'close' | 'abandon'>;
}

export interface EncoderSuccessionOptions {
  readonly host: TranscoderHost;
  readonly kind: 'audio' | 'video';
  /** Once, when they have died too often to try again. Not called after `close`. */
  readonly onEnd: (reason: string) => void;
}

/**
 * The encoders of one transcode, one after the other: which one runs, when the next one may start after a death, and that
 * all are gone when `close` resolves.
 */
export class EncoderSuccession<Run extends EncoderRun> {
  readonly #options: EncoderSuccessionOptions;
  readonly #backoff = new RestartBackoff();
  readonly #leaving = new Set<Promise<void>>();
  #run: Run | undefined;
  #deaths = 0;
  #isOver = false;
  #closing: Promise<void> | undefined;

  constructor(options: EncoderSuccessionOptions) {
    this.#options = options;
  }

  /** The one that runs. */
  get run(): Run | undefined {
    return this.#run;
  }

  /** Closed, or given up. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get deaths(): number {
    return this.#deaths;
  }

  /** Whether there is none, and it is time for one. */
  mayStart(nowUs: number): boolean {
    return !this.#run && this.#backoff.mayStart(nowUs);
  }

  /** `create` passes `onEnd` on to the process of the run. */
  start(nowUs: number, create: (onEnd: (reason: string) => void) => Run): Run {
    this.#backoff.started(nowUs);
    this.#run = create((reason) => {
      this.#run = undefined;
      this.#died(reason, this.#options.host.clock.monotonicUs());
    });
    return this.#run;
  }

  /** Ends the one that runs in order: what comes is not for it. */
  retire(): void {
    this.#remember(this.#run?.process.close());
    this.#run = undefined;
  }

  /** Kills the one that runs where it has had input for longer than `stallUs` without giving anything. */
  abandonStalled(stallUs: number, nowUs: number): void {
    if (this.#run && this.#run.process.waitedUs(nowUs) > stallUs) this.abandon('does not answer', nowUs);
  }

  /** Kills the one that runs, which counts as a death. */
  abandon(reason: string, nowUs: number): void {
    this.#remember(this.#run?.process.abandon());
    this.#run = undefined;
    this.#died(reason, nowUs);
  }

  /** Memoised. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#isOver = true;
    this.retire();
    await Promise.all(this.#leaving);
  }

  #remember(leaving: Promise<void> | undefined): void {
    if (!leaving) return;
    const gone = leaving.then(() => void this.#leaving.delete(gone));
    this.#leaving.add(gone);
  }

  #died(reason: string, nowUs: number): void {
    if (this.#isOver) return;
    const { kind, host, onEnd } = this.#options;
    this.#deaths++;
    this.#backoff.died(nowUs);
    host.logger.warn({ reason, restarts: this.#deaths }, `${kind} encoder died`);
    if (!this.#backoff.isExhausted) return;
    this.#isOver = true;
    onEnd(`the ${kind} encoder keeps dying: ${reason}`);
  }
}
