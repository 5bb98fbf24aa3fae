/** Whose fault an error is decides who is told and whether a retry can help (livekit/egress calls it the first question). */
export type Fault = 'client' | 'destination' | 'internal';

interface CatalogueEntry {
  readonly httpStatus: number;
  readonly fault: Fault;
}

/**
 * The one catalogue of errors that leave a component. Codes are stable and never reused. A sentence with the offending
 * value is given where the error is made; 5xx sentences stay in the log (edges answer "internal error" and a request id).
 */
export const ERROR_CATALOGUE = {
  BAD_REQUEST: { httpStatus: 400, fault: 'client' },
  BAD_SDP: { httpStatus: 400, fault: 'client' },
  BAD_RTMP_URL: { httpStatus: 400, fault: 'client' },
  UNRESOLVABLE_HOST: { httpStatus: 400, fault: 'destination' },
  FORBIDDEN_ADDRESS: { httpStatus: 400, fault: 'client' },
  NO_COMMON_CODECS: { httpStatus: 400, fault: 'client' },
  MEDIA_PROTOCOL: { httpStatus: 400, fault: 'client' },
  UNAUTHORIZED: { httpStatus: 401, fault: 'client' },
  RESTRICTED_ACCESS: { httpStatus: 403, fault: 'client' },
  STREAM_NOT_FOUND: { httpStatus: 404, fault: 'client' },
  TRANSPONDER_NOT_FOUND: { httpStatus: 404, fault: 'client' },
  SESSION_NOT_FOUND: { httpStatus: 404, fault: 'client' },
  SOUND_FILE_NOT_FOUND: { httpStatus: 404, fault: 'client' },
  NOT_FOUND: { httpStatus: 404, fault: 'client' },
  STREAM_NAME_IN_USE: { httpStatus: 409, fault: 'client' },
  MEDIA_SESSION_IN_USE: { httpStatus: 409, fault: 'client' },
  TRANSPONDER_EXISTS: { httpStatus: 409, fault: 'client' },
  TRANSPONDER_STATE: { httpStatus: 409, fault: 'client' },
  TOO_MANY_FAILURES: { httpStatus: 429, fault: 'client' },
  TOO_MANY_REQUESTS: { httpStatus: 429, fault: 'client' },
  BAD_CONFIGURATION: { httpStatus: 500, fault: 'client' },
  INTERNAL: { httpStatus: 500, fault: 'internal' },
  CHILD_FAILED: { httpStatus: 500, fault: 'internal' },
  STORE_FAILED: { httpStatus: 500, fault: 'internal' },
  OVERLOADED: { httpStatus: 503, fault: 'internal' },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** An error whose sentence may be shown to whoever caused it. Never put a secret or an RTMP URL in clear into `message`. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  get httpStatus(): number {
    return ERROR_CATALOGUE[this.code].httpStatus;
  }

  get fault(): Fault {
    return ERROR_CATALOGUE[this.code].fault;
  }
}

/**
 * Bytes from outside that break a protocol's rules. `code` is stable and begins with the protocol (`RTMP_CHUNK_SIZE`);
 * the connection that sent them is closed, nobody else is disturbed.
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** For the `default` of a switch over a union: the compiler proves it unreachable, the message names the value if it was not. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}
