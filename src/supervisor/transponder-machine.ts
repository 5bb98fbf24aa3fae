import { assertNever } from '../domain/errors.ts';
import type { Desired, ExitClass, RunEnd, TransponderState } from '../domain/transponder.ts';
import { STABLE_AFTER_MS, decideRetry, guardDelayMs, withStart } from './transponder-policy.ts';
import type { RestartPolicy } from './transponder-policy.ts';

/** Everything the machine decides by. Made by `newTransponder`, changed only by `transition`. */
export interface Transponder {
  readonly desired: Desired;
  readonly state: TransponderState;
  /** Why the state is what it is: exit class, `source_gone`, `server_restart` … */
  readonly reason: string | undefined;
  readonly policy: RestartPolicy;
  /** False: a push ends with its stream (WCS). True: it waits for the stream to come back. */
  readonly outlivesSource: boolean;
  /** As last told by the hub. */
  readonly sourceIsUp: boolean;
  /** Tries spent since the budget was last full. */
  readonly attempt: number;
  readonly authRejections: number;
  /** Monotonic; set while ACTIVE. */
  readonly activeSinceMs: number | undefined;
  /** Monotonic times of the last starts, for the intensity guard. */
  readonly startsMs: readonly number[];
}

export type StopReason = 'asked_stop' | 'source_gone' | 'stalled';

export type TransponderEvent =
  | { readonly type: 'sourceUp' }
  | { readonly type: 'sourceDown' }
  | { readonly type: 'spawned' }
  | { readonly type: 'publishing' }
  | { readonly type: 'active' }
  | { readonly type: 'progressStalled' }
  | { readonly type: 'degraded' }
  | { readonly type: 'recovered' }
  | { readonly type: 'runEnded'; readonly end: RunEnd }
  | { readonly type: 'retryDue' }
  | { readonly type: 'stopRequested' }
  | { readonly type: 'resumeRequested' }
  /** First event of a transponder rebuilt from a row that was live when the supervisor went away. */
  | { readonly type: 'restored'; readonly as: 'waiting' | 'suspended' | 'failed' };

export type TransponderEffect =
  | { readonly type: 'startRun' }
  | { readonly type: 'stopRun'; readonly reason: StopReason }
  | { readonly type: 'armRetry'; readonly delayMs: number }
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

/** `desired` is `run` but for a row that was stopping when the supervisor went away. */
export function newTransponder(policy: RestartPolicy, outlivesSource: boolean, desired: Desired = 'run'): Transponder {
  return {
    desired,
    state: 'NEW',
    reason: undefined,
    policy,
    outlivesSource,
    sourceIsUp: false,
    attempt: 0,
    authRejections: 0,
    activeSinceMs: undefined,
    startsMs: [],
  };
}

export function isFinal(state: TransponderState): boolean {
  return state === 'FAILED' || state === 'TERMINATED';
}

/** Exactly in these states a run exists. */
export function hasRun(state: TransponderState): boolean {
  return state === 'STARTING' || state === 'ACTIVE' || state === 'DEGRADED' || state === 'STOPPING';
}

/**
 * The transponder's life (design §4). An event that is not in the table changes nothing, except that `sourceIsUp` is kept.
 *
 * | state                      | event             | next                                                       | effects               |
 * | -------------------------- | ----------------- | ---------------------------------------------------------- | --------------------- |
 * | NEW, WAITING_SOURCE        | sourceUp          | STARTING, or BACKOFF where the intensity guard holds it     | startRun or armRetry  |
 * | NEW                        | sourceDown        | WAITING_SOURCE                                             | waitForSource         |
 * | STARTING                   | active            | ACTIVE                                                     |                       |
 * | ACTIVE                     | degraded          | DEGRADED                                                   |                       |
 * | DEGRADED                   | recovered         | ACTIVE                                                     |                       |
 * | STARTING, ACTIVE, DEGRADED | progressStalled   | STOPPING(stalled)                                          | stopRun               |
 * | STARTING, ACTIVE, DEGRADED | sourceDown        | STOPPING(source_gone)                                      | stopRun               |
 * | STARTING, ACTIVE, DEGRADED | stopRequested     | STOPPING(asked_stop), desired=stop                         | stopRun               |
 * | STOPPING                   | stopRequested     | STOPPING, desired=stop                                     |                       |
 * | any with a run             | runEnded, desired=stop | TERMINATED                                            | finish                |
 * | any with a run             | runEnded, source gone  | WAITING_SOURCE, or TERMINATED(source_gone) unless it outlives its source | waitForSource or finish |
 * | any with a run             | runEnded, else    | BACKOFF, STARTING (no delay) or FAILED, as the policy says | armRetry, startRun or finish |
 * | BACKOFF                    | retryDue, resumeRequested | STARTING, or WAITING_SOURCE                        | startRun or waitForSource |
 * | BACKOFF                    | sourceDown        | WAITING_SOURCE or TERMINATED(source_gone)                  | disarm                |
 * | SUSPENDED                  | resumeRequested   | STARTING or WAITING_SOURCE, the budget full                | startRun or waitForSource |
 * | no run, not final          | stopRequested     | TERMINATED                                                 | disarm, finish        |
 * | NEW | restored | WAITING_SOURCE, SUSPENDED or FAILED(server_restart); TERMINATED if desired=stop | waitForSource or finish |
 *
 * The first reason for stopping a run wins over the class the run then ends with.
 */
