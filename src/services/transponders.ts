import type { Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import type { RtmpTarget } from '../egress/gate.ts';
import { parseRtmpTarget } from '../egress/rtmp-target.ts';
import type { Store } from '../store/open-store.ts';
import { forgetOldHistory } from '../store/retention.ts';
import type { TransponderRow } from '../store/transponders.ts';
import { newTransponder, transition } from '../supervisor/transponder-machine.ts';
import type { RestartPolicy } from '../supervisor/transponder-policy.ts';
import { MEDIA_SESSION_ID_BYTES, mediaSessionIdFrom } from './media-session-id.ts';
import type { PushParams, PushRunFactory } from '../outputs/push-run.ts';
import { requireResolvable } from './resolve-host.ts';
import type { HostResolver } from './resolve-host.ts';
import { TransponderActor } from './transponder-actor.ts';
import type { ActorContext } from './transponder-actor.ts';
import type {
  LivePush,
  PushFilter,
  PushStatus,
  PushView,
  StartupCaller,
  StartupRequest,
  TransponderNotice,
  TransponderTotals,
} from './transponder-request.ts';
import { newPushRow, viewOf } from './transponder-row.ts';
import { TransponderWriter } from './transponder-writer.ts';

const PROGRESS_PERIOD_MS = 5000;
const RETENTION_PERIOD_MS = 3_600_000;
const NONCE_BYTES = 16;

/** The slice of the configuration; each field is the key of `flashphoner.properties` it is named after. */
export interface TransponderConfig {
  /** `rtmp_transponder_stream_name_prefix` */
  readonly streamNamePrefix: string;
  /** `rtmp_transponder_full_url` */
  readonly fullUrl: boolean;
  /** `rtmp_transponder_send_metadata` */
  readonly sendMetadata: boolean;
  /** `rtmp_flash_ver_subscriber` */
  readonly flashVersion: string;
  /** `rtmp_push_restore` */
  readonly restore: boolean;
  /** `rtmp_push_restore_attempts` */
  readonly restoreAttempts: number;
  /** `rtmp_push_restore_interval_ms` */
  readonly restoreIntervalMs: number;
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
  /** Whether a WAV of that name is in the media directory. */
  readonly hasSoundFile: (name: string) => Promise<boolean>;
  /** Names this start of the process in the runs. */
  readonly bootId: string;
  /** In [0, 1); for back-off. */
  readonly random: () => number;
  /** For ids and nonces; must be cryptographic. */
  readonly randomBytes: (size: number) => Uint8Array;
}

/** A push has ended as FAILED: no further try is made. */
export interface FailedPush {
  readonly streamName: string;
  readonly caller: StartupCaller;
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
  readonly #sources = new Set<string>();
  readonly #failedListeners = new Set<(push: FailedPush) => void>();
  readonly #noticeListeners = new Set<(notice: TransponderNotice) => void>();
  readonly #totals = { bytesOut: 0, invariantViolations: 0 };
  readonly #cancelTimers: (() => void)[];
  #closing: Promise<void> | undefined;

  constructor(options: TransponderServiceOptions) {
    this.#options = options;
    const { clock, logger, store, runs, bootId, random, randomBytes } = options;
    this.#writer = new TransponderWriter(store, logger);
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
      totals: this.#totals,
    };
    this.#giveUpUnfinished();
    this.#forget();
    this.#cancelTimers = [
      clock.every(PROGRESS_PERIOD_MS, () => this.#flushProgress()),
      clock.every(RETENTION_PERIOD_MS, () => this.#forget()),
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

  /**
   * Creates a push and answers before it is connected, as WCS does. Throws BAD_RTMP_URL, STREAM_NOT_FOUND,
   * SOUND_FILE_NOT_FOUND, UNRESOLVABLE_HOST, TRANSPONDER_EXISTS, OVERLOADED or STORE_FAILED.
   */
  async startup(request: StartupRequest, caller: StartupCaller): Promise<PushView> {
    this.#requireReady();
    const { target, remoteName } = this.#destinationOf(request);
    this.#requireSource(request, caller);
    if (request.options?.action === 'sound_on') await this.#requireSoundFile(request.options.soundFile);
    await requireResolvable(target.host, this.#options.resolveHost, this.#options.clock);
    // Time has passed: what was true may not be any more.
    this.#requireReady();
    this.#requireSource(request, caller);
    const actor = this.#create(request, caller, target, remoteName);
    actor.dispatch({ type: this.#sources.has(request.streamName) ? 'sourceUp' : 'sourceDown' });
    return viewOf(actor.row, request.rtmpUrl);
  }

  /** Live pushes that match; empty when there are none. */
  find({ streamName, rtmpUrl }: PushFilter): PushView[] {
    const { secrets } = this.#options.store;
    return [...this.#actors.values()]
      .filter(({ isLive, row }) => isLive && (streamName === undefined || isNamed(row, streamName)))
      .map(({ row }) => viewOf(row, secrets.open(row.destSecret, row.id)))
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
    for (const actor of this.#actorsOf(streamName)) actor.dispatch({ type: 'sourceUp' });
    this.#autoStart(streamName);
  }

  /** A stream is over. */
  sourceDown(streamName: string): void {
    this.#sources.delete(streamName);
    for (const actor of this.#actorsOf(streamName)) actor.dispatch({ type: 'sourceDown' });
  }

  /** Memoised; resolves when no run is left. The rows stay wanted: the next start finds them. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const cancel of this.#cancelTimers) cancel();
    const ends = await Promise.allSettled([...this.#actors.values()].map((actor) => actor.close()));
    for (const end of ends) {
      if (end.status === 'rejected') this.#options.logger.error({ err: end.reason }, 'a run did not stop as it should');
    }
    this.#flushProgress();
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

  #create(request: StartupRequest, caller: StartupCaller, target: RtmpTarget, remoteName: string): TransponderActor {
    const { clock, config, randomBytes, store } = this.#options;
    const id = mediaSessionIdFrom(randomBytes(MEDIA_SESSION_ID_BYTES));
    const policy = this.#policyOf(request);
    const params = paramsOf(request, config);
    const row = newPushRow({ id, request, target, remoteName, params, policy, nowMs: clock.nowMs() }, store.secrets);
    this.#insert(row);
    const outlivesSource = caller === 'rest' && (request.waitForStream === true || policy.kind === 'persistent');
    const { rtmpUrl: _, ...rest } = request;
    const openTarget = () => this.#destinationOf({ ...rest, rtmpUrl: store.secrets.open(row.destSecret, id) }).target;
    const machine = newTransponder(policy, outlivesSource);
    // What a page names comes from anyone; the configuration is the operator's own word.
    const destinationCaller = caller === 'publisher' ? 'other' : 'rest';
    const actor = new TransponderActor(this.#context, { row, machine, params, destinationCaller, openTarget });
    this.#actors.set(id, actor);
    void actor.finished.then(() => {
      this.#actors.delete(id);
      if (actor.status.state !== 'FAILED') return;
      for (const listener of this.#failedListeners) listener({ streamName: request.streamName, caller });
    });
    return actor;
  }

  #insert(row: TransponderRow): void {
    try {
      this.#options.store.transponders.insert(row);
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError('STORE_FAILED', 'the transponder cannot be stored', { cause: error });
    }
  }

  #policyOf({ restartPolicy }: StartupRequest): RestartPolicy {
    if (restartPolicy === 'persistent') return { kind: 'persistent' };
    const { restore, restoreAttempts, restoreIntervalMs } = this.#options.config;
    return { kind: 'wcs', attempts: restore ? restoreAttempts : 0, intervalMs: restoreIntervalMs };
  }

  #requireReady(): void {
    if (this.#closing) throw new AppError('OVERLOADED', 'the server is shutting down');
    if (!this.isStoreWritable) throw new AppError('OVERLOADED', 'the store takes no writes at the moment');
    const { maxTransponders } = this.#options.config;
    if (this.#actors.size >= maxTransponders) {
      throw new AppError('OVERLOADED', `there are ${maxTransponders} transponders already`);
    }
  }

  #requireSource({ streamName, waitForStream }: StartupRequest, caller: StartupCaller): void {
    if (this.#sources.has(streamName) || (caller === 'rest' && waitForStream === true)) return;
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

  #flushProgress(): void {
    const writes = [...this.#actors.values()].flatMap((actor) => actor.takeProgress() ?? []);
    if (writes.length > 0) this.#writer.write(() => writes.forEach((write) => write()));
    else this.#writer.flush();
  }

  #forget(): void {
    try {
      forgetOldHistory(this.#options.store, this.#options.clock.nowMs());
    } catch (error) {
      this.#options.logger.error({ err: error }, 'old history could not be forgotten');
    }
  }

  /** Rows that were live when the supervisor went away end here: their source and their child are gone. */
  #giveUpUnfinished(): void {
    const { clock, logger, store } = this.#options;
    const nowMs = clock.nowMs();
    store.transaction(() => {
      store.runs.endAllOpen(nowMs, 'server_crash');
      for (const row of store.transponders.unfinished()) {
        const before = newTransponder(JSON.parse(row.policyJson) as RestartPolicy, false, row.desired);
        const context = { nowMs: clock.monotonicUs() / 1000, random: 0 };
        const { state, reason = null } = transition(before, { type: 'restored', as: 'failed' }, context).next;
        const ended = { state, reason, stateSinceMs: nowMs, updatedAtMs: nowMs, terminatedAtMs: nowMs };
        store.transponders.update({ ...row, ...ended, nextRetryAtMs: null });
        const event = { type: 'restored', fromState: row.state, toState: state, detail: reason };
        store.events.append({ atMs: nowMs, transponderId: row.id, ...event });
        logger.warn({ transponder: row.id, destination: row.destRedacted, to: state }, 'not restored after a restart');
      }
    });
  }
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
