import { ProtocolError } from '../../domain/errors.ts';
import { OPUS_HEAD_STEREO } from './opus-head.ts';
import {
  OGG_CAPTURE_PATTERN,
  OGG_FLAG,
  OGG_MAX_SEGMENTS,
  OGG_OFFSET,
  OGG_PAGE_HEADER_BYTES,
  oggChecksum,
} from './page.ts';

const MAX_PACKET_BYTES = OGG_MAX_SEGMENTS * 255 - 1;
const UINT32 = 2 ** 32;

/**
 * Writes live Opus as Ogg (RFC 7845), one page per packet, so that a reader gets each packet at once. The granule position is
 * the number of 48 kHz samples up to the end of the packet. Does no I/O.
 */
export class OggOpusWriter {
  readonly #serial: number;
  #sequence = 0;
  #granulePosition = 0;

  constructor(serial = 1) {
    this.#serial = serial;
  }

  /** The identification and comment pages. Write them first and once. */
  header(): Buffer {
    const vendor = Buffer.from('transponder');
    const tags = Buffer.alloc(8 + 4 + vendor.length + 4);
    tags.write('OpusTags', 0, 'latin1');
    tags.writeUInt32LE(vendor.length, 8);
    vendor.copy(tags, 12);
    return Buffer.concat([this.#page(OPUS_HEAD_STEREO, OGG_FLAG.firstPage), this.#page(tags, 0)]);
  }

  /** One page with one packet of `samples` at 48 kHz. Throws OGG_PACKET_SIZE. */
  packet(data: Buffer, samples: number): Buffer {
    this.#granulePosition += samples;
    return this.#page(data, 0);
  }

  #page(data: Buffer, flags: number): Buffer {
    if (data.length > MAX_PACKET_BYTES) {
      throw new ProtocolError('OGG_PACKET_SIZE', `a packet of ${data.length} bytes does not fit into one page`);
    }
    const segments = Math.floor(data.length / 255) + 1;
    const page = Buffer.allocUnsafe(OGG_PAGE_HEADER_BYTES + segments + data.length);
    page.writeUInt32BE(OGG_CAPTURE_PATTERN, 0);
    page[OGG_OFFSET.version] = 0;
    page[OGG_OFFSET.flags] = flags;
    page.writeUInt32LE(this.#granulePosition % UINT32, OGG_OFFSET.granulePosition);
    page.writeUInt32LE(Math.floor(this.#granulePosition / UINT32), OGG_OFFSET.granulePosition + 4);
    page.writeUInt32LE(this.#serial, OGG_OFFSET.serial);
    page.writeUInt32LE(this.#sequence, OGG_OFFSET.sequence);
    page[OGG_OFFSET.segmentCount] = segments;
    page.fill(255, OGG_PAGE_HEADER_BYTES, OGG_PAGE_HEADER_BYTES + segments - 1);
    page[OGG_PAGE_HEADER_BYTES + segments - 1] = data.length % 255;
    data.copy(page, OGG_PAGE_HEADER_BYTES + segments);
    page.writeUInt32LE(oggChecksum(page), OGG_OFFSET.checksum);
    this.#sequence = (this.#sequence + 1) % UINT32;
    return page;
  }
}
