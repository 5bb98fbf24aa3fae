import { ProtocolError } from '../../domain/errors.ts';
import { nestsDeeperThan } from '../json/nesting.ts';
import { amount, flag, isFields, printable, text, type Fields } from './fields.ts';

/** What a client may ask (seed "Raw WebSocket API", reference/wcs-protocol.md §1.5). Unknown fields are left out. */
export type ClientMessage =
  | { readonly name: 'connection'; readonly connection: ConnectionRequest }
  | { readonly name: 'ping' | 'pong' }
  | { readonly name: 'publishStream'; readonly request: PublishStreamRequest }
  | { readonly name: 'playStream'; readonly request: PlayStreamRequest }
  | { readonly name: 'unPublishStream' | 'stopStream' | 'availableStream' | 'snapshot'; readonly stream: StreamAddress }
  | { readonly name: 'sendStreamEvent'; readonly event: StreamEventRequest }
  | { readonly name: 'sendData'; readonly operationId: string; readonly payload: unknown }
  /**
   * `text` is for the log: it is cut to a bounded length; RTMP URLs and ICE passwords are masked. `report` is all that was
   * said, for the backend.
   */
  | {
      readonly name: 'sessionDebug' | 'submitBugReport' | 'pushLogs';
      readonly text: string;
      readonly report: Readonly<Record<string, unknown>>;
    }
  | { readonly name: 'unknown'; readonly message: string };

export interface ConnectionRequest {
  readonly appKey: string;
  readonly mediaProviders: readonly string[];
  readonly keepAlive: boolean;
  readonly clientVersion: string;
  readonly clientOSVersion: string;
  readonly clientBrowserVersion: string;
  /** Any JSON; reaches the `connect` hook unchanged. */
  readonly custom?: unknown;
  /** Only of RTMP clients, which give it in their `connect`, or are given one. */
  readonly login?: string | undefined;
  /** Only of HTTP clients: their bearer token, for the backend and nobody else. */
  readonly token?: string | undefined;
}

/** An empty `mediaSessionId` or `name` is one that was missing, no text, too long or with control characters. */
export interface StreamAddress {
  readonly mediaSessionId: string;
  readonly name: string;
}

interface StreamRequest extends StreamAddress {
  readonly hasVideo: boolean;
  readonly hasAudio: boolean;
  readonly mediaProvider: string;
  readonly sdp: string;
  readonly transport: 'UDP' | 'TCP';
  /** kbit/s; 0 = none. */
  readonly bitrate: number;
  readonly minBitrate: number;
  readonly maxBitrate: number;
  readonly custom?: unknown;
  /** What its page has asked its browser for, and what that has: any JSON, for the backend. */
  readonly constraints?: unknown;
  readonly cvoExtension?: unknown;
  readonly localMediaInfo?: unknown;
}

export interface PublishStreamRequest extends StreamRequest {
  readonly record: boolean;
  /** Where to republish; may carry secrets. */
  readonly rtmpUrl?: string | undefined;
}

/** `width`, `height` (pixels) and `quality` (at most 100) are 0 for "as published". */
export interface PlayStreamRequest extends StreamRequest {
  readonly width: number;
  readonly height: number;
  readonly quality: number;
}

export interface StreamEventRequest {
  readonly mediaSessionId: string;
  readonly type: string;
  readonly payload?: unknown;
}

const MAX_ID_CHARS = 128;
const MAX_NAME_CHARS = 1024;
const MAX_TEXT_CHARS = 1024;
const MAX_URL_CHARS = 4096;
const MAX_SDP_CHARS = 200_000;
const MAX_MEDIA_PROVIDERS = 16;
const MAX_LOG_CHARS = 4096;
/** `custom` and payloads go to hooks, logs, REST answers and other clients, which all recurse. */
const MAX_JSON_DEPTH = 32;

/**
 * Reads one text frame: `{ "message": name, "data": [argument] }`.
 * Throws ProtocolError: WCS_JSON (no JSON), WCS_DEPTH (nested too deep), WCS_ENVELOPE (no message name).
 */
export function decodeClientMessage(frame: string): ClientMessage {
  if (nestsDeeperThan(frame, MAX_JSON_DEPTH)) {
    throw new ProtocolError('WCS_DEPTH', `a message nests deeper than ${MAX_JSON_DEPTH}`);
  }
  let envelope: unknown;
  try {
    envelope = JSON.parse(frame);
  } catch {
    throw new ProtocolError('WCS_JSON', 'a message is not JSON');
  }
  if (!isFields(envelope) || typeof envelope['message'] !== 'string') {
    throw new ProtocolError('WCS_ENVELOPE', 'a message has no name');
  }
  const data: unknown = Array.isArray(envelope['data']) ? envelope['data'][0] : undefined;
  return decode(envelope['message'], isFields(data) ? data : {});
}

