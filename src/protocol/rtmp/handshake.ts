import { ProtocolError } from '../../domain/errors.ts';
import {
  CLIENT_KEY,
  findDigest,
  HANDSHAKE_PACKET_BYTES,
  placeDigest,
  SERVER_KEY,
  signAnswer,
} from './handshake-digest.ts';

const RTMP_VERSION = 3;
const VERSION_BYTES = 1;
/** A version of 3 or more tells ffmpeg to expect the digest in S1. */
const SERVER_VERSION = Buffer.from([3, 5, 1, 1]);
const CLIENT_VERSION = Buffer.from([9, 0, 124, 2]);
const EMPTY = Buffer.alloc(0);

export interface HandshakeOptions {
  /** Cryptographic quality is not needed. */
  readonly randomBytes: (size: number) => Buffer;
}

/** What a push led to. `rest` is what followed the handshake in the same bytes: the first chunks. */
export interface HandshakeStep {
  readonly reply?: Buffer | undefined;
  readonly isDone: boolean;
  readonly rest: Buffer;
}

/**
 * The accepting side (RTMP 1.0 §5.2): C0+C1 in, S0+S1+S2 out, C2 in. Answers the digest handshake with a digest and the
 * simple one with an echo.
 *
 * @throws {ProtocolError} RTMP_VERSION on the first byte, so that HTTP, TLS and RTMPE are cut at once
 */
export class ServerHandshake {
  readonly #collector = new Collector();
  readonly #randomBytes: (size: number) => Buffer;
  #hasReplied = false;

  constructor(options: HandshakeOptions) {
    this.#randomBytes = options.randomBytes;
  }

  push(bytes: Buffer): HandshakeStep {
    const have = this.#collector.push(bytes);
    let reply: Buffer | undefined;
    if (!this.#hasReplied) {
      if (have.length < VERSION_BYTES + HANDSHAKE_PACKET_BYTES) return { isDone: false, rest: EMPTY };
      reply = this.#reply(this.#collector.take(VERSION_BYTES + HANDSHAKE_PACKET_BYTES).subarray(VERSION_BYTES));
      this.#hasReplied = true;
    }
    if (this.#collector.byteLength < HANDSHAKE_PACKET_BYTES) return { reply, isDone: false, rest: EMPTY };
    this.#collector.take(HANDSHAKE_PACKET_BYTES);
    return { reply, isDone: true, rest: this.#collector.takeAll() };
  }

  #reply(c1: Buffer): Buffer {
    const s1 = this.#randomBytes(HANDSHAKE_PACKET_BYTES);
    s1.fill(0, 0, 8);
    const found = findDigest(c1, CLIENT_KEY);
    let s2 = c1;
    if (found) {
      SERVER_VERSION.copy(s1, 4);
      placeDigest(s1, SERVER_KEY, found.blockOffset);
      s2 = this.#randomBytes(HANDSHAKE_PACKET_BYTES);
      signAnswer(s2, SERVER_KEY, found.digest);
    }
    return Buffer.concat([Buffer.from([RTMP_VERSION]), s1, s2]);
  }
}

/**
 * The dialling side: sends `hello` (C0+C1, with a digest), reads S0+S1+S2, answers C2. A server that knows only the simple
 * handshake gets its S1 echoed; a wrong signature in S2 is not held against it, since all it would prove is being Adobe's.
 *
 * @throws {ProtocolError} RTMP_VERSION
 */
export class ClientHandshake {
  /** C0 and C1: to be sent first. */
  readonly hello: Buffer;
  readonly #collector = new Collector();
  readonly #randomBytes: (size: number) => Buffer;

  constructor(options: HandshakeOptions) {
    this.#randomBytes = options.randomBytes;
    const c1 = options.randomBytes(HANDSHAKE_PACKET_BYTES);
    c1.fill(0, 0, 4);
    CLIENT_VERSION.copy(c1, 4);
    placeDigest(c1, CLIENT_KEY);
    this.hello = Buffer.concat([Buffer.from([RTMP_VERSION]), c1]);
  }

  push(bytes: Buffer): HandshakeStep {
    const have = this.#collector.push(bytes);
    if (have.length < VERSION_BYTES + 2 * HANDSHAKE_PACKET_BYTES) return { isDone: false, rest: EMPTY };
    const s1 = this.#collector
      .take(VERSION_BYTES + 2 * HANDSHAKE_PACKET_BYTES)
      .subarray(VERSION_BYTES, VERSION_BYTES + HANDSHAKE_PACKET_BYTES);
    return { reply: this.#reply(s1), isDone: true, rest: this.#collector.takeAll() };
  }

  #reply(s1: Buffer): Buffer {
    const found = findDigest(s1, SERVER_KEY);
    if (!found) return Buffer.from(s1);
    const c2 = this.#randomBytes(HANDSHAKE_PACKET_BYTES);
    signAnswer(c2, CLIENT_KEY, found.digest);
    return c2;
  }
}

/** Keeps what came until enough is there. What lies beyond a handshake is bounded by the read that completed it. */
class Collector {
  #bytes: Buffer = EMPTY;
  #isVersionChecked = false;

  get byteLength(): number {
    return this.#bytes.length;
  }

  push(bytes: Buffer): Buffer {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    if (!this.#isVersionChecked && this.#bytes.length > 0) {
      if (this.#bytes[0] !== RTMP_VERSION) {
        throw new ProtocolError(
          'RTMP_VERSION',
          `the first byte is ${this.#bytes[0]}, RTMP begins with ${RTMP_VERSION}`,
        );
      }
      this.#isVersionChecked = true;
    }
    return this.#bytes;
  }

  take(byteLength: number): Buffer {
    const taken = this.#bytes.subarray(0, byteLength);
    this.#bytes = this.#bytes.subarray(byteLength);
    return taken;
  }

  takeAll(): Buffer {
    return this.take(this.#bytes.length);
  }
}
