import type { CancelTimer, Clock } from '../domain/clock.ts';
import { assertNever } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import type { ExitClass, RunEnd } from '../domain/transponder.ts';
import type { DestinationCaller } from '../egress/address-policy.ts';
import type { RtmpTarget } from '../egress/gate.ts';
import type { Store } from '../store/open-store.ts';
import type { RunIntent, RunProgress } from '../store/runs.ts';
import type { TransponderRow } from '../store/transponders.ts';
import type { CurrentUsage } from '../supervisor/process-usage.ts';
import { brokenInvariant, exitClassOf, isEnding, isFinal, transition } from '../supervisor/transponder-machine.ts';
import type { Transponder, TransponderEffect, TransponderEvent } from '../supervisor/transponder-machine.ts';
import type { PushParams, PushRun, PushRunFactory, RunEvent } from '../outputs/push-run.ts';
import type { PushStatus, PushView, TransponderNotice, TransponderTotals } from './transponder-request.ts';
import { audioOf, ShownPush, soundOf } from './transponder-row.ts';
import { PushHealth, type PushCondition } from './push-health.ts';
import type { TransponderWriter } from './transponder-writer.ts';

const RUNS_KEPT = 20;
/** The history has the usage of a process as it was last seen; reading it costs two files of /proc. */
const USAGE_PERIOD_US = 5_000_000;
/** A timer that has not fired this long after its time never will. */
const OVERDUE_MS = 2000;

/** Of a run that was stopped, which itself knows no more than that. */
const STOP_DETAILS: { readonly [Class in ExitClass]?: string } = {
  source_gone: 'the source stream is gone',
  stalled: 'the destination took no media for the stall timeout',
  restart_requested: 'an operator asked for a new run',
};

/** A change of any of them is a transition. */
const SHOWN_OF_MACHINE = ['state', 'desired', 'reason'] as const;

/** What all actors share; owned by the service. */
export interface ActorContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly writer: TransponderWriter;
  readonly runs: PushRunFactory;
  readonly bootId: string;
  /** In [0, 1). */
  readonly random: () => number;
  readonly newNonce: () => string;
  readonly isSourceUp: (streamName: string) => boolean;
  readonly processUsage: (pid: number) => CurrentUsage | undefined;
  /** Told of every transition. Must not throw. */
  readonly onNotice: (notice: TransponderNotice) => void;
  /** Of all actors together. */
  readonly totals: { -readonly [Name in keyof TransponderTotals]: TransponderTotals[Name] };
}

export interface ActorOptions {
  /** Already inserted. */
  readonly row: TransponderRow;
  readonly machine: Transponder;
  readonly params: PushParams;
  /** Who named the destination, for the address policy. */
  readonly destinationCaller: DestinationCaller;
  /** Parsed anew from the unsealed URL for each run. */
  readonly openTarget: () => RtmpTarget;
  /** For callers, who are shown it (`view`). */
  readonly openUrl: () => string;
}

interface CurrentRun {
  readonly nonce: string;
  readonly run: PushRun;
  readonly health: PushHealth;
  progress: RunProgress | undefined;
  figures: RunFigures | undefined;
  pid: number | undefined;
  usage: CurrentUsage | undefined;
  usageDueUs: number;
  /** Monotonic; the destination took media. */
  activeSinceUs: number | undefined;
}

type RunFigures = Pick<
  PushStatus,
  | 'bitrateBps'
  | 'fps'
  | 'bytesOut'
  | 'bytesAcknowledged'
  | 'backlogBytes'
  | 'bufferedMs'
  | 'bufferings'
  | 'droppedUnits'
>;

interface Timer {
  /** Monotonic. */
  readonly dueUs: number;
  readonly cancel: CancelTimer;
}

/**
 * One transponder: the only one who changes its row, its timer and its run. Events are taken one after the other; each
 * transition is one transaction (row, event, and the intent of a run before the run).
 */
