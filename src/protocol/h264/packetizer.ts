import { RTP_HEADER_BYTES, writeRtpHeader } from '../rtp/packet.ts';
import { NAL_FU_A, NAL_PPS, NAL_SPS, NAL_STAP_A, annexBNals, isDispensableNal, nalType } from './nal.ts';

/** FU indicator, FU header and one byte. */
const MIN_PAYLOAD_BYTES = 3;

export interface H264PacketizerOptions {
  readonly payloadType: number;
  readonly ssrc: number;
  readonly maxPayloadBytes: number;
  /** 16 bits; RFC 3550 §5.1 wants a random one. */
  readonly firstSequence: number;
}

/** One RTP payload: an optional prefix of its own and parts of the access unit. */
type Payload = readonly Buffer[];

/**
 * Makes RTP packets of Annex-B access units (RFC 6184, packetization mode 1): SPS and PPS together in one STAP-A where they
 * fit, single NAL units, and FU-A for those that are larger than a payload. Delimiters and filler are left out.
 */
export class H264Packetizer {
  readonly #options: H264PacketizerOptions;
  #sequence: number;

  constructor(options: H264PacketizerOptions) {
    if (options.maxPayloadBytes < MIN_PAYLOAD_BYTES) {
      throw new RangeError(`RTP payload of ${options.maxPayloadBytes} bytes is too small for fragments`);
    }
    this.#options = options;
    this.#sequence = options.firstSequence & 0xffff;
  }

  /** The packets of one access unit, all in one allocation; the last one has the marker. Empty for a unit without NAL units. */
  packetize(accessUnit: Buffer, rtpTimestamp: number): Buffer[] {
    const payloads = this.#payloads(annexBNals(accessUnit).filter((nal) => !isDispensableNal(nalType(nal))));
    const bytes = payloads.map((parts) => parts.reduce((sum, part) => sum + part.length, RTP_HEADER_BYTES));
    const slab = Buffer.allocUnsafeSlow(bytes.reduce((sum, packetBytes) => sum + packetBytes, 0));
    let at = 0;
    return payloads.map((parts, i) => {
      const packet = slab.subarray(at, at + bytes[i]!);
      at += packet.length;
      writeRtpHeader(packet, {
        payloadType: this.#options.payloadType,
        marker: i === payloads.length - 1,
        sequence: this.#sequence,
        timestamp: rtpTimestamp,
        ssrc: this.#options.ssrc,
      });
      this.#sequence = (this.#sequence + 1) & 0xffff;
      let payloadAt = RTP_HEADER_BYTES;
      for (const part of parts) payloadAt += part.copy(packet, payloadAt);
      return packet;
    });
  }

  #payloads(nals: readonly Buffer[]): Payload[] {
    const payloads: Payload[] = [];
    const sets = nals.filter(isParameterSet);
    const aggregateBytes = sets.reduce((sum, nal) => sum + 2 + nal.length, 1);
    const fitsAggregate = sets.length > 1 && aggregateBytes <= this.#options.maxPayloadBytes;
    if (fitsAggregate) payloads.push(aggregate(sets));
    for (const nal of nals) {
      if (fitsAggregate && isParameterSet(nal)) continue;
      if (nal.length <= this.#options.maxPayloadBytes) payloads.push([nal]);
      else fragment(nal, this.#options.maxPayloadBytes, payloads);
    }
    return payloads;
  }
}

function isParameterSet(nal: Buffer): boolean {
  return nalType(nal) === NAL_SPS || nalType(nal) === NAL_PPS;
}

/** §5.7.1: NRI is the highest one of the aggregated units. */
function aggregate(nals: readonly Buffer[]): Payload {
  const nri = Math.max(...nals.map((nal) => nal[0]! & 0x60));
  const parts: Buffer[] = [Buffer.from([nri | NAL_STAP_A])];
  for (const nal of nals) parts.push(Buffer.from([nal.length >> 8, nal.length & 0xff]), nal);
  return parts;
}

/** §5.8: the NAL header is spread over FU indicator and FU header and is not part of the fragments. */
function fragment(nal: Buffer, maxPayloadBytes: number, payloads: Payload[]): void {
  const maxBytes = maxPayloadBytes - 2;
  for (let at = 1; at < nal.length; at += maxBytes) {
    const isFirst = at === 1;
    const isLast = at + maxBytes >= nal.length;
    const header = Buffer.from([
      (nal[0]! & 0xe0) | NAL_FU_A,
      (isFirst ? 0x80 : 0) | (isLast ? 0x40 : 0) | nalType(nal),
    ]);
    payloads.push([header, nal.subarray(at, at + maxBytes)]);
  }
}
