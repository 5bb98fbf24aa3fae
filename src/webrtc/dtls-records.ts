import { ProtocolError } from '../domain/errors.ts';

export const CONTENT_TYPE = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

export const RECORD_HEADER_BYTES = 13;
const DTLS_MAJOR = 0xfe;
/** 2^14 bytes of plain text and what a cipher may add (RFC 6347 §4.1, RFC 5246 §6.2.3). */
const MAX_FRAGMENT_BYTES = 2 ** 14 + 2048;
/** A flight in one datagram has fewer; more is somebody's attempt to keep us busy. */
const MAX_RECORDS = 32;

/** One DTLS 1.2 record; `fragment` is a view of the datagram. */
export interface DtlsRecord {
  readonly contentType: number;
  readonly version: number;
  readonly epoch: number;
  readonly sequenceNumber: number;
  readonly fragment: Buffer;
}

/** Cuts a datagram into records (RFC 6347 §4.1). Throws ProtocolError `DTLS_RECORD`. */
export function parseDtlsRecords(datagram: Buffer): DtlsRecord[] {
  const records: DtlsRecord[] = [];
  for (let offset = 0; offset < datagram.length;) {
    if (offset + RECORD_HEADER_BYTES > datagram.length || records.length >= MAX_RECORDS) {
      throw new ProtocolError('DTLS_RECORD', `DTLS record at ${offset} is cut off or one too many`);
    }
    const fragmentBytes = datagram.readUInt16BE(offset + 11);
    const start = offset + RECORD_HEADER_BYTES;
    if (datagram[offset + 1] !== DTLS_MAJOR || fragmentBytes > MAX_FRAGMENT_BYTES) {
      throw new ProtocolError('DTLS_RECORD', `DTLS record of ${fragmentBytes} bytes or of an unknown version`);
    }
    if (start + fragmentBytes > datagram.length) {
      throw new ProtocolError('DTLS_RECORD', `DTLS record of ${fragmentBytes} bytes does not fit`);
    }
    records.push({
      contentType: datagram[offset]!,
      version: datagram.readUInt16BE(offset + 1),
      epoch: datagram.readUInt16BE(offset + 3),
      sequenceNumber: datagram.readUIntBE(offset + 5, 6),
      fragment: datagram.subarray(start, start + fragmentBytes),
    });
    offset = start + fragmentBytes;
  }
  return records;
}

/** The bytes of one record. */
export function encodeDtlsRecord(record: DtlsRecord): Buffer {
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES + record.fragment.length);
  bytes[0] = record.contentType;
  bytes.writeUInt16BE(record.version, 1);
  bytes.writeUInt16BE(record.epoch, 3);
  bytes.writeUIntBE(record.sequenceNumber, 5, 6);
  bytes.writeUInt16BE(record.fragment.length, 11);
  record.fragment.copy(bytes, RECORD_HEADER_BYTES);
  return bytes;
}
