import { AppError } from '../../domain/errors.ts';
import { nestsDeeperThan } from '../../protocol/json/nesting.ts';

/** `options` of a push are kept and echoed; what writes them recurses. */
const MAX_JSON_DEPTH = 32;

/**
 * Parses a request body; an empty one is an empty object (`find_all` is posted without any). Throws BAD_REQUEST with what is
 * wrong. V8's own sentence quotes the body, which may hold an RTMP URL, so only its harmless parts are told.
 */
export function parseJsonBody(text: string): object {
  const body = text.trim() === '' ? {} : parse(text);
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body;
  throw new AppError('BAD_REQUEST', 'the body is JSON but no object');
}

function parse(text: string): unknown {
  if (nestsDeeperThan(text, MAX_JSON_DEPTH)) {
    throw new AppError('BAD_REQUEST', `the body nests deeper than ${MAX_JSON_DEPTH}`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError('BAD_REQUEST', `malformed JSON: ${harmlessPartOf(String(error))}`);
  }
}

function harmlessPartOf(sentence: string): string {
  if (sentence.includes('Unexpected end of JSON input')) return 'the body ends too early';
  const position = /in JSON at position \d+(?: \(line \d+ column \d+\))?/.exec(sentence)?.[0];
  const problem = /^SyntaxError: (?:Unexpected token|Expected [^"]*?(?= in JSON)|Unterminated string|Bad [a-z ]+)/.exec(
    sentence,
  )?.[0];
  return [problem?.slice('SyntaxError: '.length) ?? 'it cannot be read', position].filter(Boolean).join(' ');
}
