import {
  FMT_APPLICATION,
  FMT_FIR,
  FMT_NACK,
  FMT_PLI,
  RTCP_BYE,
  RTCP_PSFB,
  RTCP_RR,
  RTCP_RTPFB,
  RTCP_SDES,
  RTCP_SR,
  SDES_CNAME,
} from './rtcp-types.ts';
import type { ReceiverEstimate, ReportBlock, SenderReport } from './rtcp-types.ts';

const MAX_COUNT = 31;
const REPORT_BLOCK_BYTES = 24;
const MAX_REMB_MANTISSA = 0x3ffff;
/** The exponent has six bits. */
const MAX_REMB_BPS = MAX_REMB_MANTISSA * 2 ** 63;

/** One RTCP packet with its common header (RFC 3550 §6.4.1); `bytes` is the whole length, a multiple of four. */
export function allocateRtcp(type: number, count: number, bytes: number): Buffer {
  const packet = Buffer.alloc(bytes);
  packet[0] = 0x80 | count;
  packet[1] = type;
  packet.writeUInt16BE(bytes / 4 - 1, 2);
  return packet;
}

/** RFC 3550 §6.4.1. At most 31 report blocks, the rest is left out. */
export function buildSenderReport(report: Omit<SenderReport, 'type'>): Buffer {
  const count = Math.min(report.reports.length, MAX_COUNT);
  const packet = allocateRtcp(RTCP_SR, count, 28 + count * REPORT_BLOCK_BYTES);
  packet.writeUInt32BE(report.ssrc, 4);
  packet.writeUInt32BE(report.ntp.seconds, 8);
  packet.writeUInt32BE(report.ntp.fraction, 12);
  packet.writeUInt32BE(report.rtpTimestamp, 16);
  packet.writeUInt32BE(report.packetCount >>> 0, 20);
  packet.writeUInt32BE(report.octetCount >>> 0, 24);
  writeReports(packet, 28, report.reports, count);
  return packet;
}

/** RFC 3550 §6.4.2. At most 31 report blocks, the rest is left out. */
export function buildReceiverReport(senderSsrc: number, reports: readonly ReportBlock[]): Buffer {
  const count = Math.min(reports.length, MAX_COUNT);
  const packet = allocateRtcp(RTCP_RR, count, 8 + count * REPORT_BLOCK_BYTES);
  packet.writeUInt32BE(senderSsrc, 4);
  writeReports(packet, 8, reports, count);
  return packet;
}

/** RFC 3550 §6.5.1. A compound packet that is not reduced-size needs it; `cname` is cut at 255 bytes. */
export function buildSdesCname(ssrc: number, cname: string): Buffer {
  const name = Buffer.from(cname).subarray(0, 255);
  // Header, SSRC, type and length, name, at least one zero byte, padded to a multiple of four.
  const packet = allocateRtcp(RTCP_SDES, 1, (10 + name.length + 4) & ~3);
  packet.writeUInt32BE(ssrc, 4);
  packet[8] = SDES_CNAME;
  packet[9] = name.length;
  name.copy(packet, 10);
  return packet;
}

/** RFC 3550 §6.6. */
export function buildBye(ssrcs: readonly number[]): Buffer {
  const count = Math.min(ssrcs.length, MAX_COUNT);
  const packet = allocateRtcp(RTCP_BYE, count, 4 + count * 4);
  for (let i = 0; i < count; i++) packet.writeUInt32BE(ssrcs[i]!, 4 + i * 4);
  return packet;
}

/**
 * RFC 4585 §6.2.1. `sequences` must be in the order of the stream (ascending modulo 2^16), so that neighbours share an
 * entry, also across the wrap.
 */
export function buildNack(senderSsrc: number, mediaSsrc: number, sequences: readonly number[]): Buffer {
  const entries: { first: number; bitmask: number }[] = [];
  for (const sequence of sequences) {
    const last = entries.at(-1);
    const distance = last === undefined ? 0 : (sequence - last.first) & 0xffff;
    if (last === undefined || distance > 16) {
      entries.push({ first: sequence, bitmask: 0 });
    } else if (distance > 0) {
      last.bitmask |= 1 << (distance - 1);
    }
  }
  const packet = allocateFeedback(RTCP_RTPFB, FMT_NACK, entries.length * 4, senderSsrc, mediaSsrc);
  entries.forEach(({ first, bitmask }, i) => {
    packet.writeUInt16BE(first, 12 + i * 4);
    packet.writeUInt16BE(bitmask, 14 + i * 4);
  });
  return packet;
}

/** RFC 4585 §6.3.1. */
export function buildPli(senderSsrc: number, mediaSsrc: number): Buffer {
  return allocateFeedback(RTCP_PSFB, FMT_PLI, 0, senderSsrc, mediaSsrc);
}

/** RFC 5104 §4.3.1. `commandSequence` (8 bits) is increased by the caller for each new request, not for repetitions. */
export function buildFir(senderSsrc: number, mediaSsrc: number, commandSequence: number): Buffer {
  const packet = allocateFeedback(RTCP_PSFB, FMT_FIR, 8, senderSsrc, 0);
  packet.writeUInt32BE(mediaSsrc, 12);
  packet[16] = commandSequence;
  return packet;
}

/** draft-alvestrand-rmcat-remb-03 §2.2. The rate is rounded down to 18 significant bits; what is above the field's range is its largest value. */
export function buildRemb(estimate: Omit<ReceiverEstimate, 'type'>): Buffer {
  const packet = allocateFeedback(RTCP_PSFB, FMT_APPLICATION, 8 + estimate.ssrcs.length * 4, estimate.senderSsrc, 0);
  let mantissa = Math.min(Math.floor(estimate.bitrateBps), MAX_REMB_BPS);
  let exponent = 0;
  while (mantissa > MAX_REMB_MANTISSA) {
    mantissa = Math.floor(mantissa / 2);
    exponent += 1;
  }
  packet.write('REMB', 12, 'latin1');
  packet[16] = estimate.ssrcs.length;
  packet[17] = (exponent << 2) | (mantissa >> 16);
  packet.writeUInt16BE(mantissa & 0xffff, 18);
  estimate.ssrcs.forEach((ssrc, i) => packet.writeUInt32BE(ssrc, 20 + i * 4));
  return packet;
}

/** A feedback message (RFC 4585 §6.1) with room for `informationBytes` after the two SSRCs. */
export function allocateFeedback(
  type: number,
  format: number,
  informationBytes: number,
  senderSsrc: number,
  mediaSsrc: number,
): Buffer {
  const packet = allocateRtcp(type, format, 12 + informationBytes);
  packet.writeUInt32BE(senderSsrc, 4);
  packet.writeUInt32BE(mediaSsrc, 8);
  return packet;
}

function writeReports(packet: Buffer, start: number, reports: readonly ReportBlock[], count: number): void {
  for (let i = 0; i < count; i++) {
    const at = start + i * REPORT_BLOCK_BYTES;
    const report = reports[i]!;
    packet.writeUInt32BE(report.ssrc, at);
    packet[at + 4] = report.fractionLost;
    packet.writeIntBE(report.cumulativeLost, at + 5, 3);
    packet.writeUInt32BE(report.extendedHighestSequence, at + 8);
    packet.writeUInt32BE(report.jitter, at + 12);
    packet.writeUInt32BE(report.lastSr, at + 16);
    packet.writeUInt32BE(report.delaySinceLastSr, at + 20);
  }
}
