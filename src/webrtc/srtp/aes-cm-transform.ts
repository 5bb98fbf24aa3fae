import { timingSafeEqual } from 'node:crypto';
import { AesCmKeystream } from './aes-cm-keystream.ts';
import { HMAC_PREFIX_BYTES, HmacSha1 } from './hmac-sha1.ts';
import type { SessionKeys } from './key-derivation.ts';
import { MAX_PACKET_BYTES, RTCP_CLEAR_BYTES, RTCP_ENCRYPTED_FLAG } from './packet-layout.ts';
import type { SrtpTransform } from './transform.ts';

/** Length of a truncated HMAC-SHA1 tag (RFC 3711 §5.2). */
export const CM_TAG_BYTES = 10;

const INDEX_BYTES = 4;

/** Where a packet begins in the work buffer: HMAC wants a block in front of its message. */
const START = HMAC_PREFIX_BYTES;

/** AES_CM_128_HMAC_SHA1_80 (RFC 3711 §4.1.1, §4.2.1, §3.3, §3.4). */
export class AesCmTransform implements SrtpTransform {
  readonly tagBytes = CM_TAG_BYTES;
  readonly rtcpIndexFromEnd = INDEX_BYTES + CM_TAG_BYTES;
  readonly #rtpKeystream: AesCmKeystream;
  readonly #rtpHmac: HmacSha1;
  readonly #rtcpKeystream: AesCmKeystream;
  readonly #rtcpHmac: HmacSha1;
  readonly #work = Buffer.from(new ArrayBuffer(START + MAX_PACKET_BYTES + INDEX_BYTES + CM_TAG_BYTES + 2));
  readonly #workWords = new Uint32Array(this.#work.buffer);
  readonly #expectedTag = Buffer.alloc(CM_TAG_BYTES);
  readonly #receivedTag = Buffer.alloc(CM_TAG_BYTES);

  constructor(rtp: SessionKeys, rtcp: SessionKeys) {
    this.#rtpKeystream = new AesCmKeystream(rtp.key, rtp.salt);
    this.#rtpHmac = new HmacSha1(rtp.auth);
    this.#rtcpKeystream = new AesCmKeystream(rtcp.key, rtcp.salt);
    this.#rtcpHmac = new HmacSha1(rtcp.auth);
  }

  sealRtp(packet: Buffer, headerBytes: number, index: number): Buffer {
    const end = START + packet.copy(this.#work, START);
    const ssrc = packet.readUInt32BE(8);
    this.#rtpKeystream.apply(this.#workWords, START + headerBytes, packet.length - headerBytes, ssrc, index);
    this.#work.writeUInt32BE(Math.floor(index / 0x10000), end);
    this.#rtpHmac.writeTag(this.#work, end + INDEX_BYTES, this.#work, end, CM_TAG_BYTES);
    return this.#work.subarray(START, end + CM_TAG_BYTES);
  }

  openRtp(packet: Buffer, headerBytes: number, index: number): Buffer | undefined {
    const plainBytes = packet.length - CM_TAG_BYTES;
    const end = START + packet.copy(this.#work, START, 0, plainBytes);
    this.#work.writeUInt32BE(Math.floor(index / 0x10000), end);
    if (!this.#hasTag(this.#rtpHmac, end + INDEX_BYTES, packet)) return undefined;
    const ssrc = packet.readUInt32BE(8);
    this.#rtpKeystream.apply(this.#workWords, START + headerBytes, plainBytes - headerBytes, ssrc, index);
    return this.#work.subarray(START, end);
  }

  sealRtcp(packet: Buffer, index: number): Buffer {
    const end = START + packet.copy(this.#work, START);
    this.#applyToRtcp(packet, packet.length, index);
    this.#work.writeUInt32BE((RTCP_ENCRYPTED_FLAG | index) >>> 0, end);
    this.#rtcpHmac.writeTag(this.#work, end + INDEX_BYTES, this.#work, end + INDEX_BYTES, CM_TAG_BYTES);
    return this.#work.subarray(START, end + INDEX_BYTES + CM_TAG_BYTES);
  }

  openRtcp(packet: Buffer, index: number): Buffer | undefined {
    const authenticatedEnd = START + packet.copy(this.#work, START, 0, packet.length - CM_TAG_BYTES);
    if (!this.#hasTag(this.#rtcpHmac, authenticatedEnd, packet)) return undefined;
    const plainBytes = packet.length - this.rtcpIndexFromEnd;
    this.#applyToRtcp(packet, plainBytes, index);
    return this.#work.subarray(START, START + plainBytes);
  }

  #applyToRtcp(packet: Buffer, plainBytes: number, index: number): void {
    const bytes = plainBytes - RTCP_CLEAR_BYTES;
    this.#rtcpKeystream.apply(this.#workWords, START + RTCP_CLEAR_BYTES, bytes, packet.readUInt32BE(4), index);
  }

  #hasTag(hmac: HmacSha1, end: number, packet: Buffer): boolean {
    hmac.writeTag(this.#work, end, this.#expectedTag, 0, CM_TAG_BYTES);
    packet.copy(this.#receivedTag, 0, packet.length - CM_TAG_BYTES);
    return timingSafeEqual(this.#expectedTag, this.#receivedTag);
  }
}
