const REORDER_TOLERANCE_US = 10_000;
const REORDER_TOLERANCE_PACKETS = 2;
const MIN_INTERVAL_US = 20_000;
const MAX_RTT_US = 500_000;
const MAX_TRIES = 10;
const MAX_AGE_US = 500_000;
const MAX_MISSING = 1000;
const INITIAL_RTT_US = 50_000;

interface Missing {
  readonly noticedUs: number;
  /** Number of in-order arrivals before the one that showed the hole. */
  readonly arrivalsBefore: number;
  firstAskedUs: number;
  lastAskedUs: number;
  tries: number;
}

export interface NackVerdict {
  /** 16-bit sequence numbers to ask for now, in the order of the stream. */
  readonly sequences: readonly number[];
  /** Packets given up since the last poll. */
  readonly givenUpPackets: number;
  /** Too much is missing to be repaired: the list was emptied, only a keyframe helps. */
  readonly isHopeless: boolean;
}

const NOTHING: NackVerdict = { sequences: [], givenUpPackets: 0, isHopeless: false };

/**
 * Decides which lost packets of one stream to ask for (RFC 4585 §6.2.1), and when: first after 10 ms or two later packets,
 * because packets may merely be out of order; then again after a round trip, ten times at most, for 500 ms at most. It works
 * on unwrapped indexes, so the wrap of the sequence number is nothing special.
 */
export class NackGenerator {
  /** In ascending order, because a missing index is always higher than all that were noticed before. */
  readonly #missing = new Map<number, Missing>();
  #highest = -1;
  #arrivals = 0;
  #rttUs = INITIAL_RTT_US;
  #isHopeless = false;

  /** Smoothed time from asking to getting. A lost request counts as a longer one, which paces the repeats down, never up. */
  get rttUs(): number {
    return this.#rttUs;
  }

  /** A packet came, in whatever way: in order, late, or as a retransmission. */
  received(index: number, nowUs: number): void {
    if (index < 0) return;
    if (index <= this.#highest) {
      this.#repaired(index, nowUs);
      return;
    }
    const first = this.#highest === -1 ? index : this.#highest + 1;
    this.#highest = index;
    if (index - first + this.#missing.size > MAX_MISSING) {
      this.#missing.clear();
      this.#isHopeless = true;
    } else {
      for (let hole = first; hole < index; hole++) {
        this.#missing.set(hole, {
          noticedUs: nowUs,
          arrivalsBefore: this.#arrivals,
          firstAskedUs: 0,
          lastAskedUs: 0,
          tries: 0,
        });
      }
    }
    this.#arrivals += 1;
  }

  /** To be called about every 10 ms, and after bursts of packets if requests shall leave sooner. */
  poll(nowUs: number): NackVerdict {
    if (this.#missing.size === 0 && !this.#isHopeless) return NOTHING;
    const isHopeless = this.#isHopeless;
    this.#isHopeless = false;
    const sequences: number[] = [];
    let givenUpPackets = 0;
    for (const [index, missing] of this.#missing) {
      if (nowUs - missing.noticedUs >= MAX_AGE_US) {
        this.#missing.delete(index);
        givenUpPackets += 1;
      } else if (this.#isDue(missing, nowUs)) {
        if (missing.tries === 0) missing.firstAskedUs = nowUs;
        missing.lastAskedUs = nowUs;
        missing.tries += 1;
        sequences.push(index & 0xffff);
      }
    }
    return { sequences, givenUpPackets, isHopeless };
  }

  #isDue(missing: Missing, nowUs: number): boolean {
    if (missing.tries === 0) {
      return (
        nowUs - missing.noticedUs >= REORDER_TOLERANCE_US ||
        this.#arrivals - missing.arrivalsBefore >= REORDER_TOLERANCE_PACKETS
      );
    }
    return missing.tries < MAX_TRIES && nowUs - missing.lastAskedUs >= Math.max(this.#rttUs, MIN_INTERVAL_US);
  }

  #repaired(index: number, nowUs: number): void {
    const missing = this.#missing.get(index);
    if (missing === undefined) return;
    this.#missing.delete(index);
    if (missing.tries === 0) return;
    // From the first request, not the last: which request was answered is unknown, and a sample that is too long does no harm.
    const sampleUs = Math.min(nowUs - missing.firstAskedUs, MAX_RTT_US);
    this.#rttUs += (sampleUs - this.#rttUs) / 8;
  }
}
