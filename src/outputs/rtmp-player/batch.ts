/** One media message as it goes to every viewer. */
export interface Packet {
  readonly kind: 'audio' | 'video';
  readonly isKeyframe: boolean;
  readonly timestampMs: number;
  /** Chunked; never changed. */
  readonly bytes: Buffer;
}

/** What a decoder of the pictures of a batch must have got before; the same object as long as it stays the same. */
export interface PictureFormat {
  readonly width: number;
  readonly height: number;
  /** Payload of the AVC sequence header. */
  readonly sequenceHeader: Buffer;
}

export type Selection = 'all' | 'audio' | 'video';

/**
 * Messages that go out together, in one write for each viewer. A keyframe is always the first. What viewers take of it is made
 * when the first of them does, once for all.
 */
export class Batch {
  /** Consecutive within a feed. */
  readonly number: number;
  readonly startsWithKeyframe: boolean;
  /** Of the first message. */
  readonly timestampMs: number;
  /** Of the first message of sound. */
  readonly soundTimestampMs: number | undefined;
  /** How much of the stream came before its time with this batch: media that was there already. 0 for what is live. */
  readonly aheadMs: number;
  readonly byteLength: number;
  readonly largestMessageBytes: number;
  readonly videoMessages: number;
  /** Undefined where no picture has been there yet. */
  readonly format: PictureFormat | undefined;
  readonly #packets: readonly Packet[];
  readonly #made = new Map<Selection, Buffer | undefined>();

  /** `packets` are at least one. */
  constructor(number: number, packets: readonly Packet[], format: PictureFormat | undefined, aheadMs = 0) {
    const first = packets[0]!;
    this.number = number;
    this.#packets = packets;
    this.format = format;
    this.aheadMs = aheadMs;
    this.startsWithKeyframe = first.isKeyframe;
    this.timestampMs = first.timestampMs;
    this.soundTimestampMs = packets.find(({ kind }) => kind === 'audio')?.timestampMs;
    this.byteLength = packets.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.largestMessageBytes = packets.reduce((largest, { bytes }) => Math.max(largest, bytes.length), 0);
    this.videoMessages = packets.reduce((sum, { kind }) => sum + (kind === 'video' ? 1 : 0), 0);
  }

  /** The same buffer for every caller; undefined where there is nothing of that kind. */
  bytesOf(selection: Selection): Buffer | undefined {
    if (this.#made.has(selection)) return this.#made.get(selection);
    const parts = this.#packets
      .filter(({ kind }) => selection === 'all' || kind === selection)
      .map(({ bytes }) => bytes);
    const bytes = parts.length > 1 ? Buffer.concat(parts) : parts[0];
    this.#made.set(selection, bytes);
    return bytes;
  }
}
