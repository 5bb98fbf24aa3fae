import { assertNever } from '../domain/errors.ts';
import type { Desired, ExitClass, RunEnd, TransponderState } from '../domain/transponder.ts';
import { decideRetry, guardDelayMs, stableAfterMs, withCrash, withStart, triesSpentBy } from './transponder-policy.ts';
import type { RestartPolicy } from './transponder-policy.ts';

/** What was found broken may break again at once; a second between keeps it from spinning. */
const INVARIANT_PAUSE_MS = 1000;

/** Everything the machine decides by. Made by `newTransponder`, changed only by `transition`. */
export interface Transponder {
  readonly desired: Desired;
  readonly state: TransponderState;
  /** Why the state is what it is: exit class, `source_gone`, `server_restart` … */
  readonly reason: string | undefined;
  readonly policy: RestartPolicy;
  /** False: a push ends with its stream (WCS). True: it waits for the stream to come back. */
  readonly outlivesSource: boolean;
  /** How long one that does not outlive its source waits for it: after a restart of the server, or when it is resumed. */
  readonly sourceWaitMs: number;
  /** As last told by the hub. */
  readonly sourceIsUp: boolean;
  /** Tries spent since the budget was last full. */
  readonly attempt: number;
  /** Those of them that followed each other quickly at the beginning of the outage. */
  readonly quickTries: number;
  /** Monotonic; the first end of a run since the budget was last full. */
  readonly outageSinceMs: number | undefined;
  readonly authRejections: number;
  /** The destination has accepted the present run, or the last one where there is none. */
  readonly hasPublished: boolean;
  /** The destination has accepted it at some time: application, name and password are right, or were. */
  readonly wasAccepted: boolean;
  /** Runs that the destination accepted and that ended before the budget was full again. */
  readonly briefPublications: number;
  /** Monotonic times of the last crashes. */
  readonly crashesMs: readonly number[];
  /** Monotonic; set while ACTIVE. */
  readonly activeSinceMs: number | undefined;
  /** Monotonic times of the last starts, for the intensity guard. */
  readonly startsMs: readonly number[];
  /** Has had a run, also in an earlier life of the server: the next start is a restart. */
  readonly hasStarted: boolean;
}

export type StopReason = 'asked_stop' | 'source_gone' | 'stalled' | 'restart_requested';

/** What becomes of a row that was live when the supervisor went away. `over`: it belonged to a source that cannot return. */
export type RestoredAs = 'waiting' | 'suspended' | 'failed' | 'over';

/** The destination is too slow, or the source gives nothing new. */
export type DegradedReason = 'backlog' | 'source_frozen';

export type TransponderEvent =
  | { readonly type: 'sourceUp' }
  | { readonly type: 'sourceDown' }
  | { readonly type: 'publishing' }
  | { readonly type: 'active' }
  | { readonly type: 'progressStalled' }
  | { readonly type: 'degraded'; readonly reason: DegradedReason }
  | { readonly type: 'recovered' }
  | { readonly type: 'runEnded'; readonly end: RunEnd }
  | { readonly type: 'retryDue' }
  | { readonly type: 'stopRequested' }
  /** The source was waited for in vain. */
  | { readonly type: 'sourceWaitOver' }
  | { readonly type: 'resumeRequested' }
  | { readonly type: 'restartRequested' }
  /** First event of a transponder rebuilt from a row that was live when the supervisor went away. */
  | { readonly type: 'restored'; readonly as: RestoredAs }
  /** The owner found that state and belongings do not agree. It has given up run and timer, and tells what is true. */
  | { readonly type: 'invariantBroken'; readonly sourceIsUp: boolean };

export type TransponderEffect =
  | { readonly type: 'startRun' }
  | { readonly type: 'stopRun'; readonly reason: StopReason }
  | { readonly type: 'armRetry'; readonly delayMs: number }
  | { readonly type: 'armSourceWait'; readonly delayMs: number }
  | { readonly type: 'disarm' }
  /** Look whether the source is there, and tell `sourceUp` when it is or comes. */
  | { readonly type: 'waitForSource' }
  /** The last effect a transponder ever has. */
  | { readonly type: 'finish' };

