import { pino, stdSerializers } from 'pino';
import type { Logger } from '../domain/logger.ts';

/** Names of fields that are never printed, at any depth that we use. Values that hold URLs are redacted where they are made. */
const SECRET_FIELDS = ['password', 'rtmpUrl', 'authToken', 'sdp', 'icePwd'].flatMap((name) => [name, `*.${name}`]);

/** The process's log: one JSON object a line on standard error, so that standard output stays free for the ready line. */
export function createLogger(
  level: 'debug' | 'info' | 'warn' | 'error',
  destination: NodeJS.WritableStream = process.stderr,
): Logger {
  return pino(
    {
      level,
      base: undefined,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: stdSerializers.err },
      redact: { paths: SECRET_FIELDS, censor: '***' },
    },
    destination,
  );
}
