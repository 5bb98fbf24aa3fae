/** What a client wants to do, named as the hook that decides about it (reference/wcs-protocol.md §4). */
export type AccessOperation = 'connect' | 'publishStream' | 'playStream' | 'availableStream' | 'snapshot' | 'sendData';

export interface AccessDetails {
  readonly sessionId: string;
  readonly appKey: string;
  /** `custom` of the connection. */
  readonly custom?: unknown;
  /** Of the page that opened the WebSocket. */
  readonly origin?: string | undefined;
  /** The decoded request. */
  readonly request: object;
}

/** Asked before anything is done for the client. A rejection counts as `denied`. */
export type Access = (operation: AccessOperation, details: AccessDetails) => Promise<'ok' | 'denied'>;

export const allowEverything: Access = () => Promise.resolve('ok');
