/** AAC; rate, size and channels are constants there, the configuration has them (Adobe FLV v10.1 §E.4.2.1). */
const AAC = 0xaf;
const SEQUENCE_HEADER = Buffer.from([AAC, 0]);
const FRAME_HEADER = Buffer.from([AAC, 1]);

/** The body that announces AAC, before the first frame. */
export function aacSequenceHeader(audioSpecificConfig: Buffer): Buffer {
  return Buffer.concat([SEQUENCE_HEADER, audioSpecificConfig]);
}

/** The body of one raw AAC frame, in parts; see `avcFrame`. */
export function aacFrame(frame: Buffer): Buffer[] {
  return [FRAME_HEADER, frame];
}
