const NONE = -1;
/** Some senders put SPS, PPS and the IDR in packets of their own, even under different timestamps. */
const MAX_PARAMETER_SET_PACKETS = 3;

/** Where the newest keyframe of a track begins. */
export class NewestKeyframe {
  index = NONE;
  /** Monotonic; of the packet that made the keyframe known. */
  arrivalUs = 0;
  #timestamp = NONE;

  /**
   * Takes a packet that says "a keyframe starts here", which several packets of one keyframe may say. True for the first one
   * that comes of each keyframe: viewers that wait can begin with it. One that comes late and lies before it only moves the
   * beginning; one of an older keyframe changes nothing.
   */
  startsNew(index: number, timestamp: number, nowUs: number): boolean {
    const distance = index - this.index;
    const isSame =
      this.index !== NONE && (timestamp === this.#timestamp || Math.abs(distance) <= MAX_PARAMETER_SET_PACKETS);
    if (isSame) {
      // The slices may have another timestamp than their parameter sets.
      if (distance > 0) this.#timestamp = timestamp;
      else this.index = index;
      return false;
    }
    if (distance < 0) return false;
    this.index = index;
    this.arrivalUs = nowUs;
    this.#timestamp = timestamp;
    return true;
  }
}
