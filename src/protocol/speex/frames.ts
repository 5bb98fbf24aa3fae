import { ProtocolError } from '../../domain/errors.ts';

/** Bits of one narrowband frame by submode, its five header bits included (Speex codec manual, table 9.2). */
const NARROWBAND_BITS = [5, 43, 119, 160, 220, 300, 364, 492, 79] as const;
/** Bits that a wideband frame adds by submode, its four header bits included (Speex codec manual, table 10.2). */
const WIDEBAND_BITS = [4, 36, 112, 192, 352] as const;
const NARROWBAND_HEADER_BITS = 5;
const WIDEBAND_HEADER_BITS = 4;
const WIDEBAND_FLAG = 8;
const MAX_FRAMES = 64;
/** Length of a frame at every rate. */
export const SPEEX_FRAME_US = 20_000;

/**
 * The frames of a packet, each as a packet of its own: frames end at any bit, and ffmpeg's decoder reads only the first one.
 * What is no frame ends the packet. Throws SPEEX_FRAMES where there are more than `MAX_FRAMES`: encoders put in some ten at most.
 */
export function speexFrames(packet: Buffer): Buffer[] {
  const totalBits = packet.length * 8;
  const frames: Buffer[] = [];
  let at = 0;
  while (at + NARROWBAND_HEADER_BITS <= totalBits) {
    const bits = NARROWBAND_BITS[peek(packet, at, NARROWBAND_HEADER_BITS)];
    if (bits === undefined || at + bits > totalBits) break;
    const end = Math.min(totalBits, at + bits + upperBandBits(packet, at + bits));
    if (frames.length === MAX_FRAMES)
      throw new ProtocolError('SPEEX_FRAMES', `a packet has more than ${MAX_FRAMES} frames`);
    frames.push(bitRange(packet, at, end));
    at = end;
  }
  return frames;
}

/** A set first bit announces the upper band of the frame before. */
function upperBandBits(packet: Buffer, at: number): number {
  if (at + WIDEBAND_HEADER_BITS > packet.length * 8) return 0;
  const band = peek(packet, at, WIDEBAND_HEADER_BITS) - WIDEBAND_FLAG;
  return band < 0 ? 0 : (WIDEBAND_BITS[band] ?? Infinity);
}

/** Filled up to whole bytes with a zero and ones, which no frame begins with. */
function bitRange(packet: Buffer, from: number, to: number): Buffer {
  const range = Buffer.alloc(Math.ceil((to - from) / 8), 0xff);
  for (let bit = from; bit <= to && bit - from < range.length * 8; bit++) {
    const isSet = bit < to && peek(packet, bit, 1) === 1;
    if (!isSet) range[(bit - from) >> 3]! &= ~(0x80 >> ((bit - from) & 7));
  }
  return range;
}

function peek(bytes: Buffer, at: number, count: number): number {
  let value = 0;
  for (let bit = at; bit < at + count; bit++) value = value * 2 + ((bytes[bit >> 3]! >> (7 - (bit & 7))) & 1);
  return value;
}
