/** Signature, version, "sound only" and the size before the first tag (Adobe FLV v10.1 §E.2, §E.3). */
export const FLV_AUDIO_FILE_HEADER = Buffer.from('464c5601040000000900000000', 'hex');

const AUDIO_TAG = 8;
const TAG_HEADER_BYTES = 11;
const BACK_POINTER_BYTES = 4;

/** One audio tag with the size that follows it (Adobe FLV v10.1 §E.4.1). */
export function flvAudioTag(timestampMs: number, body: Buffer): Buffer {
  const tag = Buffer.alloc(TAG_HEADER_BYTES + body.length + BACK_POINTER_BYTES);
  tag[0] = AUDIO_TAG;
  tag.writeUIntBE(body.length, 1, 3);
  tag.writeUIntBE(timestampMs & 0xffffff, 4, 3);
  tag[7] = (timestampMs / 0x1000000) & 0xff;
  body.copy(tag, TAG_HEADER_BYTES);
  tag.writeUInt32BE(TAG_HEADER_BYTES + body.length, TAG_HEADER_BYTES + body.length);
  return tag;
}
