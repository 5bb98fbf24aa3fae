import type { Logger } from '../domain/logger.ts';
import type { MediaUnit, Tracks, VideoUnit } from '../domain/media.ts';
import { isWebrtcReadyH264 } from '../protocol/h264/webrtc-ready.ts';
import { GopCache, type GopCacheOptions } from './gop-cache.ts';
import { BoundedReader } from './reader.ts';
import type { Reader, ReaderOptions, UnitSource } from './unit-source.ts';

export interface BroadcastOptions {
  readonly tracks: Tracks;
  readonly logger: Logger;
  readonly cache?: GopCacheOptions | undefined;
  readonly requestKeyframe: () => void;
  /** A reader came or went. */
  readonly onReaders?: (() => void) | undefined;
}

/** Fans units out to readers: one write, no copy and nothing allocated per reader. The part all sources have in common. */
export class UnitBroadcast implements UnitSource {
  readonly #options: BroadcastOptions;
  readonly cache: GopCache;
  readonly logger: Logger;
  #tracks: Tracks;
  /** Replaced, never changed, so that readers may come and go while a unit is on its way. */
  #readers: readonly BoundedReader[] = [];
  #endReason: string | undefined;

  constructor(options: BroadcastOptions) {
    this.#options = options;
    this.#tracks = options.tracks;
    this.logger = options.logger;
    this.cache = new GopCache(options.cache);
  }

  get tracks(): Tracks {
    return this.#tracks;
  }

  get readers(): readonly BoundedReader[] {
    return this.#readers;
  }

  get hasEnded(): boolean {
    return this.#endReason !== undefined;
  }

  /** A reader of a source that has ended hears `onEnd` after this has returned. */
  addReader(options: ReaderOptions): Reader {
    const reader = new BoundedReader(options, this);
    const reason = this.#endReason;
    if (reason !== undefined) {
      queueMicrotask(() => reader.end(reason));
      return reader;
    }
    this.#readers = [...this.#readers, reader];
    this.#options.onReaders?.();
    return reader;
  }

  removeReader(reader: BoundedReader): void {
    if (!this.#readers.includes(reader)) return;
    this.#readers = this.#readers.filter((other) => other !== reader);
    this.#options.onReaders?.();
  }

  requestKeyframe(): void {
    if (this.#endReason === undefined) this.#options.requestKeyframe();
  }

  /** Gives the unit to all readers and keeps it for later ones. Ignored after the end. */
  write(unit: MediaUnit): void {
    if (this.#endReason !== undefined) return;
    if (unit.kind === 'video' && unit.isKeyframe) this.#noteFormat(unit);
    this.cache.push(unit);
    for (const reader of this.#readers) reader.deliver(unit);
  }

  setTracks(tracks: Tracks): void {
    this.#tracks = tracks;
    for (const reader of this.#readers) reader.announceTracks(tracks);
  }

  /** Ends every reader once; the first reason wins. */
  end(reason: string): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    const readers = this.#readers;
    this.#readers = [];
    this.cache.clear();
    for (const reader of readers) reader.end(reason);
    this.#options.onReaders?.();
  }

  #noteFormat(keyframe: VideoUnit): void {
    const { codec, width, height, data } = keyframe;
    const known = this.#tracks.video;
    if (width === 0 || height === 0) return;
    const isWebrtcReady = codec === 'h264' ? isWebrtcReadyH264(data, keyframe) : undefined;
    const isSameSize = known?.width === width && known.height === height;
    if (isSameSize && known.codec === codec && known.isWebrtcReady === isWebrtcReady) return;
    const { frameRateFps } = known ?? {};
    this.setTracks({ ...this.#tracks, video: { codec, width, height, frameRateFps, isWebrtcReady } });
  }
}
