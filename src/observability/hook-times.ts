import { Counter, Histogram, type Registry } from 'prom-client';

/** A request to a backend, or an event that never went out. Methods and outcomes are words of this program. */
export interface HookDone {
  readonly method: string;
  readonly outcome: string;
  readonly seconds: number;
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15];

/** What REST hooks come to, and how long they take. */
export class HookTimes {
  readonly #requests: Counter<'method' | 'outcome'>;
  readonly #seconds: Histogram<'method'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#requests = new Counter({
      name: 'transponder_hook_requests_total',
      help: 'REST hooks, by what became of them.',
      labelNames: ['method', 'outcome'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'transponder_hook_duration_seconds',
      help: 'How long the backend took, waiting for a connection included.',
      labelNames: ['method'],
      buckets: SECONDS,
      registers,
    });
  }

  onDone({ method, outcome, seconds }: HookDone): void {
    this.#requests.inc({ method, outcome });
    if (outcome !== 'dropped') this.#seconds.observe({ method }, seconds);
  }
}