export interface Transition {
  /** The same object as before when the event changes nothing. */
  readonly next: Transponder;
  readonly effects: readonly TransponderEffect[];
}

/** Time and chance, passed in. `nowMs` is monotonic; `random` is in [0, 1). */
export interface TransitionContext {
  readonly nowMs: number;
  readonly random: number;
}

export interface NewTransponder {
  readonly policy: RestartPolicy;
  readonly outlivesSource: boolean;
  readonly sourceWaitMs: number;
  /** `run` but for a row that was stopping when the supervisor went away. */
  readonly desired?: Desired;
  readonly hasStarted?: boolean;
  readonly wasAccepted?: boolean;
}

export function newTransponder(given: NewTransponder): Transponder {
  return {
    desired: 'run',
    hasStarted: false,
    wasAccepted: false,
    ...given,
    state: 'NEW',
    reason: undefined,
    sourceIsUp: false,
    attempt: 0,
    quickTries: 0,
    hasPublished: false,
    briefPublications: 0,
    outageSinceMs: undefined,
    authRejections: 0,
    crashesMs: [],
    activeSinceMs: undefined,
    startsMs: [],
  };
}

export function isFinal(state: TransponderState): boolean {
  return state === 'FAILED' || state === 'TERMINATED';
}

/** Whatever comes, it will be over as soon as its run has ended: somebody wants it to, or its source is gone with which it ends. */
export function isEnding({ state, desired, reason, outlivesSource }: Transponder): boolean {
  if (isFinal(state)) return false;
  return desired === 'stop' || (state === 'STOPPING' && reason === 'source_gone' && !outlivesSource);
}

/** Exactly in these states a run exists. */
export function hasRun(state: TransponderState): boolean {
  return state === 'STARTING' || state === 'ACTIVE' || state === 'DEGRADED' || state === 'STOPPING';
}

/** A retry waits for its moment; one that ends with its source does not wait for that for ever. */
function hasTimer({ state, outlivesSource }: Transponder): boolean {
  return state === 'BACKOFF' || (state === 'WAITING_SOURCE' && !outlivesSource);
}

/**
 * The class with which a run ended. A run that was stopped ends with the reason for which it was; its own class comes second.
 */
export function exitClassOf({ state, reason }: Transponder, { exitClass }: RunEnd): ExitClass {
  return state === 'STOPPING' ? (reason as ExitClass) : exitClass;
}

