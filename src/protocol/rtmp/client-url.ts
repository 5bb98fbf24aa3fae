import { ProtocolError } from '../../domain/errors.ts';

/** The application part of a client's URL: `live?user=u&token=t`. */
export interface RtmpApp {
  /** Without the default instance and without slashes at its ends. It may hold slashes inside. */
  readonly appName: string;
  readonly params: ReadonlyMap<string, string>;
}

/** The stream part of a client's URL: `name?token=t`. */
export interface RtmpStreamName {
  /** Empty where the client named none. */
  readonly name: string;
  readonly params: ReadonlyMap<string, string>;
}

const MAX_NAME_CHARS = 256;
const MAX_TC_URL_CHARS = 2048;
const MAX_PARAMS_CHARS = 4096;
const MAX_PARAMS = 64;

const DEFAULT_INSTANCE = /(^|\/)_definst_$/;
/** Clients make `mp4:x.mp4` of `x.mp4`: a Flash server's word for the container. */
const CONTAINER_PREFIX = /^(mp4|flv|mp3):/;

/**
 * Every client sends what stands in front of the last slash before the stream's `?` as the application, its parameters
 * included (reference/rtmp.md §2.5). One that leaves them out of `app` has them in `tcUrl`.
 *
 * @throws {ProtocolError} RTMP_NAME_LENGTH, RTMP_NAME_CHARACTERS, RTMP_NAME_PARAMS
 */
export function parseRtmpApp(app: string, tcUrl = ''): RtmpApp {
  const [path, query] = cutAt(app, '?');
  const appName = trimSlashes(trimSlashes(checkedName(path)).replace(DEFAULT_INSTANCE, ''));
  if (query !== undefined) return { appName, params: parseParams(query) };
  const [urlPath, urlQuery = ''] = cutAt(tcUrl, '?');
  if (urlPath.length > MAX_TC_URL_CHARS) refuseLength('tcUrl', MAX_TC_URL_CHARS);
  return { appName, params: parseParams(urlQuery) };
}

/**
 * What a client plays or publishes. An encoder without a stream key has put the name behind the application: an empty name
 * is the last part of an `appName` that has more than one.
 *
 * @throws {ProtocolError} RTMP_NAME_LENGTH, RTMP_NAME_CHARACTERS, RTMP_NAME_PARAMS
 */
export function parseRtmpStreamName(name: string, appName = ''): RtmpStreamName {
  const [path, query = ''] = cutAt(name, '?');
  const slashAt = appName.lastIndexOf('/');
  const written = checkedName(path).replace(/^\/+/, '') || (slashAt > 0 ? appName.slice(slashAt + 1) : '');
  const decoded = decodePercent(written.replace(CONTAINER_PREFIX, ''));
  return { name: checkedName(decoded), params: parseParams(query) };
}

/** By hand into a Map: no key of a client's can be special. A plus sign is a plus sign, as in keys of base64. */
function parseParams(query: string): ReadonlyMap<string, string> {
  if (query.length > MAX_PARAMS_CHARS) refuseLength('the parameters', MAX_PARAMS_CHARS);
  const params = new Map<string, string>();
  for (const pair of query.split('&')) {
    const [key, value = ''] = cutAt(pair, '=');
    if (key === '') continue;
    params.set(decodePercent(key), decodePercent(value));
    if (params.size > MAX_PARAMS) throw new ProtocolError('RTMP_NAME_PARAMS', `more than ${MAX_PARAMS} parameters`);
  }
  return params;
}

/** Some clients encode names, some do not; what is no valid encoding was none. */
function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Names go into logs, answers and paths. */
function checkedName(name: string): string {
  if (name.length > MAX_NAME_CHARS) refuseLength('a name', MAX_NAME_CHARS);
  // oxlint-disable-next-line no-control-regex -- finding control characters is the purpose
  if (/[\u0000-\u001f\u007f]/.test(name)) {
    throw new ProtocolError('RTMP_NAME_CHARACTERS', 'a name contains control characters');
  }
  return name;
}

function refuseLength(what: string, maxChars: number): never {
  throw new ProtocolError('RTMP_NAME_LENGTH', `${what} is longer than ${maxChars} characters`);
}

function trimSlashes(path: string): string {
  return path.replace(/^\/+/, '').replace(/\/+$/, '');
}

function cutAt(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
