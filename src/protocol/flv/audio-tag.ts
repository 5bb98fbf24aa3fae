import { audioCodecName } from './codec-names.ts';
import { ENHANCED_PACKET, readEnhancedPacket } from './enhanced-header.ts';

/**
 * What the body of an audio tag says (Adobe FLV v10.1 §E.4.2, Enhanced RTMP v2). `other` is sound of a codec that is not read,
 * with its name; `nothing` carries no sound, as the empty tag that some encoders send for silence.
 */
export type FlvAudio =
  | { readonly kind: 'aac-config'; readonly audioSpecificConfig: Buffer }
  | { readonly kind: 'aac-frame'; readonly frame: Buffer }
  | { readonly kind: 'opus-config'; readonly channels: number }
  | { readonly kind: 'opus-frame'; readonly frame: Buffer }
  | { readonly kind: 'g711'; readonly codec: 'pcma' | 'pcmu'; readonly samples: Buffer; readonly channels: 1 | 2 }
  /** One or more whole frames, whose own headers tell rate and channels. */
  | { readonly kind: 'mp3'; readonly frames: Buffer }
  /** 16 kHz, mono. */
  | { readonly kind: 'speex'; readonly frames: Buffer }
  | { readonly kind: 'other'; readonly codec: string }
  | { readonly kind: 'nothing' };

const SOUND_FORMAT = { mp3: 2, pcma: 7, pcmu: 8, extended: 9, aac: 10, speex: 11, mp3At8kHz: 14 } as const;
const STEREO_FLAG = 1;
const ENHANCED_MULTITRACK = 5;
/** OpusHead (RFC 7845 §5.1): signature of eight bytes, version, channels. */
const OPUS_CHANNELS_OFFSET = 9;

/** Never throws: what is cut off carries nothing. */
export function parseFlvAudio(body: Buffer): FlvAudio {
  const first = body[0];
  if (first === undefined) return { kind: 'nothing' };
  const soundFormat = first >> 4;
  const data = body.subarray(1);
  switch (soundFormat) {
    case SOUND_FORMAT.aac:
      if (body.length < 2) return { kind: 'nothing' };
      return body[1] === 0
        ? { kind: 'aac-config', audioSpecificConfig: body.subarray(2) }
        : { kind: 'aac-frame', frame: body.subarray(2) };
    case SOUND_FORMAT.mp3:
    case SOUND_FORMAT.mp3At8kHz:
      return { kind: 'mp3', frames: data };
    case SOUND_FORMAT.pcma:
    case SOUND_FORMAT.pcmu: {
      const codec = soundFormat === SOUND_FORMAT.pcma ? 'pcma' : 'pcmu';
      return { kind: 'g711', codec, samples: data, channels: (first & STEREO_FLAG) === 0 ? 1 : 2 };
    }
    case SOUND_FORMAT.speex:
      return { kind: 'speex', frames: data };
    case SOUND_FORMAT.extended:
      return parseEnhancedAudio(body);
    default:
      return { kind: 'other', codec: audioCodecName(soundFormat) };
  }
}

function parseEnhancedAudio(body: Buffer): FlvAudio {
  const packet = readEnhancedPacket(body, ENHANCED_MULTITRACK);
  if (!packet || packet.packetType > ENHANCED_PACKET.codedFrames) return { kind: 'nothing' };
  const { fourCc, data } = packet;
  const isConfig = packet.packetType === ENHANCED_PACKET.sequenceStart;
  switch (fourCc) {
    case 'mp4a':
      return isConfig ? { kind: 'aac-config', audioSpecificConfig: data } : { kind: 'aac-frame', frame: data };
    case 'Opus':
      return isConfig
        ? { kind: 'opus-config', channels: data[OPUS_CHANNELS_OFFSET] ?? 2 }
        : { kind: 'opus-frame', frame: data };
    case '.mp3':
      return isConfig ? { kind: 'nothing' } : { kind: 'mp3', frames: data };
    default:
      return { kind: 'other', codec: audioCodecName(fourCc) };
  }
}
