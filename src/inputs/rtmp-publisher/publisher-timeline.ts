type TrackKind = 'video' | 'audio';

/** A step back this far is no rounding: RTMP timestamps are decoding times, which do not go back. */
const MAX_BACK_MS = 200;
/** How far the tracks may lie apart where one of them begins. */
const MAX_APART_MS = 3_000;
/** How far timestamps may run ahead of the pace at which they come: as far as a hole in a file that is sent at once. */
const MAX_AHEAD_US = 3_000_000;
/** Where the first message lies, so that what is interleaved behind it does not come to lie before zero. */
const HEADROOM_US = 1_000_000;
const TIMESTAMP_RANGE = 2 ** 32;

/** One run of the encoder's clock. */
interface Epoch {
  /** timeline = timestamp + offset */
  readonly offsetUs: number;
  /** `arrival − timeline` of what came with the least delay. */
  leastDelayUs: number;
}

interface Position {
  readonly epoch: Epoch;
  /** Unwrapped. */
  readonly ms: number;
}

/**
 * Puts the 32-bit millisecond timestamps of one RTMP publisher on one timeline in microseconds that does not jump, whatever
 * the encoder's clock does. Video and audio share an epoch, which is one offset between timestamps and timeline, and with it their
 * synchronisation. Timestamps wrap at 2^32 and go on. A track whose timestamps go back, or run ahead of the pace at
 * which they come, has a new clock: it joins the epoch of the other track where its timestamp lies close to it, as after a restart of
 * the encoder's clock, or else begins an epoch at its arrival, behind everything so far. A track that still sends old timestamps
 * keeps the old epoch until it jumps as well.
 */
export class PublisherTimeline {
  readonly #tracks: Partial<Record<TrackKind, Position>> = {};
  #newestUs = HEADROOM_US;
  #newestArrivalUs: number | undefined;
  #newestEpoch: Epoch | undefined;

  /** The time of a message, not negative. Within a track it goes back by no more than 200 ms; that is for the caller to mend. */
  place(kind: TrackKind, timestampMs: number, arrivalUs: number): number {
    const position = this.#locate(kind, timestampMs, arrivalUs);
    const { epoch, ms } = position;
    this.#tracks[kind] = position;
    const timeUs = Math.max(0, ms * 1000 + epoch.offsetUs);
    epoch.leastDelayUs = Math.min(epoch.leastDelayUs, arrivalUs - timeUs);
    if (timeUs >= this.#newestUs) {
      this.#newestUs = timeUs;
      this.#newestArrivalUs = arrivalUs;
    }
    return timeUs;
  }

  #locate(kind: TrackKind, timestampMs: number, arrivalUs: number): Position {
    const own = this.#tracks[kind];
    const other = this.#tracks[kind === 'video' ? 'audio' : 'video'];
    if (own) {
      // The other track has jumped: this one is about to, by as much but for one frame.
      const isLastOfOldClock = own.epoch !== this.#newestEpoch && other?.epoch === this.#newestEpoch;
      const next = near(own, timestampMs);
      const maxBackMs = isLastOfOldClock ? MAX_BACK_MS / 2 : MAX_BACK_MS;
      if (next.ms - own.ms >= -maxBackMs && isOnPace(next, arrivalUs)) return next;
    }
    if (other && other.epoch !== own?.epoch) {
      const next = near(other, timestampMs);
      if (next.ms - other.ms >= -MAX_APART_MS && isOnPace(next, arrivalUs)) return next;
    }
    return this.#newClock(timestampMs, arrivalUs);
  }

  #newClock(timestampMs: number, arrivalUs: number): Position {
    const sinceNewestUs = Math.max(0, arrivalUs - (this.#newestArrivalUs ?? arrivalUs));
    const timeUs = this.#newestUs + sinceNewestUs;
    const epoch = { offsetUs: timeUs - timestampMs * 1000, leastDelayUs: arrivalUs - timeUs };
    this.#newestEpoch = epoch;
    return { epoch, ms: timestampMs };
  }
}

/** The timestamp on the same epoch, unwrapped to the nearest value. */
function near({ epoch, ms }: Position, timestampMs: number): Position {
  return { epoch, ms: ms + ((timestampMs - (ms % TIMESTAMP_RANGE)) | 0) };
}

function isOnPace({ epoch, ms }: Position, arrivalUs: number): boolean {
  return ms * 1000 + epoch.offsetUs - (arrivalUs - epoch.leastDelayUs) <= MAX_AHEAD_US;
}