function decode(message: string, fields: Fields): ClientMessage {
  switch (message) {
    case 'connection':
      return { name: message, connection: readConnection(fields) };
    case 'ping':
    case 'pong':
      return { name: message };
    case 'publishStream':
      return {
        name: message,
        request: {
          ...readStreamRequest(fields),
          record: flag(fields, 'record'),
          rtmpUrl: printable(fields, 'rtmpUrl', MAX_URL_CHARS) || undefined,
        },
      };
    case 'playStream':
      return {
        name: message,
        request: {
          ...readStreamRequest(fields),
          width: amount(fields, 'width'),
          height: amount(fields, 'height'),
          quality: amount(fields, 'quality'),
        },
      };
    case 'unPublishStream':
    case 'stopStream':
    case 'availableStream':
    case 'snapshot':
      return { name: message, stream: readAddress(fields) };
    case 'sendStreamEvent':
      return {
        name: message,
        event: {
          mediaSessionId: printable(fields, 'mediaSessionId', MAX_ID_CHARS),
          type: printable(fields, 'type', MAX_ID_CHARS),
          ...optional(fields, 'payload'),
        },
      };
    case 'sendData':
      return {
        name: message,
        operationId: printable(fields, 'operationId', MAX_ID_CHARS),
        payload: fields['payload'],
      };
    case 'sessionDebug':
    case 'submitBugReport':
    case 'pushLogs':
      return { name: message, text: logText(fields), report: fields };
    default:
      return { name: 'unknown', message: message.slice(0, MAX_ID_CHARS) };
  }
}

function readConnection(fields: Fields): ConnectionRequest {
  const providers: unknown[] = Array.isArray(fields['mediaProviders']) ? fields['mediaProviders'] : [];
  return {
    appKey: printable(fields, 'appKey', MAX_ID_CHARS),
    mediaProviders: providers
      .filter((one): one is string => typeof one === 'string' && one.length <= MAX_ID_CHARS)
      .slice(0, MAX_MEDIA_PROVIDERS),
    keepAlive: flag(fields, 'keepAlive'),
    clientVersion: text(fields, 'clientVersion', MAX_TEXT_CHARS),
    clientOSVersion: text(fields, 'clientOSVersion', MAX_TEXT_CHARS),
    clientBrowserVersion: text(fields, 'clientBrowserVersion', MAX_TEXT_CHARS),
    ...optional(fields, 'custom'),
  };
}

function readAddress(fields: Fields): StreamAddress {
  return {
    mediaSessionId: printable(fields, 'mediaSessionId', MAX_ID_CHARS).trim(),
    name: printable(fields, 'name', MAX_NAME_CHARS),
  };
}

/** `hasVideo` and `hasAudio` are what the client says; the SDP decides. */
function readStreamRequest(fields: Fields): StreamRequest {
  return {
    ...readAddress(fields),
    hasVideo: flag(fields, 'hasVideo', true),
    hasAudio: flag(fields, 'hasAudio', true),
    mediaProvider: printable(fields, 'mediaProvider', MAX_ID_CHARS) || 'WebRTC',
    sdp: text(fields, 'sdp', MAX_SDP_CHARS),
    transport: fields['transport'] === 'TCP' ? 'TCP' : 'UDP',
    bitrate: amount(fields, 'bitrate'),
    minBitrate: amount(fields, 'minBitrate'),
    maxBitrate: amount(fields, 'maxBitrate'),
    ...optional(fields, 'custom'),
    ...optional(fields, 'constraints'),
    ...optional(fields, 'cvoExtension'),
    ...optional(fields, 'localMediaInfo'),
  };
}

/** What clients report are their own logs, which quote requests and descriptions in full. */
function logText(fields: Fields): string {
  return JSON.stringify(fields)
    .replaceAll(/rtmps?:\/\/(?:[^\s"\\]|\\.)+/gi, 'rtmp://***')
    .replaceAll(/ice-pwd:[^\s"\\]+/gi, 'ice-pwd:***')
    .slice(0, MAX_LOG_CHARS);
}

/** Keeps "absent" apart from `null`, as the hooks do. */
function optional<Name extends string>(fields: Fields, name: Name): { [key in Name]?: unknown } {
  const result: { [key in Name]?: unknown } = {};
  if (Object.hasOwn(fields, name)) result[name] = fields[name];
  return result;
}
