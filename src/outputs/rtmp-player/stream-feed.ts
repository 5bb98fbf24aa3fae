import type { CancelTimer, Clock } from '../../domain/clock.ts';
import type { Logger } from '../../domain/logger.ts';
import type { AudioTrack, MediaUnit, Tracks } from '../../domain/media.ts';
import type { RenditionLease } from '../../hub/renditions.ts';
import type { Shareable } from '../../hub/shared.ts';
import type { Reader } from '../../hub/unit-source.ts';
import { SILENT_AAC_STEREO } from '../../protocol/aac/silence.ts';
import { Batch, type Packet, type PictureFormat } from './batch.ts';
import { BatchHistory } from './batch-history.ts';
import { LiveEdge } from './live-edge.ts';
import { PacketWriter } from './packet-writer.ts';
import { SILENT_CHANNELS, SILENT_SAMPLE_RATE_HZ, SilentSound } from './silent-sound.ts';
import { StreamClock } from './stream-clock.ts';
import { type ViewerBounds, ViewerLimits } from './viewer-limits.ts';

/** System calls are what viewers cost: one write for so much media is half of what nginx-rtmp takes (reference/rtmp.md §4). */
const BATCH_MS = 40;
/** From so many viewers on, fewer and larger writes are worth some milliseconds, which players hold in their buffers anyway. */
const CROWD_VIEWERS = 50;
const CROWD_BATCH_MS = 150;
/** What comes at once is given in such parts to whoever takes it slowly. */
const MAX_BATCH_MS = 500;
const LOOK_PERIOD_MS = 1_000;
/** Then other connections have their turn: so many writes hold up the event loop for some milliseconds. */
const MAX_WRITES_PER_TURN = 500;
/** The cached GOP; after that nothing is queued. */
const QUEUE_BYTES = 32 * 1024 * 1024;
const SILENT_TRACK: AudioTrack = { codec: 'aac', sampleRateHz: SILENT_SAMPLE_RATE_HZ, channels: SILENT_CHANNELS };

/** A viewer as its feed sees it. */
export interface FeedViewer {
  take(batch: Batch): void;
  /** Called every second. */
  look(nowUs: number): void;
  sourceEnded(reason: 'source_ended' | 'source_failed'): void;
}

export interface StreamFeedOptions {
  /** H.264, and AAC unless `isSilent`. Released at the end. */
  readonly lease: RenditionLease;
  /** Whether the stream is published still; then what ends is only what was made of it. */
  readonly isLive: () => boolean;
  /** Silence takes the place of the sound, whose times it keeps. */
  readonly isSilent: boolean;
  readonly bounds: ViewerBounds;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * One stream, with its sound or silent, for all its RTMP viewers: every unit is serialised once and every batch is one buffer,
 * whoever gets it.
 */
export class StreamFeed implements Shareable {
  readonly history = new BatchHistory();
  readonly limits: ViewerLimits;
  hasEnded = false;
  readonly #options: StreamFeedOptions;
  readonly #clock = new StreamClock();
  readonly #writer = new PacketWriter(this.#clock);
  readonly #edge = new LiveEdge();
  readonly #silence: SilentSound | undefined;
  readonly #viewers = new Set<FeedViewer>();
  readonly #reader: Reader;
  readonly #cancelLook: CancelTimer;
  #pending: Packet[] = [];
  #cancelFlush: CancelTimer | undefined;
  #batches = 0;
  /** Batches on their way; of the first, the viewers that have not been visited. */
  #queue: Batch[] = [];
  #visits: Iterator<FeedViewer> | undefined;
  #skipsVideo = false;
  #hasComplained = false;