export class TransponderActor {
  /** Resolves once: the transponder is FAILED or TERMINATED and owns nothing any more. */
  readonly finished: Promise<void>;
  readonly #context: ActorContext;
  readonly #options: ActorOptions;
  readonly #logger: Logger;
  readonly #shown: ShownPush;
  #row: TransponderRow;
  #machine: Transponder;
  #current: CurrentRun | undefined;
  #timer: Timer | undefined;
  #isClosed = false;
  #isHealing = false;
  #isDraining = false;
  readonly #queue: { event: TransponderEvent; detail: string | null; alsoWrite: (() => void) | undefined }[] = [];
  readonly #finish: () => void;

  constructor(context: ActorContext, options: ActorOptions) {
    this.#context = context;
    this.#options = options;
    this.#row = options.row;
    this.#shown = new ShownPush(options.openUrl);
    this.#machine = options.machine;
    const { id, streamName, destRedacted } = options.row;
    this.#logger = context.logger.child({ transponderId: id, stream: streamName, destination: destRedacted });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#finish = resolve;
  }

  get row(): TransponderRow {
    return this.#row;
  }

  /** As callers see it; the same object until something of it changes. */
  get view(): PushView {
    return this.#shown.of(this.#row);
  }

  /** Wanted and not over: what `find` shows and what a second startup collides with. */
  get isLive(): boolean {
    return !isFinal(this.#machine.state) && !this.isEnding;
  }

  /** On its way to the end, which nothing can avert; its connection may still be there. */
  get isEnding(): boolean {
    return isEnding(this.#machine);
  }

  get status(): PushStatus {
    const { state, stateSinceMs, reason, restartsTotal } = this.#row;
    const { figures, usage, activeSinceUs } = this.#current ?? {};
    const nowUs = this.#context.clock.monotonicUs();
    return {
      state,
      stateSinceMs,
      reason: reason ?? undefined,
      bitrateBps: figures?.bitrateBps,
      fps: figures?.fps,
      bytesOut: figures?.bytesOut,
      bytesAcknowledged: figures?.bytesAcknowledged,
      backlogBytes: figures?.backlogBytes,
      bufferedMs: figures?.bufferedMs,
      bufferings: figures?.bufferings,
      droppedUnits: figures?.droppedUnits,
      uptimeMs: activeSinceUs === undefined ? undefined : Math.round((nowUs - activeSinceUs) / 1000),
      cpuMs: usage?.cpuMs,
      rssBytes: usage?.rssBytes,
      maxRssBytes: usage?.maxRssBytes,
      restartsTotal,
    };
  }

  /** The last lines of the present run's process; undefined without a run. */
  get lastWords(): string | undefined {
    return this.#current?.run.lastWords;
  }

  /** Takes an event of the hub, of the caller or of a timer. */
  dispatch(event: TransponderEvent): void {
    this.#enqueue(event, null, undefined);
  }

  setMuted(muted: boolean): void {
    this.#setAudio({ ...this.#row, muted });
  }

  /** `undefined` ends the insertion. */
  setSound(sound: { soundFile: string; loop: boolean } | undefined): void {
    this.#setAudio({ ...this.#row, soundJson: sound ? JSON.stringify(sound) : null });
  }

  /** The progress since the last call, to be written with that of the others; also moves `lastActiveAtMs`. */
  takeProgress(): (() => void) | undefined {
    const progress = this.#current?.progress;
    if (!progress) return undefined;
    this.#current!.progress = undefined;
    const { state } = this.#machine;
    if (state === 'ACTIVE' || state === 'DEGRADED')
      this.#row = { ...this.#row, lastActiveAtMs: this.#context.clock.nowMs() };
    const row = this.#row;
    const { store } = this.#context;
    return () => {
      store.runs.progress(progress);
      store.transponders.update(row);
    };
  }

  /** The supervisor goes away: ends the run but leaves the row wanted, for the next start to find. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#disarm();
    await this.#current?.run.stop();
  }

  /**
   * Looks whether this transponder still owns what its state says, or waits for something that will come. What is broken is
   * logged, counted and healed: run and timer are given up, and it backs off. Called every second.
   */
  check(): void {
    if (this.#isClosed || this.#isHealing || this.#isDraining) return;
    const broken = this.#broken();
    if (broken === undefined) return;
    this.#context.totals.invariantViolations += 1;
    this.#logger.error({ broken }, 'a transponder broke an invariant; it is started anew');
    void this.#heal(broken);
  }

  #broken(): string | undefined {
    const { clock, isSourceUp } = this.#context;
    const { state } = this.#machine;
    if (this.#timer && clock.monotonicUs() - this.#timer.dueUs > OVERDUE_MS * 1000) return `${state} has a dead timer`;
    if (state === 'WAITING_SOURCE' && isSourceUp(this.#row.streamName)) return `${state} has missed its source`;
    return brokenInvariant(this.#machine, { run: this.#current !== undefined, timer: this.#timer !== undefined });
  }

  async #heal(broken: string): Promise<void> {
    const { clock, isSourceUp, store, writer } = this.#context;
    this.#isHealing = true;
    this.#disarm();
    const current = this.#current;
    this.#current = undefined;
    try {
      await current?.run.stop();
    } catch (error) {
      this.#logger.error({ err: error }, 'a run did not stop as it should');
    }
    const { id, streamName } = this.#row;
    const atMs = clock.nowMs();
    writer.write(() => store.runs.endOpenOf(id, atMs, { exitClass: 'crash', detail: broken }));
    // What has come up meanwhile was meant for a state that is not so.
    const event = { type: 'invariantBroken', sourceIsUp: isSourceUp(streamName) } as const;
    this.#queue.unshift({ event, detail: broken, alsoWrite: undefined });
    this.#isHealing = false;
    this.#drain();
  }

  #arm(delayMs: number, event: TransponderEvent): void {
    const { clock } = this.#context;
    const fire = () => {
      this.#timer = undefined;
      this.dispatch(event);
    };
    this.#timer = { dueUs: clock.monotonicUs() + delayMs * 1000, cancel: clock.after(delayMs, fire) };
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #setAudio(row: TransponderRow): void {
    const updated = { ...row, updatedAtMs: this.#context.clock.nowMs() };
    this.#row = updated;
    this.#context.writer.write(() => this.#context.store.transponders.update(updated));
    this.#current?.run.setAudio(audioOf(updated));
  }

  /** Events that come up while one is taken wait their turn. */
  #enqueue(event: TransponderEvent, detail: string | null, alsoWrite: (() => void) | undefined): void {
    this.#queue.push({ event, detail, alsoWrite });
    if (this.#isHealing) return;
    this.#drain();
  }

  #drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
        this.#take(next.event, next.detail, next.alsoWrite);
      }
    } finally {
      this.#isDraining = false;
    }
  }

  #take(event: TransponderEvent, detail: string | null, alsoWrite: (() => void) | undefined): void {
    const { clock, random, store, writer } = this.#context;
    const before = this.#machine;
    // Of a row that has come back it is the state in which it was left.
    const fromState = this.#row.state;
    const nowMs = clock.nowMs();
    const { next, effects } = this.#isClosed
      ? { next: before, effects: [] }
      : transition(before, event, { nowMs: clock.monotonicUs() / 1000, random: random() });
    this.#machine = next;
    const isWritten = effects.length > 0 || SHOWN_OF_MACHINE.some((name) => next[name] !== before[name]);
    if (isWritten) this.#row = rowAfter(this.#row, before, next, effects, nowMs);
    const { row } = this;
    const intent = effects.some(({ type }) => type === 'startRun') ? this.#newIntent(nowMs) : undefined;
    if (isWritten || alsoWrite) {
      const transponderId = row.id;
      const reason = detail ?? row.reason;
      const exitClass = classOf(before, event) ?? null;
      const write = (): void => {
        alsoWrite?.();
        if (!isWritten) return;
        store.transponders.update(row);
        store.events.append({
          atMs: nowMs,
          transponderId,
          type: event.type,
          fromState,
          toState: next.state,
          detail: reason,
          exitClass,
        });
        if (intent) store.runs.open(intent);
      };
      writer.write(write, { mustStay: isFinal(next.state) });
    }
    if (isWritten) {
      const { type } = event;
      const moved = { from: fromState, to: next.state, detail };
      this.#logger.info({ event: type, ...moved, reason: row.reason }, 'moved');
      const exitClass = classOf(before, event);
      this.#context.onNotice({ atMs: nowMs, transponderId: row.id, type, ...moved, exitClass });
    }
    for (const effect of effects) this.#carryOut(effect, intent);
  }

  #newIntent(nowMs: number): RunIntent {
    const { bootId, newNonce } = this.#context;
    const { id: transponderId, attempt } = this.#row;
    return { transponderId, attempt, bootId, nonce: newNonce(), spawnedAtMs: nowMs };
  }

