const LOOK_PERIOD_MS = 10;
const MAX_STEP_MS = 50;

/**
 * How much of a time on the wall the process was awake: it looks often, and a step between two looks counts as 50 ms at most, or
 * as what the process itself computed in it. So a busy machine that lets it wait is not taken for a slow product, but a product that
 * holds it up is. Started at once; to be disposed of.
 */
export class AwakeClock implements Disposable {
  readonly #pauses: { readonly fromMs: number; readonly untilMs: number; readonly lostMs: number }[] = [];
  readonly #timer = setInterval(() => this.#look(), LOOK_PERIOD_MS).unref();
  #lastMs = Date.now();
  #lastCpuMs = cpuMs();

  /** From and until are of `Date.now()`; the former is not before its start. */
  betweenMs(fromMs: number, untilMs: number): number {
    return this.#lostMs(fromMs, untilMs).reduce((awakeMs, lostMs) => awakeMs - lostMs, untilMs - fromMs);
  }

  /** The longest that it was not awake in one piece, between the same. */
  longestPauseMs(fromMs: number, untilMs: number): number {
    return Math.max(0, ...this.#lostMs(fromMs, untilMs));
  }

  #lostMs(fromMs: number, untilMs: number): number[] {
    this.#look();
    return this.#pauses.map((pause) => {
      const overlapMs = Math.min(untilMs, pause.untilMs) - Math.max(fromMs, pause.fromMs);
      return Math.max(0, Math.min(overlapMs - MAX_STEP_MS, pause.lostMs));
    });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const nowMs = Date.now();
    const nowCpuMs = cpuMs();
    const stepMs = nowMs - this.#lastMs;
    const lostMs = stepMs - Math.max(MAX_STEP_MS, nowCpuMs - this.#lastCpuMs);
    if (lostMs > 0) this.#pauses.push({ fromMs: this.#lastMs, untilMs: nowMs, lostMs });
    this.#lastMs = nowMs;
    this.#lastCpuMs = nowCpuMs;
  }
}

/** Of the thread that runs JavaScript. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
