import { AwakeTime } from '../../domain/awake-time.ts';
import type { CancelTimer, Clock } from '../../domain/clock.ts';
import { assertNever } from '../../domain/errors.ts';
import type { Logger } from '../../domain/logger.ts';
import type { MediaUnit } from '../../domain/media.ts';
import type { AudioMode, ExitClass, RunEnd } from '../../domain/transponder.ts';
import type { GateEvent, GateSession, RtmpPushGate } from '../../egress/gate.ts';
import type { Hub } from '../../hub/hub.ts';
import type { LiveStream } from '../../hub/live-stream.ts';
import { planVideo } from '../../hub/plan-video.ts';
import type { RenditionLease, Renditions } from '../../hub/renditions.ts';
import type { Reader } from '../../hub/unit-source.ts';
import { RTMP_PUSH_INPUT_FD, rtmpPushArguments } from '../../../pipelines/rtmp-push.ts';
import { startChild, type Child, type ChildEnd } from '../../supervisor/child-process.ts';
import { classifyFfmpegEnd } from '../../supervisor/ffmpeg-exit.ts';
import { FfmpegProgressParser } from '../../supervisor/ffmpeg-progress.ts';
import { readProcessUsage } from '../../supervisor/process-usage.ts';
import type { SpawnQueue, StartPlace } from '../../supervisor/spawn-limits.ts';
import type { PushRun, PushRunOptions } from '../push-run.ts';
import { AudioSwap, type LoadSound } from './audio-swap.ts';
import { ChildFeed } from './child-feed.ts';
import { FlowWatch } from './flow-watch.ts';
import { OutBuffer, type OutBufferSettings } from './out-buffer.ts';
import type { PushBounds } from './push-bounds.ts';
import { SourceWatch } from './source-watch.ts';
import { UsageLimit, type UsageLimits } from './usage-limit.ts';

/** What every push needs from its surroundings. */
export interface RtmpPushServices {
  readonly hub: Hub;
  readonly renditions: Renditions;
  readonly gate: RtmpPushGate;
  readonly loadSound: LoadSound;
  readonly ffmpegPath: string;
  /** `rtmp_publisher_ip`; undefined = the system chooses. */
  readonly localAddress?: string | undefined;
  readonly preserveAspectRatio: boolean;
  /** `rtmp_push_stall_timeout_ms` */
  readonly stallTimeoutMs: number;
  readonly bounds: PushBounds;
  /** Undefined where `rtmp_out_buffer_enabled` is off. */
  readonly outBuffer?: OutBufferSettings | undefined;
  /** Undefined where a push may use what it likes. */
  readonly usageLimits?: UsageLimits | undefined;
  readonly spawnQueue: SpawnQueue;
  readonly clock: Clock;
  readonly logger: Logger;
}

export const DEFAULT_FLASH_VERSION = 'FMLE/3.0 (compatible; Transponder)';

/** From the start to a connection that publishes. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Of the nonce, which is a secret as a whole: enough to find the row of the run by. */
const RUN_ID_CHARS = 8;
const FIRST_UNIT_TIMEOUT_MS = 10_000;
/** How often the counters are looked at: quickly until bytes flow, then so that a stall is seen soon after its time. */
const STARTING_POLL_MS = 50;
const ACTIVE_POLL_MS = 250;
const REPORT_PERIOD_MS = 500;
/** A source that gives nothing for so long is idle, and nothing can be expected at its destination. */
const IDLE_SOURCE_US = 1_000_000;

/**
 * One run of a push: a reader of the rendition, one ffmpeg that muxes, and one session of the egress gate. The child
 * begins with the first unit, because only then it is known which tracks there really are. Everything it started is gone when it says `ended`.
 */
