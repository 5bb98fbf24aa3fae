import { type AmfValue, amfProperties } from '../../protocol/amf0/values.ts';

/** What an encoder says it will send; undefined where it does not say. */
export interface AnnouncedTracks {
  readonly video?: boolean | undefined;
  readonly audio?: boolean | undefined;
}

/**
 * Which tracks `onMetaData` announces, bare or within `@setDataFrame`; undefined for any other data message. Encoders leave
 * out the codec of a track that does not exist, or give it as 0; one that names no codec at all says nothing.
 */
export function announcedTracks(values: readonly AmfValue[]): AnnouncedTracks | undefined {
  const [name, properties] = values[0] === '@setDataFrame' ? values.slice(1) : values;
  const metadata = name === 'onMetaData' ? amfProperties(properties) : undefined;
  if (metadata === undefined) return undefined;
  const { videocodecid, audiocodecid } = metadata;
  if (videocodecid === undefined && audiocodecid === undefined) return {};
  return { video: isCodec(videocodecid), audio: isCodec(audiocodecid) };
}

/** 0 is a codec of sound, but uncompressed sound is not supported. */
function isCodec(id: AmfValue): boolean {
  return id !== undefined && id !== null && id !== 0 && id !== '' && id !== false;
}
