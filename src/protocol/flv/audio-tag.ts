import { ProtocolError } from '../../domain/errors.ts';

/** What the body of an audio tag says (Adobe FLV v10.1 §E.4.2). */
export type FlvAudio =
  | { readonly kind: 'aac-config'; readonly audioSpecificConfig: Buffer }
  | { readonly kind: 'aac-frame'; readonly frame: Buffer }
  | { readonly kind: 'other'; readonly soundFormat: number };

const SOUND_FORMAT_AAC = 10;

/** Throws FLV_AUDIO_TRUNCATED. */
export function parseFlvAudio(body: Buffer): FlvAudio {
  const first = body[0];
  if (first === undefined) throw new ProtocolError('FLV_AUDIO_TRUNCATED', 'an audio tag is empty');
  const soundFormat = first >> 4;
  if (soundFormat !== SOUND_FORMAT_AAC) return { kind: 'other', soundFormat };
  if (body.length < 2) throw new ProtocolError('FLV_AUDIO_TRUNCATED', 'an AAC tag has no packet type');
  const data = body.subarray(2);
  return body[1] === 0 ? { kind: 'aac-config', audioSpecificConfig: data } : { kind: 'aac-frame', frame: data };
}
