import { allocateFeedback } from './rtcp-build.ts';
import { FMT_TRANSPORT_CC, RTCP_RTPFB } from './rtcp-types.ts';
import type { TransportFeedback } from './rtcp-types.ts';

/**
 * Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1). Arrival times are in
 * units of 250 µs; the reference time is in units of 64 ms, which is 256 of them.
 */
export const TWCC_TICK_US = 250;
const TICKS_PER_REFERENCE = 256;
const REFERENCE_TICKS_MODULUS = 0x100_0000 * TICKS_PER_REFERENCE;
const FIXED_BYTES = 8;

const NOT_RECEIVED = 0;
const SMALL_DELTA = 1;
const LARGE_DELTA = 2;
/** Most packets that one run-length chunk can describe (13 bits). */
const MAX_RUN = 0x1fff;
const ONE_BIT_SYMBOLS = 14;
const TWO_BIT_SYMBOLS = 7;
/** A message may claim 65,535 packets in a few bytes; no sender has that many on the way. */
const MAX_PARSED_STATUSES = 16_384;

export interface TransportFeedbackFields {
  readonly senderSsrc: number;
  readonly mediaSsrc: number;
  /** 8-bit counter of feedback messages. */
  readonly feedbackCount: number;
  /** 16-bit transport-wide sequence number of the first arrival. */
  readonly baseSequence: number;
  /** Arrival times in ticks of 250 µs, NaN for a packet that has not arrived. At least one must have arrived. */
  readonly arrivalTicks: Float64Array;
}

/**
 * Builds one feedback message for as many of `arrivalTicks` as it can describe and says for how many: a packet whose
 * arrival lies more than 8 s from that of its predecessor begins the next message.
 */
export function buildTransportFeedback(fields: TransportFeedbackFields): { packet: Buffer; statusCount: number } {
  const { arrivalTicks } = fields;
  const firstArrival = arrivalTicks.find((ticks) => !Number.isNaN(ticks)) ?? 0;
  const reference = Math.floor(firstArrival / TICKS_PER_REFERENCE);

  const symbols = new Uint8Array(arrivalTicks.length);
  const deltas: number[] = [];
  let deltaBytes = 0;
  let previous = reference * TICKS_PER_REFERENCE;
  let statusCount = 0;
  for (; statusCount < arrivalTicks.length; statusCount++) {
    const ticks = arrivalTicks[statusCount]!;
    if (Number.isNaN(ticks)) continue;
    const delta = ticks - previous;
    if (delta < -0x8000 || delta > 0x7fff) break;
    const symbol = delta >= 0 && delta <= 0xff ? SMALL_DELTA : LARGE_DELTA;
    symbols[statusCount] = symbol;
    deltaBytes += symbol;
    deltas.push(delta);
    previous = ticks;
  }

  const chunks = buildChunks(symbols.subarray(0, statusCount));
  const bytes = FIXED_BYTES + chunks.length * 2 + deltaBytes;
  const packet = allocateFeedback(RTCP_RTPFB, FMT_TRANSPORT_CC, (bytes + 3) & ~3, fields.senderSsrc, fields.mediaSsrc);
  packet.writeUInt16BE(fields.baseSequence, 12);
  packet.writeUInt16BE(statusCount, 14);
  packet.writeUIntBE(((reference % 0x100_0000) + 0x100_0000) % 0x100_0000, 16, 3);
  packet[19] = fields.feedbackCount;
  let at = 20;
  for (const chunk of chunks) at = packet.writeUInt16BE(chunk, at);
  for (const delta of deltas) {
    at = delta >= 0 && delta <= 0xff ? packet.writeUInt8(delta, at) : packet.writeInt16BE(delta, at);
  }
  return { packet, statusCount };
}

