import {
  FMT_APPLICATION,
  FMT_FIR,
  FMT_NACK,
  FMT_PLI,
  FMT_TRANSPORT_CC,
  RTCP_BYE,
  RTCP_PSFB,
  RTCP_RR,
  RTCP_RTPFB,
  RTCP_SDES,
  RTCP_SR,
  SDES_CNAME,
} from './rtcp-types.ts';
import type { ReportBlock, RtcpPacket } from './rtcp-types.ts';
import { parseTransportFeedback } from './transport-feedback.ts';

const REPORT_BLOCK_BYTES = 24;
const REMB_NAME = 0x52454d42;

/**
 * The packets of one compound RTCP packet (RFC 3550 §6.1, and reduced-size RTCP of RFC 5506), as far as they are known
 * here; other types are skipped. Never throws: a malformed part ends the parse, what came before it is returned.
 */
export function parseRtcp(compound: Buffer): RtcpPacket[] {
  const packets: RtcpPacket[] = [];
  let at = 0;
  while (at + 4 <= compound.length) {
    const first = compound[at]!;
    const end = at + 4 + compound.readUInt16BE(at + 2) * 4;
    if (first >> 6 !== 2 || end > compound.length) break;
    let bodyEnd = end;
    if ((first & 0x20) !== 0) {
      const paddingBytes = compound[end - 1]!;
      if (paddingBytes === 0 || paddingBytes > end - at - 4) break;
      bodyEnd = end - paddingBytes;
    }
    // Each parser sees its own bytes only, so no packet can be read past its end.
    const packet = parseOne(compound[at + 1]!, first & 0x1f, compound.subarray(at + 4, bodyEnd));
    if (packet === 'malformed') break;
    if (packet !== undefined) packets.push(packet);
    at = end;
  }
  return packets;
}

type Parsed = RtcpPacket | 'malformed' | undefined;

function parseOne(type: number, count: number, body: Buffer): Parsed {
  switch (type) {
    case RTCP_SR:
      return parseSenderReport(count, body);
    case RTCP_RR:
      return parseReceiverReport(count, body);
    case RTCP_SDES:
      return parseSourceDescription(count, body);
    case RTCP_BYE:
      return parseGoodbye(count, body);
    case RTCP_RTPFB:
      if (count === FMT_NACK) return parseNack(body);
      if (count === FMT_TRANSPORT_CC) return parseTransportFeedback(body) ?? 'malformed';
      return undefined;
    case RTCP_PSFB:
      if (count === FMT_PLI) return parsePli(body);
      if (count === FMT_FIR) return parseFir(body);
      if (count === FMT_APPLICATION) return parseRemb(body);
      return undefined;
    default:
      return undefined;
  }
}

function parseReports(body: Buffer, start: number, count: number): ReportBlock[] | undefined {
  if (start + count * REPORT_BLOCK_BYTES > body.length) return undefined;
  const reports: ReportBlock[] = [];
  for (let at = start; reports.length < count; at += REPORT_BLOCK_BYTES) {
    reports.push({
      ssrc: body.readUInt32BE(at),
      fractionLost: body[at + 4]!,
      cumulativeLost: body.readIntBE(at + 5, 3),
      extendedHighestSequence: body.readUInt32BE(at + 8),
      jitter: body.readUInt32BE(at + 12),
      lastSr: body.readUInt32BE(at + 16),
      delaySinceLastSr: body.readUInt32BE(at + 20),
    });
  }
  return reports;
}

function parseSenderReport(count: number, body: Buffer): Parsed {
  const reports = parseReports(body, 24, count);
  if (reports === undefined) return 'malformed';
  return {
    type: 'sr',
    ssrc: body.readUInt32BE(0),
    ntp: { seconds: body.readUInt32BE(4), fraction: body.readUInt32BE(8) },
    rtpTimestamp: body.readUInt32BE(12),
    packetCount: body.readUInt32BE(16),
    octetCount: body.readUInt32BE(20),
    reports,
  };
}

function parseReceiverReport(count: number, body: Buffer): Parsed {
  const reports = parseReports(body, 4, count);
  return reports === undefined ? 'malformed' : { type: 'rr', ssrc: body.readUInt32BE(0), reports };
}

function parseSourceDescription(count: number, body: Buffer): Parsed {
  const chunks: { ssrc: number; cname: string | undefined }[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 4 > body.length) return 'malformed';
    const ssrc = body.readUInt32BE(at);
    let cname: string | undefined;
    at += 4;
    for (;;) {
      if (at >= body.length) return 'malformed';
      const item = body[at]!;
      if (item === 0) break;
      const end = at + 2 + (body[at + 1] ?? 0);
      if (end > body.length) return 'malformed';
      if (item === SDES_CNAME) cname = body.toString('utf8', at + 2, end);
      at = end;
    }
    // The list ends with at least one zero byte and is padded to the next multiple of four.
    at = (at & ~3) + 4;
    chunks.push({ ssrc, cname });
  }
  return { type: 'sdes', chunks };
}

function parseGoodbye(count: number, body: Buffer): Parsed {
  if (count * 4 > body.length) return 'malformed';
  return { type: 'bye', ssrcs: readSsrcs(body, 0, count) };
}

function parseNack(body: Buffer): Parsed {
  if (body.length < 12) return 'malformed';
  const sequences: number[] = [];
  for (let at = 8; at + 4 <= body.length; at += 4) {
    const first = body.readUInt16BE(at);
    const bitmask = body.readUInt16BE(at + 2);
    sequences.push(first);
    for (let bit = 0; bit < 16; bit++) {
      if (((bitmask >> bit) & 1) !== 0) sequences.push((first + bit + 1) & 0xffff);
    }
  }
  return { type: 'nack', senderSsrc: body.readUInt32BE(0), mediaSsrc: body.readUInt32BE(4), sequences };
}

function parsePli(body: Buffer): Parsed {
  if (body.length < 8) return 'malformed';
  return { type: 'pli', senderSsrc: body.readUInt32BE(0), mediaSsrc: body.readUInt32BE(4) };
}

function parseFir(body: Buffer): Parsed {
  if (body.length < 16) return 'malformed';
  const entries: { ssrc: number; commandSequence: number }[] = [];
  for (let at = 8; at + 8 <= body.length; at += 8) {
    entries.push({ ssrc: body.readUInt32BE(at), commandSequence: body[at + 4]! });
  }
  return { type: 'fir', senderSsrc: body.readUInt32BE(0), entries };
}

/** draft-alvestrand-rmcat-remb-03 §2.2; other application layer feedback is not ours. */
function parseRemb(body: Buffer): Parsed {
  if (body.length < 16 || body.readUInt32BE(8) !== REMB_NAME) return undefined;
  const ssrcCount = body[12]!;
  if (16 + ssrcCount * 4 > body.length) return 'malformed';
  const exponent = body[13]! >> 2;
  const mantissa = ((body[13]! & 0x03) << 16) | body.readUInt16BE(14);
  return {
    type: 'remb',
    senderSsrc: body.readUInt32BE(0),
    bitrateBps: mantissa * 2 ** exponent,
    ssrcs: readSsrcs(body, 16, ssrcCount),
  };
}

function readSsrcs(body: Buffer, start: number, count: number): number[] {
  const ssrcs: number[] = [];
  for (let i = 0; i < count; i++) ssrcs.push(body.readUInt32BE(start + i * 4));
  return ssrcs;
}
