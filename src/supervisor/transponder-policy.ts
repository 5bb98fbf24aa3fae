import type { ExitClass } from '../domain/transponder.ts';

/**
 * How a transponder comes back (design §4); a row's own data, and what is shown as its effective policy.
 *
 * `wcs`: `rtmp_push_restore_attempts` tries, each `rtmp_push_restore_interval_ms` after the end of the run before; 0 attempts
 * where `rtmp_push_restore` is off (WCS documentation, "Automatic reconnection"). `persistent`: for ever, with back-off.
 */
export type RestartPolicy =
  | { readonly kind: 'wcs'; readonly attempts: number; readonly intervalMs: number }
  | {
      readonly kind: 'persistent';
      readonly baseMs: number;
      readonly capMs: number;
      /** The budget of tries is full again only after this long of uninterrupted ACTIVE, not on the first bytes. */
      readonly stableAfterMs: number;
    };

/** What a `persistent` policy is where its caller says nothing else. */
export const PERSISTENT = {
  kind: 'persistent',
  baseMs: 1000,
  capMs: 30_000,
  stableAfterMs: 30_000,
} as const satisfies RestartPolicy;

/** `wcs` has no word for it; the budget of tries works as that of `persistent`. */
const WCS_STABLE_AFTER_MS = 30_000;

/**
 * An outage of a few seconds ends for the viewers as soon as the destination is back: for that long the tries follow each
 * other quickly, and only then back-off begins. With pauses of 0.3 to 1.2 s a destination is asked again 0.4 s (median)
 * after its return.
 */
const QUICK_PHASE_MS = 10_000;
/** In parts of `baseMs`: the longest pause before the first try of all, and the shortest and the spread of the quick ones. */
const FIRST_PART = 0.25;
const QUICK_LEAST_PART = 0.3;
const QUICK_SPREAD_PART = 0.9;
/** Beyond this the cap is reached whatever the base is; keeps the power finite. */
const MAX_EXPONENT = 30;
/** A destination that still holds the old session needs time to lose it, and one that has trouble needs some to get over it. */
const LEAST_DELAY_MS: { readonly [Class in ExitClass]?: number } = {
  dest_busy: 5000,
  dest_closed: 5000,
  dest_rejected: 5000,
  dest_auth: 5000,
  tls_error: 5000,
};
/** The pause before a run that is not counted as a try, where the source is said to be still there. */
const UNCOUNTED_DELAY_MS = 1000;
/** A key may take a moment to be known everywhere; twice in a row is an answer. */
const MAX_AUTH_REJECTIONS = 2;
/** A program that crashes again and again on the same stream will go on doing so. */
const MAX_CRASHES = 3;
const CRASH_WINDOW_MS = 600_000;
/**
 * A destination that accepts and then drops is not to see a storm of short publications, each of which may be a video of its
 * own there. The pause after the second one in a row, doubled with each further one: at most eight in five minutes.
 */
const BRIEF_PUBLICATION_PAUSE_MS = 4000;
const MAX_BRIEF_PUBLICATION_PAUSE_MS = 90_000;
/** Restart intensity guard: this many starts in this time, whatever their reasons. */
const MAX_STARTS = 5;
const STARTS_WINDOW_MS = 30_000;

/** `verdict`: final for a push that the destination has never accepted, trouble that passes for one that it has. */
type Retry = 'retryable' | 'verdict' | 'permanent' | 'not_counted';

/**
 * | class                                                               | what follows                                      |
 * | ------------------------------------------------------------------- | ------------------------------------------------- |
 * | dest_refused, _unreachable, _dns, _timeout, _reset, killed          | a try; persistent tries quickly in the first 10 s |
 * | stalled                                                             | the same, persistent without a pause at first     |
 * | any of them, when the destination had accepted the run              | persistent waits 4 s the second time, then twice that |
 * | dest_busy                                                           | a try, persistent waits at least 5 s              |
 * | dest_closed, dest_rejected, tls_error                               | the same if it was accepted before, else FAILED   |
 * | dest_auth                                                           | the same if it was accepted before, else a try; persistent gives up after two in a row |
 * | crash                                                               | a try; persistent gives up after 3 in 10 minutes  |
 * | start_timeout, spawn_error                                          | a try                                             |
 * | limit_cpu, limit_memory                                             | a try that counts as two                          |
 * | asked_stop (nobody asked)                                           | a try                                             |
 * | dest_forbidden_address, media_unsupported                           | FAILED: no try can help                           |
 * | source_gone, server_crash                                           | not counted, after a second                       |
 * | replan, restart_requested                                           | not counted, at once                              |
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
  dest_rejected: 'verdict',
  dest_closed: 'verdict',
  dest_forbidden_address: 'permanent',
  tls_error: 'verdict',
  media_unsupported: 'permanent',
  stalled: 'retryable',
  start_timeout: 'retryable',
  killed: 'retryable',
  crash: 'retryable',
  spawn_error: 'retryable',
  limit_cpu: 'retryable',
  limit_memory: 'retryable',
  server_crash: 'not_counted',
  replan: 'not_counted',
  restart_requested: 'not_counted',
};

/** What an end takes off the budget of tries: a process that wanted too much will soon want it again. */
export function triesSpentBy(exitClass: ExitClass): number {
  return exitClass === 'limit_cpu' || exitClass === 'limit_memory' ? 2 : 1;
}

