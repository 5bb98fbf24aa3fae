/** Bits of one narrowband frame by submode, its five header bits included (Speex codec manual, table 9.2). */
const NARROWBAND_BITS = [5, 43, 119, 160, 220, 300, 364, 492, 79] as const;
/** Bits that a wideband frame adds by submode, its four header bits included (Speex codec manual, table 10.2). */
const WIDEBAND_BITS = [4, 36, 112, 192, 352] as const;
const NARROWBAND_HEADER_BITS = 5;
const WIDEBAND_HEADER_BITS = 4;
const FRAME_US = 20_000;

/** How long the Speex frames in a packet last, in microseconds; frames have 20 ms at every rate. What is no frame ends it. */
export function speexDurationUs(packet: Buffer): number {
  const totalBits = packet.length * 8;
  let frames = 0;
  let at = 0;
  while (at + NARROWBAND_HEADER_BITS <= totalBits) {
    const bits = NARROWBAND_BITS[peek(packet, at, NARROWBAND_HEADER_BITS)];
    if (bits === undefined || at + bits > totalBits) break;
    at += bits;
    frames += 1;
    // A set first bit announces the upper band of the frame before.
    if (at + WIDEBAND_HEADER_BITS > totalBits) continue;
    const band = peek(packet, at, WIDEBAND_HEADER_BITS);
    if (band >= 8) at += WIDEBAND_BITS[band - 8] ?? totalBits;
  }
  return frames * FRAME_US;
}

function peek(bytes: Buffer, at: number, count: number): number {
  let value = 0;
  for (let bit = at; bit < at + count; bit++) value = value * 2 + ((bytes[bit >> 3]! >> (7 - (bit & 7))) & 1);
  return value;
}
