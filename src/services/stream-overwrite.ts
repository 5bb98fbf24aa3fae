import { type Fields, isFields, printable } from '../protocol/wcs/fields.ts';
import type { StreamRecord } from './stream-record.ts';

const MAX_NAME_CHARS = 1024;
const MAX_URL_CHARS = 4096;

/**
 * Takes over what the backend has answered instead of the client's words (`OVERWRITE`, reference/wcs-protocol.md §4). Unknown
 * fields, and values that the client could not have sent either, are ignored.
 */
export function overwriteStream(stream: StreamRecord, fields: Fields): void {
  const { custom, record } = fields;
  stream.name = printable(fields, 'name', MAX_NAME_CHARS) || stream.name;
  if (isFields(custom)) stream.custom = custom;
  if (!stream.published) return;
  stream.rtmpUrl = printable(fields, 'rtmpUrl', MAX_URL_CHARS) || stream.rtmpUrl;
  if (typeof record === 'boolean') stream.record = record;
}
