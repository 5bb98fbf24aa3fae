/** The same bytes in pieces, cut at the given offsets in any order. */
export function splitAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const offsets = [0, ...cuts.toSorted((left, right) => left - right), bytes.length];
  return offsets.slice(1).map((end, index) => bytes.subarray(offsets[index], end));
}
