import type { Clock } from '../../domain/clock.ts';
import type { Lease } from '../../hub/shared.ts';
import type { Batch, PictureFormat, Selection } from './batch.ts';
import { CatchUp } from './catch-up.ts';
import type { RtmpPlayback, RtmpPlaybackEnd, RtmpPlaybackOptions } from './rtmp-playback.ts';
import type { FeedViewer, StreamFeed } from './stream-feed.ts';

/** Nothing taken for so long while there is something to take (reference/rtmp.md §6). */
const STALL_US = 10_000_000;
/** How long sound waits for the first picture. */
const NO_VIDEO_US = 10_000_000;
/** Until then a client that acknowledges has begun to. */
const FIRST_ACKNOWLEDGEMENT_US = 1_500_000;
/** While pictures are dropped sound goes on up to this part of the limit. */
const SOUND_ONLY_RATIO = 1.5;

export interface ViewerTotals {
  bytes: number;
  droppedVideoMessages: number;
  endedTooSlow: number;
}

export interface StreamViewerOptions extends RtmpPlaybackOptions {
  readonly lease: Lease<StreamFeed>;
  readonly sendVideoFirst: boolean;
  readonly clock: Clock;
  readonly totals: ViewerTotals;
  readonly onClosed: () => void;
}

/**
 * One viewer of a feed: where in the stream it is, and what of a batch it gets. Pictures stop at any batch and go on with a
 * keyframe only, so that nothing is ever sent that cannot be decoded.
 *
 * `opened` → `playing` ⇄ `paused`; `closed` for good.
 */
export class StreamViewer implements RtmpPlayback, FeedViewer {
  readonly #options: StreamViewerOptions;
  readonly #feed: StreamFeed;
  #state: 'opened' | 'playing' | 'paused' | 'closed' = 'opened';
  readonly #mutes = { audio: false, video: false };
  readonly #catchUp = new CatchUp();
  /** The first that it has not been given or passed over. */
  #nextBatch = 0;
  #awaitsKeyframe = true;
  /** It waits because it could not keep up. */
  #isSlow = false;
  #hasAsked = false;
  #hasMetadata = false;
  #hasSoundHeader = false;
  #hasPicture = false;
  #hasStarted = false;
  #format: PictureFormat | undefined;
  #playsSinceUs = 0;
  #takenBytes = 0;
  #takenAtUs = 0;

  constructor(options: StreamViewerOptions) {
    this.#options = options;
    this.#feed = options.lease.value;
    this.#feed.add(this);
  }