/** Parses the body of a feedback message, which begins with the sender's SSRC; `undefined` when it is malformed. */
export function parseTransportFeedback(body: Buffer): TransportFeedback | undefined {
  if (body.length < 8 + FIXED_BYTES) return undefined;
  const statusCount = body.readUInt16BE(10);
  if (statusCount > MAX_PARSED_STATUSES) return undefined;

  const symbols = new Uint8Array(statusCount);
  const deltasAt = readChunks(body, 16, symbols);
  if (deltasAt < 0) return undefined;

  const arrivalsUs = new Float64Array(statusCount).fill(Number.NaN);
  let ticks = body.readUIntBE(12, 3) * TICKS_PER_REFERENCE;
  let at = deltasAt;
  for (let i = 0; i < statusCount; i++) {
    const deltaBytes = symbols[i]!;
    if (deltaBytes === NOT_RECEIVED) continue;
    if (at + deltaBytes > body.length) return undefined;
    ticks += deltaBytes === SMALL_DELTA ? body[at]! : body.readInt16BE(at);
    arrivalsUs[i] = ((ticks + REFERENCE_TICKS_MODULUS) % REFERENCE_TICKS_MODULUS) * TWCC_TICK_US;
    at += deltaBytes;
  }
  return {
    type: 'transport-cc',
    senderSsrc: body.readUInt32BE(0),
    mediaSsrc: body.readUInt32BE(4),
    feedbackCount: body[15]!,
    baseSequence: body.readUInt16BE(8),
    arrivalsUs,
  };
}

/** The packet status chunks for `symbols`: runs where they pay, otherwise one- or two-bit vectors (§3.1.2–3.1.4). */
function buildChunks(symbols: Uint8Array): number[] {
  const chunks: number[] = [];
  let at = 0;
  while (at < symbols.length) {
    const run = runLength(symbols, at);
    const oneBit = symbols.subarray(at, at + ONE_BIT_SYMBOLS).every((symbol) => symbol !== LARGE_DELTA);
    const vectorSymbols = oneBit ? ONE_BIT_SYMBOLS : TWO_BIT_SYMBOLS;
    if (run >= Math.min(vectorSymbols, symbols.length - at)) {
      chunks.push((symbols[at]! << 13) | run);
      at += run;
      continue;
    }
    const bits = oneBit ? 1 : 2;
    let chunk = oneBit ? 0x8000 : 0xc000;
    for (let i = 0; i < vectorSymbols; i++) {
      chunk |= (symbols[at + i] ?? NOT_RECEIVED) << (14 - (i + 1) * bits);
    }
    chunks.push(chunk);
    at += vectorSymbols;
  }
  return chunks;
}

function runLength(symbols: Uint8Array, start: number): number {
  let end = start + 1;
  while (end < symbols.length && symbols[end] === symbols[start] && end - start < MAX_RUN) end++;
  return end - start;
}

/** Fills `symbols` from the chunks at `start`; returns where the chunks end, or -1. Symbol 3 is reserved. */
function readChunks(body: Buffer, start: number, symbols: Uint8Array): number {
  let at = start;
  let filled = 0;
  while (filled < symbols.length) {
    if (at + 2 > body.length) return -1;
    const chunk = body.readUInt16BE(at);
    at += 2;
    if ((chunk & 0x8000) === 0) {
      const symbol = chunk >> 13;
      if (symbol > LARGE_DELTA) return -1;
      const end = filled + (chunk & MAX_RUN);
      symbols.fill(symbol, filled, end);
      filled = end;
      continue;
    }
    const bits = (chunk & 0x4000) === 0 ? 1 : 2;
    const vectorSymbols = ONE_BIT_SYMBOLS / bits;
    for (let i = 0; i < vectorSymbols && filled < symbols.length; i++) {
      const symbol = (chunk >> (14 - (i + 1) * bits)) & (bits === 1 ? 1 : 3);
      if (symbol > LARGE_DELTA) return -1;
      symbols[filled++] = symbol;
    }
  }
  return at;
}
