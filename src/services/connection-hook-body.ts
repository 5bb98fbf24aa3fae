import type { BackendSession } from './backend.ts';

/**
 * The body of `connect`: fields and order of the seeds and reference/wcs-protocol.md §4. RTMP clients say nothing about themselves.
 * A bearer token is `custom.token`.
 */
export function connectBodyOf({ connection, kind, origin }: BackendSession): object {
  const { mediaProviders, clientVersion, clientOSVersion, clientBrowserVersion, custom, login, token } = connection;
  return {
    useWsTunnel: false,
    useWsTunnelPacketization2: false,
    useBase64BinaryEncoding: false,
    ...(kind !== 'rtmp' && { mediaProviders, clientVersion, clientOSVersion, clientBrowserVersion }),
    keepAlive: connection.keepAlive,
    custom: token === undefined ? custom : { ...Object(custom), token },
    login,
    origin,
  };
}

/** The body of `ConnectionStatusEvent`. */
export function connectionStatusBodyOf(session: BackendSession, status: 'ESTABLISHED' | 'DISCONNECTED'): object {
  return { ...connectBodyOf(session), authToken: session.sessionId, status };
}