/**
 * The transponder's life (design §4). An event that is not in the table changes nothing, except that `sourceIsUp` is kept.
 *
 * | state                      | event             | next                                                       | effects               |
 * | -------------------------- | ----------------- | ---------------------------------------------------------- | --------------------- |
 * | NEW, WAITING_SOURCE        | sourceUp          | STARTING, or BACKOFF where the intensity guard holds it     | disarm, startRun or armRetry |
 * | NEW                        | sourceDown        | WAITING_SOURCE                                             | armSourceWait unless it outlives its source, waitForSource |
 * | WAITING_SOURCE             | sourceWaitOver    | TERMINATED(source_gone)                                    | finish                |
 * | STARTING                   | publishing        | STARTING, `hasPublished`, `wasAccepted`                    |                       |
 * | STARTING                   | active            | ACTIVE                                                     |                       |
 * | ACTIVE                     | degraded          | DEGRADED                                                   |                       |
 * | DEGRADED                   | recovered         | ACTIVE                                                     |                       |
 * | STARTING, ACTIVE, DEGRADED | progressStalled   | STOPPING(stalled)                                          | stopRun               |
 * | STARTING, ACTIVE, DEGRADED | sourceDown        | STOPPING(source_gone)                                      | stopRun               |
 * | STARTING, ACTIVE, DEGRADED | stopRequested     | STOPPING(asked_stop), desired=stop                         | stopRun               |
 * | STARTING, ACTIVE, DEGRADED | restartRequested  | STOPPING(restart_requested)                                | stopRun               |
 * | STOPPING                   | stopRequested     | STOPPING, desired=stop                                     |                       |
 * | STOPPING                   | sourceDown        | STOPPING(source_gone) unless it outlives its source        |                       |
 * | any with a run             | runEnded, desired=stop | TERMINATED                                            | finish                |
 * | any with a run             | runEnded, source gone  | WAITING_SOURCE, or TERMINATED(source_gone) unless it outlives its source | waitForSource or finish |
 * | any with a run             | runEnded, else    | BACKOFF, STARTING (no delay) or FAILED, as the policy says | armRetry, startRun or finish |
 * | BACKOFF                    | retryDue          | STARTING, or WAITING_SOURCE                                | startRun or waitForSource |
 * | BACKOFF                    | resumeRequested, restartRequested | the same, at once                                          | disarm, and the same  |
 * | BACKOFF                    | sourceDown        | WAITING_SOURCE or TERMINATED(source_gone)                  | disarm                |
 * | NEW, SUSPENDED             | resumeRequested, restartRequested | STARTING or WAITING_SOURCE, the budget full                | startRun or waitForSource |
 * | no run, not final          | stopRequested     | TERMINATED                                                 | disarm, finish        |
 * | NEW                        | restored          | WAITING_SOURCE, SUSPENDED, FAILED(server_restart) or TERMINATED(source_gone) | waitForSource or finish |
 * | NEW                        | restored, desired=stop | TERMINATED                                            | finish                |
 * | any but final              | invariantBroken   | BACKOFF, or TERMINATED where it is ending                  | armRetry or finish    |
 *
 * The reason for stopping a run wins over the class the run then ends with.
 */
export function transition(current: Transponder, event: TransponderEvent, context: TransitionContext): Transition {
  if (isFinal(current.state)) return unchanged(current);
  switch (event.type) {
    case 'sourceUp':
      return sourceUp(current, context);
    case 'sourceDown':
      return sourceDown(current, context);
    case 'publishing':
      return current.state === 'STARTING'
        ? unchanged({ ...current, hasPublished: true, wasAccepted: true })
        : unchanged(current);
    case 'active':
      return current.state === 'STARTING' ? becomeActive(current, context) : unchanged(current);
    case 'degraded':
      return current.state === 'ACTIVE'
        ? to({ ...settleBudget(current, context.nowMs), activeSinceMs: undefined }, 'DEGRADED', event.reason)
        : unchanged(current);
    case 'recovered':
      return current.state === 'DEGRADED' ? becomeActive(current, context) : unchanged(current);
    case 'progressStalled':
      return canStopRun(current) ? stopRun(current, 'stalled', context) : unchanged(current);
    case 'runEnded':
      return hasRun(current.state) ? runEnded(current, event.end, context) : unchanged(current);
    case 'retryDue':
      return current.state === 'BACKOFF' ? startOrWait(current, context) : unchanged(current);
    case 'stopRequested':
      return stopRequested(current, context);
    case 'sourceWaitOver':
      return current.state === 'WAITING_SOURCE' ? finish(current, 'TERMINATED', 'source_gone') : unchanged(current);
    case 'resumeRequested':
      return resumeRequested(current, context);
    case 'restartRequested':
      return canStopRun(current) ? stopRun(current, 'restart_requested', context) : resumeRequested(current, context);
    case 'invariantBroken':
      return invariantBroken({ ...current, sourceIsUp: event.sourceIsUp });
    case 'restored':
      return current.state === 'NEW' ? restored(current, event.as) : unchanged(current);
    default:
      return assertNever(event);
  }
}

function sourceUp(current: Transponder, context: TransitionContext): Transition {
  const next = current.sourceIsUp ? current : { ...current, sourceIsUp: true };
  if (next.state !== 'NEW' && next.state !== 'WAITING_SOURCE') return unchanged(next);
  const delayMs = guardDelayMs(next.startsMs, context.nowMs);
  const { next: after, effects } = delayMs > 0 ? backOff(next, 'intensity_guard', delayMs) : start(next, context);
  return { next: after, effects: hasTimer(next) ? [{ type: 'disarm' }, ...effects] : effects };
}