  start(): void {
    if (this.#state === 'opened') this.#join();
  }

  pause(): void {
    if (this.#state !== 'playing') return;
    this.#state = 'paused';
    this.#catchUp.clear();
  }

  resume(): void {
    if (this.#state === 'paused') this.#join();
  }

  mute({ audio, video }: { readonly audio?: boolean; readonly video?: boolean }): void {
    if (this.#mutes.video && video === false) {
      this.#awaitsKeyframe = true;
      this.#hasAsked = false;
      this.#playsSinceUs = this.#options.clock.monotonicUs();
    }
    this.#mutes.audio = audio ?? this.#mutes.audio;
    this.#mutes.video = video ?? this.#mutes.video;
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#feed.remove(this);
    this.#options.lease.release();
    this.#options.onClosed();
  }

  take(batch: Batch): void {
    if (this.#state !== 'playing' || batch.number < this.#nextBatch) return;
    this.#nextBatch = batch.number + 1;
    const { backlogBytes } = this.#options.viewer;
    const { softBytes, hardBytes } = this.#feed.limits;
    if (backlogBytes > hardBytes) {
      this.#end('too_slow');
      return;
    }
    if (this.#catchUp.isOn || (batch.aheadMs > 0 && !this.#awaitsKeyframe)) {
      this.#takeLater(batch);
      return;
    }
    this.#followBacklog(batch, backlogBytes, softBytes);
    const selection = this.#select(backlogBytes < softBytes * SOUND_ONLY_RATIO);
    if (this.#isSlow && !this.#mutes.video) this.#options.totals.droppedVideoMessages += batch.videoMessages;
    if (selection) this.#give([batch], selection);
  }

  look(nowUs: number): void {
    if (this.#state === 'opened' || this.#state === 'closed') return;
    const { viewer } = this.#options;
    const { takenBytes, backlogBytes } = viewer;
    viewer.expectRate(this.#feed.limits.bytesPerSecond);
    if (backlogBytes === 0 || takenBytes !== this.#takenBytes) {
      this.#takenBytes = takenBytes;
      this.#takenAtUs = nowUs;
    }
    if (this.#state === 'playing') this.#giveKept();
    if (nowUs - this.#takenAtUs >= STALL_US) this.#end('too_slow');
    else if (this.#state === 'playing' && this.#isInVain && nowUs - this.#playsSinceUs >= NO_VIDEO_US) {
      this.#end('no_video');
    }
  }

  /** What it lacks is all that it is going to get: it goes out before the end. */
  sourceEnded(reason: 'source_ended' | 'source_failed'): void {
    if (this.#state === 'playing') this.#giveKept(Infinity);
    this.#end(reason);
  }

  /** Sound waits for pictures that do not come; where there are some, the next keyframe may be far. */
  get #isInVain(): boolean {
    return this.#holdsSound && !this.#feed.hasPictures;
  }

  /** Sound waits for the first picture. */
  get #holdsSound(): boolean {
    return this.#options.sendVideoFirst && !this.#hasPicture && !this.#mutes.video;
  }

  /** Goes on with what is kept since the last keyframe, if nothing of that has been given, else with the next keyframe. */
  #join(): void {
    this.#state = 'playing';
    this.#playsSinceUs = this.#options.clock.monotonicUs();
    this.#takenAtUs = this.#playsSinceUs;
    this.#awaitsKeyframe = true;
    this.#hasAsked = true;
    const { history, limits } = this.#feed;
    this.#options.viewer.expectRate(limits.bytesPerSecond);
    if (!history.isFresh) this.#feed.requestKeyframe();
    const first = history.batches[0];
    if (first === undefined || first.number < this.#nextBatch || this.#mutes.video) return;
    this.#nextBatch = first.number + history.batches.length;
    this.#catchUp.push(history.batches);
    this.#giveKept();
  }

  /** One that comes behind those that are kept, or is to be kept itself. */
  #takeLater(batch: Batch): void {
    const { softBytes, lossBytes, bytesPerSecond } = this.#feed.limits;
    this.#catchUp.push([batch]);
    const backlogBytes = this.#onItsWayBytes;
    const aheadBytes = (batch.aheadMs * bytesPerSecond) / 1000;
    const lostBytes = this.#catchUp.lostBytes(backlogBytes, aheadBytes, this.#options.clock.monotonicUs());
    if (lostBytes > lossBytes && this.#catchUp.behindBytes(backlogBytes) > softBytes) this.#skipKept(backlogBytes);
    this.#giveKept();
  }

  #giveKept(maxBytes = this.#feed.limits.catchUpBytes): void {
    while (this.#catchUp.isOn) {
      const batches = this.#catchUp.next(maxBytes - this.#onItsWayBytes);
      if (batches.length === 0) return;
      if (batches[0]!.startsWithKeyframe) this.#endWait();
      const selection = this.#select(true);
      if (selection) this.#give(batches, selection);
    }
  }

  /** It goes on with the newest keyframe there is, or with the next. Sound costs little: of that it gets what it lacks. */
  #skipKept(backlogBytes: number): void {
    const batches = this.#catchUp.skip();
    this.#lose();
    const selection = this.#select(backlogBytes < this.#feed.limits.softBytes);
    if (selection) this.#give(batches, selection);
    if (this.#mutes.video) return;
    for (const { videoMessages } of batches) this.#options.totals.droppedVideoMessages += videoMessages;
  }

  /** Nobody has acknowledged anything at first, also who is slow; who never does is known by that soon. */
  get #onItsWayBytes(): number {
    const { viewer, clock } = this.#options;
    const isNew = clock.monotonicUs() - this.#playsSinceUs < FIRST_ACKNOWLEDGEMENT_US;
    return isNew ? viewer.unacknowledgedBytes : viewer.backlogBytes;
  }

  #endWait(): void {
    this.#awaitsKeyframe = false;
    this.#isSlow = false;
  }

  #lose(): void {
    this.#awaitsKeyframe = true;
    this.#isSlow = true;
    this.#hasAsked = false;
  }

  #followBacklog(batch: Batch, backlogBytes: number, limitBytes: number): void {
    if (backlogBytes > limitBytes) this.#lose();
    else if (this.#awaitsKeyframe && backlogBytes < limitBytes / 2) {
      if (batch.startsWithKeyframe) this.#endWait();
      else if (!this.#hasAsked && !this.#mutes.video) {
        this.#hasAsked = true;
        this.#feed.requestKeyframe();
      }
    }
  }

  #select(hasRoomForSound: boolean): Selection | undefined {
    const isVideoGiven = !this.#mutes.video && !this.#awaitsKeyframe;
    const isAudioGiven = !this.#mutes.audio && hasRoomForSound && (isVideoGiven || !this.#holdsSound);
    if (isVideoGiven) return isAudioGiven ? 'all' : 'video';
    return isAudioGiven ? 'audio' : undefined;
  }

  #give(batches: readonly Batch[], selection: Selection): void {
    const formerFormat = this.#format;
    const parts: Buffer[] = [];
    for (const batch of batches) this.#collect(parts, batch, selection);
    if (parts.length === 0) return;
    if (!this.#hasMetadata) parts.unshift(this.#feed.metadata());
    this.#hasMetadata = true;
    for (const { length } of parts) this.#options.totals.bytes += length;
    if (parts.length === 1) this.#options.viewer.write(parts[0]!);
    else this.#options.viewer.writeAll(parts);
    this.#tell(formerFormat);
  }

  /** Adds what it gets of the batch, and before that the headers that it lacks. */
  #collect(parts: Buffer[], batch: Batch, selection: Selection): void {
    const { format, timestampMs, soundTimestampMs } = batch;
    if (selection !== 'audio' && format && format !== this.#format) {
      parts.push(this.#feed.pictureHeader(format, timestampMs));
      this.#format = format;
    }
    const lacksSoundHeader = selection !== 'video' && !this.#hasSoundHeader && soundTimestampMs !== undefined;
    // Sound of the keyframe's time may carry an earlier one, and no time may go back.
    const soundHeader = lacksSoundHeader ? this.#feed.soundHeader(Math.min(timestampMs, soundTimestampMs)) : undefined;
    if (soundHeader) this.#hasSoundHeader = true;
    const isSplit = soundHeader !== undefined && this.#holdsSound;
    const all = isSplit
      ? [batch.bytesOf('video'), soundHeader, batch.bytesOf('audio')]
      : [soundHeader, batch.bytesOf(selection)];
    for (const bytes of all) if (bytes) parts.push(bytes);
    if (selection !== 'audio') this.#hasPicture = true;
  }

  #tell(formerFormat: PictureFormat | undefined): void {
    if (!this.#hasStarted) {
      this.#hasStarted = true;
      this.#options.onStarted();
    }
    const format = this.#format;
    if (!format || (format.width === formerFormat?.width && format.height === formerFormat.height)) return;
    this.#options.onFormat(format.width, format.height);
  }

  #end(reason: RtmpPlaybackEnd): void {
    if (this.#state === 'closed') return;
    this.close();
    if (reason === 'too_slow') this.#options.totals.endedTooSlow += 1;
    this.#options.onEnd(reason);
  }
}