export class RtmpPushRun implements PushRun {
  readonly #services: RtmpPushServices;
  readonly #options: PushRunOptions;
  readonly #logger: Logger;
  readonly #progress = new FfmpegProgressParser();
  #silentVideo: WeakSet<LiveStream>;
  #stream: LiveStream | undefined;
  #lease: RenditionLease | undefined;
  #audio: AudioMode;
  #swap: AudioSwap | undefined;
  #reader: Reader | undefined;
  #pictureWatch: Reader | undefined;
  #gate: GateSession | undefined;
  #child: Child | undefined;
  #feed: ChildFeed | undefined;
  #buffer: OutBuffer | undefined;
  readonly #usageLimit: UsageLimit | undefined;
  #place: StartPlace | undefined;
  #gateEnd: RunEnd | undefined;
  #hasVideo = false;
  #cancelTimer: CancelTimer | undefined;
  #flow: FlowWatch | undefined;
  #isPublishing = false;
  #isActive = false;
  #framesOut = 0;
  #fps: number | undefined;
  #lastBytes = 0;
  #lastReportUs = 0;
  #wasActive = false;
  /** Since the child was started, by which the destination and the source are judged. */
  #awake: AwakeTime | undefined;
  #lastUnitUs = 0;
  /** Up to where the child may be fed, in media time of the feed, as of the last look. */
  #feedUntilMs = Infinity;
  #isHeld = false;
  #source: SourceWatch | undefined;
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
    this.#usageLimit = services.usageLimits && new UsageLimit(services.usageLimits);
    // Events may not come before the caller has its run.
    setImmediate(() => {
      if (this.#end) return;
      this.#place = services.spawnQueue.enter(options.target.host, () => this.#start());
      if (this.#end) this.#place.leave();
    });
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
    const { hub, renditions, preserveAspectRatio } = this.#services;
    const { streamName, params } = this.#options;
    const stream = hub.find(streamName);
    if (!stream) {
      void this.#finish({ exitClass: 'source_gone', detail: 'the source stream is gone' });
      return;
    }
    this.#stream = stream;
    const { video } = stream.tracks;
    this.#hasVideo = video !== undefined && !this.#silentVideo.has(stream);
    const plan = video && planVideo({ ...params, preserveAspectRatio, sourceCodec: video.codec });
    this.#lease = renditions.renditionOf(stream, {
      video: this.#hasVideo ? 'h264' : 'none',
      audio: 'aac',
      ...(plan?.mode === 'transcode' ? plan.need : {}),
    });
    this.#swap = this.#createSwap();
    // A destination that has failed is asked before a process is started for it. The first time both go on at once.
    if (this.#options.attempt > 0) this.#gate = this.#dial();
    else this.#read(stream);
  }

  #createSwap(): AudioSwap | undefined {
    const track = this.#lease!.source.tracks.audio;
    if (!track) return undefined;
    const swap = new AudioSwap({
      track,
      loadSound: this.#services.loadSound,
      onLoadFailed: (error) =>
        this.#logger.warn({ error }, 'the sound file cannot be played; the source is heard instead'),
    });
    swap.set(this.#audio);
    return swap;
  }

