import { STREAM_INFO } from '../../domain/stream-status.ts';

/** What an RTMP client is told of the end of its stream. */
export interface StreamNotice {
  readonly level: 'status' | 'error';
  /** What clients act upon. */
  readonly code: string;
  readonly description: string;
  /** Stream EOF goes first: players stop at it (reference/rtmp.md §2.4). */
  readonly streamEof?: boolean;
  /** The client cannot go on from here, and would wait for ever. */
  readonly endsConnection: boolean;
}

type Notices = Readonly<Record<string, StreamNotice | undefined>>;

/** By the `info` of the terminal status. OBS knows Denied, other encoders BadName. */
const PUBLISHER_NOTICES: Notices = {
  [STREAM_INFO.stoppedByPublisherStop]: {
    level: 'status',
    code: 'NetStream.Unpublish.Success',
    description: 'The stream is no longer published.',
    endsConnection: false,
  },
  [STREAM_INFO.stoppedByRestTerminate]: {
    level: 'status',
    code: 'NetStream.Unpublish.Success',
    description: 'The stream was ended by the operator.',
    endsConnection: true,
  },
  [STREAM_INFO.streamNameInUse]: {
    level: 'error',
    code: 'NetStream.Publish.BadName',
    description: 'A stream of this name is being published.',
    endsConnection: true,
  },
  [STREAM_INFO.restrictedAccess]: {
    level: 'error',
    code: 'NetStream.Publish.Denied',
    description: 'Publishing under this name is not allowed.',
    endsConnection: true,
  },
};

const PLAYER_NOTICES: Notices = {
  [STREAM_INFO.stoppedByPublisherStop]: {
    level: 'status',
    code: 'NetStream.Play.UnpublishNotify',
    description: 'The publisher has stopped.',
    streamEof: true,
    endsConnection: true,
  },
  [STREAM_INFO.stoppedByRestTerminate]: {
    level: 'status',
    code: 'NetStream.Play.Stop',
    description: 'The playback was ended by the operator.',
    streamEof: true,
    endsConnection: true,
  },
  [STREAM_INFO.streamNotFound]: {
    level: 'error',
    code: 'NetStream.Play.StreamNotFound',
    description: 'No stream of this name is being published.',
    endsConnection: true,
  },
  [STREAM_INFO.restrictedAccess]: {
    level: 'error',
    code: 'NetStream.Play.Failed',
    description: 'Playing this stream is not allowed.',
    endsConnection: true,
  },
};

/** Ends that the client has brought about: there is nobody to tell, or nothing. */
const SILENT_ENDS = new Set<string>([STREAM_INFO.stoppedByUser, STREAM_INFO.stoppedBySessionDisconnect]);

/** The one table from the `info` of a terminal status to what RTMP clients know. Undefined where nothing is said. */
export function noticeOfEnd(published: boolean, info: string | undefined): StreamNotice | undefined {
  if (info !== undefined && SILENT_ENDS.has(info)) return undefined;
  const known = (published ? PUBLISHER_NOTICES : PLAYER_NOTICES)[info ?? ''];
  return (
    known ?? {
      level: 'error',
      code: published ? 'NetStream.Publish.Failed' : 'NetStream.Play.Failed',
      description: info === undefined ? 'The stream has failed.' : `The stream has failed: ${info}.`,
      endsConnection: true,
    }
  );
}
