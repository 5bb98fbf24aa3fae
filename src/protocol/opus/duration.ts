/** Frame duration by configuration number within each mode (RFC 6716 §3.1, table 2). */
const SILK_US = [10_000, 20_000, 40_000, 60_000];
const HYBRID_US = [10_000, 20_000];
const CELT_US = [2_500, 5_000, 10_000, 20_000];
const MAX_PACKET_US = 120_000;

/** The duration of an Opus packet by its TOC byte; 0 when the packet is malformed. */
export function opusDurationUs(packet: Buffer): number {
  const toc = packet[0];
  if (toc === undefined) return 0;
  const durationUs = frameDurationUs(toc >> 3) * frameCount(toc & 3, packet[1]);
  return durationUs <= MAX_PACKET_US ? durationUs : 0;
}

function frameDurationUs(config: number): number {
  if (config < 12) return SILK_US[config & 3]!;
  if (config < 16) return HYBRID_US[config & 1]!;
  return CELT_US[config & 3]!;
}

function frameCount(code: number, countByte: number | undefined): number {
  if (code === 0) return 1;
  return code === 3 ? (countByte ?? 0) & 63 : 2;
}
