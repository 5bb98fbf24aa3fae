import type { Tracks } from '../../domain/media.ts';
import { AmfEcmaArray, amfProperties } from '../amf0/values.ts';
import type { AmfObject, AmfValue } from '../amf0/values.ts';
import { audioCodecName, videoCodecName } from './codec-names.ts';

/** What an encoder says of its stream in `onMetaData` (Adobe FLV v10.1 §E.5): hints, which may be wrong or absent. */
export interface StreamMetadata {
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly frameRateFps: number | undefined;
  /** Names for people; undefined for a track that is not announced. */
  readonly videoCodec: string | undefined;
  readonly audioCodec: string | undefined;
  readonly sampleRateHz: number | undefined;
  readonly isStereo: boolean | undefined;
}

const MAX_SIDE_PIXELS = 16_384;
const MAX_FRAME_RATE_FPS = 1000;
const MAX_SAMPLE_RATE_HZ = 384_000;
const CODEC_ID_AVC = 7;
const CODEC_ID_AAC = 10;
const AAC_SAMPLE_BITS = 16;

/**
 * Reads the values of a data message, `onMetaData` bare or within `@setDataFrame`; undefined for any other. A number that
 * cannot be is left out, as is a codec that is absent in one of the ways of encoders: not named, null, empty, false or 0.
 */
export function readMetadata(values: readonly AmfValue[]): StreamMetadata | undefined {
  const [name, value] = values[0] === '@setDataFrame' ? values.slice(1) : values;
  const properties = name === 'onMetaData' ? amfProperties(value) : undefined;
  if (!properties) return undefined;
  const { stereo, videocodecid, audiocodecid } = properties;
  return {
    width: amount(properties, 'width', MAX_SIDE_PIXELS),
    height: amount(properties, 'height', MAX_SIDE_PIXELS),
    frameRateFps: amount(properties, 'framerate', MAX_FRAME_RATE_FPS),
    videoCodec: isCodecId(videocodecid) ? videoCodecName(videocodecid) : undefined,
    audioCodec: isCodecId(audiocodecid) ? audioCodecName(audiocodecid) : undefined,
    sampleRateHz: amount(properties, 'audiosamplerate', MAX_SAMPLE_RATE_HZ),
    isStereo: typeof stereo === 'boolean' ? stereo : undefined,
  };
}

/**
 * The values of our own message for H.264 and AAC. An ECMA array, because ffmpeg reads only that, with the codecs of tracks
 * that exist, because players wait for the others (reference/rtmp.md §2.4). To be sent at time 0: of any other, ffmpeg makes a
 * subtitle track.
 */
export function metadataValues({ video, audio }: Tracks): AmfValue[] {
  const properties: AmfObject = {};
  if (video) {
    properties['videocodecid'] = CODEC_ID_AVC;
    const { width, height, frameRateFps } = video;
    if (width > 0 && height > 0) Object.assign(properties, { width, height });
    if (frameRateFps !== undefined) properties['framerate'] = frameRateFps;
  }
  if (audio) {
    properties['audiocodecid'] = CODEC_ID_AAC;
    properties['audiosamplerate'] = audio.sampleRateHz;
    properties['audiosamplesize'] = AAC_SAMPLE_BITS;
    properties['stereo'] = audio.channels > 1;
  }
  return ['onMetaData', new AmfEcmaArray(properties)];
}

function amount(properties: AmfObject, key: string, max: number): number | undefined {
  const value = properties[key];
  return typeof value === 'number' && value > 0 && value <= max ? value : undefined;
}

/** 0 is a codec of sound, but uncompressed sound in FLV is not supported. */
function isCodecId(id: AmfValue): id is number | string {
  return (typeof id === 'number' && id > 0) || (typeof id === 'string' && id !== '');
}
