import type { Writable } from 'node:stream';
import type { Clock } from '../../domain/clock.ts';
import type { MediaUnit } from '../../domain/media.ts';
import type { AudioSwap } from './audio-swap.ts';
import { ChildFeed, type FedTracks } from './child-feed.ts';
import { OutBuffer, type OutBufferSettings } from './out-buffer.ts';
import type { PushBounds } from './push-bounds.ts';

export interface PacedFeedOptions {
  /** The child's; its end belongs to the child. */
  readonly pipe: Writable;
  readonly tracks: FedTracks;
  readonly swap: AudioSwap | undefined;
  readonly bounds: PushBounds;
  /** Undefined where units go out as they come. */
  readonly outBuffer: OutBufferSettings | undefined;
  readonly clock: Clock;
  /** More can be taken, after `push` has said that none can. */
  readonly onRoom: () => void;
}

/** Gives the child its input when it may have it: not before its time, not beyond a full pipe, not far ahead of the destination. */
export class PacedFeed {
  readonly #options: PacedFeedOptions;
  readonly #feed: ChildFeed;
  readonly #buffer: OutBuffer | undefined;
  #framesOut = 0;
  #untilMs = Infinity;
  #isHeld = false;

  constructor(options: PacedFeedOptions) {
    const { pipe, tracks, bounds, outBuffer, clock } = options;
    this.#options = options;
    this.#feed = new ChildFeed(pipe, tracks, bounds.maxPipeBytes);
    const release = (unit: MediaUnit): boolean => this.#write(unit);
    this.#buffer = outBuffer && new OutBuffer({ ...outBuffer, clock, maxBytes: bounds.maxQueueBytes, release });
    pipe.on('drain', () => this.#feedOn());
  }

  get framesOut(): number {
    return this.#framesOut;
  }

  /** Not taken by the child yet; what the outgoing buffer holds has not been given. */
  get waitingBytes(): number {
    return this.#feed.waitingBytes;
  }

  /** Undefined where there is none. */
  get buffer(): Pick<OutBuffer, 'bufferedMs' | 'bufferings' | 'isGathering'> | undefined {
    return this.#buffer;
  }

  /** False when no more should be given until `onRoom`; the unit itself is always taken. */
  push(unit: MediaUnit): boolean {
    return this.#buffer ? this.#buffer.push(unit) : this.#write(unit);
  }

  /** The child may be fed up to that media time, from the first unit's on. */
  allowUntil(mediaMs: number): void {
    this.#untilMs = mediaMs;
    this.#feedOn();
  }

  close(): void {
    this.#buffer?.close();
  }

  #write(unit: MediaUnit): boolean {
    const { swap } = this.#options;
    if (unit.kind === 'video') this.#framesOut += 1;
    this.#feed.write(unit.kind === 'audio' && swap ? swap.apply(unit) : unit);
    this.#isHeld = this.#mustHold();
    return !this.#isHeld;
  }

  #mustHold(): boolean {
    return this.#feed.isFull || this.#feed.mediaMs > this.#untilMs;
  }

  #feedOn(): void {
    if (!this.#isHeld || this.#mustHold()) return;
    this.#isHeld = false;
    this.#buffer?.resume();
    this.#options.onRoom();
  }
}
