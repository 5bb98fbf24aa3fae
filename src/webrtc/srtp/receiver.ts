import { MAX_PACKET_BYTES, RTCP_CLEAR_BYTES, RTCP_ENCRYPTED_FLAG, rtpHeaderBytes } from './packet-layout.ts';
import { ReplayWindow } from './replay-window.ts';
import type { SrtpMaster, SrtpProfile, SrtpReceiver } from './srtp.ts';
import { createTransform, type SrtpTransform } from './transform.ts';

/** Bound of memory that an authenticated peer can take by inventing SSRCs; packets of further ones are dropped. */
const MAX_SSRCS = 64;

const SEQUENCE_CYCLE = 0x10000;
const INDEX_BYTES = 4;

/** Removal of protection from what one peer sends. Throws `SRTP_MASTER_LENGTH`. Nothing to close. */
export function createSrtpReceiver(profile: SrtpProfile, master: SrtpMaster): SrtpReceiver {
  return new TransformReceiver(createTransform(profile, master));
}

class TransformReceiver implements SrtpReceiver {
  readonly counters = { authFailures: 0, replays: 0, malformed: 0 };
  readonly #transform: SrtpTransform;
  readonly #rtpWindows = new Map<number, ReplayWindow>();
  readonly #rtcpWindows = new Map<number, ReplayWindow>();

  constructor(transform: SrtpTransform) {
    this.#transform = transform;
  }

  unprotectRtp(packet: Buffer): Buffer | undefined {
    const headerBytes = rtpHeaderBytes(packet, packet.length - this.#transform.tagBytes);
    if (headerBytes < 0 || packet.length > MAX_PACKET_BYTES) return this.#dropMalformed();
    const ssrc = packet.readUInt32BE(8);
    const window = windowOf(this.#rtpWindows, ssrc);
    if (window === undefined) return this.#dropMalformed();

    const sequenceNumber = packet.readUInt16BE(2);
    const index = window.estimateIndex(sequenceNumber);
    const isReplay = window.isReplay(index);
    if (!isReplay) {
      const plain = this.#transform.openRtp(packet, headerBytes, index);
      if (plain !== undefined) return this.#accept(this.#rtpWindows, ssrc, window, index, plain);
    }
    // More than half a cycle was missed, across the wrap: the estimate is then one cycle behind, and stays so for ever.
    const nextCycleIndex = index + SEQUENCE_CYCLE;
    const plain = this.#transform.openRtp(packet, headerBytes, nextCycleIndex);
    if (plain !== undefined) return this.#accept(this.#rtpWindows, ssrc, window, nextCycleIndex, plain);
    return isReplay ? this.#dropReplay() : this.#dropForged();
  }

  unprotectRtcp(packet: Buffer): Buffer | undefined {
    const { tagBytes, rtcpIndexFromEnd } = this.#transform;
    if (packet.length < RTCP_CLEAR_BYTES + INDEX_BYTES + tagBytes || packet.length > MAX_PACKET_BYTES)
      return this.#dropMalformed();
    const indexWord = packet.readUInt32BE(packet.length - rtcpIndexFromEnd);
    if (packet[0]! >> 6 !== 2 || indexWord < RTCP_ENCRYPTED_FLAG) return this.#dropMalformed();
    const ssrc = packet.readUInt32BE(4);
    const window = windowOf(this.#rtcpWindows, ssrc);
    if (window === undefined) return this.#dropMalformed();

    const index = indexWord - RTCP_ENCRYPTED_FLAG;
    if (window.isReplay(index)) return this.#dropReplay();
    const plain = this.#transform.openRtcp(packet, index);
    if (plain === undefined) return this.#dropForged();
    return this.#accept(this.#rtcpWindows, ssrc, window, index, plain);
  }

  #accept(
    windows: Map<number, ReplayWindow>,
    ssrc: number,
    window: ReplayWindow,
    index: number,
    plain: Buffer,
  ): Buffer {
    window.mark(index);
    windows.set(ssrc, window);
    return plain;
  }

  #dropMalformed(): undefined {
    this.counters.malformed++;
  }

  #dropReplay(): undefined {
    this.counters.replays++;
  }

  #dropForged(): undefined {
    this.counters.authFailures++;
  }
}

/** The window of an SSRC; a fresh one, not yet kept, for an unknown SSRC; nothing where there is no room for one more. */
function windowOf(windows: Map<number, ReplayWindow>, ssrc: number): ReplayWindow | undefined {
  return windows.get(ssrc) ?? (windows.size < MAX_SSRCS ? new ReplayWindow() : undefined);
}
