import { MARKER } from './markers.ts';
import { AmfDate, AmfEcmaArray } from './values.ts';
import type { AmfObject, AmfValue } from './values.ts';

const MAX_SHORT_TEXT_BYTES = 0xffff;

/** The values one after another. Commands are rare, so this is plain rather than fast. */
export function encodeAmf0(values: readonly AmfValue[]): Buffer {
  const parts: Buffer[] = [];
  for (const value of values) encodeValue(parts, value);
  return Buffer.concat(parts);
}

function encodeValue(parts: Buffer[], value: AmfValue): void {
  switch (typeof value) {
    case 'number':
      return void parts.push(markedDouble(MARKER.number, value));
    case 'boolean':
      return void parts.push(Buffer.from([MARKER.boolean, value ? 1 : 0]));
    case 'string':
      return encodeText(parts, value);
    case 'undefined':
      return void parts.push(Buffer.from([MARKER.undefined]));
    default:
      return encodeComposite(parts, value);
  }
}

function encodeComposite(parts: Buffer[], value: null | AmfDate | AmfEcmaArray | AmfObject | AmfValue[]): void {
  if (value === null) {
    parts.push(Buffer.from([MARKER.null]));
  } else if (Array.isArray(value)) {
    parts.push(markedCount(MARKER.strictArray, value.length));
    for (const element of value) encodeValue(parts, element);
  } else if (value instanceof AmfDate) {
    parts.push(markedDouble(MARKER.date, value.epochMs), Buffer.from([0, 0]));
  } else if (value instanceof AmfEcmaArray) {
    parts.push(markedCount(MARKER.ecmaArray, Object.keys(value.properties).length));
    encodeProperties(parts, value.properties);
  } else {
    parts.push(Buffer.from([MARKER.object]));
    encodeProperties(parts, value);
  }
}

function encodeProperties(parts: Buffer[], properties: AmfObject): void {
  for (const [key, value] of Object.entries(properties)) {
    const text = Buffer.from(key, 'utf8');
    if (text.length > MAX_SHORT_TEXT_BYTES) throw new RangeError('an AMF0 key is longer than 65,535 bytes');
    parts.push(count16(text.length), text);
    encodeValue(parts, value);
  }
  parts.push(Buffer.from([0, 0, MARKER.objectEnd]));
}

function encodeText(parts: Buffer[], value: string): void {
  const text = Buffer.from(value, 'utf8');
  if (text.length > MAX_SHORT_TEXT_BYTES) parts.push(markedCount(MARKER.longString, text.length), text);
  else parts.push(Buffer.from([MARKER.string]), count16(text.length), text);
}

function markedDouble(marker: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(9);
  bytes[0] = marker;
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

function markedCount(marker: number, count: number): Buffer {
  const bytes = Buffer.allocUnsafe(5);
  bytes[0] = marker;
  bytes.writeUInt32BE(count, 1);
  return bytes;
}

function count16(count: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(count);
  return bytes;
}
