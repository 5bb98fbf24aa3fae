import type { Clock } from '../domain/clock.ts';
import type { TransponderCaller, TransponderState } from '../domain/transponder.ts';
import { AppError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import type { AddressPolicy, DestinationCaller } from '../egress/address-policy.ts';
import type { RtmpTarget } from '../egress/gate.ts';
import { parseRtmpTarget } from '../egress/rtmp-target.ts';
import type { Store } from '../store/open-store.ts';
import { forgetOldHistory } from '../store/retention.ts';
import type { StoredEvent } from '../store/events.ts';
import type { RowFilter, TransponderRow } from '../store/transponders.ts';
import type { Admission } from '../supervisor/admission.ts';
import type { CurrentUsage } from '../supervisor/process-usage.ts';
import { isFinal, newTransponder } from '../supervisor/transponder-machine.ts';
import type { TransponderEvent } from '../supervisor/transponder-machine.ts';
import { MEDIA_SESSION_ID_BYTES, mediaSessionIdFrom } from './media-session-id.ts';
import type { PushParams, PushRunFactory } from '../outputs/push-run.ts';
import { requireUsableHost } from './resolve-host.ts';
import type { HostResolver } from './resolve-host.ts';
import { effectivePolicy, policyOfRow } from './restart-policy.ts';
import type { RestartPolicyConfig } from './restart-policy.ts';
import { restoredAs } from './restore-policy.ts';
import type { RestoreConfig } from './restore-policy.ts';
import { TransponderActor } from './transponder-actor.ts';
import type { ActorContext } from './transponder-actor.ts';
import type {
  LivePush,
  PushFilter,
  PushStatus,
  PushView,
  StartupRequest,
  TransponderNotice,
  TransponderTotals,
} from './transponder-request.ts';
import { newPushRow } from './transponder-row.ts';
import type { StoredRequest } from './transponder-row.ts';
import { runView, transponderView } from './transponder-view.ts';
import type { TransponderDetail, TransponderView } from './transponder-view.ts';
import { TransponderWriter } from './transponder-writer.ts';

const PROGRESS_PERIOD_MS = 5000;
const CHECK_PERIOD_MS = 1000;
/** How exactly a next start knows since when this server was away. */
const ALIVE_PERIOD_MS = 60_000;
const RETENTION_PERIOD_MS = 600_000;
/** Between two of several passes that are due. */
const RETENTION_PAUSE_MS = 1000;
const NONCE_BYTES = 16;
const EVENTS_SHOWN = 100;
/** What a push is going to use, for the admission of those that come right behind it: 720p needs about that. */
const ENCODING_CORES = 0.5;
const COPYING_CORES = 0.02;
/** Of one page with `rtmpUrl`, each with a process: far more than a page has cameras. */
const MAX_PUSHES_PER_SESSION = 20;
/** With a run that is not being stopped. */
const RESTARTABLE: ReadonlySet<TransponderState> = new Set(['STARTING', 'ACTIVE', 'DEGRADED']);

/** The slice of the configuration; each field is the key of `flashphoner.properties` it is named after. */
export interface TransponderConfig extends RestartPolicyConfig {
  /** `rtmp_transponder_stream_name_prefix` */
  readonly streamNamePrefix: string;
  /** `rtmp_transponder_full_url` */
  readonly fullUrl: boolean;
  /** `rtmp_transponder_send_metadata` */
  readonly sendMetadata: boolean;
  /** `rtmp_flash_ver_subscriber` */
  readonly flashVersion: string;
  /** What a start of the server does with pushes of the time before. */
  readonly restoreOnStart: RestoreConfig;
  /** `rtmp_push_auto_start_url` where `rtmp_push_auto_start` is on. */
  readonly autoStartUrl: string | undefined;
  /** Live pushes at once; one more is refused with OVERLOADED. */
  readonly maxTransponders: number;
}

export interface TransponderServiceOptions {
  readonly config: TransponderConfig;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly runs: PushRunFactory;
  readonly resolveHost: HostResolver;
  /** The gate's own, which decides again when it dials. */
  readonly allowAddress: AddressPolicy;
  /** Whether the machine can carry one more push. */
  readonly admission: Pick<Admission, 'check' | 'reserve'>;
  /** Whether a WAV of that name is in the media directory. */
  readonly hasSoundFile: (name: string) => Promise<boolean>;
  /** Names this start of the process in the runs. */
  readonly bootId: string;
  /** Of a child of ours; undefined when it is gone. */
  readonly processUsage: (pid: number) => CurrentUsage | undefined;
  /** In [0, 1); for back-off. */
  readonly random: () => number;
  /** For ids and nonces; must be cryptographic. */
  readonly randomBytes: (size: number) => Uint8Array;
}

/** What a page publishes, and asks a push for. */
export interface Publication {
  readonly sessionId: string;
  /** False when it is over, also where another one has its name. */
  isLive(): boolean;
}

/** A push has ended as FAILED: no further try is made. */
export interface FailedPush {
  readonly streamName: string;
  readonly caller: TransponderCaller;
}

/**
 * RTMP pushes: who asked for which, and one actor for each. The hub tells it of sources, the edges of callers' wishes.
 * Opened on a store that it does not own; `close` before the store.
 */
export class TransponderService {
  readonly #options: TransponderServiceOptions;
  readonly #context: ActorContext;
  readonly #writer: TransponderWriter;
  readonly #actors = new Map<string, TransponderActor>();
  /** As they ended while the store took no writes, which shows them as they were before until it does. */
  readonly #endedUnwritten = new Map<string, TransponderRow>();
  readonly #sources = new Set<string>();
  /** Which session asked for a push, by the push's id. */
  readonly #sessions = new Map<string, string>();
  readonly #failedListeners = new Set<(push: FailedPush) => void>();
  readonly #noticeListeners = new Set<(notice: TransponderNotice) => void>();
  readonly #totals = { bytesOut: 0, invariantViolations: 0 };
  readonly #cancelTimers: (() => void)[];
  #cancelForgetting: () => void = () => {};
  /** Monotonic. */
  #checkedUs: number;
  #closing: Promise<void> | undefined;
  readonly #closeBegun = Promise.withResolvers<void>();

  constructor(options: TransponderServiceOptions) {
    this.#options = options;
    const { clock, logger, store, runs, bootId, processUsage, random, randomBytes } = options;
    this.#writer = new TransponderWriter(store, logger, clock);
    this.#context = {
      clock,
      logger,
      store,
      writer: this.#writer,
      runs,
      bootId,
      random,
      newNonce: () => Buffer.from(randomBytes(NONCE_BYTES)).toString('hex'),
      isSourceUp: (streamName) => this.#sources.has(streamName),
      onNotice: (notice) => this.#tell(notice),
      processUsage,
      totals: this.#totals,
    };
    this.#restore();
    this.#forget();
    this.#checkedUs = clock.monotonicUs();
    this.#cancelTimers = [
      clock.every(CHECK_PERIOD_MS, () => this.#check()),
      clock.every(PROGRESS_PERIOD_MS, () => this.#flushProgress()),
      clock.every(ALIVE_PERIOD_MS, () => this.#noteAlive()),
    ];
  }

  /** Called once for every push that fails for good. The returned function ends the subscription. */
  onFailed(listener: (push: FailedPush) => void): () => void {
    this.#failedListeners.add(listener);
    return () => void this.#failedListeners.delete(listener);
  }

  /** Called for every transition of every transponder. The returned function ends the subscription. */
  onEvent(listener: (notice: TransponderNotice) => void): () => void {
    this.#noticeListeners.add(listener);
    return () => void this.#noticeListeners.delete(listener);
  }

  get totals(): TransponderTotals {
    return this.#totals;
  }

  /** Every transponder that has not ended, the ones that are being stopped too. */
  views(): LivePush[] {
    return Array.from(this.#actors.values(), ({ row: { id, streamName, destRedacted }, status }) => {
      return { id, streamName, destRedacted, ...status };
    });
  }

  /** False while the store takes no writes; running pushes go on, new ones are refused. */
  get isStoreWritable(): boolean {
    return this.#writer.isWritable;
  }

  /** The same, found out by writing where nothing was written in the last 5 s. */
  probeStore(): boolean {
    return this.#writer.probe();
  }

  /**
   * Creates a push and answers before it is connected, as WCS does, but after one to the same destination that is just ending is
   * gone; `publication` is that of the page which asks. Throws BAD_RTMP_URL, STREAM_NOT_FOUND,
   * BAD_REQUEST, SOUND_FILE_NOT_FOUND, UNRESOLVABLE_HOST, FORBIDDEN_ADDRESS, TRANSPONDER_EXISTS, OVERLOADED or STORE_FAILED.
   */
  async startup(request: StartupRequest, caller: TransponderCaller, publication?: Publication): Promise<PushView> {
    this.#requireReady();
    effectivePolicy(request.restartPolicy, this.#options.config);
    const { target, remoteName } = this.#destinationOf(request);
    this.#requireSource(request, caller, publication);
    if (request.options?.action === 'sound_on') await this.#requireSoundFile(request.options.soundFile);
    const { resolveHost: resolve, allowAddress, clock } = this.#options;
    const refusalOf = (address: string) => allowAddress(address, destinationCallerOf(caller));
    await requireUsableHost(target.host, { resolve, refusalOf, clock });
    await this.#untilFree(target);
    // Time has passed: what was true may not be any more.
    this.#requireReady();
    this.#requireSource(request, caller, publication);
    this.#requireRoomFor(publication);
    this.#endSuspended(request.streamName, target);
    const actor = this.#create(request, caller, target, remoteName);
    if (publication) this.#sessions.set(actor.row.id, publication.sessionId);
    actor.dispatch({ type: this.#sources.has(request.streamName) ? 'sourceUp' : 'sourceDown' });
    return actor.view;
  }

  /** Live pushes that match; empty when there are none. A push is the same object as before while it is shown the same. */
  find({ streamName, rtmpUrl }: PushFilter): PushView[] {
    return [...this.#actors.values()]
      .filter(({ isLive, row }) => isLive && (streamName === undefined || isNamed(row, streamName)))
      .map(({ view }) => view)
      .filter((view) => rtmpUrl === undefined || view.rtmpUrl === rtmpUrl);
  }

  /** How a push that has not ended is doing; undefined where there is none with this id. */
  status(mediaSessionId: string): PushStatus | undefined {
    return this.#actors.get(mediaSessionId)?.status;
  }

  /** Ends a push for good; resolves when its child and sockets are gone. Throws TRANSPONDER_NOT_FOUND. */
  async terminate(mediaSessionId: string): Promise<void> {
    const actor = this.#require(mediaSessionId);
    actor.dispatch({ type: 'stopRequested' });
    await actor.finished;
  }

  /** Live and ended ones, newest first, and how many there are in all. */
  list(filter: RowFilter, limit: number, offset: number): { transponders: TransponderView[]; total: number } {
    const { rows, total } = this.#options.store.transponders.list(filter, limit, offset);
    return { transponders: rows.map((row) => this.#viewOf(row)), total };
  }

  /** One, live or ended, with its history. Throws TRANSPONDER_NOT_FOUND. */
  detail(id: string): TransponderDetail {
    const { store } = this.#options;
    const row = this.#requireRow(id);
    const view = this.#viewOf(row);
    const lastWords = this.#actors.get(id)?.lastWords;
    const runs = store.runs
      .ofTransponder(id)
      .map((run) => runView({ ...run, endedAtMs: run.endedAtMs ?? row.terminatedAtMs }, lastWords));
    return { ...view, runs, events: store.events.ofTransponder(id, EVENTS_SHOWN) };
  }

  /** Ends a push for good, as `terminate`. Throws TRANSPONDER_NOT_FOUND, or TRANSPONDER_STATE where it has ended already. */
  async stop(id: string): Promise<TransponderView> {
    const row = this.#requireRow(id);
    if (isFinal(row.state)) throw new AppError('TRANSPONDER_STATE', `the transponder is ${row.state} already`);
    await this.terminate(id);
    return this.#viewOf(this.#requireRow(id));
  }

  /**
   * Ends the waiting: a push that is SUSPENDED, in BACKOFF or FAILED starts with a full budget (BACKOFF: with what is left)
   * as soon as its stream is there. Throws TRANSPONDER_NOT_FOUND, TRANSPONDER_STATE in any other state, TRANSPONDER_EXISTS
   * where the place of a failed one is taken, or OVERLOADED.
   */
  resume(id: string): TransponderView {
    const { state } = this.#requireRow(id);
    if (state === 'FAILED') return this.#revive(id);
    if (state !== 'SUSPENDED' && state !== 'BACKOFF') {
      throw new AppError(
        'TRANSPONDER_STATE',
        `the transponder is ${state}; only SUSPENDED, BACKOFF and FAILED are resumed`,
      );
    }
    this.#require(id).dispatch({ type: 'resumeRequested' });
    return this.#viewOf(this.#requireRow(id));
  }

  /** Ends the present run and starts another one, uncounted; where there is none, the same as `resume`, with its errors. */
  restart(id: string): TransponderView {
    const { state } = this.#requireRow(id);
    if (!RESTARTABLE.has(state)) return this.resume(id);
    this.#require(id).dispatch({ type: 'restartRequested' });
    return this.#viewOf(this.#requireRow(id));
  }

  /** Oldest first: what happened after the event with number `seq`. */
  eventsAfter(seq: number, limit: number): StoredEvent[] {
    return this.#options.store.events.after(seq, limit);
  }

  /** The number of the newest event; 0 when there is none. */
  lastEventSeq(): number {
    return this.#options.store.events.lastSeq();
  }

  /** Throws TRANSPONDER_NOT_FOUND; so do the next three. */
  mute(mediaSessionId: string): void {
    this.#requireLive(mediaSessionId).setMuted(true);
  }

  unmute(mediaSessionId: string): void {
    this.#requireLive(mediaSessionId).setMuted(false);
  }

  /** Also throws SOUND_FILE_NOT_FOUND. */
  async soundOn(mediaSessionId: string, soundFile: string, loop: boolean): Promise<void> {
    this.#requireLive(mediaSessionId);
    await this.#requireSoundFile(soundFile);
    this.#requireLive(mediaSessionId).setSound({ soundFile, loop });
  }

  soundOff(mediaSessionId: string): void {
    this.#requireLive(mediaSessionId).setSound(undefined);
  }

  /** A stream can be read from now on. */
  sourceUp(streamName: string): void {
    this.#sources.add(streamName);
    this.#tellActorsOf(streamName, { type: 'sourceUp' });
    this.#autoStart(streamName);
  }

  /** A stream is over. */
  sourceDown(streamName: string): void {
    this.#sources.delete(streamName);
    this.#tellActorsOf(streamName, { type: 'sourceDown' });
  }

  /** Memoised; resolves when no run is left. The rows stay wanted: the next start finds them. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closeBegun.resolve();
    for (const cancel of this.#cancelTimers) cancel();
    this.#cancelForgetting();
    const ends = await Promise.allSettled([...this.#actors.values()].map((actor) => actor.close()));
    for (const end of ends) {
      if (end.status === 'rejected') this.#options.logger.error({ err: end.reason }, 'a run did not stop as it should');
    }
    this.#flushProgress();
    this.#noteAlive();
  }

  /**
   * A new push never meets one that is just ending, which has its connection until it is gone. That is also how a page that
   * publishes again at once gets its push again. Closing ends the waiting.
   */
  async #untilFree({ canonical }: RtmpTarget): Promise<void> {
    const destHash = this.#options.store.secrets.hash(canonical);
    for (let last = this.#endingAt(destHash); last && !this.#closing; last = this.#endingAt(destHash)) {
      await Promise.race([last.finished, this.#closeBegun.promise]);
    }
  }

  /** Nobody expected it any more; now somebody does, on terms of their own. Its place is free in the same turn. */
  #endSuspended(streamName: string, { canonical }: RtmpTarget): void {
    const destHash = this.#options.store.secrets.hash(canonical);
    const suspended = this.#actorsOf(streamName).find(
      ({ row }) => row.state === 'SUSPENDED' && row.destHash === destHash,
    );
    suspended?.dispatch({ type: 'stopRequested' });
  }

  #endingAt(destHash: string): TransponderActor | undefined {
    return [...this.#actors.values()].find(({ isEnding, row }) => isEnding && row.destHash === destHash);
  }

  #destinationOf(request: StartupRequest): { target: RtmpTarget; remoteName: string } {
    const { streamNamePrefix, fullUrl } = this.#options.config;
    const isFullUrl = fullUrl || request.rtmpTransponderFullUrl === true;
    const { rtmpUrl, streamName } = request;
    return {
      target: parseRtmpTarget({ rtmpUrl, streamName, fullUrl: isFullUrl, prefix: streamNamePrefix }),
      remoteName: isFullUrl ? streamName : streamNamePrefix + streamName,
    };
  }

  #create(
    request: StartupRequest,
    caller: TransponderCaller,
    target: RtmpTarget,
    remoteName: string,
  ): TransponderActor {
    const { clock, config, randomBytes, store } = this.#options;
    const id = mediaSessionIdFrom(randomBytes(MEDIA_SESSION_ID_BYTES));
    const policy = effectivePolicy(request.restartPolicy, config);
    const params = paramsOf(request, config);
    const nowMs = clock.nowMs();
    const row = newPushRow({ id, caller, request, target, remoteName, params, policy, nowMs }, store.secrets);
    this.#insert(row);
    this.#reserveFor(row, params);
    return this.#adopt(row);
  }

  /** One that waits for its stream uses nothing yet. */
  #reserveFor(row: TransponderRow, params: PushParams): void {
    if (!this.#sources.has(row.streamName)) return;
    this.#options.admission.reserve(this.#needsEncoder(params, row) ? ENCODING_CORES : COPYING_CORES);
  }

  /**
   * Whether its pictures are to be encoded as nobody else's of the same stream: equal ones share an encoder. What the source's codec
   * asks for is not known here, so VP8 without any wish counts as copied until the load of its encoder is seen.
   */
  #needsEncoder({ height, fps, keyFrameInterval }: PushParams, { paramsJson, streamName }: TransponderRow): boolean {
    if (height === 0 && fps === 0 && keyFrameInterval === 0) return false;
    return !this.#actorsOf(streamName).some(({ row }) => row.paramsJson === paramsJson);
  }

  /** Everything that a transponder does follows from its row, so one of an earlier life of the server works the same. */
  #adopt(row: TransponderRow): TransponderActor {
    const { windowMs: sourceWaitMs } = this.#options.config.restoreOnStart;
    const { id, caller, streamName } = row;
    const request = JSON.parse(row.requestJson) as StoredRequest;
    const policy = policyOfRow(row.policyJson);
    const outlivesSource = caller === 'rest' && (request.waitForStream === true || policy.kind === 'persistent');
    const wasAccepted = row.lastActiveAtMs !== null;
    const hasStarted = wasAccepted || row.restartsTotal > 0;
    const actor = new TransponderActor(this.#context, {
      row,
      machine: newTransponder({ policy, outlivesSource, sourceWaitMs, desired: row.desired, hasStarted, wasAccepted }),
      params: JSON.parse(row.paramsJson) as PushParams,
      destinationCaller: destinationCallerOf(caller),
      openTarget: () => this.#openTarget(row, request),
      openUrl: () => this.#openUrl(row),
    });
    this.#actors.set(id, actor);
    void actor.finished.then(() => {
      if (!this.#writer.isWritable) this.#endedUnwritten.set(id, actor.row);
      if (this.#actors.get(id) === actor) this.#actors.delete(id);
      this.#sessions.delete(id);
      if (actor.status.state !== 'FAILED') return;
      for (const listener of this.#failedListeners) listener({ streamName, caller });
    });
    return actor;
  }

  #openTarget(row: TransponderRow, request: StoredRequest): RtmpTarget {
    return this.#destinationOf({ ...request, rtmpUrl: this.#openUrl(row) }).target;
  }

  #openUrl({ id, destSecret }: TransponderRow): string {
    return this.#options.store.secrets.open(destSecret, id);
  }

  #viewOf(row: TransponderRow): TransponderView {
    return transponderView(this.#newestRow(row.id) ?? row, this.#actors.get(row.id)?.status);
  }

  /** As it is now where it lives, or as it ended; the store may lag behind. */
  #newestRow(id: string): TransponderRow | undefined {
    if (this.#writer.isWritable) this.#endedUnwritten.clear();
    return this.#actors.get(id)?.row ?? this.#endedUnwritten.get(id);
  }

  #requireRow(id: string): TransponderRow {
    const row = this.#newestRow(id) ?? this.#options.store.transponders.get(id);
    if (row) return row;
    throw new AppError('TRANSPONDER_NOT_FOUND', `transponder "${id}" not found`);
  }

  /** A new life for a row that had FAILED, under its id. */
  #revive(id: string): TransponderView {
    this.#requireReady();
    const { clock, store } = this.#options;
    const nowMs = clock.nowMs();
    const fresh = {
      state: 'NEW',
      stateSinceMs: nowMs,
      updatedAtMs: nowMs,
      reason: null,
      terminatedAtMs: null,
    } as const;
    const row: TransponderRow = { ...this.#requireRow(id), ...fresh };
    if (!this.#isSameDestination(row)) {
      throw new AppError('TRANSPONDER_STATE', 'by the present configuration the transponder would go elsewhere');
    }
    if (this.#endingAt(row.destHash)) {
      throw new AppError('TRANSPONDER_EXISTS', 'another transponder to the same destination is still ending');
    }
    store.transponders.update(row);
    this.#reserveFor(row, JSON.parse(row.paramsJson) as PushParams);
    this.#adopt(row).dispatch({ type: 'resumeRequested' });
    return this.#viewOf(row);
  }

  #insert(row: TransponderRow): void {
    try {
      this.#options.store.transponders.insert(row);
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError('STORE_FAILED', 'the transponder cannot be stored', { cause: error });
    }
  }

  #requireReady(): void {
    if (this.#closing) throw new AppError('OVERLOADED', 'the server is shutting down');
    if (!this.isStoreWritable) throw new AppError('OVERLOADED', 'the store takes no writes at the moment');
    const admitted = this.#options.admission.check();
    if (!admitted.ok) throw new AppError('OVERLOADED', admitted.reason);
    const { maxTransponders } = this.#options.config;
    if (this.#actors.size >= maxTransponders) {
      throw new AppError('OVERLOADED', `there are ${maxTransponders} transponders already`);
    }
  }

  #requireRoomFor(publication: Publication | undefined): void {
    if (!publication) return;
    let own = 0;
    for (const sessionId of this.#sessions.values()) if (sessionId === publication.sessionId) own++;
    if (own < MAX_PUSHES_PER_SESSION) return;
    throw new AppError('OVERLOADED', `a publisher has ${MAX_PUSHES_PER_SESSION} pushes already`);
  }

  #requireSource(
    { streamName, waitForStream }: StartupRequest,
    caller: TransponderCaller,
    publication: Publication | undefined,
  ): void {
    const hasSource = this.#sources.has(streamName) && (publication?.isLive() ?? true);
    if (hasSource || (caller === 'rest' && waitForStream === true)) return;
    throw new AppError('STREAM_NOT_FOUND', `stream "${streamName}" not found`);
  }

  async #requireSoundFile(name: string | undefined): Promise<void> {
    if (name === undefined) throw new AppError('BAD_REQUEST', 'options.soundFile is missing');
    if (await this.#options.hasSoundFile(name)) return;
    throw new AppError('SOUND_FILE_NOT_FOUND', `no sound file "${name}"`);
  }

  #require(mediaSessionId: string): TransponderActor {
    const actor = this.#actors.get(mediaSessionId);
    if (actor) return actor;
    throw new AppError('TRANSPONDER_NOT_FOUND', `transponder "${mediaSessionId}" not found`);
  }

  #requireLive(mediaSessionId: string): TransponderActor {
    const actor = this.#require(mediaSessionId);
    if (actor.isLive) return actor;
    throw new AppError('TRANSPONDER_NOT_FOUND', `transponder "${mediaSessionId}" not found`);
  }

  /** In one write for all: twenty flushes of the disk would hold up media. A run begins its process in a later turn. */
  #tellActorsOf(streamName: string, event: TransponderEvent): void {
    this.#writer.batch(() => this.#actorsOf(streamName).forEach((actor) => actor.dispatch(event)));
  }

  #actorsOf(streamName: string): TransponderActor[] {
    return [...this.#actors.values()].filter(({ row }) => row.streamName === streamName);
  }

  /** `rtmp_push_auto_start`. What was itself republished to us is left alone, or it would be republished for ever. */
  #autoStart(streamName: string): void {
    const { autoStartUrl, streamNamePrefix } = this.#options.config;
    if (autoStartUrl === undefined) return;
    if (streamNamePrefix !== '' && streamName.startsWith(streamNamePrefix)) return;
    this.startup({ streamName, rtmpUrl: autoStartUrl }, 'auto_start').catch((error: unknown) => {
      const code = error instanceof AppError ? error.code : 'INTERNAL';
      if (code !== 'TRANSPONDER_EXISTS') this.#options.logger.warn({ stream: streamName, code }, 'no automatic push');
    });
  }

  /** A listener that fails disturbs neither the transponder nor the other listeners. */
  #tell(notice: TransponderNotice): void {
    for (const listener of this.#noticeListeners) {
      try {
        listener(notice);
      } catch (error) {
        this.#options.logger.error({ error, transponderId: notice.transponderId }, 'a listener of transitions failed');
      }
    }
  }

  /** After a pause of the whole process timers are late that will still fire: only the next look can tell. */
  #check(): void {
    const nowUs = this.#options.clock.monotonicUs();
    const wasPaused = nowUs - this.#checkedUs > 2 * CHECK_PERIOD_MS * 1000;
    this.#checkedUs = nowUs;
    if (!wasPaused) this.#actors.forEach((actor) => actor.check());
  }

  #flushProgress(): void {
    const writes = [...this.#actors.values()].flatMap((actor) => actor.takeProgress() ?? []);
    if (writes.length > 0) this.#writer.write(() => writes.forEach((write) => write()));
    else this.#writer.flush();
  }

  #noteAlive(): void {
    const { clock, store } = this.#options;
    const nowMs = clock.nowMs();
    this.#writer.write(() => store.setAlive(nowMs));
  }

  #forget(): void {
    const { clock, logger, store } = this.#options;
    let hasMore = false;
    try {
      hasMore = forgetOldHistory(store, clock.nowMs());
    } catch (error) {
      logger.error({ err: error }, 'old history could not be forgotten');
    }
    const pauseMs = hasMore ? RETENTION_PAUSE_MS : RETENTION_PERIOD_MS;
    this.#cancelForgetting = clock.after(pauseMs, () => this.#forget());
  }

  /** Closes the runs of an earlier supervisor and takes over what it left. Nothing starts yet: there is no source so far. */
  #restore(): void {
    const { clock, config, store } = this.#options;
    const nowMs = clock.nowMs();
    const awayMs = nowMs - (store.lastAliveAtMs() ?? nowMs);
    this.#writer.batch(() => {
      this.#noteAlive();
      this.#writer.write(() => void store.runs.endAllOpen(nowMs, 'server_crash'));
      for (const row of store.transponders.unfinished()) {
        if (row.kind !== 'rtmp_push') continue;
        const as = this.#isSameDestination(row) ? restoredAs(row, config.restoreOnStart, awayMs) : 'failed';
        this.#adopt(row).dispatch({ type: 'restored', as });
      }
    });
  }

  /** False after a change of the configuration by which the row's URL and name would now lead somewhere else. */
  #isSameDestination(row: TransponderRow): boolean {
    const { logger, store } = this.#options;
    try {
      const { canonical } = this.#openTarget(row, JSON.parse(row.requestJson) as StoredRequest);
      if (store.secrets.hash(canonical) === row.destHash) return true;
      logger.warn(
        { transponderId: row.id },
        'a push is not brought back: by the present configuration it would go elsewhere',
      );
    } catch (error) {
      logger.error({ err: error, transponderId: row.id }, 'a push is not brought back: its destination cannot be read');
    }
    return false;
  }
}

/** What a page names comes from anyone; the configuration is the operator's own word. */
function destinationCallerOf(caller: TransponderCaller): DestinationCaller {
  return caller === 'publisher' ? 'other' : 'rest';
}

function isNamed({ streamName, remoteName }: TransponderRow, name: string): boolean {
  return name === streamName || name === remoteName;
}

function paramsOf(request: StartupRequest, config: TransponderConfig): PushParams {
  return {
    width: request.width ?? 0,
    height: request.height ?? 0,
    fps: request.fps ?? 0,
    keyFrameInterval: request.keyFrameInterval ?? 0,
    rtmpFlashVersion: request.rtmpFlashVersion ?? config.flashVersion,
    sendMetadata: config.sendMetadata,
  };
}