function sourceDown(current: Transponder, context: TransitionContext): Transition {
  const next = current.sourceIsUp ? { ...current, sourceIsUp: false } : current;
  if (next.state === 'NEW') return waitForSource(next);
  if (next.state === 'BACKOFF') {
    const { next: after, effects } = afterSource(next);
    return { next: after, effects: [{ type: 'disarm' }, ...effects] };
  }
  if (canStopRun(next)) return stopRun(next, 'source_gone', context);
  // However the run was stopped: another stream of that name is not the one with which this push ends.
  const endsWithSource = next.state === 'STOPPING' && !next.outlivesSource && next.desired === 'run';
  return endsWithSource ? to(next, 'STOPPING', 'source_gone') : unchanged(next);
}

function runEnded(current: Transponder, end: RunEnd, context: TransitionContext): Transition {
  const settled = { ...settleBudget(current, context.nowMs), activeSinceMs: undefined };
  if (settled.desired === 'stop') return finish(settled, 'TERMINATED', 'asked_stop');
  const exitClass = exitClassOf(settled, end);
  const sourceEnded = exitClass === 'source_gone' && !(settled.outlivesSource && settled.sourceIsUp);
  if (sourceEnded || !settled.sourceIsUp) return afterSource(settled);
  const { nowMs } = context;
  const outageSinceMs = settled.outageSinceMs ?? nowMs;
  const authRejections = exitClass === 'dest_auth' ? settled.authRejections + 1 : 0;
  const crashesMs = exitClass === 'crash' ? withCrash(settled.crashesMs, nowMs) : settled.crashesMs;
  const briefPublications = settled.briefPublications + (settled.hasPublished ? 1 : 0);
  const history = { ...settled, outageSinceMs, authRejections, crashesMs, briefPublications };
  const decision = decideRetry(settled.policy, exitClass, history, nowMs, context.random);
  if (!decision.retry) return finish(history, 'FAILED', decision.reason);
  const next = decision.counted ? spendTry(history, exitClass, decision.quick) : settled;
  return decision.delayMs > 0 ? backOff(next, exitClass, decision.delayMs) : start(next, context);
}

/** A quick try is bounded by its phase, so the start that it answers is no business of the intensity guard. */
function spendTry(current: Transponder, exitClass: ExitClass, quick: boolean): Transponder {
  const next = { ...current, attempt: current.attempt + triesSpentBy(exitClass) };
  return quick ? { ...next, quickTries: current.quickTries + 1, startsMs: current.startsMs.slice(0, -1) } : next;
}

function invariantBroken(current: Transponder): Transition {
  const next: Transponder = { ...current, activeSinceMs: undefined };
  if (next.desired === 'stop') return finish(next, 'TERMINATED', 'asked_stop');
  if (isEnding(current)) return afterSource(next);
  return backOff(next, 'invariant_broken', INVARIANT_PAUSE_MS);
}

function stopRequested(current: Transponder, context: TransitionContext): Transition {
  if (current.desired === 'stop') return unchanged(current);
  const next: Transponder = { ...current, desired: 'stop' };
  if (canStopRun(next)) return stopRun(next, 'asked_stop', context);
  if (next.state === 'STOPPING') return unchanged(next);
  const { next: ended, effects } = finish(next, 'TERMINATED', 'asked_stop');
  return { next: ended, effects: [{ type: 'disarm' }, ...effects] };
}

function resumeRequested(current: Transponder, context: TransitionContext): Transition {
  if (current.state === 'SUSPENDED' || current.state === 'NEW') return startOrWait(withFullBudget(current), context);
  if (current.state !== 'BACKOFF') return unchanged(current);
  const { next, effects } = startOrWait(current, context);
  return { next, effects: [{ type: 'disarm' }, ...effects] };
}

