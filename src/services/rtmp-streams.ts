import type { Clock } from '../domain/clock.ts';
import { STREAM_INFO } from '../domain/stream-status.ts';
import type { RtmpPublication, RtmpPublicationOptions } from '../inputs/rtmp-publisher/rtmp-publication.ts';
import type { RtmpPlayback, RtmpPlaybackOptions, RtmpViewer } from '../outputs/rtmp-player/rtmp-playback.ts';
import type { ClientSession } from './sessions.ts';
import { endOfRtmpPlayback, endOfRtmpPublication, failure } from './stream-end.ts';
import { type NegotiatedTracks, type StreamRecord, streamRecord } from './stream-record.ts';
import type { Streams } from './streams.ts';

export interface RtmpStreamRequest {
  /** Unlike that of any other stream: the edge makes it (reference/wcs-protocol.md §6). */
  readonly mediaSessionId: string;
  readonly name: string;
  /** The parameters of the stream's name. */
  readonly custom?: Readonly<Record<string, string>> | undefined;
}

/** Brings what RTMP encoders send to everybody else. */
export interface RtmpPublicationPort {
  open(options: RtmpPublicationOptions): RtmpPublication;
}

/** Gives RTMP players what is live. */
export interface RtmpPlaybackPort {
  /** `undefined` where there is no live stream of that name. */
  open(options: RtmpPlaybackOptions): RtmpPlayback | undefined;
}

export interface RtmpStreamsOptions {
  readonly streams: Streams;
  readonly publishers: RtmpPublicationPort;
  readonly players: RtmpPlaybackPort;
  readonly clock: Clock;
}

/**
 * Publishing and playing over RTMP. Whatever ends a stream closes its publication or playback as well; the session is told by
 * `notifyStreamStatusEvent`, and the edge ends a stream with `Streams.stop`.
 */
export class RtmpStreams {
  readonly #options: RtmpStreamsOptions;

  constructor(options: RtmpStreamsOptions) {
    this.#options = options;
  }

  /** Where the encoder's messages go. `undefined`: refused; the session has been sent the reason. */
  async publish(session: ClientSession, request: RtmpStreamRequest): Promise<RtmpPublication | undefined> {
    const { streams, publishers, clock } = this.#options;
    // What an encoder sends is not known before it comes (seed "In a player via RTMP").
    const asked = { ...request, ...FLASH, hasVideo: false, hasAudio: true };
    const stream = streamRecord(session, asked, true, clock.nowMs());
    if (!(await streams.admit(stream, STREAM_INFO.failedByRtpActivity))) return undefined;
    const publication = publishers.open({
      name: stream.name,
      mediaSessionId: stream.mediaSessionId,
      onLive: (tracks) => {
        stream.tracks = tracks;
        streams.started(stream);
      },
      onFormat: (width, height) => {
        stream.width = width;
        stream.height = height;
      },
      onEnd: (reason) => streams.end(stream, endOfRtmpPublication(reason)),
    });
    stream.closeMedia = (info) => publication.close(info);
    return publication;
  }

  /**
   * Plays to `viewer` from the moment that the edge calls `start`. `undefined`: refused; the session has been sent the reason.
   */
  async play(
    session: ClientSession,
    request: RtmpStreamRequest & { readonly suppressSound: boolean },
    viewer: RtmpViewer,
  ): Promise<RtmpPlayback | undefined> {
    const { streams, players, clock } = this.#options;
    const { suppressSound, ...address } = request;
    const asked = { ...address, ...FLASH, hasVideo: true, hasAudio: true };
    const stream = streamRecord(session, asked, false, clock.nowMs());
    if (!(await streams.admit(stream, STREAM_INFO.failedByRtpActivity))) return undefined;
    const source = streams.attach(stream);
    if (!source) return undefined;
    stream.tracks = playedTracks(source, suppressSound);
    let size = { width: 0, height: 0 };
    const playback = players.open({
      name: stream.name,
      viewer,
      suppressSound,
      onStarted: () => {
        streams.started(stream);
        streams.tellFormat(stream, size);
      },
      onFormat: (width, height) => {
        size = { width, height };
        streams.tellFormat(stream, size);
      },
      onEnd: (reason) => streams.end(stream, endOfRtmpPlayback(reason)),
    });
    if (!playback) {
      streams.end(stream, failure(STREAM_INFO.streamNotFound));
      return undefined;
    }
    stream.closeMedia = () => playback.close();
    return playback;
  }
}

const FLASH = { mediaProvider: 'Flash', bitrate: 0, minBitrate: 0, maxBitrate: 0 };

/** RTMP players get H.264 and AAC, whatever was published. */
function playedTracks({ tracks }: StreamRecord, suppressSound: boolean): NegotiatedTracks {
  return {
    video: tracks?.video && { codec: 'h264' },
    audio: tracks?.audio || suppressSound ? { codec: 'aac' } : undefined,
  };
}