/** Ends after which the destination may be back any moment. */
const QUICK_CLASSES: ReadonlySet<ExitClass> = new Set([
  'dest_refused',
  'dest_unreachable',
  'dest_dns',
  'dest_timeout',
  'dest_reset',
  'stalled',
  'killed',
]);

/** What the policy looks at. Times are monotonic. */
export interface RetryHistory {
  /** Tries spent since the budget was last full. */
  readonly attempt: number;
  /** Those of them that were quick ones; back-off begins to grow after them. */
  readonly quickTries: number;
  /** The first end of a run since the budget was last full, this end included. */
  readonly outageSinceMs: number;
  /** Whether the destination had accepted the run that ended. */
  readonly hasPublished: boolean;
  /** Whether it had ever accepted one. */
  readonly wasAccepted: boolean;
  /** Accepted runs that did not last, since the budget was last full; this one included. */
  readonly briefPublications: number;
  /** Consecutive runs that ended with `dest_auth`, this one included. */
  readonly authRejections: number;
  /** The last runs that ended with `crash`, this one included, oldest first. */
  readonly crashesMs: readonly number[];
  /** The last starts, oldest first. */
  readonly startsMs: readonly number[];
}

export type RetryDecision =
  | {
      readonly retry: true;
      readonly delayMs: number;
      readonly counted: boolean;
      /** One of the quick tries at the beginning of an outage, which the intensity guard leaves out. */
      readonly quick: boolean;
    }
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
  const isFinal = kind === 'permanent' || (kind === 'verdict' && !history.wasAccepted);
  if (isFinal) return { retry: false, reason: exitClass };
  const guardMs = guardDelayMs(history.startsMs, nowMs);
  if (kind === 'not_counted') {
    const pauseMs = exitClass === 'replan' || exitClass === 'restart_requested' ? 0 : UNCOUNTED_DELAY_MS;
    return { retry: true, counted: false, quick: false, delayMs: Math.max(pauseMs, guardMs) };
  }
  if (policy.kind === 'wcs') {
    if (policy.attempts === 0) return { retry: false, reason: exitClass };
    if (history.attempt >= policy.attempts) return { retry: false, reason: `attempts_exhausted: ${exitClass}` };
    return { retry: true, counted: true, quick: false, delayMs: policy.intervalMs };
  }
  const isUnknownKey = exitClass === 'dest_auth' && !history.wasAccepted;
  if (isUnknownKey && history.authRejections >= MAX_AUTH_REJECTIONS) return { retry: false, reason: exitClass };
  const crashes = history.crashesMs.filter((atMs) => nowMs - atMs < CRASH_WINDOW_MS);
  if (exitClass === 'crash' && crashes.length >= MAX_CRASHES) return { retry: false, reason: `repeated: ${exitClass}` };
  const quick = QUICK_CLASSES.has(exitClass) && nowMs - history.outageSinceMs < QUICK_PHASE_MS;
  const pauseMs = backOffMs(policy, exitClass, history, quick, random);
  const classMs = isUnknownKey ? 0 : (LEAST_DELAY_MS[exitClass] ?? 0);
  const leastMs = Math.max(classMs, briefPublicationPauseMs(history), quick ? 0 : guardMs);
  return { retry: true, counted: true, quick, delayMs: Math.ceil(Math.max(pauseMs, leastMs)) };
}

/** A try that was not accepted is none of the destination's publications, and is followed as quickly as any. */
function briefPublicationPauseMs({ hasPublished, briefPublications }: RetryHistory): number {
  if (!hasPublished || briefPublications < 2) return 0;
  const pauseMs = BRIEF_PUBLICATION_PAUSE_MS * 2 ** Math.min(briefPublications - 2, MAX_EXPONENT);
  return Math.min(MAX_BRIEF_PUBLICATION_PAUSE_MS, pauseMs);
}

/** Full jitter: all of the pause is random, so that many pushes to one destination do not come back in step. */
function backOffMs(
  { baseMs, capMs }: { readonly baseMs: number; readonly capMs: number },
  exitClass: ExitClass,
  { attempt, quickTries }: RetryHistory,
  quick: boolean,
  random: number,
): number {
  if (attempt === 0) return exitClass === 'stalled' ? 0 : random * baseMs * FIRST_PART;
  if (quick) return Math.min(capMs, baseMs * (QUICK_LEAST_PART + random * QUICK_SPREAD_PART));
  return random * Math.min(capMs, baseMs * 2 ** Math.min(attempt - quickTries, MAX_EXPONENT));
}

/** How long the next start must wait so that no window of 30 s sees more than five; whole milliseconds, as the store keeps them. */
export function guardDelayMs(startsMs: readonly number[], nowMs: number): number {
  const limiting = startsMs.at(-MAX_STARTS);
  return limiting === undefined ? 0 : Math.max(0, Math.ceil(limiting + STARTS_WINDOW_MS - nowMs));
}

/** Adds a start and forgets those the guard no longer needs. */
export function withStart(startsMs: readonly number[], nowMs: number): readonly number[] {
  return [...startsMs, nowMs].slice(-MAX_STARTS);
}

/** Adds a crash and forgets those the policy no longer needs. */
export function withCrash(crashesMs: readonly number[], nowMs: number): readonly number[] {
  return [...crashesMs, nowMs].slice(-MAX_CRASHES);
}

export function stableAfterMs(policy: RestartPolicy): number {
  return policy.kind === 'persistent' ? policy.stableAfterMs : WCS_STABLE_AFTER_MS;
}