function restored(current: Transponder, as: RestoredAs): Transition {
  const next: Transponder = { ...current, sourceIsUp: false };
  if (next.desired === 'stop') return finish(next, 'TERMINATED', 'asked_stop');
  if (as === 'failed') return finish(next, 'FAILED', 'server_restart');
  if (as === 'over') return finish(next, 'TERMINATED', 'source_gone');
  return as === 'suspended' ? to(next, 'SUSPENDED', 'restore_window') : waitForSource(next);
}

/** What follows when the source has gone and no run is left. */
function afterSource(current: Transponder): Transition {
  return current.outlivesSource ? waitForSource(current, 'source_gone') : finish(current, 'TERMINATED', 'source_gone');
}

function startOrWait(current: Transponder, context: TransitionContext): Transition {
  return current.sourceIsUp ? start(current, context) : waitForSource(current);
}

function start(current: Transponder, { nowMs }: TransitionContext): Transition {
  const next = { ...current, startsMs: withStart(current.startsMs, nowMs), hasStarted: true, hasPublished: false };
  return to(next, 'STARTING', undefined, { type: 'startRun' });
}

function waitForSource(current: Transponder, reason?: string): Transition {
  const next = { ...current, outageSinceMs: undefined };
  if (next.outlivesSource) return to(next, 'WAITING_SOURCE', reason, { type: 'waitForSource' });
  const arm: TransponderEffect = { type: 'armSourceWait', delayMs: next.sourceWaitMs };
  return to(next, 'WAITING_SOURCE', reason, arm, { type: 'waitForSource' });
}

function backOff(current: Transponder, reason: string, delayMs: number): Transition {
  return to(current, 'BACKOFF', reason, { type: 'armRetry', delayMs });
}

function becomeActive(current: Transponder, { nowMs }: TransitionContext): Transition {
  return to({ ...current, activeSinceMs: nowMs }, 'ACTIVE', undefined);
}

function canStopRun({ state }: Transponder): boolean {
  return hasRun(state) && state !== 'STOPPING';
}

function stopRun(current: Transponder, reason: StopReason, { nowMs }: TransitionContext): Transition {
  const next = { ...settleBudget(current, nowMs), activeSinceMs: undefined };
  return to(next, 'STOPPING', reason, { type: 'stopRun', reason });
}

function finish(current: Transponder, state: 'FAILED' | 'TERMINATED', reason: string): Transition {
  return to(current, state, reason, { type: 'finish' });
}

/** Fills the budget of tries again when the run was ACTIVE for long enough. */
function settleBudget(current: Transponder, nowMs: number): Transponder {
  const { activeSinceMs } = current;
  const wasStable = activeSinceMs !== undefined && nowMs - activeSinceMs >= stableAfterMs(current.policy);
  return wasStable ? withFullBudget(current) : current;
}

function withFullBudget(current: Transponder): Transponder {
  return { ...current, attempt: 0, quickTries: 0, briefPublications: 0, outageSinceMs: undefined, authRejections: 0 };
}

function to(
  current: Transponder,
  state: TransponderState,
  reason: string | undefined,
  ...effects: TransponderEffect[]
): Transition {
  return { next: { ...current, state, reason }, effects };
}

function unchanged(next: Transponder): Transition {
  return { next, effects: [] };
}

/**
 * The rule that nothing is ever forgotten: a transponder that is not final owns a run, owns a timer, or waits for a named
 * event, and one that is to stop has stopped or is stopping. Returns the sentence that is broken, if one is.
 */
export function brokenInvariant(transponder: Transponder, owns: { run: boolean; timer: boolean }): string | undefined {
  const { state, desired, sourceIsUp } = transponder;
  const timer = hasTimer(transponder);
  if (owns.run !== hasRun(state)) return `${state} ${owns.run ? 'owns a run' : 'owns no run'}`;
  if (owns.timer !== timer) return `${state} ${owns.timer ? 'owns a timer' : 'owns no timer'}`;
  if (state === 'NEW') return 'NEW waits for nothing';
  if (state === 'WAITING_SOURCE' && sourceIsUp) return 'WAITING_SOURCE waits for a source that is there';
  if (desired === 'stop' && !isFinal(state) && state !== 'STOPPING') return `${state} is to stop but does not`;
  return undefined;
}