  constructor(options: StreamFeedOptions) {
    this.#options = options;
    this.limits = new ViewerLimits(options.bounds);
    this.#silence = options.isSilent ? new SilentSound() : undefined;
    this.#reader = options.lease.source.addReader({
      label: 'RTMP players',
      fromCachedGop: true,
      maxQueueBytes: QUEUE_BYTES,
      onUnit: (unit) => {
        this.#take(unit);
        return true;
      },
      onEnd: () => this.#sourceEnded(),
    });
    this.#cancelLook = options.clock.every(LOOK_PERIOD_MS, () => {
      const nowUs = options.clock.monotonicUs();
      for (const viewer of this.#viewers) viewer.look(nowUs);
    });
  }

  add(viewer: FeedViewer): void {
    this.#viewers.add(viewer);
  }

  remove(viewer: FeedViewer): void {
    this.#viewers.delete(viewer);
  }

  /** There has been one, at whatever time. */
  get hasPictures(): boolean {
    return this.#writer.format !== undefined;
  }

  requestKeyframe(): void {
    this.#options.lease.source.requestKeyframe();
  }

  metadata(): Buffer {
    return this.#writer.metadata(this.#tracks);
  }

  pictureHeader(format: PictureFormat, timestampMs: number): Buffer {
    return this.#writer.pictureHeader(format, timestampMs);
  }

  /** Undefined where there is no sound. */
  soundHeader(timestampMs: number): Buffer | undefined {
    const { audio } = this.#tracks;
    return audio && this.#writer.soundHeader(audio, timestampMs);
  }

  stop(): void {
    this.hasEnded = true;
    this.#reader.close();
    this.#cancelLook();
    this.#cancelFlush?.();
    this.#options.lease.release();
  }

  get #tracks(): Tracks {
    const { tracks } = this.#options.lease.source;
    return this.#silence ? { video: tracks.video, audio: SILENT_TRACK } : tracks;
  }

  /** Never throws: what cannot be written is left out, pictures up to the next keyframe. */
  #take(unit: MediaUnit): void {
    try {
      this.#write(unit);
    } catch (error) {
      if (unit.kind === 'video') this.#skipsVideo = true;
      if (!this.#hasComplained) this.#options.logger.warn({ err: error }, `${unit.kind} is left out for RTMP players`);
      this.#hasComplained = true;
    }
  }

  #write(unit: MediaUnit): void {
    this.#writeSilence(unit);
    if (unit.kind === 'audio') {
      if (!this.#silence && unit.codec === 'aac') this.#add(this.#writer.audio(unit.data, unit.ptsUs));
    } else if (unit.codec === 'h264' && (unit.isKeyframe || !this.#skipsVideo)) {
      if (unit.isKeyframe) this.#flush();
      this.#add(this.#writer.video(unit));
      this.#skipsVideo = false;
    }
  }

  #writeSilence(unit: MediaUnit): void {
    if (!this.#silence) return;
    const timeUs = unit.kind === 'video' ? unit.dtsUs : unit.ptsUs;
    for (const dueUs of this.#silence.due(timeUs, this.#clock.zeroUs(timeUs))) {
      this.#add(this.#writer.audio(SILENT_AAC_STEREO, dueUs));
    }
  }

  #add(packet: Packet): void {
    this.#pending.push(packet);
    if (packet.timestampMs - this.#pending[0]!.timestampMs >= MAX_BATCH_MS) return this.#flush();
    // Whoever was first waits for the first of it.
    const batchMs = this.#viewers.size < CROWD_VIEWERS ? BATCH_MS : CROWD_BATCH_MS;
    const waitMs = this.#batches === 0 ? 0 : batchMs;
    this.#cancelFlush ??= this.#options.clock.after(waitMs, () => this.#flush());
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#pending.length === 0) return;
    const aheadMs = this.#edge.push(this.#pending.at(-1)!.timestampMs, this.#options.clock.monotonicUs());
    const batch = new Batch(this.#batches++, this.#pending, this.#writer.format, aheadMs);
    this.#pending = [];
    this.history.push(batch);
    this.limits.push(batch);
    this.#queue.push(batch);
    if (this.#queue.length === 1) this.#visitSome(MAX_WRITES_PER_TURN);
  }

  #visitSome(maxViewers: number): void {
    let left = maxViewers;
    for (let batch = this.#queue[0]; batch !== undefined; batch = this.#queue[0]) {
      this.#visits ??= this.#viewers.values();
      if (left-- === 0) {
        setImmediate(() => this.#visitSome(maxViewers));
        return;
      }
      const { done, value } = this.#visits.next();
      if (!done) {
        value.take(batch);
        continue;
      }
      this.#visits = undefined;
      this.#queue.shift();
    }
  }

  #sourceEnded(): void {
    this.hasEnded = true;
    this.#flush();
    this.#visitSome(Infinity);
    const reason = this.#options.isLive() ? 'source_failed' : 'source_ended';
    for (const viewer of this.#viewers) viewer.sourceEnded(reason);
  }
}
