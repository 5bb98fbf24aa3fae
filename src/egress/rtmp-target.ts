import { isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { AppError } from '../domain/errors.ts';
import type { RtmpTarget } from './gate.ts';

export interface RtmpTargetInput {
  readonly rtmpUrl: string;
  /** Name of the stream here; with `prefix` in front it is the name there, unless the URL brings one. */
  readonly streamName: string;
  /** `rtmp_transponder_full_url` or `rtmpTransponderFullUrl`: the last path element is the name to publish. */
  readonly fullUrl: boolean;
  /** `rtmp_transponder_stream_name_prefix`. */
  readonly prefix: string;
}

const MAX_URL_BYTES = 2048;
const DEFAULT_PORT = { rtmp: 1935, rtmps: 443 } as const;
// oxlint-disable-next-line no-control-regex -- these are what is looked for
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;
const HOST_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;
/** `domainToASCII` reads up to the end of the host that a URL parser sees: what is behind would be lost without a word. */
const NO_HOST_CHARACTER = /[^A-Za-z0-9._\u0080-\u{10ffff}-]/u;

/**
 * Where and under which name to publish, by the rules of the WCS documents: path elements are the application and its
 * instance, a query belongs to the application (`app/?user=u` is the application `app` with arguments) and in full-URL mode
 * a query behind the last path element belongs to the name. Names and queries are kept byte for byte. Without full-URL mode
 * a URL may name no application, as the documents' `rtmp_push_auto_start_url` does: then an empty one is asked for.
 *
 * @throws {AppError} BAD_RTMP_URL with a sentence that names what is wrong and repeats no part that may be a secret
 */
export function parseRtmpTarget({ rtmpUrl, streamName, fullUrl, prefix }: RtmpTargetInput): RtmpTarget {
  checkText('the RTMP URL', rtmpUrl);
  if (rtmpUrl.startsWith('-')) throw bad('the RTMP URL begins with a hyphen');
  const scheme = /^(rtmps?):\/\//i.exec(rtmpUrl);
  if (!scheme) throw bad('the RTMP URL does not begin with rtmp:// or rtmps://');
  const protocol = scheme[1]!.toLowerCase() as 'rtmp' | 'rtmps';

  const afterScheme = rtmpUrl.slice(scheme[0].length);
  const slash = afterScheme.indexOf('/');
  const authority = slash < 0 ? afterScheme : afterScheme.slice(0, slash);
  const { credentials, hostPort } = splitUserInfo(authority);
  const { host, port } = splitHostPort(hostPort);
  const resource = slash < 0 ? '' : afterScheme.slice(slash + 1);

  const split = fullUrl ? splitFullResource(resource) : { app: asApp(resource), name: undefined };
  const firstElement = split.app.split(/[/?]/, 1)[0]!;
  if (fullUrl && firstElement === '') throw bad('the RTMP URL names no application');
  const playPath = split.name ?? prefix + streamName;
  checkText('the stream name', playPath);

  const bracketedHost = host.includes(':') ? `[${host}]` : host;
  const givenPort = /:\d+$/.test(hostPort) ? `:${port}` : '';
  return {
    tls: protocol === 'rtmps',
    host,
    port: port ?? DEFAULT_PORT[protocol],
    app: split.app,
    tcUrl: `${protocol}://${bracketedHost}${givenPort}/${split.app}`,
    playPath,
    credentials,
    redacted: `${protocol}://${bracketedHost}:${port ?? DEFAULT_PORT[protocol]}/${firstElement === '' ? '' : `${firstElement}/`}***`,
    canonical: JSON.stringify([
      protocol,
      credentials?.user ?? '',
      host.toLowerCase(),
      port ?? DEFAULT_PORT[protocol],
      split.app,
      playPath,
    ]),
  };
}

/** `a/b/?q` is the application `a/b?q`: nginx-rtmp and others know no application that ends in a slash. */
function asApp(resource: string): string {
  const mark = resource.indexOf('?');
  const path = trimSlashes(mark < 0 ? resource : resource.slice(0, mark));
  const query = mark < 0 ? '' : resource.slice(mark + 1);
  return query === '' ? path : `${path}?${query}`;
}

/**
 * Full-URL mode. `app/name?q`: the query stays with the name. `app/?q`: nothing stands where the name would, so the query is the
 * connection's and the name is formed as usual. `app?q/name`: both are given, divided at the last slash before the name's query.
 */
function splitFullResource(resource: string): { readonly app: string; readonly name: string | undefined } {
  const mark = resource.indexOf('?');
  const path = mark < 0 ? resource : resource.slice(0, mark);
  if (path.endsWith('/')) return { app: asApp(resource), name: undefined };
  const pathSlash = path.lastIndexOf('/');
  if (pathSlash > 0) return { app: trimSlashes(path.slice(0, pathSlash)), name: resource.slice(pathSlash + 1) };

  const nameMark = mark < 0 ? -1 : resource.indexOf('?', mark + 1);
  const slash = resource.lastIndexOf('/', nameMark < 0 ? resource.length : nameMark);
  if (mark < 0 || slash < mark) {
    throw bad('the RTMP URL names no stream: in full-URL mode the last path element is the name to publish');
  }
  return { app: asApp(resource.slice(0, slash)), name: resource.slice(slash + 1) };
}

/** User information ends at the last @ in front of the first slash, so that a password may hold one. */
function splitUserInfo(authority: string): { credentials: RtmpTarget['credentials']; hostPort: string } {
  const at = authority.lastIndexOf('@');
  if (at < 0) return { credentials: undefined, hostPort: authority };
  const userInfo = authority.slice(0, at);
  const hostPort = authority.slice(at + 1);
  if (userInfo === '') return { credentials: undefined, hostPort };
  const colon = userInfo.indexOf(':');
  const user = percentDecoded(colon < 0 ? userInfo : userInfo.slice(0, colon));
  const password = colon < 0 ? '' : percentDecoded(userInfo.slice(colon + 1));
  return { credentials: { user, password }, hostPort };
}

function splitHostPort(hostPort: string): { host: string; port: number | undefined } {
  const parts = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d*))?$/.exec(hostPort);
  if (!parts) throw bad('the host and port of the RTMP URL are malformed');
  const port = parts[2] === undefined ? undefined : Number(parts[2]);
  if (port !== undefined && (parts[2] === '' || port < 1 || port > 65_535)) {
    throw bad('the port of the RTMP URL is not a number from 1 to 65535');
  }
  const text = parts[1]!;
  if (text === '') throw bad('the RTMP URL names no host');
  if (text.startsWith('[')) {
    const host = text.slice(1, -1);
    if (!isIPv6(host)) throw bad('the host of the RTMP URL is in brackets but is no IPv6 address');
    return { host, port };
  }
  const host = HOST_NAME.test(text) || NO_HOST_CHARACTER.test(text) ? text : domainToASCII(text);
  if (!HOST_NAME.test(host)) throw bad('the host of the RTMP URL is malformed');
  return { host, port };
}

function checkText(what: string, text: string): void {
  if (text === '') throw bad(`${what} is empty`);
  if (Buffer.byteLength(text) > MAX_URL_BYTES) throw bad(`${what} is longer than ${MAX_URL_BYTES} bytes`);
  if (CONTROL_CHARACTER.test(text)) throw bad(`${what} contains a control character`);
  if (!text.isWellFormed()) throw bad(`${what} is not valid Unicode`);
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function trimSlashes(path: string): string {
  return path.replace(/^\/+/, '').replace(/\/+$/, '');
}

function bad(sentence: string): AppError {
  return new AppError('BAD_RTMP_URL', sentence);
}
