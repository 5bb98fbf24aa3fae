import type { CancelTimer } from '../../domain/clock.ts';
import { assertNever } from '../../domain/errors.ts';
import type { Logger } from '../../domain/logger.ts';
import type { MediaUnit } from '../../domain/media.ts';
import type { AudioMode, ExitClass, RunEnd } from '../../domain/transponder.ts';
import type { GateCounters, GateEvent, GateSession } from '../../egress/gate.ts';
import type { LiveStream } from '../../hub/live-stream.ts';
import type { ChildEnd } from '../../supervisor/child-process.ts';
import type { StartPlace } from '../../supervisor/spawn-limits.ts';
import type { PushRun, PushRunOptions } from '../push-run.ts';
import { AudioSwap } from './audio-swap.ts';
import { DeliveryWatch, type DeliveryVerdict } from './delivery-watch.ts';
import { PacedFeed } from './paced-feed.ts';
import { PushChild } from './push-child.ts';
import { PushReport } from './push-report.ts';
import type { RtmpPushServices } from './push-services.ts';
import { PushSource } from './push-source.ts';
import { SourceWatch } from './source-watch.ts';

const DEFAULT_FLASH_VERSION = 'FMLE/3.0 (compatible; Transponder)';

/** From the start to a connection that publishes. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Of the nonce, which is a secret as a whole: enough to find the row of the run by. */
const RUN_ID_CHARS = 8;
/** How often the counters are looked at: quickly until bytes flow, then so that a stall is seen soon after its time. */
const STARTING_POLL_MS = 50;
const ACTIVE_POLL_MS = 250;

/** What there is once the first unit has come. */
interface Running {
  readonly gate: GateSession;
  readonly source: PushSource;
  readonly child: PushChild;
  /** Undefined where the child could not be started; its end is on the way. */
  readonly feed: PacedFeed | undefined;
  readonly delivery: DeliveryWatch;
  readonly sourceWatch: SourceWatch;
  readonly report: PushReport;
}

/**
 * One run of a push: a reader of the rendition, one ffmpeg that muxes, and one session of the egress gate. The child
 * begins with the first unit, because only then it is known which tracks there really are. Everything it started is gone when it says `ended`.
 */
export class RtmpPushRun implements PushRun {
  readonly #services: RtmpPushServices;
  readonly #options: PushRunOptions;
  readonly #logger: Logger;
  readonly #silentVideo: WeakSet<LiveStream>;
  #place: StartPlace | undefined;
  #audio: AudioMode;
  #swap: AudioSwap | undefined;
  #source: PushSource | undefined;
  #gate: GateSession | undefined;
  #gateEnd: RunEnd | undefined;
  #running: Running | undefined;
  #isPublishing = false;
  #cancelTimer: CancelTimer | undefined;
  /** The first reason wins. */
  #end: RunEnd | undefined;
  #finished: Promise<void> | undefined;

