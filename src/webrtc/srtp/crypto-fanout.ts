import { checkPayload, MAX_BURST_PAYLOAD_BYTES, type FanoutViewer, type SrtpFanout } from './fanout.ts';
import { RTP_FIXED_BYTES } from './packet-layout.ts';
import { createSrtpSender } from './sender.ts';
import type { SrtpMaster, SrtpSender } from './srtp.ts';

interface CryptoViewer extends FanoutViewer {
  readonly sender: SrtpSender;
  removed: boolean;
}

/** The fan-out on node:crypto, for machines without WebAssembly SIMD: each packet is protected alone and sent at once. */
export class CryptoFanout implements SrtpFanout {
  readonly #payloads: Buffer[] = [];
  readonly #packet = Buffer.alloc(RTP_FIXED_BYTES + MAX_BURST_PAYLOAD_BYTES);

  addViewer(master: SrtpMaster, send: (packet: Buffer) => void): FanoutViewer {
    const viewer: CryptoViewer = { sender: createSrtpSender('AES_CM_128_HMAC_SHA1_80', master), send, removed: false };
    return viewer;
  }

  removeViewer(viewer: FanoutViewer): void {
    (viewer as CryptoViewer).removed = true;
  }

  addPayload(payload: Buffer): number {
    checkPayload(payload, this.#payloads.length);
    return this.#payloads.push(Buffer.from(payload)) - 1;
  }

  queue(
    viewer: FanoutViewer,
    slot: number,
    index: number,
    markerAndType: number,
    timestamp: number,
    ssrc: number,
  ): void {
    const { sender, removed } = viewer as CryptoViewer;
    if (removed) return;
    const packet = this.#packet;
    packet[0] = 0x80;
    packet[1] = markerAndType;
    packet.writeUInt16BE(index & 0xffff, 2);
    packet.writeUInt32BE(timestamp, 4);
    packet.writeUInt32BE(ssrc, 8);
    const end = RTP_FIXED_BYTES + this.#payloads[slot]!.copy(packet, RTP_FIXED_BYTES);
    viewer.send(sender.protectRtp(packet.subarray(0, end), index));
  }

  flush(): void {
    this.#payloads.length = 0;
  }
}