  #carryOut(effect: TransponderEffect, intent: RunIntent | undefined): void {
    switch (effect.type) {
      case 'startRun':
        return this.#startRun(intent!);
      case 'stopRun':
        return this.#stopRun();
      case 'armRetry':
        return this.#arm(effect.delayMs, { type: 'retryDue' });
      case 'armSourceWait':
        return this.#arm(effect.delayMs, { type: 'sourceWaitOver' });
      case 'disarm':
        return this.#disarm();
      case 'waitForSource':
        if (this.#context.isSourceUp(this.#row.streamName)) this.dispatch({ type: 'sourceUp' });
        return undefined;
      case 'finish':
        return this.#finish();
      default:
        return assertNever(effect);
    }
  }

  #startRun({ nonce, attempt }: RunIntent): void {
    const { params, destinationCaller: caller, openTarget } = this.#options;
    const { id, streamName } = this.#row;
    let run: PushRun;
    try {
      const audio = audioOf(this.#row);
      const onEvent = (event: RunEvent) => this.#onRunEvent(nonce, event);
      const target = openTarget();
      run = this.#context.runs.start({ id, attempt, nonce, streamName, target, caller, params, audio, onEvent });
    } catch (error) {
      this.#logger.error({ err: error }, 'a run could not be started');
      return this.#endRun(nonce, { exitClass: 'spawn_error', detail: 'the run could not be started' }, '', '');
    }
    this.#current = {
      nonce,
      run,
      health: new PushHealth(),
      progress: undefined,
      figures: undefined,
      pid: undefined,
      usage: undefined,
      usageDueUs: 0,
      activeSinceUs: undefined,
    };
    return undefined;
  }

  #stopRun(): void {
    // Without a run the state is wrong, which `check` finds and mends.
    if (!this.#current) return;
    const { nonce, run } = this.#current;
    const gone = () => {
      if (this.#current?.nonce !== nonce) return;
      this.#endRun(nonce, { exitClass: 'asked_stop', detail: 'stopped' }, '', '');
    };
    run.stop().then(gone, (error: unknown) => {
      this.#logger.error({ err: error }, 'a run did not stop as it should');
      gone();
    });
  }

  #onRunEvent(nonce: string, event: RunEvent): void {
    const current = this.#current;
    if (current?.nonce !== nonce) return undefined;
    const { clock, store, writer } = this.#context;
    const nowMs = clock.nowMs();
    switch (event.type) {
      case 'spawned':
        current.pid = event.pid;
        writer.write(() => store.runs.spawned(nonce, event));
        return undefined;
      case 'publishing':
        return this.dispatch({ type: 'publishing' });
      case 'active':
        current.activeSinceUs ??= clock.monotonicUs();
        return this.#enqueue({ type: 'active' }, null, () => store.runs.ready(nonce, nowMs));
      case 'progress': {
        const { bitrateBps, fps, bytesOut, bytesAcknowledged = 0, framesOut = 0, backlogBytes, droppedUnits } = event;
        this.#observeUsage(current);
        const { cpuMs, maxRssBytes } = current.usage ?? {};
        current.progress = { nonce, bytesOut, framesOut, bytesAcknowledged, cpuMs, maxRssBytes };
        this.#context.totals.bytesOut += Math.max(0, bytesOut - (current.figures?.bytesOut ?? 0));
        const { bufferedMs, bufferings } = event;
        const waiting = { backlogBytes, bufferedMs, bufferings, droppedUnits };
        current.figures = { bitrateBps, fps, bytesOut, bytesAcknowledged, ...waiting };
        return this.#observeHealth(current.health, event);
      }
      case 'soundEnded':
        return this.#soundEnded(event.soundFile);
      case 'stalled':
        return this.dispatch({ type: 'progressStalled' });
      case 'ended':
        return this.#endRun(nonce, event.end, event.stderrHead, event.stderrTail);
      default:
        return assertNever(event);
    }
  }

  /** What was heard once is over for the runs to come too. Another sound may have been inserted meanwhile. */
  #soundEnded(soundFile: string): void {
    const sound = soundOf(this.#row);
    if (sound?.soundFile === soundFile && !sound.loop) this.setSound(undefined);
  }

  #observeHealth(health: PushHealth, condition: PushCondition): void {
    const { state } = this.#machine;
    if (state !== 'ACTIVE' && state !== 'DEGRADED') return;
    const change = health.observe(condition, this.#context.clock.monotonicUs());
    if (change) this.#enqueue(change, change.type === 'degraded' ? change.detail : null, undefined);
  }

  #observeUsage(current: CurrentRun): void {
    const { clock, processUsage } = this.#context;
    const nowUs = clock.monotonicUs();
    if (current.pid === undefined || nowUs < current.usageDueUs) return;
    current.usageDueUs = nowUs + USAGE_PERIOD_US;
    current.usage = processUsage(current.pid) ?? current.usage;
  }

  #endRun(nonce: string, end: RunEnd, stderrHead: string, stderrTail: string): void {
    const { clock, store } = this.#context;
    const atMs = clock.nowMs();
    const progress = this.#current?.progress;
    const exitClass = exitClassOf(this.#machine, end);
    const effective = { ...end, exitClass, detail: STOP_DETAILS[exitClass] ?? end.detail };
    this.#current = undefined;
    this.#enqueue({ type: 'runEnded', end }, effective.detail, () => {
      if (progress) store.runs.progress(progress);
      store.runs.end(nonce, atMs, effective, stderrHead, stderrTail, RUNS_KEPT);
    });
  }
}

function classOf(before: Transponder, event: TransponderEvent): ExitClass | undefined {
  return event.type === 'runEnded' ? exitClassOf(before, event.end) : undefined;
}

function rowAfter(
  row: TransponderRow,
  before: Transponder,
  next: Transponder,
  effects: readonly TransponderEffect[],
  nowMs: number,
): TransponderRow {
  const retry = effects.find((effect) => effect.type === 'armRetry');
  const isRestart = before.hasStarted && effects.some(({ type }) => type === 'startRun');
  const touchesActive = next.state === 'ACTIVE' || before.state === 'ACTIVE';
  return {
    ...row,
    desired: next.desired,
    state: next.state,
    stateSinceMs: next.state === before.state ? row.stateSinceMs : nowMs,
    reason: next.reason ?? null,
    attempt: next.attempt,
    restartsTotal: row.restartsTotal + (isRestart ? 1 : 0),
    nextRetryAtMs: retry ? nowMs + retry.delayMs : null,
    lastActiveAtMs: touchesActive ? nowMs : row.lastActiveAtMs,
    updatedAtMs: nowMs,
    terminatedAtMs: isFinal(next.state) ? nowMs : null,
  };
}
