import type { AudioCodec, VideoCodec } from '../../domain/media.ts';
import type { RawMessage } from '../../protocol/rtmp/raw-message.ts';

/** What one RTMP encoder publishes under one name. Closed by whoever opened it, also after `onEnd`. */
export interface RtmpPublication {
  /**
   * Takes a message of the publisher's message stream: audio, video, data or aggregate; others are ignored. The payload need
   * only be good until the call returns. Throws ProtocolError for what ends the connection that sent it, and nothing else.
   */
  write(message: RawMessage): void;
  /** Takes the stream out of the hub and ends its readers with this reason. Idempotent. */
  close(reason: string): void;
}

export interface RtmpPublicationOptions {
  /** Claimed by the caller; the stream appears in the hub under it. */
  readonly name: string;
  readonly mediaSessionId: string;
  /** Once: the stream is in the hub. A track that the encoder does not send is absent, also where silence fills its place. */
  readonly onLive: (tracks: PublishedTracks) => void;
  /** The size of the picture, in pixels: with the first keyframe and whenever it changes. */
  readonly onFormat: (width: number, height: number) => void;
  /** Once: nothing came for the idle time, or in that time nothing that can be played. Not called after `close`. */
  readonly onEnd: (reason: 'idle' | 'no_media') => void;
}

/** The codecs of the stream in the hub. */
export interface PublishedTracks {
  readonly video?: { readonly codec: VideoCodec } | undefined;
  readonly audio?: { readonly codec: AudioCodec } | undefined;
}
