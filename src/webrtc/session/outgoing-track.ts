export interface OutgoingTrackOptions {
  readonly ssrc: number;
  readonly payloadType: number;
  readonly rtx?: { readonly ssrc: number; readonly payloadType: number } | undefined;
  /** First sequence number of the track, below 2^15 so that SRTP's roll-over counter begins at 0 on both sides (RFC 3711 §3.3.1). */
  readonly firstSequence: number;
}

const NONE = -1;
/**
 * Packets before the first one that a new viewer still gets: where a keyframe's first packet comes late, the viewer has begun
 * with the second one and needs the parameter sets of the first.
 */
const REORDERED_PACKETS = 3;

/**
 * How the packets of one stream's track appear to one viewer: a constant distance between the stream's packet index and the
 * viewer's, so that a pause leaves no hole in the viewer's sequence numbers. Timestamps are those of the source, but for a
 * replayed GOP (see `replay.ts`).
 */
export class OutgoingTrack {
  readonly ssrc: number;
  readonly payloadType: number;
  readonly rtx: { readonly ssrc: number; readonly payloadType: number } | undefined;
  packets = 0;
  octets = 0;
  frames = 0;
  #live = false;
  /** The viewer's index of the next run's first packet. */
  #nextIndex: number;
  /** Stream index minus viewer index in the present run. */
  #distance = 0;
  #runStart = NONE;
  #highestSent = NONE;
  #replayEnd = NONE;
  #replayBoundary = 0;
  #replayDivisor = 1;
  #newestTimestamp: number | undefined;
  #rtxIndex: number;

  constructor(options: OutgoingTrackOptions) {
    this.ssrc = options.ssrc;
    this.payloadType = options.payloadType;
    this.rtx = options.rtx;
    this.#nextIndex = options.firstSequence;
    this.#rtxIndex = options.firstSequence;
  }

  get live(): boolean {
    return this.#live;
  }

  /** Begins with the packet of `streamIndex`; of video that is the start of a keyframe. */
  start(streamIndex: number): void {
    this.#live = true;
    this.#replayEnd = NONE;
    this.#beginRun(streamIndex);
  }

  /** In a live run: goes on with this packet, and what lies before it is not missed. */
  skipTo(streamIndex: number): void {
    this.#nextIndex = Math.max(this.#nextIndex, this.#highestSent - this.#distance + 1);
    this.#beginRun(streamIndex);
  }

  /** Of the present run, the distances of all timestamps to `boundaryTimestamp` are divided, up to the packet that reaches it. */
  setReplay(boundaryTimestamp: number, divisor: number): void {
    this.#replayEnd = Number.POSITIVE_INFINITY;
    this.#replayBoundary = boundaryTimestamp;
    this.#replayDivisor = divisor;
  }

  /** As the viewer has it; undefined before the first packet. */
  get newestTimestamp(): number | undefined {
    return this.#newestTimestamp;
  }

  /** Sends nothing until `start` is called again. */
  pause(): void {
    if (!this.#live) return;
    this.#live = false;
    this.#nextIndex = Math.max(this.#nextIndex, this.#highestSent - this.#distance + 1);
  }

  /** The viewer's packet index, or -1 for what lies before the present run. */
  indexFor(streamIndex: number): number {
    return streamIndex < this.#runStart ? NONE : streamIndex - this.#distance;
  }

  /** The stream index of a sequence number that the viewer asks for again, or -1. */
  streamIndexOf(sequence: number): number {
    if (this.#highestSent === NONE) return NONE;
    const highest = this.#highestSent - this.#distance;
    const index = highest - ((highest - sequence) & 0xffff);
    const streamIndex = index + this.#distance;
    return streamIndex < this.#runStart ? NONE : streamIndex;
  }

  timestampFor(streamIndex: number, timestamp: number): number {
    if (streamIndex >= this.#replayEnd) return timestamp;
    const behind = (this.#replayBoundary - timestamp) | 0;
    if (behind > 0) return (this.#replayBoundary - Math.trunc(behind / this.#replayDivisor)) >>> 0;
    this.#replayEnd = streamIndex;
    return timestamp;
  }

  /** Counts a packet that was sent for the first time, with the viewer's timestamp. */
  sent(streamIndex: number, timestamp: number, payloadBytes: number, marker: boolean): void {
    if (streamIndex > this.#highestSent) {
      this.#highestSent = streamIndex;
      this.#newestTimestamp = timestamp;
    }
    this.packets++;
    this.octets += payloadBytes;
    if (marker) this.frames++;
  }

  nextRtxIndex(): number {
    return this.#rtxIndex++;
  }

  /** A first run leaves room before it; later ones do not, for there would be holes in the viewer's sequence numbers. */
  #beginRun(streamIndex: number): void {
    this.#distance = streamIndex - this.#nextIndex;
    const isFirst = this.#highestSent === NONE;
    this.#runStart = isFirst ? streamIndex - Math.min(REORDERED_PACKETS, this.#nextIndex) : streamIndex;
    // A run may begin before the end of the one before it.
    if (!isFirst) this.#highestSent = streamIndex - 1;
  }
}
