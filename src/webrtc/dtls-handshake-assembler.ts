import { ProtocolError } from '../domain/errors.ts';

export const HANDSHAKE_HEADER_BYTES = 12;

/** One whole handshake message (RFC 6347 §4.2.2). */
export interface HandshakeMessage {
  readonly type: number;
  readonly messageSeq: number;
  /** Header (as if never fragmented) and body. */
  readonly bytes: Buffer;
}

interface Assembly {
  readonly type: number;
  readonly bytes: Buffer;
  /** Received parts of the body as [from, to), in order and disjoint. */
  parts: [number, number][];
}

export interface AssemblerLimits {
  readonly maxMessageBytes: number;
  /** Messages ahead of the next expected one that may be held. */
  readonly maxAhead: number;
  /** Separate parts of one message that may be held. */
  readonly maxParts: number;
}

const DEFAULT_LIMITS: AssemblerLimits = { maxMessageBytes: 8192, maxAhead: 4, maxParts: 16 };

/**
 * Puts handshake fragments together and in order: any order, overlap or repetition of fragments gives the same messages
 * (RFC 6347 §4.2.3). Throws ProtocolError `DTLS_HANDSHAKE` for fragments that break a limit or contradict each other.
 */
export class HandshakeAssembler {
  readonly #limits: AssemblerLimits;
  readonly #assemblies = new Map<number, Assembly>();
  #nextSeq = 0;

  constructor(limits: Partial<AssemblerLimits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /**
   * Takes the plain text of one handshake record. `isRepeat` says that it held a fragment of a message that was complete
   * before: the other side has not got our answer to it.
   */
  push(fragments: Buffer): { readonly messages: HandshakeMessage[]; readonly isRepeat: boolean } {
    let isRepeat = false;
    for (let offset = 0; offset < fragments.length;) {
      if (offset + HANDSHAKE_HEADER_BYTES > fragments.length) throw broken('is cut off');
      const start = offset + HANDSHAKE_HEADER_BYTES;
      const end = start + fragments.readUIntBE(offset + 9, 3);
      if (end > fragments.length) throw broken('does not fit its record');
      const messageSeq = fragments.readUInt16BE(offset + 4);
      if (messageSeq < this.#nextSeq) isRepeat = true;
      else this.#add(messageSeq, fragments.subarray(offset, start), fragments.subarray(start, end));
      offset = end;
    }
    return { messages: this.#takeComplete(), isRepeat };
  }

  #add(messageSeq: number, header: Buffer, body: Buffer): void {
    const type = header[0]!;
    const bodyBytes = header.readUIntBE(1, 3);
    const from = header.readUIntBE(6, 3);
    if (bodyBytes > this.#limits.maxMessageBytes) throw broken(`is of a message of ${bodyBytes} bytes`);
    if (from + body.length > bodyBytes) throw broken('goes past the end of its message');
    if (messageSeq > this.#nextSeq + this.#limits.maxAhead) throw broken('is too far ahead');
    let assembly = this.#assemblies.get(messageSeq);
    if (!assembly) {
      assembly = { type, bytes: Buffer.alloc(HANDSHAKE_HEADER_BYTES + bodyBytes), parts: [] };
      assembly.bytes[0] = type;
      assembly.bytes.writeUIntBE(bodyBytes, 1, 3);
      assembly.bytes.writeUInt16BE(messageSeq, 4);
      assembly.bytes.writeUIntBE(bodyBytes, 9, 3);
      this.#assemblies.set(messageSeq, assembly);
    }
    if (assembly.type !== type || assembly.bytes.length !== HANDSHAKE_HEADER_BYTES + bodyBytes) {
      throw broken('contradicts an earlier one');
    }
    const parts = merge(assembly.parts, from, from + body.length);
    if (parts.length > this.#limits.maxParts) throw broken('leaves too many holes');
    assembly.parts = parts;
    body.copy(assembly.bytes, HANDSHAKE_HEADER_BYTES + from);
  }

  #takeComplete(): HandshakeMessage[] {
    const messages: HandshakeMessage[] = [];
    for (;;) {
      const assembly = this.#assemblies.get(this.#nextSeq);
      if (!assembly) return messages;
      const [only] = assembly.parts;
      if (only?.[0] !== 0 || only[1] !== assembly.bytes.length - HANDSHAKE_HEADER_BYTES) return messages;
      this.#assemblies.delete(this.#nextSeq);
      messages.push({ type: assembly.type, messageSeq: this.#nextSeq, bytes: assembly.bytes });
      this.#nextSeq++;
    }
  }
}

/** `parts` with [from, to) added; parts that touch become one. */
function merge(parts: readonly [number, number][], from: number, to: number): [number, number][] {
  const added: [number, number] = [from, to];
  const apart: [number, number][] = [];
  for (const part of parts) {
    if (part[1] < added[0] || part[0] > added[1]) {
      apart.push(part);
      continue;
    }
    added[0] = Math.min(added[0], part[0]);
    added[1] = Math.max(added[1], part[1]);
  }
  apart.push(added);
  return apart.sort((a, b) => a[0] - b[0]);
}

function broken(what: string): ProtocolError {
  return new ProtocolError('DTLS_HANDSHAKE', `DTLS handshake fragment ${what}`);
}
