import { ProtocolError } from '../../domain/errors.ts';
import { MESSAGE_TYPE } from './raw-message.ts';
import type { RawMessage } from './raw-message.ts';

/** Reasons for the values: reference/rtmp.md §5. */
export interface ChunkReaderLimits {
  readonly maxMediaBytes: number;
  /** For every type that is neither audio, video nor an aggregate. */
  readonly maxCommandBytes: number;
  readonly minChunkSize: number;
  readonly maxChunkStreams: number;
  /** Received parts of unfinished messages, over all chunk streams. */
  readonly maxUnfinishedBytes: number;
  /** Messages that a new header cut short, for each `discardWindowMessages` whole ones; OBS does it now and then, an attacker all the time. */
  readonly maxDiscardedMessages: number;
  readonly discardWindowMessages: number;
}

export const DEFAULT_CHUNK_READER_LIMITS: ChunkReaderLimits = {
  maxMediaBytes: 0xffffff,
  maxCommandBytes: 65_536,
  minChunkSize: 128,
  maxChunkStreams: 32,
  maxUnfinishedBytes: 20_000_000,
  maxDiscardedMessages: 8,
  discardWindowMessages: 1000,
};

const DEFAULT_CHUNK_SIZE = 128;
const MAX_CHUNK_SIZE = 0xffffff;
const EXTENDED_TIMESTAMP = 0xffffff;
const FIRST_ALLOCATION_BYTES = 4096;
const MESSAGE_HEADER_BYTES = [11, 7, 3, 0] as const;
const NO_BYTES = Buffer.alloc(0);

/** What a chunk stream remembers from one chunk to the next. */
interface ChunkStream {
  readonly id: number;
  typeId: number;
  streamId: number;
  lengthBytes: number;
  timestampMs: number;
  /** The last announced timestamp field: absolute after a header of format 0, else a delta. Format 3 adds it again. */
  deltaMs: number;
  isExtended: boolean;
  hasHeader: boolean;
  /** Between the first and the last chunk of a message. */
  isOpen: boolean;
  receivedBytes: number;
  partial: Buffer;
}

/**
 * Takes RTMP bytes as they come, gives whole messages back (RTMP 1.0 §5.3). Set Chunk Size and Abort are obeyed here,
 * because they change how the next byte is read, and returned as well. Payload is taken as it arrives, so that neither a
 * huge chunk size nor tiny reads cost more than one copy, and memory grows with what came, not with what was announced.
 * After an error the reader is spent: close the connection.
 *
 * @throws {ProtocolError} RTMP_CHUNK_SIZE, RTMP_CHUNK_HEADER, RTMP_CHUNK_STREAMS, RTMP_MESSAGE_TOO_LONG, RTMP_UNFINISHED_BYTES,
 *   RTMP_DISCARDED_MESSAGES, RTMP_CONTROL
 */
export class ChunkReader {
  readonly #limits: ChunkReaderLimits;
  readonly #streams = new Map<number, ChunkStream>();
  #chunkSize = DEFAULT_CHUNK_SIZE;
  /** The stream whose chunk payload is being read, and how much of that chunk is missing. */
  #current: ChunkStream | undefined;
  #chunkRemainingBytes = 0;
  /** A header that the last push cut. */
  #header = NO_BYTES;
  #unfinishedBytes = 0;
  #discardedMessages = 0;
  /** Since the last time that the discarded ones were forgotten. */
  #wholeMessages = 0;

  constructor(limits: ChunkReaderLimits = DEFAULT_CHUNK_READER_LIMITS) {
    this.#limits = limits;
  }

