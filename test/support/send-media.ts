import { MESSAGE_TYPE } from '../../src/protocol/rtmp/raw-message.ts';
import { aacConfig, aacFrame, avcConfig, keyframe } from '../inputs/rtmp-publisher/flv-bodies.ts';
import type { RtmpTestClient } from './rtmp-client.ts';

/** Pictures and sound of so many seconds at once, with what decoders need in front. */
export function sendMedia(encoder: RtmpTestClient, seconds = 1, fromMs = 0): void {
  const media = (typeId: number, timestampMs: number, payload: Buffer) =>
    encoder.media({ typeId, timestampMs, streamId: 1, payload });
  media(MESSAGE_TYPE.video, fromMs, avcConfig());
  media(MESSAGE_TYPE.audio, fromMs, aacConfig());
  for (let timestampMs = fromMs; timestampMs < fromMs + seconds * 1000; timestampMs += 40) {
    media(MESSAGE_TYPE.video, timestampMs, keyframe());
    media(MESSAGE_TYPE.audio, timestampMs, aacFrame());
  }
}
