import { STREAM_INFO } from '../../domain/stream-status.ts';

/** An answer that is no 201. */
export interface WhipRefusal {
  readonly status: number;
  readonly message: string;
  readonly retryAfterS?: number | undefined;
}

/** A player that came before its publisher asks again after so long. */
const RETRY_AFTER_S = 5;

/** RFC 9725 §4.4.3: half a stream misleads whoever publishes it. */
export const PARTLY_TAKEN: WhipRefusal = {
  status: 422,
  message:
    'a part of the offer cannot be taken: one H.264 or VP8 video and one Opus or G.711 audio, bundled, over DTLS-SRTP',
};

export const CLOSED: WhipRefusal = { status: 503, message: 'the session was closed', retryAfterS: RETRY_AFTER_S };

export const OVERLOADED: WhipRefusal = {
  status: 503,
  message: 'there are too many sessions',
  retryAfterS: RETRY_AFTER_S,
};

/** The client may be welcome; whoever could say so is not there. */
export const OUTAGE: WhipRefusal = {
  status: 503,
  message: 'the backend does not answer',
  retryAfterS: RETRY_AFTER_S,
};

export const FAILED: WhipRefusal = { status: 500, message: 'the stream could not be started' };

/** By the `info` of a terminal status. 409 for a player is WHEP's word (draft-ietf-wish-whep, "Session Management"). */
const REFUSALS: Readonly<Record<string, WhipRefusal | undefined>> = {
  [STREAM_INFO.restrictedAccess]: { status: 403, message: 'this is not allowed' },
  [STREAM_INFO.streamNameInUse]: { status: 409, message: 'a stream of this name is being published' },
  [STREAM_INFO.streamNotFound]: {
    status: 409,
    message: 'no stream of this name is being published',
    retryAfterS: RETRY_AFTER_S,
  },
  [STREAM_INFO.noCommonCodecs]: {
    status: 422,
    message: 'nothing in the offer can be taken: H.264 or VP8, Opus or G.711, over DTLS-SRTP with rtcp-mux',
  },
  [STREAM_INFO.failedToAddStreamToProxy]: { status: 400, message: 'the body is no SDP offer of audio or video' },
  [STREAM_INFO.failedByIceTimeout]: { status: 504, message: 'the stream was not answered in time' },
  [STREAM_INFO.stoppedByRestTerminate]: CLOSED,
  [STREAM_INFO.stoppedBySessionDisconnect]: CLOSED,
};

/** What a client is answered whose stream ended before it began. */
export function refusalOf(info: string | undefined): WhipRefusal {
  return REFUSALS[info ?? ''] ?? FAILED;
}

/** Of a client that the backend does not want. Who gave no token may have forgotten it (RFC 9110 §15.5.2). */
export function refusalFor(refusal: WhipRefusal, hasToken: boolean): WhipRefusal {
  return refusal.status === 403 && !hasToken ? { status: 401, message: 'a bearer token is wanted' } : refusal;
}
