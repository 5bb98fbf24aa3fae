/** EBML building blocks of Matroska (RFC 8794 §4 to §6), as far as a writer of live streams needs them. */

/** "Size unknown" in eight bytes (RFC 8794 §6.2): the element ends where its parent's next child begins. */
export const UNKNOWN_SIZE = Buffer.from('01ffffffffffffff', 'hex');

type ElementPart = Buffer | string | number;

/** One element: id, four-byte size, and parts one after the other (a number is an unsigned integer, a string is UTF-8). */
export function ebmlElement(id: number, ...parts: readonly ElementPart[]): Buffer {
  const bodies = parts.map((part) => {
    if (typeof part === 'number') return unsignedBytes(part);
    return typeof part === 'string' ? Buffer.from(part) : part;
  });
  const body = Buffer.concat(bodies);
  const size = Buffer.allocUnsafe(4);
  writeSize4(size, 0, body.length);
  return Buffer.concat([unsignedBytes(id), size, body]);
}

/** An eight-byte float, for elements of that type. */
export function ebmlFloat(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleBE(value);
  return bytes;
}

/** Big-endian without leading zeros; element ids are written the same way, their length marker being part of the number. */
export function unsignedBytes(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(unsignedLength(value));
  writeUnsigned(bytes, 0, value, bytes.length);
  return bytes;
}

export function unsignedLength(value: number): number {
  let length = 1;
  for (let rest = Math.floor(value / 256); rest > 0; rest = Math.floor(rest / 256)) length++;
  return length;
}

/** Writes `value` in `length` bytes; unlike `Buffer.writeUIntBE` it goes beyond 48 bits. Returns the offset after it. */
export function writeUnsigned(target: Buffer, offset: number, value: number, length: number): number {
  let rest = value;
  for (let at = offset + length - 1; at >= offset; at--) {
    target[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return offset + length;
}

/** The largest body that a four-byte size can tell (all ones is reserved for "unknown"). */
export const MAX_SIZE4 = 0x0fff_fffe;

/** Writes a size in four bytes (RFC 8794 §4.4) and returns the offset after it. */
export function writeSize4(target: Buffer, offset: number, size: number): number {
  return target.writeUInt32BE(0x1000_0000 + size, offset);
}
