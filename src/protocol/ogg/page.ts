/** Layout of an Ogg page (RFC 3533 §6), shared by writer and reader. */
export const OGG_PAGE_HEADER_BYTES = 27;
export const OGG_MAX_SEGMENTS = 255;
export const OGG_CAPTURE_PATTERN = 0x4f676753;
export const OGG_FLAG = { continued: 1, firstPage: 2, lastPage: 4 } as const;
export const OGG_OFFSET = {
  version: 4,
  flags: 5,
  granulePosition: 6,
  serial: 14,
  sequence: 18,
  checksum: 22,
  segmentCount: 26,
} as const;

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let rest = index << 24;
  for (let bit = 0; bit < 8; bit++) rest = rest & 0x8000_0000 ? (rest << 1) ^ 0x04c1_1db7 : rest << 1;
  return rest >>> 0;
});

/** Checksum of a page whose checksum field counts as zero: polynomial 0x04c11db7, no reflection, start and final xor 0. */
export function oggChecksum(page: Buffer): number {
  let crc = 0;
  for (let at = 0; at < page.length; at++) {
    const isChecksumField = at >= OGG_OFFSET.checksum && at < OGG_OFFSET.checksum + 4;
    const byte = isChecksumField ? 0 : page[at]!;
    crc = (crc << 8) ^ TABLE[(crc >>> 24) ^ byte]!;
  }
  return crc >>> 0;
}
