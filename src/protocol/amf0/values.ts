/** Properties in wire order, with a null prototype: a key `__proto__` from outside is data like any other. */
export type AmfObject = { [key: string]: AmfValue };

/** Associative array (AMF0 §2.10). ffmpeg reads `onMetaData` only in this form, so it stays distinct from an object. */
export class AmfEcmaArray {
  readonly properties: AmfObject;

  constructor(properties: AmfObject) {
    this.properties = amfObject(properties);
  }
}

/** Date (AMF0 §2.13). The time zone field is reserved: written as 0, ignored when read. */
export class AmfDate {
  readonly epochMs: number;

  constructor(epochMs: number) {
    this.epochMs = epochMs;
  }
}

/**
 * What AMF0 can carry in RTMP. A long string reads as `string`, a typed object as its properties, "unsupported" as
 * `undefined`. References, XML and the switch to AMF3 are refused: no encoder sends them in a command.
 */
export type AmfValue = number | boolean | string | null | undefined | AmfDate | AmfEcmaArray | AmfObject | AmfValue[];

/** A null-prototype copy of `entries`, the form in which decoded objects come. */
export function amfObject(entries: Readonly<Record<string, AmfValue>> = {}): AmfObject {
  return Object.assign(Object.create(null) as AmfObject, entries);
}

/** The named properties of an object or an ECMA array, which senders use interchangeably; undefined for anything else. */
export function amfProperties(value: AmfValue): AmfObject | undefined {
  if (value instanceof AmfEcmaArray) return value.properties;
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof AmfDate) return undefined;
  return value;
}

/** The property `key` if it is a string; every value from outside is unknown until checked. */
export function amfString(value: AmfValue, key: string): string | undefined {
  const property = amfProperties(value)?.[key];
  return typeof property === 'string' ? property : undefined;
}
