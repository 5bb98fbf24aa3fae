import type { RunEnd } from '../../domain/transponder.ts';
import type { CurrentUsage } from '../../supervisor/process-usage.ts';

/** Of each push's process; 0 = none. */
export interface UsageLimits {
  /** Of one core. */
  readonly cpuPercent: number;
  readonly memoryBytes: number;
}

/** A peak is no fault; only what lasts is. */
const TOLERATED_US = 10_000_000;

/** Tells when a process has been over one of its limits for ten seconds without a break. */
export class UsageLimit {
  readonly #limits: UsageLimits;
  #last: { readonly cpuMs: number; readonly atUs: number } | undefined;
  #cpuOverSinceUs: number | undefined;
  #memoryOverSinceUs: number | undefined;

  constructor(limits: UsageLimits) {
    this.#limits = limits;
  }

  /** How the run must end, if it must. `nowUs` is monotonic. */
  observe({ cpuMs, rssBytes }: CurrentUsage, nowUs: number): RunEnd | undefined {
    const { cpuPercent: maxPercent, memoryBytes: maxBytes } = this.#limits;
    const last = this.#last ?? { cpuMs, atUs: nowUs };
    this.#last = { cpuMs, atUs: nowUs };
    const percent = nowUs === last.atUs ? 0 : ((cpuMs - last.cpuMs) * 100_000) / (nowUs - last.atUs);
    // A percentage is that of the time since the last look, so it began there.
    this.#cpuOverSinceUs = maxPercent > 0 && percent > maxPercent ? (this.#cpuOverSinceUs ?? last.atUs) : undefined;
    this.#memoryOverSinceUs = maxBytes > 0 && rssBytes > maxBytes ? (this.#memoryOverSinceUs ?? nowUs) : undefined;
    if (isOverFor(this.#cpuOverSinceUs, nowUs)) {
      return { exitClass: 'limit_cpu', detail: `more than ${maxPercent} % CPU for 10 s, now ${Math.round(percent)} %` };
    }
    if (isOverFor(this.#memoryOverSinceUs, nowUs)) {
      return { exitClass: 'limit_memory', detail: `more than ${maxBytes} bytes of memory for 10 s, now ${rssBytes}` };
    }
    return undefined;
  }
}

function isOverFor(sinceUs: number | undefined, nowUs: number): boolean {
  return sinceUs !== undefined && nowUs - sinceUs >= TOLERATED_US;
}