  push(bytes: Buffer): RawMessage[] {
    const input = this.#header.length > 0 ? Buffer.concat([this.#header, bytes]) : bytes;
    this.#header = NO_BYTES;
    const messages: RawMessage[] = [];
    let offset = 0;
    while (offset < input.length || this.#current) {
      if (this.#current) {
        const taken = this.#readPayload(this.#current, input, offset, messages);
        if (taken === 0 && this.#current) break;
        offset += taken;
      } else {
        const headerBytes = this.#readHeader(input, offset);
        if (headerBytes === 0) {
          this.#header = Buffer.from(input.subarray(offset));
          break;
        }
        offset += headerBytes;
      }
    }
    return messages;
  }

  /** Length of the whole chunk header at `offset`, which then is in force; 0 when it is not all there yet. */
  #readHeader(input: Buffer, offset: number): number {
    const available = input.length - offset;
    const format = (input[offset]! >> 6) as 0 | 1 | 2 | 3;
    const idField = input[offset]! & 0x3f;
    const basicBytes = idField === 0 ? 2 : idField === 1 ? 3 : 1;
    const messageBytes = MESSAGE_HEADER_BYTES[format];
    let at = offset + basicBytes;
    if (available < basicBytes + messageBytes) return 0;
    let id = idField;
    if (idField === 0) id = 64 + input[offset + 1]!;
    else if (idField === 1) id = 64 + input[offset + 1]! + 256 * input[offset + 2]!;

    const known = this.#streams.get(id);
    if (!known?.hasHeader && format >= 2) {
      throw new ProtocolError('RTMP_CHUNK_HEADER', `chunk stream ${id} begins with a header of format ${format}`);
    }
    if (format === 3) {
      const extendedBytes = known!.isExtended ? this.#extendedBytesOfFormat3(known!, input, at) : 0;
      if (extendedBytes === undefined) return 0;
      if (!known!.isOpen) this.#open(known!, known!.timestampMs + known!.deltaMs);
      this.#beginChunk(known!);
      return at + extendedBytes - offset;
    }

    const field = input.readUIntBE(at, 3);
    const isExtended = field === EXTENDED_TIMESTAMP;
    if (isExtended && available < basicBytes + messageBytes + 4) return 0;
    const stream = known ?? this.#addStream(id);
    if (stream.isOpen) this.#discard(stream);
    if (format <= 1) {
      stream.lengthBytes = input.readUIntBE(at + 3, 3);
      stream.typeId = input[at + 6]!;
      if (format === 0) stream.streamId = input.readUInt32LE(at + 7);
    }
    at += messageBytes;
    stream.deltaMs = isExtended ? input.readUInt32BE(at) : field;
    stream.isExtended = isExtended;
    stream.hasHeader = true;
    this.#open(stream, format === 0 ? stream.deltaMs : stream.timestampMs + stream.deltaMs);
    this.#beginChunk(stream);
    return at + (isExtended ? 4 : 0) - offset;
  }

