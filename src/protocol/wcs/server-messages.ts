import type { ConnectionRequest } from './client-messages.ts';
import { streamStatusFields, type StreamStatusObject } from './stream-object.ts';

/** What the server says (seed "Raw WebSocket API", reference/wcs-protocol.md §1.6). */
export type ServerMessage =
  /** Once for each connection: the SDK reports ESTABLISHED at every one. */
  | { readonly name: 'getUserData'; readonly authToken: string; readonly connection: ConnectionRequest }
  | { readonly name: 'getVersion'; readonly version: string }
  | { readonly name: 'ping' }
  /** Once for each stream: the SDK would take a second one for an offer. */
  | { readonly name: 'setRemoteSDP'; readonly mediaSessionId: string; readonly sdp: string }
  | { readonly name: 'notifyStreamStatusEvent'; readonly stream: StreamStatusObject }
  | { readonly name: 'notifyAudioCodec'; readonly mediaSessionId: string; readonly codec: string }
  | {
      readonly name: 'notifyVideoFormat';
      readonly mediaSessionId: string;
      readonly width: number;
      readonly height: number;
    }
  | { readonly name: 'notifyStreamEvent'; readonly event: StreamEvent }
  | ({ readonly name: 'inboundVideoRate' | 'outboundVideoRate' } & VideoRateFields)
  | { readonly name: 'availableStream'; readonly id: string; readonly available: boolean; readonly info?: string }
  | {
      readonly name: 'DataStatusEvent';
      readonly operationId: string;
      readonly status: 'ACCEPTED' | 'FAILED';
      readonly info?: string;
    }
  | { readonly name: 'OnDataEvent'; readonly operationId: string; readonly payload: unknown }
  /** The page's session gets WARN; with `mediaSessionId` it is about that stream, whose status stays as it is. */
  | { readonly name: 'fail'; readonly apiMethod: string; readonly mediaSessionId?: string; readonly info: string };

/** `type` is never absent: pages read an event without one as "unmute required". */
export type StreamEvent =
  | { readonly mediaSessionId: string; readonly type: MuteEventType }
  | { readonly mediaSessionId: string; readonly type: 'data'; readonly payload: unknown }
  | {
      readonly mediaSessionId: string;
      readonly type: 'snapshotCompleted';
      /** Base64 of a PNG. */
      readonly payload: { readonly snapshot: string };
    }
  | {
      readonly mediaSessionId: string;
      readonly type: 'snapshotFailed' | 'notEnoughBandwidth';
      readonly payload: { readonly info: string };
    };

export type MuteEventType = 'audioMuted' | 'audioUnmuted' | 'videoMuted' | 'videoUnmuted';

/** Counts are since the beginning of the stream; `videoRate` is in bit/s and comes once a second. */
interface VideoRateFields {
  readonly mediaSessionId: string;
  readonly videoRate: number;
  readonly fps: number;
  readonly nack: number;
  readonly pli: number;
  readonly lostPackets: number;
  readonly width: number;
  readonly height: number;
}

/** One text frame. `data` is always an array: the SDK reads its first element before the name. */
export function encodeServerMessage(message: ServerMessage): string {
  return JSON.stringify({ message: message.name, data: dataOf(message) });
}

function dataOf(message: ServerMessage): unknown[] {
  switch (message.name) {
    case 'getUserData':
      return [userData(message.authToken, message.connection)];
    case 'getVersion':
      return [message.version];
    case 'ping':
      return [];
    case 'setRemoteSDP':
      return [message.mediaSessionId, message.sdp, true];
    case 'notifyStreamStatusEvent':
      return [streamStatusFields(message.stream)];
    case 'notifyAudioCodec':
      return [message.mediaSessionId, { name: message.codec }];
    case 'notifyVideoFormat':
      return [
        {
          streamerVideoWidth: message.width,
          streamerVideoHeight: message.height,
          mediaSessionId: message.mediaSessionId,
          status: 'RESIZE',
        },
      ];
    case 'notifyStreamEvent':
      return [message.event];
    case 'inboundVideoRate':
    case 'outboundVideoRate':
      return [
        {
          mediaSessionId: message.mediaSessionId,
          videoRate: message.videoRate,
          fps: message.fps,
          nack: message.nack,
          pli: message.pli,
          lostPackets: message.lostPackets,
          width: message.width,
          height: message.height,
        },
      ];
    case 'availableStream':
      // A string, as documented: the SDK compares with the text "true".
      return [{ status: String(message.available), info: message.info, id: message.id }];
    case 'DataStatusEvent':
      return [{ operationId: message.operationId, status: message.status, info: message.info }];
    case 'OnDataEvent':
      return [{ operationId: message.operationId, payload: message.payload }];
    case 'fail':
      return [{ apiMethod: message.apiMethod, id: message.mediaSessionId, info: message.info }];
  }
}

function userData(authToken: string, connection: ConnectionRequest): object {
  return {
    useWsTunnel: false,
    useWsTunnelPacketization2: false,
    useBase64BinaryEncoding: false,
    mediaProviders: connection.mediaProviders,
    authToken,
    status: 'ESTABLISHED',
    clientVersion: connection.clientVersion,
    clientOSVersion: connection.clientOSVersion,
    clientBrowserVersion: connection.clientBrowserVersion,
    forceLogger: false,
    // A session never outlives its socket here, whatever the client asked for.
    keepAlive: false,
  };
}