export function transition(current: Transponder, event: TransponderEvent, context: TransitionContext): Transition {
  if (isFinal(current.state)) return unchanged(current);
  switch (event.type) {
    case 'sourceUp':
      return sourceUp(current, context);
    case 'sourceDown':
      return sourceDown(current, context);
    case 'spawned':
    case 'publishing':
      return unchanged(current);
    case 'active':
      return current.state === 'STARTING' ? becomeActive(current, context) : unchanged(current);
    case 'degraded':
      return current.state === 'ACTIVE'
        ? to({ ...settleBudget(current, context.nowMs), activeSinceMs: undefined }, 'DEGRADED', 'backlog')
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
    case 'resumeRequested':
      return resumeRequested(current, context);
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
  return delayMs > 0 ? backOff(next, 'intensity_guard', delayMs) : start(next, context);
}

function sourceDown(current: Transponder, context: TransitionContext): Transition {
  const next = current.sourceIsUp ? { ...current, sourceIsUp: false } : current;
  if (next.state === 'NEW') return waitForSource(next);
  if (next.state === 'BACKOFF') {
    const { next: after, effects } = afterSource(next);
    return { next: after, effects: [{ type: 'disarm' }, ...effects] };
  }
  return canStopRun(next) ? stopRun(next, 'source_gone', context) : unchanged(next);
}

function runEnded(current: Transponder, end: RunEnd, context: TransitionContext): Transition {
  const settled = { ...settleBudget(current, context.nowMs), activeSinceMs: undefined };
  if (settled.desired === 'stop') return finish(settled, 'TERMINATED', 'asked_stop');
  // A run ends STOPPING with the class that stopping it gave; the reason of that state is the class.
  const exitClass = settled.state === 'STOPPING' ? (settled.reason as ExitClass) : end.exitClass;
  const sourceEnded = exitClass === 'source_gone' && !(settled.outlivesSource && settled.sourceIsUp);
  if (sourceEnded || !settled.sourceIsUp) return afterSource(settled);
  const authRejections = exitClass === 'dest_auth' ? settled.authRejections + 1 : 0;
  const counted = { ...settled, authRejections };
  const decision = decideRetry(settled.policy, exitClass, counted, context.nowMs, context.random);
  if (!decision.retry) return finish(counted, 'FAILED', decision.reason);
  const next = decision.counted ? { ...counted, attempt: counted.attempt + 1 } : counted;
  return decision.delayMs > 0 ? backOff(next, exitClass, decision.delayMs) : start(next, context);
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
  if (current.state === 'SUSPENDED') return startOrWait({ ...current, attempt: 0, authRejections: 0 }, context);
  if (current.state !== 'BACKOFF') return unchanged(current);
  const { next, effects } = startOrWait(current, context);
  return { next, effects: [{ type: 'disarm' }, ...effects] };
}

function restored(current: Transponder, as: 'waiting' | 'suspended' | 'failed'): Transition {
  const next: Transponder = { ...current, sourceIsUp: false };
  if (next.desired === 'stop') return finish(next, 'TERMINATED', 'asked_stop');
  if (as === 'failed') return finish(next, 'FAILED', 'server_restart');
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
  return to({ ...current, startsMs: withStart(current.startsMs, nowMs) }, 'STARTING', undefined, { type: 'startRun' });
}

function waitForSource(current: Transponder, reason?: string): Transition {
  return to(current, 'WAITING_SOURCE', reason, { type: 'waitForSource' });
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
  const wasStable = activeSinceMs !== undefined && nowMs - activeSinceMs >= STABLE_AFTER_MS;
  return wasStable ? { ...current, attempt: 0, authRejections: 0 } : current;
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
  if (owns.run !== hasRun(state)) return `${state} ${owns.run ? 'owns a run' : 'owns no run'}`;
  if (owns.timer !== (state === 'BACKOFF')) return `${state} ${owns.timer ? 'owns a timer' : 'owns no timer'}`;
  if (state === 'NEW') return 'NEW waits for nothing';
  if (state === 'WAITING_SOURCE' && sourceIsUp) return 'WAITING_SOURCE waits for a source that is there';
  if (desired === 'stop' && !isFinal(state) && state !== 'STOPPING') return `${state} is to stop but does not`;
  return undefined;
}
