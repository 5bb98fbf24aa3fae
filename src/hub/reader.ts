import type { Logger } from '../domain/logger.ts';
import type { MediaUnit, Tracks, VideoUnit } from '../domain/media.ts';
import type { GopCache } from './gop-cache.ts';
import { UnitQueue } from './unit-queue.ts';
import type { Reader, ReaderOptions } from './unit-source.ts';

/** Without any video for so long, a reader that waits for a keyframe begins with audio alone. */
const VIDEO_ABSENT_US = 2_000_000;
/** Sound costs little and is missed at once: a big keyframe that takes seconds to go out must not cost any. */
const SOUND_BOUND_RATIO = 3;

/** What a reader needs of the source it belongs to. */
export interface ReaderHost {
  readonly tracks: Tracks;
  readonly cache: GopCache;
  readonly logger: Logger;
  requestKeyframe(): void;
  removeReader(reader: BoundedReader): void;
}

/**
 * One reader of a source (design §3). `deliver` never blocks: it gives the unit, queues it within the bound, or drops it.
 *
 * `waiting` → nothing given yet: video waits for a keyframe, audio for that keyframe's time.
 * `flowing` → units pass; `#skipsVideo` is set between an overflow, or a start with audio alone, and the next keyframe.
 * `closed`  → for good.
 */
export class BoundedReader implements Reader {
  readonly #options: ReaderOptions;
  readonly #host: ReaderHost;
  readonly #queue = new UnitQueue();
  readonly #counters = { units: 0, droppedVideo: 0, droppedAudio: 0 };
  #state: 'waiting' | 'flowing' | 'closed' = 'waiting';
  #isBlocked = false;
  #isDraining = false;
  #skipsVideo = false;
  /** Of the cached GOP, what still waits. */
  #cachedBytes = 0;
  /** Audio before this time is not given. */
  #beginUs = -Infinity;
  /** While waiting: since when there was no video at all. */
  #noVideoSinceUs: number | undefined;

  constructor(options: ReaderOptions, host: ReaderHost) {
    this.#options = options;
    this.#host = host;
    const { cache } = host;
    const { maxCachedBytes = options.maxQueueBytes } = options;
    if (!this.#expectsVideo()) {
      this.#state = 'flowing';
      this.#skipsVideo = true;
      if (options.fromCachedGop) this.#loadCache();
    } else if (options.fromCachedGop && cache.startsWithKeyframe && cache.bytes <= maxCachedBytes) {
      this.#loadCache();
    } else {
      host.requestKeyframe();
    }
  }

  get label(): string {
    return this.#options.label;
  }

  get wantsVideo(): boolean {
    return this.#options.video !== 'none';
  }

