import { createHmac } from 'node:crypto';
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from '../../domain/clock.ts';
import { nestsDeeperThan } from '../../protocol/json/nesting.ts';
import { type Fields, isFields } from '../../protocol/wcs/fields.ts';
import type { ApplicationBackend } from './applications.ts';
import { Slots } from './slots.ts';

/**
 * What became of a request. `refused` is a status 4xx, `failed` any other that is not 2xx, `garbage` an answer that is neither
 * empty nor a JSON object of bearable size, `overloaded` one request too many to even wait, in
 * all or of one client, `gone` what nobody asks any more.
 */
export type HookOutcome =
  'ok' | 'refused' | 'failed' | 'garbage' | 'timeout' | 'unreachable' | 'overloaded' | 'gone' | 'shutdown';

export interface HookResult {
  readonly outcome: HookOutcome;
  /** Of the answer, where there was one. */
  readonly httpStatus?: number | undefined;
  /** Only with `ok`. */
  readonly answer?: Fields | undefined;
  /** Of the socket, where there was no answer. */
  readonly errorCode?: string | undefined;
}

export interface HookClientOptions {
  readonly backend: ApplicationBackend;
  /** For the whole of it, waiting for a connection included; 0 = no limit. */
  readonly timeoutMs: number;
  readonly maxConnections: number;
  /** Requests are signed with it, where there is one. */
  readonly secretKey: string | undefined;
  readonly userAgent: string;
  readonly clock: Clock;
}

const MAX_ANSWER_BYTES = 1024 * 1024;
const MAX_ANSWER_DEPTH = 40;
const MAX_WAITING = 10_000;
/** Of all bodies that are on their way or wait: a slow backend does not fill the memory. */
const MAX_HELD_CHARS = 64 * 1024 * 1024;

/** Requests to the backend of one application, over connections of its own that are kept. Closed by its owner. */
export class HookClient {
  readonly #options: HookClientOptions;
  readonly #agent: HttpAgent;
  readonly #slots: Slots;
  readonly #exchanges = new Set<AbortController>();
  #heldChars = 0;
  #isClosed = false;

  constructor(options: HookClientOptions) {
    this.#options = options;
    const agentOptions = { keepAlive: true };
    this.#agent = options.backend.url.startsWith('https:') ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
    this.#slots = new Slots(options.maxConnections);
  }

  /** Posts a JSON text; never rejects. */
  async post(method: string, json: string): Promise<HookResult> {
    if (this.#isClosed) return { outcome: 'shutdown' };
    const isFull = this.#slots.waiting >= MAX_WAITING || this.#heldChars + json.length > MAX_HELD_CHARS;
    if (isFull) return { outcome: 'overloaded' };
    const { clock, timeoutMs } = this.#options;
    const abort = new AbortController();
    const cancel = timeoutMs === 0 ? () => {} : clock.after(timeoutMs, () => abort.abort());
    this.#exchanges.add(abort);
    this.#heldChars += json.length;
    try {
      await this.#slots.take(abort.signal);
      try {
        return await this.#exchange(method, Buffer.from(json), abort.signal);
      } finally {
        this.#slots.give();
      }
    } catch (error) {
      if (this.#isClosed) return { outcome: 'shutdown' };
      if (abort.signal.aborted) return { outcome: 'timeout' };
      return { outcome: 'unreachable', errorCode: (error as NodeJS.ErrnoException).code };
    } finally {
      cancel();
      this.#heldChars -= json.length;
      this.#exchanges.delete(abort);
    }
  }

  /** What is on its way ends as `shutdown`. */
  close(): void {
    this.#isClosed = true;
    for (const abort of this.#exchanges) abort.abort();
    this.#agent.destroy();
  }

  #exchange(method: string, body: Buffer, signal: AbortSignal, isSecondTry = false): Promise<HookResult> {
    const { url } = this.#options.backend;
    const { promise, resolve, reject } = Promise.withResolvers<HookResult>();
    const send = url.startsWith('https:') ? httpsRequest : httpRequest;
    const request = send(`${url}/${method}`, {
      method: 'POST',
      agent: isSecondTry ? false : this.#agent,
      headers: this.#headersOf(body),
      signal,
    });
    let isAnswered = false;
    request.on('response', (response) => {
      isAnswered = true;
      resolve(readAnswer(response));
    });
    // Who did not ask for another protocol gets no answer with it: without a listener node says nothing but `close`.
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ outcome: 'failed', httpStatus: response.statusCode });
    });
    request.on('close', () => reject(new Error('the request ended without an answer')));
    request.on('error', (error: NodeJS.ErrnoException) => {
      // The backend closed a kept connection just when it was used again, which says nothing about the request. A reset in the
      // middle of an answer comes here too: that one was carried out, and its reader knows.
      const wasStale = !isAnswered && request.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(error.code ?? '');
      if (wasStale && !isSecondTry && !signal.aborted) resolve(this.#exchange(method, body, signal, true));
      else reject(error);
    });
    request.end(body);
    return promise;
  }

  #headersOf(body: Buffer): Record<string, string | number> {
    const { secretKey, userAgent, backend } = this.#options;
    const authorization = secretKey === undefined ? basicOf(backend) : signatureOf(body, secretKey);
    return {
      'content-type': 'application/json;charset=UTF-8',
      accept: 'application/json',
      'user-agent': userAgent,
      'content-length': body.length,
      ...(authorization !== undefined && { authorization }),
    };
  }
}

/** HTTP Basic (RFC 7617). */
function basicOf({ credentials }: ApplicationBackend): string | undefined {
  if (!credentials) return undefined;
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
}

/** As WCS signs: `WCS <hex HMAC-MD5 of the body>` (reference/wcs-protocol.md §4). */
function signatureOf(body: Buffer, secretKey: string): string {
  return `WCS ${createHmac('md5', secretKey).update(body).digest('hex')}`;
}

/** Too much of it ends the connection. Rejects when the connection ends first. */
async function readAnswer(response: IncomingMessage): Promise<HookResult> {
  const httpStatus = response.statusCode ?? 0;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) return { outcome: outcomeOf(httpStatus) ?? 'garbage', httpStatus };
    chunks.push(chunk);
  }
  const outcome = outcomeOf(httpStatus);
  if (outcome) return { outcome, httpStatus };
  const answer = fieldsOf(Buffer.concat(chunks).toString());
  return answer ? { outcome: 'ok', httpStatus, answer } : { outcome: 'garbage', httpStatus };
}

/** Undefined where it depends on the body. */
function outcomeOf(httpStatus: number): HookOutcome | undefined {
  if (httpStatus >= 200 && httpStatus < 300) return undefined;
  return httpStatus >= 400 && httpStatus < 500 ? 'refused' : 'failed';
}

function fieldsOf(text: string): Fields | undefined {
  if (text.trim() === '') return {};
  if (nestsDeeperThan(text, MAX_ANSWER_DEPTH)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
