import { buildReceiverReport } from '../../../src/protocol/rtp/rtcp-build.ts';
import type { ConnectedViewer, FanoutTarget } from './fanout-target.ts';
import { isOfTestStream } from './test-stream.ts';

const CONNECTS_AT_ONCE = 8;
const CONSENT_INTERVAL_MS = 2500;
const REPORT_INTERVAL_MS = 1000;
const LIFE_SIGN_SLICES = 100;
const OUR_SSRC = 7;

interface Viewer extends ConnectedViewer {
  packets: number;
}

/** The viewers of one server: they count packets and give the signs of life that browsers give. */
export class Audience {
  readonly #target: FanoutTarget;
  readonly #viewers: Viewer[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #genuinePackets = 0;

  constructor(target: FanoutTarget) {
    this.#target = target;
    this.#everySlice(CONSENT_INTERVAL_MS, ({ client }) => client.sendCheck());
    this.#everySlice(REPORT_INTERVAL_MS, ({ client, ssrcs }) => client.sendRtcp(receiverReport(ssrcs)));
  }

  get size(): number {
    return this.#viewers.length;
  }

  /** What the server has chosen for its viewers. */
  get profile(): string {
    return this.#viewers[0]?.client.profile ?? 'none';
  }

  async growTo(viewers: number): Promise<void> {
    let missing = viewers - this.#viewers.length;
    const connectSome = async (): Promise<void> => {
      while (missing-- > 0) {
        const viewer: Viewer = { ...(await this.#target.connectViewer()), packets: 0 };
        viewer.client.onProtectedRtp = () => void viewer.packets++;
        this.#viewers.push(viewer);
      }
    };
    await Promise.all(Array.from({ length: CONNECTS_AT_ONCE }, connectSome));
  }

  /** Sets the counters to 0. The first viewer also decrypts and compares what it gets. */
  beginCounting(): void {
    this.#genuinePackets = 0;
    for (const viewer of this.#viewers) viewer.packets = 0;
    const [witness] = this.#viewers;
    if (!witness) return;
    witness.client.onProtectedRtp = (packet) => {
      witness.packets++;
      const plain = witness.client.open(packet);
      if (plain && isOfTestStream(plain)) this.#genuinePackets++;
    };
  }

  get count() {
    const packets = this.#viewers.map((viewer) => viewer.packets);
    return {
      total: packets.reduce((sum, one) => sum + one, 0),
      fewest: Math.min(...packets),
      most: Math.max(...packets),
      /** Of the one viewer that looks into its packets. */
      genuine: this.#genuinePackets,
    };
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const { client } of this.#viewers) client.close();
  }

  /** Calls `act` for each viewer once in `periodMs`, spread over that time. */
  #everySlice(periodMs: number, act: (viewer: Viewer) => void): void {
    let slice = 0;
    const next = (): void => {
      for (let i = slice; i < this.#viewers.length; i += LIFE_SIGN_SLICES) act(this.#viewers[i]!);
      slice = (slice + 1) % LIFE_SIGN_SLICES;
    };
    this.#timers.push(setInterval(next, periodMs / LIFE_SIGN_SLICES));
  }
}

function receiverReport(ssrcs: readonly number[]): Buffer {
  const reports = ssrcs.map((ssrc) => ({
    ssrc,
    fractionLost: 0,
    cumulativeLost: 0,
    extendedHighestSequence: 0,
    jitter: 0,
    lastSr: 0,
    delaySinceLastSr: 0,
  }));
  return buildReceiverReport(OUR_SSRC, reports);
}
