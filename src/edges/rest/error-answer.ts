import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../../domain/errors.ts';
import type { Logger } from '../../domain/logger.ts';
import { JSON_CONTENT_TYPE } from './answers.ts';
import { errorBody, pathOf } from './error-body.ts';

/**
 * Answers an error in the WCS shape: 4xx explain themselves, and so does OVERLOADED, which says when to come again; of other 5xx
 * only the log has the reason.
 */
export function errorAnswer(logger: Logger, nowMs: () => number) {
  return (error: FastifyError | AppError, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const status = statusOf(error);
    if (status >= 500) {
      logger.error({ err: error, requestId: request.id, path: pathOf(request.url) }, 'a REST request failed');
    }
    const isInternal = status >= 500 && !(error instanceof AppError && error.code === 'OVERLOADED');
    const message = isInternal ? `internal error, request id ${request.id}` : messageOf(error);
    return sendError(reply, status, message, request.url, nowMs());
  };
}

export function sendError(
  reply: FastifyReply,
  status: number,
  message: string,
  url: string,
  nowMs: number,
): FastifyReply {
  const body = JSON.stringify(errorBody(status, message, url, nowMs));
  return reply.code(status).header('content-type', JSON_CONTENT_TYPE).send(body);
}

function statusOf(error: FastifyError | AppError): number {
  if (error instanceof AppError) return error.httpStatus;
  const status = error.statusCode ?? 500;
  return status >= 400 && status <= 599 ? status : 500;
}

/** The validator's own sentences name the field and the rule, never the value. */
function messageOf(error: FastifyError | AppError): string {
  if (error instanceof AppError || !error.validation) return error.message;
  return error.validation
    .map(({ instancePath, message }) => `body${instancePath.replaceAll('/', '.')} ${message}`)
    .join('; ');
}