  /** Whether keyframes must come regularly for this reader. */
  get copiesVideo(): boolean {
    return (this.#options.video ?? 'copy') === 'copy';
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  get counters(): { readonly units: number; readonly droppedVideo: number; readonly droppedAudio: number } {
    return this.#counters;
  }

  /** Takes a unit of the source; `unit` is already in the source's cache. */
  deliver(unit: MediaUnit): void {
    if (this.#state === 'closed' || !this.#wants(unit)) return;
    if (this.#state === 'waiting') {
      this.#begin(unit);
      return;
    }
    if (unit.kind === 'audio' && unit.ptsUs < this.#beginUs) return;
    if (unit.kind === 'video' && this.#skipsVideo) {
      if (!unit.isKeyframe) {
        this.#counters.droppedVideo += 1;
        return;
      }
      this.#skipsVideo = false;
    }
    this.#pass(unit);
  }

  resume(): void {
    if (this.#state === 'closed') return;
    this.#isBlocked = false;
    if (this.#isDraining) return;
    this.#drain();
    if (this.#skipsVideo && this.#expectsVideo() && !this.#isBlocked) this.#host.requestKeyframe();
  }

  /** The source's tracks changed. */
  announceTracks(tracks: Tracks): void {
    if (this.#state === 'closed') return;
    try {
      this.#options.onTracks?.(tracks);
    } catch (error) {
      this.#fail(error, 'onTracks');
    }
  }

  /** The source is gone. What was queued is not given any more. */
  end(reason: string): void {
    if (this.#state === 'closed') return;
    this.close();
    try {
      this.#options.onEnd(reason);
    } catch (error) {
      this.#host.logger.error({ err: error, reader: this.label }, 'a reader failed in onEnd');
    }
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#queue.clear();
    this.#host.removeReader(this);
  }

  #expectsVideo(): boolean {
    return this.wantsVideo && this.#host.tracks.video !== undefined;
  }

  #wants(unit: MediaUnit): boolean {
    return unit.kind === 'video' ? this.wantsVideo : this.#options.audio !== false;
  }

  /** Queues the cache and gives it once the caller holds the reader. */
  #loadCache(): void {
    const first = this.#host.cache.units[0];
    if (first === undefined) return;
    this.#state = 'flowing';
    if (first.kind === 'video') this.#beginUs = first.ptsUs;
    for (const unit of this.#host.cache.units) {
      if (this.#wants(unit) && unit.ptsUs >= this.#beginUs) this.#queue.push(unit);
    }
    this.#cachedBytes = this.#queue.bytes;
    this.#isBlocked = true;
    queueMicrotask(() => this.resume());
  }

  /** Ends the wait with this unit where it can. */
  #begin(unit: MediaUnit): void {
    if (unit.kind === 'video') {
      this.#noVideoSinceUs = undefined;
      if (unit.isKeyframe) this.#beginWith(unit);
      return;
    }
    this.#noVideoSinceUs ??= unit.ptsUs;
    if (unit.ptsUs - this.#noVideoSinceUs < VIDEO_ABSENT_US) return;
    this.#state = 'flowing';
    this.#skipsVideo = true;
    this.#pass(unit);
  }

  /** The keyframe, then audio of its time that came before it and is in the cache. */
  #beginWith(keyframe: VideoUnit): void {
    this.#state = 'flowing';
    this.#beginUs = keyframe.ptsUs;
    this.#pass(keyframe);
    const { units } = this.#host.cache;
    if (units[0] !== keyframe || this.#options.audio === false) return;
    for (const unit of units) if (unit !== keyframe) this.#pass(unit);
  }

  #pass(unit: MediaUnit): void {
    if (this.#state === 'closed') return;
    if (this.#isBlocked || this.#isDraining || !this.#queue.isEmpty) this.#enqueue(unit);
    else this.#give(unit);
  }

  #enqueue(unit: MediaUnit): void {
    const maxBytes = this.#options.maxQueueBytes + this.#cachedBytes;
    if (this.#queue.bytes + unit.data.length > maxBytes && !this.#makeRoom(unit)) return;
    this.#queue.push(unit);
    this.#shedOld(unit);
  }

  /** Keeps what waits within its bound in time, at the price of pictures. */
  #shedOld(newest: MediaUnit): void {
    const { maxQueueUs } = this.#options;
    if (maxQueueUs === undefined) return;
    const isOlder = (unit: MediaUnit | undefined, us: number) => unit !== undefined && newest.ptsUs - unit.ptsUs > us;
    if (!isOlder(this.#queue.oldest, maxQueueUs)) return;
    if (isOlder(this.#queue.oldestVideo, maxQueueUs)) {
      const dropped = this.#queue.dropVideoBeforeKeyframe();
      this.#videoDropped(dropped);
      if (dropped === 0) this.#host.requestKeyframe();
    }
    while (this.#queue.oldest?.kind === 'audio' && isOlder(this.#queue.oldest, SOUND_BOUND_RATIO * maxQueueUs)) {
      this.#shift();
      this.#counters.droppedAudio += 1;
    }
  }

  /** False when the unit itself is what has to go. */
  #makeRoom(unit: MediaUnit): boolean {
    const roomBytes = this.#options.maxQueueBytes - unit.data.length;
    if (unit.kind === 'video' && (!unit.isKeyframe || roomBytes < 0)) {
      this.#skipsVideo = true;
      this.#counters.droppedVideo += 1;
      return false;
    }
    const dropped = this.#queue.dropVideo();
    this.#videoDropped(dropped);
    if (dropped > 0 && unit.kind === 'audio') this.#skipsVideo = true;
    while (this.#queue.bytes > roomBytes && this.#shift() !== undefined) this.#counters.droppedAudio += 1;
    if (roomBytes >= 0) return true;
    this.#counters.droppedAudio += 1;
    return false;
  }

  /** Video goes from the oldest on: what waits of the cached GOP is among it. */
  #videoDropped(count: number): void {
    this.#counters.droppedVideo += count;
    if (count > 0) this.#cachedBytes = 0;
  }

  #shift(): MediaUnit | undefined {
    const unit = this.#queue.shift();
    this.#cachedBytes = Math.max(0, this.#cachedBytes - (unit?.data.length ?? 0));
    return unit;
  }

  #drain(): void {
    this.#isDraining = true;
    while (!this.#isBlocked && this.#state !== 'closed') {
      const unit = this.#shift();
      if (unit === undefined) break;
      this.#give(unit);
    }
    this.#isDraining = false;
  }

  #give(unit: MediaUnit): void {
    this.#counters.units += 1;
    try {
      if (!this.#options.onUnit(unit)) this.#isBlocked = true;
    } catch (error) {
      this.#fail(error, 'onUnit');
    }
  }

  #fail(error: unknown, where: string): void {
    this.#host.logger.error({ err: error, reader: this.label }, `a reader failed in ${where} and was closed`);
    this.close();
  }
}
