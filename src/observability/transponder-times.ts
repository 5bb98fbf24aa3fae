import { Counter, Histogram, type Registry } from 'prom-client';
import type { ExitClass, TransponderState } from '../domain/transponder.ts';

/** A transition, as far as its times are counted. */
export interface TransponderMove {
  readonly transponderId: string;
  readonly from: TransponderState;
  readonly to: TransponderState;
  /** Of the run that ended with it, where one did. */
  readonly exitClass?: ExitClass | undefined;
}

interface Known {
  /** While there is a run. */
  startedUs: number | undefined;
  /** Of the run before. */
  lastExitClass: ExitClass | undefined;
}

const RUN_SECONDS = [1, 5, 15, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600];
const TO_ACTIVE_SECONDS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 20];

/** How long runs last and take to begin, and why transponders start again. Remembers only those that have not ended. */
export class TransponderTimes {
  readonly #known = new Map<string, Known>();
  readonly #monotonicUs: () => number;
  readonly #runSeconds: Histogram<'exit_class'>;
  readonly #toActiveSeconds: Histogram;
  readonly #restarts: Counter<'exit_class'>;

  constructor(registry: Registry, monotonicUs: () => number) {
    const registers = [registry];
    this.#monotonicUs = monotonicUs;
    this.#runSeconds = new Histogram({
      name: 'transponder_run_duration_seconds',
      help: 'How long runs lasted, by how they ended.',
      labelNames: ['exit_class'],
      buckets: RUN_SECONDS,
      registers,
    });
    this.#toActiveSeconds = new Histogram({
      name: 'transponder_time_to_active_seconds',
      help: 'From the start of a run to a destination that takes media.',
      buckets: TO_ACTIVE_SECONDS,
      registers,
    });
    this.#restarts = new Counter({
      name: 'transponder_restarts_total',
      help: 'Starts of transponders that had run before, by how that run ended.',
      labelNames: ['exit_class'],
      registers,
    });
  }

  onMoved({ transponderId, from, to, exitClass }: TransponderMove): void {
    const known = this.#known.get(transponderId) ?? { startedUs: undefined, lastExitClass: undefined };
    this.#known.set(transponderId, known);
    const seconds = known.startedUs === undefined ? 0 : (this.#monotonicUs() - known.startedUs) / 1_000_000;
    if (exitClass !== undefined) {
      this.#runSeconds.observe({ exit_class: exitClass }, seconds);
      known.startedUs = undefined;
      known.lastExitClass = exitClass;
    }
    // What starts again at once goes from a state with a run to STARTING.
    if (to === 'STARTING' && known.startedUs === undefined) {
      known.startedUs = this.#monotonicUs();
      if (known.lastExitClass !== undefined) this.#restarts.inc({ exit_class: known.lastExitClass });
    }
    if (from === 'STARTING' && to === 'ACTIVE') this.#toActiveSeconds.observe(seconds);
    if (to === 'FAILED' || to === 'TERMINATED') this.#known.delete(transponderId);
  }
}
