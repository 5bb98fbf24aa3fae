import type { ExitClass } from '../domain/transponder.ts';

/**
 * How a transponder comes back (design §4); a row's own data.
 *
 * `wcs`: `rtmp_push_restore_attempts` tries, `rtmp_push_restore_interval_ms` after the end of the run before; 0 attempts
 * where `rtmp_push_restore` is off. `persistent`: for ever, with full-jitter back-off.
 */
export type RestartPolicy =
  { readonly kind: 'wcs'; readonly attempts: number; readonly intervalMs: number } | { readonly kind: 'persistent' };

const BACKOFF_BASE_MS = 1000;
const BACKOFF_CAP_MS = 30_000;
/** A destination that still holds the old session needs time to lose it. */
const BUSY_MIN_DELAY_MS = 5000;
/** The pause before a run that is not counted as a try, where the source is said to be still there. */
const UNCOUNTED_DELAY_MS = 1000;
/** A key may take a moment to be known everywhere; twice in a row is an answer. */
const MAX_AUTH_REJECTIONS = 2;
/** Restart intensity guard: this many starts in this time, whatever their reasons. */
const MAX_STARTS = 5;
const STARTS_WINDOW_MS = 30_000;

/** The budget of tries is full again only after this long of uninterrupted ACTIVE, not on the first bytes. */
export const STABLE_AFTER_MS = 30_000;

type Retry = 'retryable' | 'permanent' | 'not_counted';

/**
 * | class                                                              | what follows                                  |
 * | ------------------------------------------------------------------ | --------------------------------------------- |
 * | dest_refused, _unreachable, _dns, _timeout, _reset                 | a try                                         |
 * | dest_busy                                                          | a try, persistent waits at least 5 s          |
 * | dest_auth                                                          | a try; persistent gives up after two in a row |
 * | stalled, start_timeout, killed, crash, spawn_error                 | a try                                         |
 * | asked_stop (nobody asked)                                          | a try                                         |
 * | dest_rejected, dest_forbidden_address, tls_error, media_unsupported | FAILED: no try can help                       |
 * | source_gone, server_crash, replan                                  | not counted                                   |
 */
export const RETRY_OF_EXIT_CLASS: Readonly<Record<ExitClass, Retry>> = {
  asked_stop: 'retryable',
  source_gone: 'not_counted',
  dest_refused: 'retryable',
  dest_unreachable: 'retryable',
  dest_dns: 'retryable',
  dest_timeout: 'retryable',
  dest_reset: 'retryable',
  dest_busy: 'retryable',
  dest_auth: 'retryable',
  dest_rejected: 'permanent',
  dest_forbidden_address: 'permanent',
  tls_error: 'permanent',
  media_unsupported: 'permanent',
  stalled: 'retryable',
  start_timeout: 'retryable',
  killed: 'retryable',
  crash: 'retryable',
  spawn_error: 'retryable',
  server_crash: 'not_counted',
  replan: 'not_counted',
};

/** What the policy looks at; `attempt` is the number of tries spent since the budget was last full. */
export interface RetryHistory {
  readonly attempt: number;
  /** Consecutive runs that ended with `dest_auth`, this one included. */
  readonly authRejections: number;
  /** Monotonic times of the last starts, oldest first. */
  readonly startsMs: readonly number[];
}

export type RetryDecision =
  | { readonly retry: true; readonly delayMs: number; readonly counted: boolean }
  | { readonly retry: false; readonly reason: string };

/** Decides what follows a run that ended while it was wanted. `random` is in [0, 1), `nowMs` monotonic. */
export function decideRetry(
  policy: RestartPolicy,
  exitClass: ExitClass,
  history: RetryHistory,
  nowMs: number,
  random: number,
): RetryDecision {
  const kind = RETRY_OF_EXIT_CLASS[exitClass];
  if (kind === 'permanent') return { retry: false, reason: exitClass };
  if (kind === 'not_counted') {
    const pauseMs = exitClass === 'replan' ? 0 : UNCOUNTED_DELAY_MS;
    return { retry: true, counted: false, delayMs: Math.max(pauseMs, guardDelayMs(history.startsMs, nowMs)) };
  }
  if (policy.kind === 'wcs') {
    if (policy.attempts === 0) return { retry: false, reason: exitClass };
    if (history.attempt >= policy.attempts) return { retry: false, reason: `attempts_exhausted: ${exitClass}` };
    return { retry: true, counted: true, delayMs: policy.intervalMs };
  }
  if (history.authRejections >= MAX_AUTH_REJECTIONS) return { retry: false, reason: exitClass };
  const jitterMs = Math.round(random * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** history.attempt));
  const leastMs = exitClass === 'dest_busy' ? BUSY_MIN_DELAY_MS : 0;
  const delayMs = Math.max(jitterMs, leastMs, guardDelayMs(history.startsMs, nowMs));
  return { retry: true, counted: true, delayMs };
}

/** How long the next start must wait so that no window of 30 s sees more than five. */
export function guardDelayMs(startsMs: readonly number[], nowMs: number): number {
  const limiting = startsMs.at(-MAX_STARTS);
  return limiting === undefined ? 0 : Math.max(0, limiting + STARTS_WINDOW_MS - nowMs);
}

/** Adds a start and forgets those the guard no longer needs. */
export function withStart(startsMs: readonly number[], nowMs: number): readonly number[] {
  return [...startsMs, nowMs].slice(-MAX_STARTS);
}