  /**
   * A continuation repeats the extended timestamp, but some senders leave it out: it counts only when it equals what
   * was announced. Undefined while that cannot be told.
   */
  #extendedBytesOfFormat3(stream: ChunkStream, input: Buffer, at: number): 0 | 4 | undefined {
    for (let index = 0; index < 4; index++) {
      if (at + index >= input.length) return undefined;
      if (input[at + index] !== ((stream.deltaMs >>> (24 - 8 * index)) & 0xff)) return 0;
    }
    return 4;
  }

  #addStream(id: number): ChunkStream {
    if (this.#streams.size >= this.#limits.maxChunkStreams) {
      throw new ProtocolError('RTMP_CHUNK_STREAMS', `more than ${this.#limits.maxChunkStreams} chunk streams`);
    }
    const stream: ChunkStream = {
      id,
      typeId: 0,
      streamId: 0,
      lengthBytes: 0,
      timestampMs: 0,
      deltaMs: 0,
      isExtended: false,
      hasHeader: false,
      isOpen: false,
      receivedBytes: 0,
      partial: NO_BYTES,
    };
    this.#streams.set(id, stream);
    return stream;
  }

  #open(stream: ChunkStream, timestampMs: number): void {
    const { typeId, lengthBytes } = stream;
    const isMedia = typeId === MESSAGE_TYPE.audio || typeId === MESSAGE_TYPE.video || typeId === MESSAGE_TYPE.aggregate;
    const limit = isMedia ? this.#limits.maxMediaBytes : this.#limits.maxCommandBytes;
    if (lengthBytes > limit) {
      throw new ProtocolError(
        'RTMP_MESSAGE_TOO_LONG',
        `message of type ${typeId} with ${lengthBytes} bytes, limit ${limit}`,
      );
    }
    stream.timestampMs = timestampMs >>> 0;
    stream.isOpen = true;
    stream.receivedBytes = 0;
  }

  #beginChunk(stream: ChunkStream): void {
    this.#current = stream;
    this.#chunkRemainingBytes = Math.min(this.#chunkSize, stream.lengthBytes - stream.receivedBytes);
  }

  /** Takes what is there of the current chunk; the last byte of a message adds it to `messages`. */
  #readPayload(stream: ChunkStream, input: Buffer, offset: number, messages: RawMessage[]): number {
    const taken = Math.min(this.#chunkRemainingBytes, input.length - offset);
    const isWhole = stream.receivedBytes === 0 && taken === stream.lengthBytes;
    if (!isWhole) this.#collect(stream, input, offset, taken);
    this.#chunkRemainingBytes -= taken;
    if (this.#chunkRemainingBytes > 0) return taken;
    this.#current = undefined;
    if (!isWhole && stream.receivedBytes < stream.lengthBytes) return taken;
    const payload = isWhole ? input.subarray(offset, offset + taken) : stream.partial.subarray(0, stream.lengthBytes);
    this.#unfinishedBytes -= stream.receivedBytes;
    close(stream);
    const { typeId, timestampMs, streamId } = stream;
    const message: RawMessage = { typeId, timestampMs, streamId, payload };
    this.#obey(message);
    messages.push(message);
    if (++this.#wholeMessages >= this.#limits.discardWindowMessages) this.#forgetDiscarded();
    return taken;
  }

  #collect(stream: ChunkStream, input: Buffer, offset: number, taken: number): void {
    this.#unfinishedBytes += taken;
    if (this.#unfinishedBytes > this.#limits.maxUnfinishedBytes) {
      throw new ProtocolError(
        'RTMP_UNFINISHED_BYTES',
        `more than ${this.#limits.maxUnfinishedBytes} bytes of unfinished messages`,
      );
    }
    const neededBytes = stream.receivedBytes + taken;
    if (neededBytes > stream.partial.length) {
      const roomBytes = Math.min(
        stream.lengthBytes,
        Math.max(2 * stream.partial.length, neededBytes, FIRST_ALLOCATION_BYTES),
      );
      const grown = Buffer.allocUnsafe(roomBytes);
      stream.partial.copy(grown, 0, 0, stream.receivedBytes);
      stream.partial = grown;
    }
    input.copy(stream.partial, stream.receivedBytes, offset, offset + taken);
    stream.receivedBytes = neededBytes;
  }

  #obey(message: RawMessage): void {
    if (message.typeId === MESSAGE_TYPE.setChunkSize) {
      const size = controlValue(message) & 0x7fffffff;
      if (size < this.#limits.minChunkSize) {
        throw new ProtocolError('RTMP_CHUNK_SIZE', `chunk size ${size} is below ${this.#limits.minChunkSize}`);
      }
      this.#chunkSize = Math.min(size, MAX_CHUNK_SIZE);
    } else if (message.typeId === MESSAGE_TYPE.abort) {
      const stream = this.#streams.get(controlValue(message));
      if (stream?.isOpen) this.#discard(stream);
    }
  }

  #forgetDiscarded(): void {
    this.#wholeMessages = 0;
    this.#discardedMessages = 0;
  }

  #discard(stream: ChunkStream): void {
    if (++this.#discardedMessages > this.#limits.maxDiscardedMessages) {
      throw new ProtocolError(
        'RTMP_DISCARDED_MESSAGES',
        `more than ${this.#limits.maxDiscardedMessages} messages were cut short`,
      );
    }
    this.#unfinishedBytes -= stream.receivedBytes;
    close(stream);
  }
}

function close(stream: ChunkStream): void {
  stream.isOpen = false;
  stream.receivedBytes = 0;
  stream.partial = NO_BYTES;
}

function controlValue(message: RawMessage): number {
  if (message.payload.length < 4) throw new ProtocolError('RTMP_CONTROL', 'a control message is shorter than 4 bytes');
  return message.payload.readUInt32BE(0);
}
