import { ProtocolError } from '../../domain/errors.ts';
import type { SrtpMaster } from './srtp.ts';

/** Packets that one burst may hold. */
export const MAX_BURST_PACKETS = 256;

/** Longest payload of a burst, without the RTP header. */
export const MAX_BURST_PAYLOAD_BYTES = 1500;

/** One viewer of a fan-out: its keys and where its packets go. Made by `addViewer`, ended by `removeViewer`. */
export interface FanoutViewer {
  readonly send: (packet: Buffer) => void;
}

/**
 * Protects the packets that one publisher gave in one turn of the event loop for all its viewers, with
 * AES_CM_128_HMAC_SHA1_80. The payload is shared; each viewer's packet gets a plain 12-byte header: no CSRC, no
 * extension, no padding bit.
 *
 * A burst is: `addPayload` for each packet, then for each viewer `queue` for each of its packets (one viewer after the
 * other is fastest), then `flush`. Packets come to `send` during `queue` and `flush`, each viewer's in the order queued. A
 * packet's view is valid only inside `send`, which must not call the fan-out's `addPayload`, `queue` or `flush`; it may
 * add and remove viewers. One instance serves any number of publishers, one burst after the other.
 *
 * The same master may serve a `createSrtpSender` for retransmissions and RTCP: equal packet and index give equal bytes.
 */
export interface SrtpFanout {
  /** Throws `SRTP_MASTER_LENGTH`. */
  addViewer(master: SrtpMaster, send: (packet: Buffer) => void): FanoutViewer;
  /** From now on nothing is sent to it, also nothing that was queued. Idempotent. */
  removeViewer(viewer: FanoutViewer): void;
  /** Copies a payload and returns its slot in this burst. Throws `SRTP_BURST_PAYLOAD` or `SRTP_BURST_FULL`. */
  addPayload(payload: Buffer): number;
  /**
   * One packet for one viewer; a removed viewer is ignored. `index` is the viewer's 48-bit packet index, whose low 16 bits
   * are the sequence number; `markerAndType` is the second header byte (marker bit and payload type).
   */
  queue(
    viewer: FanoutViewer,
    slot: number,
    index: number,
    markerAndType: number,
    timestamp: number,
    ssrc: number,
  ): void;
  /** Sends what still waits and ends the burst: its slots are free again. */
  flush(): void;
}

/** Throws what `addPayload` throws. */
export function checkPayload(payload: Buffer, burstPackets: number): void {
  if (payload.length > MAX_BURST_PAYLOAD_BYTES)
    throw new ProtocolError('SRTP_BURST_PAYLOAD', `payload of ${payload.length} bytes`);
  if (burstPackets >= MAX_BURST_PACKETS)
    throw new ProtocolError('SRTP_BURST_FULL', `more than ${MAX_BURST_PACKETS} packets in a burst`);
}
