import { rtpTimestamp } from '../../protocol/rtp/packet.ts';
import { MAX_BURST_PACKETS, type SrtpFanout } from '../srtp/fanout.ts';

/** One packet of a burst, seen by every viewer. Objects are reused from burst to burst. */
export interface BurstPacket {
  kind: 'video' | 'audio';
  slot: number;
  /** The stream's packet index, before each viewer's distance. */
  index: number;
  timestamp: number;
  payloadBytes: number;
  /** 0x80 or 0: where it stands in the second header byte. */
  markerBit: number;
  startsKeyframe: boolean;
}

/** A viewer as the fan-out sees it. */
export interface BurstReceiver {
  queueBurst(fanout: SrtpFanout, packets: readonly BurstPacket[], count: number): void;
}

/** What one stream gave in this turn and who gets it. */
export class Burst {
  readonly receivers = new Set<BurstReceiver>();
  readonly packets: BurstPacket[] = [];
  count = 0;
}

/**
 * Collects the packets that all publishers of a worker give in one turn of the event loop and fans them out once at its
 * end, viewer after viewer: that is what makes the fan-out cheap (reference/webrtc.md §4).
 */
export class ForwardTurn {
  readonly #fanout: SrtpFanout;
  readonly #waiting: Burst[] = [];
  #payloads = 0;
  #immediate: NodeJS.Immediate | undefined;

  constructor(fanout: SrtpFanout) {
    this.#fanout = fanout;
  }

  /** `packet` is valid only during the call. */
  add(
    burst: Burst,
    kind: 'video' | 'audio',
    packet: Buffer,
    payloadStart: number,
    payloadEnd: number,
    index: number,
    startsKeyframe: boolean,
  ): void {
    if (burst.receivers.size === 0) return;
    if (this.#payloads === MAX_BURST_PACKETS) this.flush();
    const slot = this.#fanout.addPayload(packet.subarray(payloadStart, payloadEnd));
    this.#payloads++;
    if (burst.count === 0) this.#waiting.push(burst);
    const entry = (burst.packets[burst.count++] ??= emptyPacket());
    entry.kind = kind;
    entry.slot = slot;
    entry.index = index;
    entry.timestamp = rtpTimestamp(packet);
    entry.payloadBytes = payloadEnd - payloadStart;
    entry.markerBit = packet[1]! & 0x80;
    entry.startsKeyframe = startsKeyframe;
    this.#immediate ??= setImmediate(() => this.flush());
  }

  /** Sends what waits, now. Called before a viewer joins, so that it misses and repeats nothing. */
  flush(): void {
    if (this.#immediate) clearImmediate(this.#immediate);
    this.#immediate = undefined;
    if (this.#payloads === 0) return;
    for (const burst of this.#waiting) {
      for (const receiver of burst.receivers) receiver.queueBurst(this.#fanout, burst.packets, burst.count);
      burst.count = 0;
    }
    this.#waiting.length = 0;
    this.#fanout.flush();
    this.#payloads = 0;
  }
}

function emptyPacket(): BurstPacket {
  return { kind: 'video', slot: 0, index: 0, timestamp: 0, payloadBytes: 0, markerBit: 0, startsKeyframe: false };
}
