import { ProtocolError } from '../../domain/errors.ts';

/** Frame durations by TOC configuration (RFC 6716 table 2): SILK, hybrid, CELT. */
const SILK_FRAME_US = [10_000, 20_000, 40_000, 60_000] as const;
const HYBRID_FRAME_US = [10_000, 20_000] as const;
const CELT_FRAME_US = [2_500, 5_000, 10_000, 20_000] as const;
/** RFC 6716 §3.2.5, requirement R5. */
const MAX_PACKET_US = 120_000;

/** Channels coded in a packet (RFC 6716 §3.1). Throws `OPUS_PACKET` for an empty one. */
export function opusChannels(packet: Buffer): 1 | 2 {
  return (toc(packet) & 0x04) === 0 ? 1 : 2;
}

/** How much sound an Opus packet holds (RFC 6716 §3.1, §3.2). Throws `OPUS_PACKET` when it is empty or more than 120 ms. */
export function opusDurationUs(packet: Buffer): number {
  const durationUs = frameUs(toc(packet) >> 3) * frameCount(packet);
  if (durationUs === 0 || durationUs > MAX_PACKET_US) {
    throw new ProtocolError('OPUS_PACKET', `Opus packet of ${durationUs} µs`);
  }
  return durationUs;
}

function toc(packet: Buffer): number {
  const first = packet[0];
  if (first === undefined) throw new ProtocolError('OPUS_PACKET', 'empty Opus packet');
  return first;
}

function frameUs(configuration: number): number {
  if (configuration < 12) return SILK_FRAME_US[configuration % 4]!;
  if (configuration < 16) return HYBRID_FRAME_US[configuration % 2]!;
  return CELT_FRAME_US[configuration % 4]!;
}

function frameCount(packet: Buffer): number {
  const code = packet[0]! & 0x03;
  if (code === 0) return 1;
  if (code < 3) return 2;
  if (packet.length < 2) throw new ProtocolError('OPUS_PACKET', 'Opus packet without its frame count');
  return packet[1]! & 0x3f;
}
