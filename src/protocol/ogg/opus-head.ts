/**
 * Identification header of an Opus stream (RFC 7845 §5.1): two channels, 48 kHz, no pre-skip. Mono packets play too: the
 * channel count of the header decides what a decoder puts out. Pre-skip is zero because live packets have no defined start.
 */
export const OPUS_HEAD_STEREO = opusHead();

function opusHead(): Buffer {
  const head = Buffer.alloc(19);
  head.write('OpusHead', 0, 'latin1');
  head[8] = 1;
  head[9] = 2;
  head.writeUInt32LE(48_000, 12);
  return head;
}
