import { ProtocolError } from '../../domain/errors.ts';
import { MARKER } from './markers.ts';
import { AmfDate, AmfEcmaArray, amfObject } from './values.ts';
import type { AmfObject, AmfValue } from './values.ts';

/** Bounds of one message; nested or counted bombs end parsers that have none (reference/rtmp.md §5). */
export interface AmfLimits {
  readonly maxDepth: number;
  /** Values of all kinds in one message, property values and array elements included. */
  readonly maxValues: number;
}

export const DEFAULT_AMF_LIMITS: AmfLimits = { maxDepth: 8, maxValues: 1024 };

/**
 * All values of one message, to its last byte.
 *
 * @throws {ProtocolError} AMF0_TRUNCATED, AMF0_MARKER, AMF0_DEPTH, AMF0_VALUES
 */
export function decodeAmf0(bytes: Buffer, limits: AmfLimits = DEFAULT_AMF_LIMITS): AmfValue[] {
  const decoder = new Decoder(bytes, limits);
  const values: AmfValue[] = [];
  while (!decoder.atEnd) values.push(decoder.value(0));
  return values;
}

class Decoder {
  readonly #bytes: Buffer;
  readonly #limits: AmfLimits;
  #offset = 0;
  #values = 0;

  constructor(bytes: Buffer, limits: AmfLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
  }

  get atEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  value(depth: number): AmfValue {
    if (depth > this.#limits.maxDepth)
      throw new ProtocolError('AMF0_DEPTH', `nested deeper than ${this.#limits.maxDepth}`);
    if (++this.#values > this.#limits.maxValues) {
      throw new ProtocolError('AMF0_VALUES', `more than ${this.#limits.maxValues} values in one message`);
    }
    const marker = this.#bytes[this.#take(1)]!;
    switch (marker) {
      case MARKER.number:
        return this.#bytes.readDoubleBE(this.#take(8));
      case MARKER.boolean:
        return this.#bytes[this.#take(1)] !== 0;
      case MARKER.string:
        return this.#shortText();
      case MARKER.longString:
        return this.#text(this.#bytes.readUInt32BE(this.#take(4)));
      case MARKER.object:
        return this.#properties(depth);
      case MARKER.typedObject:
        this.#shortText();
        return this.#properties(depth);
      case MARKER.ecmaArray:
        // The announced count is a hint that senders get wrong; the end marker decides.
        this.#take(4);
        return new AmfEcmaArray(this.#properties(depth));
      case MARKER.strictArray:
        return this.#elements(depth);
      case MARKER.date: {
        const date = new AmfDate(this.#bytes.readDoubleBE(this.#take(8)));
        this.#take(2);
        return date;
      }
      case MARKER.null:
        return null;
      case MARKER.undefined:
      case MARKER.unsupported:
        return undefined;
      default:
        throw new ProtocolError('AMF0_MARKER', `type marker ${marker} is not accepted`);
    }
  }

  #properties(depth: number): AmfObject {
    const properties = amfObject();
    for (;;) {
      const key = this.#shortText();
      if (key === '' && this.#bytes[this.#offset] === MARKER.objectEnd) {
        this.#offset++;
        return properties;
      }
      properties[key] = this.value(depth + 1);
    }
  }

  #elements(depth: number): AmfValue[] {
    const count = this.#bytes.readUInt32BE(this.#take(4));
    const elements: AmfValue[] = [];
    for (let index = 0; index < count; index++) elements.push(this.value(depth + 1));
    return elements;
  }

  #shortText(): string {
    return this.#text(this.#bytes.readUInt16BE(this.#take(2)));
  }

  #text(byteLength: number): string {
    const start = this.#take(byteLength);
    return this.#bytes.toString('utf8', start, start + byteLength);
  }

  /** Moves on by `byteLength` bytes that are there and returns where they begin. */
  #take(byteLength: number): number {
    const start = this.#offset;
    if (byteLength > this.#bytes.length - start)
      throw new ProtocolError('AMF0_TRUNCATED', 'a value runs past its message');
    this.#offset = start + byteLength;
    return start;
  }
}