  #read(stream: LiveStream): void {
    const { bounds, clock } = this.#services;
    this.#cancelTimer = clock.after(
      FIRST_UNIT_TIMEOUT_MS,
      () => void this.#finish({ exitClass: 'start_timeout', detail: 'the source stream gave no picture and no sound' }),
    );
    this.#reader = this.#lease!.source.addReader({
      label: `push ${this.#options.id}`,
      fromCachedGop: true,
      maxQueueBytes: bounds.maxQueueBytes,
      maxQueueUs: bounds.maxQueueMs * 1000,
      onUnit: (unit) => this.#unit(unit),
      // A rendition also ends when its transcoder has given up; that is no end of the stream.
      onEnd: (reason) => void this.#finish({ exitClass: stream.hasEnded ? 'source_gone' : 'crash', detail: reason }),
    });
    if (stream.tracks.video && !this.#hasVideo) this.#pictureWatch = this.#watchForPicture(stream);
  }

  /** A rendition without video does not tell of any, so this reads the stream itself, up to its next keyframe. */
  #watchForPicture(stream: LiveStream): Reader {
    return stream.addReader({
      label: `push ${this.#options.id}, waiting for a picture`,
      fromCachedGop: false,
      video: 'decode',
      audio: false,
      maxQueueBytes: this.#services.bounds.maxQueueBytes,
      onUnit: () => {
        this.#silentVideo.delete(stream);
        void this.#finish({ exitClass: 'replan', detail: 'the stream has a picture now' });
        return true;
      },
      onEnd: () => {},
    });
  }

  #unit(unit: MediaUnit): boolean {
    if (this.#end) return true;
    this.#lastUnitUs = this.#awake?.us ?? 0;
    if (unit.kind === 'video' || !this.#hasVideo) this.#source?.given(this.#lastUnitUs);
    if (!this.#feed) {
      // What could not be started is not tried again; its end is on the way.
      if (this.#child) return true;
      if (unit.kind === 'audio' && this.#hasVideo) {
        this.#silentVideo.add(this.#stream!);
        void this.#finish({ exitClass: 'replan', detail: 'the stream sends no picture' });
        return true;
      }
      const feed = this.#spawn();
      if (!feed) return true;
      this.#feed = feed;
      this.#buffer = this.#createBuffer();
    }
    return this.#buffer ? this.#buffer.push(unit) : this.#write(unit);
  }

  #createBuffer(): OutBuffer | undefined {
    const { outBuffer, bounds, clock } = this.#services;
    if (!outBuffer) return undefined;
    return new OutBuffer({
      ...outBuffer,
      clock,
      maxBytes: bounds.maxQueueBytes,
      release: (unit) => this.#write(unit),
    });
  }

  #write(unit: MediaUnit): boolean {
    if (unit.kind === 'video') this.#framesOut++;
    this.#feed!.write(unit.kind === 'audio' && this.#swap ? this.#swap.apply(unit) : unit);
    this.#isHeld = this.#mustHold();
    return !this.#isHeld;
  }

  #mustHold(): boolean {
    return this.#feed!.isFull || this.#feed!.mediaMs > this.#feedUntilMs;
  }

  #feedOn(): void {
    if (!this.#isHeld || this.#mustHold()) return;
    this.#isHeld = false;
    this.#buffer?.resume();
    this.#reader?.resume();
  }

  #dial(): GateSession {
    const { bounds, gate, localAddress } = this.#services;
    const { target, params, caller } = this.#options;
    return gate.admit({
      target,
      flashVersion: params.rtmpFlashVersion || DEFAULT_FLASH_VERSION,
      localAddress,
      caller,
      sendMetadata: params.sendMetadata,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      logger: this.#logger,
      maxBacklogBytes: bounds.maxBacklogBytes,
      onEvent: (event) => this.#gateEvent(event),
    });
  }

  #spawn(): ChildFeed | undefined {
    const { bounds, ffmpegPath, clock } = this.#services;
    const { params, nonce, onEvent } = this.#options;
    this.#gate ??= this.#dial();
    const tracks = this.#lease!.source.tracks;
    const args = rtmpPushArguments({
      url: this.#gate.childUrl,
      app: this.#gate.childApp,
      playPath: this.#gate.childPlayPath,
      flashVersion: params.rtmpFlashVersion || DEFAULT_FLASH_VERSION,
      hasVideo: this.#hasVideo,
      hasAudio: true,
    });
    const child = startChild({
      program: ffmpegPath,
      args,
      name: 'rtmp-push',
      nonce,
      inputFd: RTMP_PUSH_INPUT_FD,
      outputFds: [1],
      logger: this.#logger,
      clock,
    });
    this.#child = child;
    void child.ended.then((end) => this.#childEnded(end));
    child.outputs.get(1)?.on('data', (chunk: Buffer) => {
      for (const { fps } of this.#progress.push(chunk)) this.#fps = fps;
    });
    child.input?.on('drain', () => this.#feedOn());
    const nowUs = clock.monotonicUs();
    this.#awake = new AwakeTime(nowUs);
    this.#flow = new FlowWatch(this.#services.stallTimeoutMs, this.#awake.us);
    this.#source = new SourceWatch(this.#awake.us);
    this.#lastReportUs = nowUs;
    this.#poll(STARTING_POLL_MS);
    if (child.pid === undefined || !child.input) return undefined;
    onEvent({
      type: 'spawned',
      pid: child.pid,
      startTicks: child.startTicks ?? 0,
      argvRedacted: [ffmpegPath, ...args].join(' '),
    });
    const fed = { video: this.#hasVideo ? tracks.video : undefined, audio: tracks.audio };
    return new ChildFeed(child.input, fed, bounds.maxPipeBytes);
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
        if (!this.#reader && !this.#end) this.#read(this.#stream!);
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
    if (!this.#child || !isAboutChild(end.exitClass)) {
      void this.#finish(end);
      return;
    }
    // How the child ended it tells best itself; a child without its gate is of no use.
    this.#gateEnd = end;
    void this.#child.stop();
  }

  #poll(periodMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#services.clock.every(periodMs, () => this.#look(periodMs));
  }

  #look(periodMs: number): void {
    if (this.#end || !this.#gate || !this.#flow || !this.#awake) return;
    const { bytesAccepted, bytesAcknowledged, acceptedMediaMs, backlogBytes, unacceptedBytes, mediaStarted } =
      this.#gate.counters();
    const { bounds, clock, stallTimeoutMs } = this.#services;
    // Only while something is seen to wait: ffmpeg may hold back what it was given until more comes.
    const isWaiting = backlogBytes + unacceptedBytes > 0;
    this.#feedUntilMs = isWaiting ? acceptedMediaMs + bounds.maxAheadMs : Infinity;
    this.#feedOn();
    const nowUs = clock.monotonicUs();
    const awakeUs = this.#awake.advance(nowUs);
    const waitingBytes =
      backlogBytes + unacceptedBytes + (this.#feed?.waitingBytes ?? 0) + (this.#reader?.queuedBytes ?? 0);
    const isSourceIdle = awakeUs - this.#lastUnitUs > IDLE_SOURCE_US || this.#buffer?.isGathering === true;
    const isFlowing = this.#flow.isFlowing({ bytesAccepted, waitingBytes, isSourceIdle }, awakeUs);
    if (!isFlowing && this.#isActive) {
      this.#isActive = false;
      this.#options.onEvent({ type: 'stalled' });
      return;
    }
    if (!this.#isActive && isFlowing && this.#isPublishing && mediaStarted && bytesAccepted > this.#lastBytes) {
      this.#isActive = true;
      this.#wasActive = true;
      this.#options.onEvent({ type: 'active' });
      if (periodMs !== ACTIVE_POLL_MS) this.#poll(ACTIVE_POLL_MS);
    }
    // Connecting has its own time; what is left is that of a destination that takes nothing.
    if (!this.#wasActive && awakeUs > (CONNECT_TIMEOUT_MS + stallTimeoutMs) * 1000) {
      const detail = mediaStarted ? 'the destination takes no media' : 'the publishing process does not publish';
      void this.#finish({ exitClass: 'start_timeout', detail });
      return;
    }
    const elapsedUs = nowUs - this.#lastReportUs;
    if (elapsedUs < REPORT_PERIOD_MS * 1000) return;
    const bitrateBps = Math.round(((bytesAccepted - this.#lastBytes) * 8_000_000) / elapsedUs);
    this.#lastBytes = bytesAccepted;
    this.#lastReportUs = nowUs;
    this.#lookAtUsage(nowUs);
    const { droppedVideo, droppedAudio } = this.#reader?.counters ?? { droppedVideo: 0, droppedAudio: 0 };
    const queuedBytes = this.#reader?.queuedBytes ?? 0;
    this.#options.onEvent({
      type: 'progress',
      bytesOut: bytesAccepted,
      framesOut: this.#framesOut,
      fps: this.#fps,
      bitrateBps,
      bytesAcknowledged,
      backlogBytes: waitingBytes,
      isSourceFrozen: this.#source?.isFrozen({ queuedBytes, droppedVideo }, awakeUs),
      bufferedMs: this.#buffer?.bufferedMs,
      bufferings: this.#buffer?.bufferings,
      droppedUnits: { video: droppedVideo, audio: droppedAudio },
    });
  }

  #lookAtUsage(nowUs: number): void {
    const usage = this.#usageLimit && this.#child?.pid ? readProcessUsage(this.#child.pid) : undefined;
    const end = usage && this.#usageLimit?.observe(usage, nowUs);
    if (end) void this.#finish(end);
  }

  async #childEnded(end: ChildEnd): Promise<void> {
    // A child that fails because its destination did may be gone before the gate has said so.
    await this.#gate?.close();
    const own = classifyFfmpegEnd(end, this.#child!.stderrLines(), false);
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
    this.#reader?.close();
    this.#buffer?.close();
    this.#pictureWatch?.close();
    this.#lease?.release();
    // The child ends the stream in order when its input ends; the gate then has said goodbye to the destination.
    const childEnd = await this.#child?.stop();
    await this.#gate?.close();
    const stderr = this.#child?.stderrLines() ?? [];
    const head = stderr.slice(0, STDERR_HEAD_LINES).join('\n');
    const tail = stderr.slice(STDERR_HEAD_LINES).join('\n');
    this.#options.onEvent({
      type: 'ended',
      end: { ...this.#end!, exitCode: childEnd?.exitCode, exitSignal: childEnd?.signal },
      stderrHead: head,
      stderrTail: tail,
    });
  }
}

const STDERR_HEAD_LINES = 20;

/** Of an end told by the gate or read off the child: it is the child's, and not the destination's or the network's. */
function isAboutChild(exitClass: ExitClass): boolean {
  return !exitClass.startsWith('dest_') && exitClass !== 'tls_error';
}
