import { STATUS_CODES } from 'node:http';

/** The body of every answer that is not 200 (reference/wcs-protocol.md §3). */
interface ErrorBody {
  readonly exception: string;
  readonly reason: string;
  readonly path: string;
  readonly error: string;
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly status: number;
}

const EXCEPTION_PACKAGE = 'com.flashphoner.rest.server.exception';

/** `url` may hold a query, which is left out. */
export function errorBody(status: number, message: string, url: string, nowMs: number): ErrorBody {
  const error = STATUS_CODES[status] ?? 'Error';
  const exception = `${EXCEPTION_PACKAGE}.${error.replaceAll(/[^A-Za-z]/g, '')}Exception`;
  return {
    exception,
    reason: `${exception}, ${error}, ${message}`,
    path: pathOf(url),
    error,
    message,
    timestamp: nowMs,
    status,
  };
}

export function pathOf(url: string): string {
  return url.split('?', 1)[0]!;
}
