import type { IncomingHttpHeaders } from 'node:http';
import { AppError, ProtocolError } from '../../domain/errors.ts';
import type { OfferSection } from '../../protocol/sdp/offer.ts';
import { parseOffer } from '../../protocol/sdp/parse-offer.ts';

const MAX_NAME_CHARS = 256;
const MAX_PARAMS = 64;
const MAX_PARAMS_CHARS = 4096;
const MAX_TOKEN_CHARS = 4096;
const MAX_APP_KEY_CHARS = 128;
const MAX_USER_AGENT_CHARS = 256;

/** Names, parameters and tokens go to the backend, and names into logs and other clients' answers. */
// oxlint-disable-next-line no-control-regex -- finding control characters is the purpose
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f]/;

/** @throws {AppError} BAD_REQUEST */
export function checkedName(name: string): string {
  if (name.trim() === '' || name.length > MAX_NAME_CHARS || CONTROL_CHARACTERS.test(name)) {
    throw new AppError('BAD_REQUEST', `the name of a stream has 1 to ${MAX_NAME_CHARS} printable characters`);
  }
  return name;
}

/** What a client offers to send or wants to get. */
export interface OfferedTracks {
  readonly hasVideo: boolean;
  readonly hasAudio: boolean;
}

/** @throws {AppError} BAD_SDP */
export function offeredTracks(sdp: string): OfferedTracks {
  const kinds = new Set(
    sectionsOf(sdp)
      // Port 0 is a section that is not meant (RFC 3264 §5.1), but for one that is only sent in a bundle (RFC 9143 §6).
      .filter(({ port, bundleOnly }) => port !== 0 || bundleOnly)
      .map(({ kind }) => kind),
  );
  const tracks = { hasVideo: kinds.has('video'), hasAudio: kinds.has('audio') };
  if (!tracks.hasVideo && !tracks.hasAudio) throw new AppError('BAD_SDP', 'the offer has no audio and no video');
  return tracks;
}

function sectionsOf(sdp: string): readonly OfferSection[] {
  try {
    return parseOffer(sdp).sections;
  } catch (error) {
    if (error instanceof ProtocolError) throw new AppError('BAD_SDP', `the body is no SDP offer: ${error.message}`);
    throw error;
  }
}

/**
 * The parameters of the URL, `appKey` apart. Of a parameter that comes twice the last one counts.
 *
 * @throws {AppError} BAD_REQUEST
 */
export function readParams(url: string): {
  readonly appKey: string;
  readonly params: Readonly<Record<string, string>>;
} {
  const queryAt = url.indexOf('?');
  const query = queryAt === -1 ? '' : url.slice(queryAt + 1);
  const given = new Map(new URLSearchParams(query));
  if (query.length > MAX_PARAMS_CHARS || given.size > MAX_PARAMS) {
    throw new AppError(
      'BAD_REQUEST',
      `the URL has more than ${MAX_PARAMS} parameters or ${MAX_PARAMS_CHARS} characters`,
    );
  }
  const appKey = given.get('appKey') ?? '';
  if (appKey.length > MAX_APP_KEY_CHARS || CONTROL_CHARACTERS.test(appKey)) {
    throw new AppError('BAD_REQUEST', `an appKey has at most ${MAX_APP_KEY_CHARS} printable characters`);
  }
  given.delete('appKey');
  return { appKey, params: Object.fromEntries(given) };
}

/**
 * RFC 6750 §2.1; `undefined` where there is none. Other schemes are for others.
 *
 * @throws {AppError} BAD_REQUEST
 */
export function bearerTokenOf({ authorization = '' }: IncomingHttpHeaders): string | undefined {
  const token = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (token !== undefined && token.length > MAX_TOKEN_CHARS) {
    throw new AppError('BAD_REQUEST', `a bearer token has at most ${MAX_TOKEN_CHARS} characters`);
  }
  return token;
}

export function userAgentOf(headers: IncomingHttpHeaders): string {
  return (headers['user-agent'] ?? '').slice(0, MAX_USER_AGENT_CHARS);
}

/** Whether the client takes a description for an answer (RFC 9110 §12.5.1). Absent is anything. */
export function acceptsSdp({ accept = '*/*' }: IncomingHttpHeaders): boolean {
  return accept.split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const isRefused = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    return !isRefused && ['*/*', 'application/*', 'application/sdp'].includes(type);
  });
}
