import { ProtocolError } from '../../domain/errors.ts';
import { OGG_CAPTURE_PATTERN, OGG_FLAG, OGG_OFFSET, OGG_PAGE_HEADER_BYTES, oggChecksum } from './page.ts';

export interface OggPacket {
  readonly data: Buffer;
  /** Granule position of the page, given to the last packet that ends on it; undefined for all others. */
  readonly granulePosition: number | undefined;
}

export interface OggPacketReaderOptions {
  readonly maxPacketBytes: number;
}

const NO_GRANULE_HALF = 0xffff_ffff;
const UINT32 = 2 ** 32;

/**
 * Reads the packets of one logical Ogg stream (RFC 3533). Pipes lose nothing, so nothing is resynchronised: any damage throws.
 * Codes: OGG_CAPTURE, OGG_VERSION, OGG_CHECKSUM, OGG_SERIAL, OGG_SEQUENCE, OGG_CONTINUATION, OGG_PACKET_SIZE.
 */
export class OggPacketReader {
  readonly #maxPacketBytes: number;
  #chunks: Buffer[] = [];
  #bufferedBytes = 0;
  #neededBytes = OGG_PAGE_HEADER_BYTES;
  #serial: number | undefined;
  #nextSequence: number | undefined;
  #partial: Buffer[] = [];
  #partialBytes = 0;
  #isInsidePacket = false;

  constructor(options: OggPacketReaderOptions) {
    this.#maxPacketBytes = options.maxPacketBytes;
  }

  push(chunk: Buffer): OggPacket[] {
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.length;
    if (this.#bufferedBytes < this.#neededBytes) return [];

    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const packets: OggPacket[] = [];
    let offset = 0;
    for (;;) {
      const pageBytes = pageLength(bytes, offset);
      if (offset + pageBytes > bytes.length) {
        this.#neededBytes = pageBytes;
        break;
      }
      this.#readPage(bytes.subarray(offset, offset + pageBytes), packets);
      offset += pageBytes;
    }
    this.#bufferedBytes = bytes.length - offset;
    this.#chunks = this.#bufferedBytes > 0 ? [bytes.subarray(offset)] : [];
    return packets;
  }

  #readPage(page: Buffer, packets: OggPacket[]): void {
    this.#checkPage(page);
    const segments = page[OGG_OFFSET.segmentCount]!;
    let offset = OGG_PAGE_HEADER_BYTES + segments;
    let packetStart = offset;
    let lastCompleted = -1;
    for (let segment = 0; segment < segments; segment++) {
      const size = page[OGG_PAGE_HEADER_BYTES + segment]!;
      offset += size;
      if (this.#partialBytes + offset - packetStart > this.#maxPacketBytes) {
        throw new ProtocolError('OGG_PACKET_SIZE', `a packet is larger than ${this.#maxPacketBytes} bytes`);
      }
      if (size === 255) continue;
      lastCompleted = packets.length;
      packets.push({ data: this.#finishPacket(page.subarray(packetStart, offset)), granulePosition: undefined });
      packetStart = offset;
    }
    this.#isInsidePacket = segments > 0 && page[OGG_PAGE_HEADER_BYTES + segments - 1] === 255;
    if (offset > packetStart) {
      this.#partial.push(page.subarray(packetStart, offset));
      this.#partialBytes += offset - packetStart;
    }
    if (lastCompleted >= 0) {
      packets[lastCompleted] = { data: packets[lastCompleted]!.data, granulePosition: granulePosition(page) };
    }
  }

  #finishPacket(end: Buffer): Buffer {
    if (this.#partial.length === 0) return end;
    this.#partial.push(end);
    const data = Buffer.concat(this.#partial);
    this.#partial = [];
    this.#partialBytes = 0;
    return data;
  }

  #checkPage(page: Buffer): void {
    if (page.readUInt32LE(OGG_OFFSET.checksum) !== oggChecksum(page)) {
      throw new ProtocolError('OGG_CHECKSUM', 'the checksum of a page is wrong');
    }
    const serial = page.readUInt32LE(OGG_OFFSET.serial);
    this.#serial ??= serial;
    if (serial !== this.#serial) throw new ProtocolError('OGG_SERIAL', 'a second logical stream appeared');
    const sequence = page.readUInt32LE(OGG_OFFSET.sequence);
    if (this.#nextSequence !== undefined && sequence !== this.#nextSequence) {
      throw new ProtocolError('OGG_SEQUENCE', `page ${this.#nextSequence} is missing`);
    }
    this.#nextSequence = (sequence + 1) % UINT32;
    const isContinued = (page[OGG_OFFSET.flags]! & OGG_FLAG.continued) !== 0;
    if (isContinued !== this.#isInsidePacket) {
      throw new ProtocolError('OGG_CONTINUATION', 'a page does not continue the one before it');
    }
  }
}

/** Bytes of the page at `offset`, as far as they can be known yet: never more than it has, never fewer than come next. */
function pageLength(bytes: Buffer, offset: number): number {
  if (bytes.length - offset < OGG_PAGE_HEADER_BYTES) return OGG_PAGE_HEADER_BYTES;
  if (bytes.readUInt32BE(offset) !== OGG_CAPTURE_PATTERN) {
    throw new ProtocolError('OGG_CAPTURE', 'a page does not begin with OggS');
  }
  if (bytes[offset + OGG_OFFSET.version] !== 0) {
    throw new ProtocolError('OGG_VERSION', `version ${bytes[offset + OGG_OFFSET.version]} is not known`);
  }
  const tableEnd = OGG_PAGE_HEADER_BYTES + bytes[offset + OGG_OFFSET.segmentCount]!;
  if (bytes.length - offset < tableEnd) return tableEnd;
  let length = tableEnd;
  for (let at = OGG_PAGE_HEADER_BYTES; at < tableEnd; at++) length += bytes[offset + at]!;
  return length;
}

function granulePosition(page: Buffer): number | undefined {
  const low = page.readUInt32LE(OGG_OFFSET.granulePosition);
  const high = page.readUInt32LE(OGG_OFFSET.granulePosition + 4);
  return low === NO_GRANULE_HALF && high === NO_GRANULE_HALF ? undefined : high * UINT32 + low;
}
