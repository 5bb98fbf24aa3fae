import { ProtocolError } from '../../domain/errors.ts';

/** One FLV tag (Adobe FLV v10.1 §E.4.1). `data` is the tag's body: the same bytes as the payload of an RTMP message. */
export interface FlvTag {
  readonly type: 'audio' | 'video' | 'script';
  readonly timestampMs: number;
  readonly data: Buffer;
}

export interface FlvTagReaderOptions {
  readonly maxTagBytes: number;
}

const FILE_HEADER_BYTES = 9;
const TAG_HEADER_BYTES = 11;
const BACK_POINTER_BYTES = 4;
const TYPES = new Map<number, FlvTag['type']>([
  [8, 'audio'],
  [9, 'video'],
  [18, 'script'],
]);

/** Reads an FLV file as it comes. Throws FLV_SIGNATURE, FLV_TAG_TYPE, FLV_TAG_SIZE and FLV_BACK_POINTER. */
export class FlvTagReader {
  readonly #maxTagBytes: number;
  #chunks: Buffer[] = [];
  #bufferedBytes = 0;
  #neededBytes = FILE_HEADER_BYTES + BACK_POINTER_BYTES;
  #hasFileHeader = false;

  constructor(options: FlvTagReaderOptions) {
    this.#maxTagBytes = options.maxTagBytes;
  }

  /** The tags that became complete; their data may share memory with `chunk`. */
  push(chunk: Buffer): FlvTag[] {
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.length;
    if (this.#bufferedBytes < this.#neededBytes) return [];

    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const tags: FlvTag[] = [];
    let offset = this.#hasFileHeader ? 0 : this.#readFileHeader(bytes);
    while (offset + this.#neededBytes <= bytes.length) {
      const bodyBytes = bytes.readUIntBE(offset + 1, 3);
      if (bodyBytes > this.#maxTagBytes) {
        throw new ProtocolError('FLV_TAG_SIZE', `a tag of ${bodyBytes} bytes is larger than ${this.#maxTagBytes}`);
      }
      const tagBytes = TAG_HEADER_BYTES + bodyBytes;
      if (offset + tagBytes + BACK_POINTER_BYTES > bytes.length) {
        this.#neededBytes = tagBytes + BACK_POINTER_BYTES;
        break;
      }
      tags.push(readTag(bytes, offset, bodyBytes));
      offset += tagBytes + BACK_POINTER_BYTES;
      this.#neededBytes = TAG_HEADER_BYTES;
    }
    this.#bufferedBytes = bytes.length - offset;
    this.#chunks = this.#bufferedBytes > 0 ? [bytes.subarray(offset)] : [];
    return tags;
  }

  #readFileHeader(bytes: Buffer): number {
    const hasSignature = bytes.readUIntBE(0, 3) === 0x464c56 && bytes[3] === 1;
    if (!hasSignature || bytes.readUInt32BE(5) !== FILE_HEADER_BYTES || bytes.readUInt32BE(FILE_HEADER_BYTES) !== 0) {
      throw new ProtocolError('FLV_SIGNATURE', 'not an FLV file of version 1');
    }
    this.#hasFileHeader = true;
    this.#neededBytes = TAG_HEADER_BYTES;
    return FILE_HEADER_BYTES + BACK_POINTER_BYTES;
  }
}

function readTag(bytes: Buffer, offset: number, bodyBytes: number): FlvTag {
  const type = TYPES.get(bytes[offset]!);
  if (!type) throw new ProtocolError('FLV_TAG_TYPE', `tag type ${bytes[offset]} is not known`);
  const timestampMs = bytes[offset + 7]! * 0x100_0000 + bytes.readUIntBE(offset + 4, 3);
  const end = offset + TAG_HEADER_BYTES + bodyBytes;
  if (bytes.readUInt32BE(end) !== TAG_HEADER_BYTES + bodyBytes) {
    throw new ProtocolError('FLV_BACK_POINTER', 'a tag is followed by the wrong size');
  }
  return { type, timestampMs, data: bytes.subarray(offset + TAG_HEADER_BYTES, end) };
}
