import { availableParallelism } from 'node:os';
import type { CancelTimer, Clock } from '../domain/clock.ts';

export type AdmissionDecision = { readonly ok: true } | { readonly ok: false; readonly reason: string };

export interface Load {
  /** Of all cores: what this process and its children have used lately, and what those just begun are going to. */
  readonly cpuPercent: number;
  /** What this process may still take, as the kernel or the control group says. */
  readonly availableMemoryBytes: number;
}

export interface AdmissionLimits {
  /** 0 = none. */
  readonly maxCpuPercent: number;
  readonly minMemoryBytes: number;
}

/** Whether one more push may begin. Those that run are never asked. */
export function decideAdmission(load: Load, limits: AdmissionLimits): AdmissionDecision {
  if (load.availableMemoryBytes < limits.minMemoryBytes) {
    return { ok: false, reason: `memory is short: ${mebibytes(load.availableMemoryBytes)} MiB are left` };
  }
  if (limits.maxCpuPercent > 0 && load.cpuPercent > limits.maxCpuPercent) {
    const percent = Math.round(load.cpuPercent);
    return {
      ok: false,
      reason: `the server is busy: ${percent} % CPU in the last ${WINDOW_S} s or about to be used, ${limits.maxCpuPercent} % allowed`,
    };
  }
  return { ok: true };
}

export interface AdmissionOptions {
  readonly clock: Clock;
  readonly limits: AdmissionLimits;
  /** CPU time that all children, also those that have ended, have used since the process began. */
  readonly childrenCpuSeconds: () => Promise<number>;
  /** The same for this process. */
  readonly ownCpuSeconds?: (() => number) | undefined;
  readonly availableMemoryBytes?: (() => number) | undefined;
  readonly cores?: number | undefined;
}

interface Sample {
  readonly atUs: number;
  readonly cpuSeconds: number;
}

interface Reservation {
  readonly atUs: number;
  readonly cores: number;
}

const SAMPLE_PERIOD_MS = 2000;
const WINDOW_S = 10;
const WINDOW_US = WINDOW_S * 1_000_000;

/**
 * Looks at the load of this process and its children and admits new pushes while it is bearable. What has just begun is not seen in
 * the load yet, so it is reserved: all of it at first, and less as time makes it seen. The caller closes it.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #cancelTimer: CancelTimer;
  #samples: readonly Sample[] = [];
  #reservations: readonly Reservation[] = [];

  constructor(options: AdmissionOptions) {
    this.#options = options;
    void this.#sample();
    this.#cancelTimer = options.clock.every(SAMPLE_PERIOD_MS, () => void this.#sample());
  }

  check(): AdmissionDecision {
    const { availableMemoryBytes = () => process.availableMemory() } = this.#options;
    const load = { cpuPercent: this.#cpuPercent(), availableMemoryBytes: availableMemoryBytes() };
    return decideAdmission(load, this.#options.limits);
  }

  /** Something begins that will use so much of the machine. */
  reserve(cores: number): void {
    const atUs = this.#options.clock.monotonicUs();
    this.#reservations = [...this.#reservations.filter((one) => atUs - one.atUs < WINDOW_US), { atUs, cores }];
  }

  close(): void {
    this.#cancelTimer();
  }

  async #sample(): Promise<void> {
    const { clock, childrenCpuSeconds, ownCpuSeconds = cpuSecondsOfProcess } = this.#options;
    const cpuSeconds = ownCpuSeconds() + (await childrenCpuSeconds());
    const atUs = clock.monotonicUs();
    const samples = [...this.#samples, { atUs, cpuSeconds }];
    // The newest that is old enough is where the window begins: timers are late, and without it the window would be too short.
    const first = samples.findLastIndex((sample) => atUs - sample.atUs >= WINDOW_US);
    this.#samples = samples.slice(Math.max(0, first));
  }

  /** Time before the first sample counts as idle, so that a start is no overload. */
  #cpuPercent(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    const spanUs = first && last ? Math.max(WINDOW_US, last.atUs - first.atUs) : WINDOW_US;
    const usedCores = first && last ? ((last.cpuSeconds - first.cpuSeconds) * 1_000_000) / spanUs : 0;
    const { clock, cores = availableParallelism() } = this.#options;
    const nowUs = clock.monotonicUs();
    const reservedCores = this.#reservations.reduce(
      (sum, one) => sum + one.cores * Math.max(0, 1 - (nowUs - one.atUs) / WINDOW_US),
      0,
    );
    return ((usedCores + reservedCores) * 100) / cores;
  }
}

function cpuSecondsOfProcess(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000_000;
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / (1024 * 1024));
}