  /** `silentVideo` remembers, across runs, streams whose declared video has not sent anything. */
  constructor(services: RtmpPushServices, silentVideo: WeakSet<LiveStream>, options: PushRunOptions) {
    this.#services = services;
    this.#silentVideo = silentVideo;
    this.#options = options;
    const { id: transponderId, attempt, nonce } = options;
    this.#logger = services.logger.child({ transponderId, runId: nonce.slice(0, RUN_ID_CHARS), attempt });
    this.#audio = options.audio;
    // Events may not come before the caller has its run.
    setImmediate(() => {
      if (this.#end) return;
      this.#place = services.spawnQueue.enter(options.target.host, () => this.#start());
      if (this.#end) this.#place.leave();
    });
  }

  get lastWords(): string {
    return this.#running?.child.lastWords ?? '';
  }

  setAudio(mode: AudioMode): void {
    this.#audio = mode;
    this.#swap?.set(mode);
  }

  stop(): Promise<void> {
    return this.#finish({ exitClass: 'asked_stop', detail: 'asked to stop' });
  }

  #start(): void {
    if (this.#end) return;
    const stream = this.#services.hub.find(this.#options.streamName);
    if (!stream) {
      void this.#finish({ exitClass: 'source_gone', detail: 'the source stream is gone' });
      return;
    }
    const source = new PushSource({
      services: this.#services,
      push: this.#options,
      stream,
      silentVideo: this.#silentVideo,
      onUnit: (unit) => this.#unit(unit, source),
      onEnd: (end) => void this.#finish(end),
    });
    this.#source = source;
    this.#swap = this.#createSwap(source);
    // A destination that has failed is asked before a process is started for it. The first time both go on at once.
    if (this.#options.attempt > 0) this.#gate = this.#dial();
    else source.read();
  }

  #createSwap({ tracks }: PushSource): AudioSwap | undefined {
    if (!tracks.audio) return undefined;
    const swap = new AudioSwap({
      track: tracks.audio,
      loadSound: this.#services.loadSound,
      onLoadFailed: (error) =>
        this.#logger.warn({ error }, 'the sound file cannot be played; the source is heard instead'),
      onSoundEnded: (soundFile) => this.#options.onEvent({ type: 'soundEnded', soundFile }),
    });
    swap.set(this.#audio);
    return swap;
  }

  #unit(unit: MediaUnit, source: PushSource): boolean {
    if (this.#end) return true;
    const { delivery, sourceWatch, feed } = (this.#running ??= this.#run(source));
    delivery.unitGiven();
    if (unit.kind === 'video' || !source.hasVideo) sourceWatch.given(delivery.awakeUs);
    return feed?.push(unit) ?? true;
  }

  #dial(): GateSession {
    const { bounds, gate, localAddress } = this.#services;
    const { target, params, caller } = this.#options;
    return gate.admit({
      target,
      flashVersion: this.#flashVersion,
      localAddress,
      caller,
      sendMetadata: params.sendMetadata,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      logger: this.#logger,
      maxBacklogBytes: bounds.maxBacklogBytes,
      onEvent: (event) => this.#gateEvent(event),
    });
  }

  get #flashVersion(): string {
    return this.#options.params.rtmpFlashVersion || DEFAULT_FLASH_VERSION;
  }

  #run(source: PushSource): Running {
    const { bounds, clock, outBuffer, stallTimeoutMs } = this.#services;
    const { nonce, onEvent } = this.#options;
    const gate = (this.#gate ??= this.#dial());
    const child = new PushChild({
      services: this.#services,
      session: gate,
      flashVersion: this.#flashVersion,
      hasVideo: source.hasVideo,
      nonce,
      logger: this.#logger,
    });
    void child.ended.then((end) => this.#childEnded(child, gate, end));
    const nowUs = clock.monotonicUs();
    // Connecting has its own time; what is left is that of a destination that takes nothing.
    const delivery = new DeliveryWatch(CONNECT_TIMEOUT_MS + stallTimeoutMs, stallTimeoutMs, nowUs);
    const sourceWatch = new SourceWatch(delivery.awakeUs);
    this.#poll(STARTING_POLL_MS);
    const watched = { gate, source, child, delivery, sourceWatch, report: new PushReport(nowUs) };
    if (!child.spawned) return { ...watched, feed: undefined };
    const { input: pipe, ...spawned } = child.spawned;
    onEvent({ type: 'spawned', ...spawned });
    const { tracks } = source;
    const onRoom = (): void => source.resume();
    return { ...watched, feed: new PacedFeed({ pipe, tracks, swap: this.#swap, bounds, outBuffer, clock, onRoom }) };
  }

  #gateEvent(event: GateEvent): void {
    switch (event.type) {
      case 'dialling':
        this.#logger.debug({ address: event.address }, 'dialling the destination');
        break;
      case 'publishing':
        this.#isPublishing = true;
        this.#place?.leave();
        this.#options.onEvent({ type: 'publishing' });
        if (this.#source && !this.#source.isRead && !this.#end) this.#source.read();
        break;
      case 'status':
        this.#logger.info({ code: event.code, level: event.level }, `the destination says: ${event.description}`);
        break;
      case 'ended':
        this.#gateEnded(event.end);
        break;
      default:
        assertNever(event);
    }
  }

  #gateEnded(end: RunEnd): void {
    if (!this.#running || !isAboutChild(end.exitClass)) {
      void this.#finish(end);
      return;
    }
    // How the child ended it tells best itself; a child without its gate is of no use.
    this.#gateEnd = end;
    void this.#running.child.stop();
  }

  #poll(periodMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#services.clock.every(periodMs, () => this.#look());
  }

  #look(): void {
    if (this.#end || !this.#running) return;
    const { gate, source, feed, delivery, report } = this.#running;
    const counters = gate.counters();
    const { bytesAccepted, acceptedMediaMs, backlogBytes, unacceptedBytes, mediaStarted } = counters;
    const { bounds, clock } = this.#services;
    // Only while something is seen to wait: ffmpeg may hold back what it was given until more comes.
    const isWaiting = backlogBytes + unacceptedBytes > 0;
    feed?.allowUntil(isWaiting ? acceptedMediaMs + bounds.maxAheadMs : Infinity);
    const nowUs = clock.monotonicUs();
    const waitingBytes = backlogBytes + unacceptedBytes + (feed?.waitingBytes ?? 0) + source.queuedBytes;
    const verdict = delivery.observe(
      {
        bytesAccepted,
        takesMore: bytesAccepted > report.bytes,
        waitingBytes,
        hasBegun: this.#isPublishing && mediaStarted,
        isGathering: feed?.buffer?.isGathering === true,
      },
      nowUs,
    );
    if (verdict) this.#judge(verdict, mediaStarted);
    if (verdict === undefined || verdict === 'active') this.#report(this.#running, counters, waitingBytes, nowUs);
  }

  #judge(verdict: DeliveryVerdict, mediaStarted: boolean): void {
    switch (verdict) {
      case 'active':
        this.#options.onEvent({ type: 'active' });
        return this.#poll(ACTIVE_POLL_MS);
      case 'stalled':
        return this.#options.onEvent({ type: 'stalled' });
      case 'never_active': {
        const detail = mediaStarted ? 'the destination takes no media' : 'the publishing process does not publish';
        return void this.#finish({ exitClass: 'start_timeout', detail });
      }
      default:
        return assertNever(verdict);
    }
  }

  #report(running: Running, counters: GateCounters, waitingBytes: number, nowUs: number): void {
    const { child, source, sourceWatch, delivery, feed, report } = running;
    const { bytesAccepted, bytesAcknowledged } = counters;
    const bitrateBps = report.bitrateIfDue(bytesAccepted, nowUs);
    if (bitrateBps === undefined) return;
    const overLimit = child.overLimit(nowUs);
    if (overLimit) void this.#finish(overLimit);
    const { queuedBytes } = source;
    const { droppedVideo, droppedAudio } = source.dropped;
    this.#options.onEvent({
      type: 'progress',
      bytesOut: bytesAccepted,
      framesOut: feed?.framesOut ?? 0,
      fps: child.fps,
      bitrateBps,
      bytesAcknowledged,
      backlogBytes: waitingBytes,
      isSourceFrozen: sourceWatch.isFrozen({ queuedBytes, droppedVideo }, delivery.awakeUs),
      bufferedMs: feed?.buffer?.bufferedMs,
      bufferings: feed?.buffer?.bufferings,
      droppedUnits: { video: droppedVideo, audio: droppedAudio },
    });
  }

