import type { FastifyReply } from 'fastify';
import type { ErrorCode } from '../../domain/errors.ts';
import { AppError } from '../../domain/errors.ts';

/** As WCS writes it. */
export const JSON_CONTENT_TYPE = 'application/json;charset=UTF-8';

/** "void": 200 and a body of no bytes; clients take any other body for an error report (reference/wcs-protocol.md §3). */
export function sendVoid(reply: FastifyReply): FastifyReply {
  return reply.code(200).header('content-length', 0).send();
}

/** WCS answers 404 where others answer an empty list. */
export function foundOr404<T>(found: T[], code: ErrorCode, message: string): T[] {
  if (found.length > 0) return found;
  throw new AppError(code, message);
}
