import { ProtocolError } from '../../domain/errors.ts';
import { MAX_PACKET_BYTES, RTCP_CLEAR_BYTES, rtpHeaderBytes } from './packet-layout.ts';
import type { SrtpMaster, SrtpProfile, SrtpSender } from './srtp.ts';
import { createTransform, type SrtpTransform } from './transform.ts';

const MAX_RTCP_INDEX = 0x7fffffff;

/** Protection of single packets of one direction. Throws `SRTP_MASTER_LENGTH`. Nothing to close. */
export function createSrtpSender(profile: SrtpProfile, master: SrtpMaster): SrtpSender {
  return new TransformSender(createTransform(profile, master));
}

class TransformSender implements SrtpSender {
  readonly #transform: SrtpTransform;
  /** One for all SSRCs: an index must only never repeat and never fall (RFC 3711 §3.4). */
  #nextRtcpIndex = 0;

  constructor(transform: SrtpTransform) {
    this.#transform = transform;
  }

  protectRtp(packet: Buffer, index: number): Buffer {
    const headerBytes = rtpHeaderBytes(packet, packet.length);
    if (headerBytes < 0 || packet.length > MAX_PACKET_BYTES)
      throw new ProtocolError('SRTP_PLAIN_PACKET', `not an RTP packet of at most ${MAX_PACKET_BYTES} bytes`);
    return this.#transform.sealRtp(packet, headerBytes, index);
  }

  protectRtcp(packet: Buffer): Buffer {
    if (packet.length < RTCP_CLEAR_BYTES || packet.length > MAX_PACKET_BYTES)
      throw new ProtocolError('SRTP_PLAIN_PACKET', `not an RTCP packet of 8 to ${MAX_PACKET_BYTES} bytes`);
    if (this.#nextRtcpIndex > MAX_RTCP_INDEX)
      throw new ProtocolError('SRTP_KEY_EXHAUSTED', 'all SRTCP indexes of this key are used');
    return this.#transform.sealRtcp(packet, this.#nextRtcpIndex++);
  }
}