  async #childEnded(child: PushChild, gate: GateSession, end: ChildEnd): Promise<void> {
    // A child that fails because its destination did may be gone before the gate has said so.
    await gate.close();
    const own = child.classify(end);
    // The child has met nobody but the gate: what it says about a destination is not that destination's word.
    const isOwn = isAboutChild(own.exitClass) || this.#gateEnd === undefined;
    await this.#finish(isOwn ? own : { ...this.#gateEnd!, exitClass: 'crash' });
  }

  #finish(end: RunEnd): Promise<void> {
    this.#end ??= end;
    this.#finished ??= this.#close();
    return this.#finished;
  }

  async #close(): Promise<void> {
    this.#cancelTimer?.();
    this.#place?.leave();
    this.#source?.close();
    const { child, feed } = this.#running ?? {};
    feed?.close();
    // The child ends the stream in order when its input ends; the gate then has said goodbye to the destination.
    const childEnd = await child?.stop();
    await this.#gate?.close();
    const { head, tail } = child?.stderr ?? { head: '', tail: '' };
    this.#options.onEvent({
      type: 'ended',
      end: { ...this.#end!, exitCode: childEnd?.exitCode, exitSignal: childEnd?.signal },
      stderrHead: head,
      stderrTail: tail,
    });
  }
}

/** Of an end told by the gate or read off the child: it is the child's, and not the destination's or the network's. */
function isAboutChild(exitClass: ExitClass): boolean {
  return !exitClass.startsWith('dest_') && exitClass !== 'tls_error';
}
