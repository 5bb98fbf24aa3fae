import type { AudioCodec, VideoCodec } from '../../domain/media.ts';
import type { StreamInfo, StreamStatus } from '../../domain/stream-status.ts';

/** A stream as `notifyStreamStatusEvent` shows it: the seed's fields in the seed's order. Absent fields are `undefined`. */
export interface StreamStatusObject {
  readonly mediaSessionId: string;
  readonly name: string;
  readonly published: boolean;
  readonly hasVideo: boolean;
  readonly hasAudio: boolean;
  readonly status: StreamStatus;
  readonly audioCodec?: string | undefined;
  readonly videoCodec?: string | undefined;
  readonly info?: StreamInfo | undefined;
  readonly record: boolean;
  readonly width: number;
  readonly height: number;
  readonly bitrate: number;
  readonly minBitrate: number;
  readonly maxBitrate: number;
  readonly quality: number;
  /** Milliseconds since 1970. */
  readonly createDate: number;
  readonly mediaProvider: string;
  /** Bare name of the recording; clients read it only up to the terminal status. */
  readonly recordName?: string | undefined;
  readonly audioState?: MuteState | undefined;
  readonly videoState?: MuteState | undefined;
}

export interface MuteState {
  readonly muted: boolean;
}

/** Puts the fields into the order of the seed and adds `streaminfo`. */
export function streamStatusFields(stream: StreamStatusObject): Record<string, unknown> {
  return {
    mediaSessionId: stream.mediaSessionId,
    name: stream.name,
    published: stream.published,
    hasVideo: stream.hasVideo,
    hasAudio: stream.hasAudio,
    status: stream.status,
    audioCodec: stream.audioCodec,
    videoCodec: stream.videoCodec,
    info: stream.info,
    record: stream.record,
    width: stream.width,
    height: stream.height,
    bitrate: stream.bitrate,
    minBitrate: stream.minBitrate,
    maxBitrate: stream.maxBitrate,
    quality: stream.quality,
    createDate: stream.createDate,
    streaminfo: {
      nodeId: null,
      appKey: null,
      sessionId: null,
      mediaSessionId: stream.mediaSessionId,
      name: stream.name,
      samplingTime: null,
      recordTimestamp: null,
      recordStarted: false,
    },
    mediaProvider: stream.mediaProvider,
    recordName: stream.recordName,
    audioState: stream.audioState,
    videoState: stream.videoState,
  };
}

/** Codec names as clients and REST know them. */
export function codecName(codec: VideoCodec | AudioCodec): string {
  return CODEC_NAMES[codec];
}

const CODEC_NAMES: Record<VideoCodec | AudioCodec, string> = {
  h264: 'H264',
  vp8: 'VP8',
  opus: 'opus',
  aac: 'mpeg4-generic',
  pcma: 'PCMA',
  pcmu: 'PCMU',
};
