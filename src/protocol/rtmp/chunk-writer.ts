import { ProtocolError } from '../../domain/errors.ts';
import { MESSAGE_TYPE } from './raw-message.ts';
import type { MessageHeader, RawMessage } from './raw-message.ts';

const DEFAULT_CHUNK_SIZE = 128;
const EXTENDED_TIMESTAMP = 0xffffff;
const FIRST_HEADER_BYTES = 12;
const MAX_PAYLOAD_BYTES = 0xffffff;

/**
 * The chunk stream a message belongs on; some encoders refuse others (reference/rtmp.md §2.3): 2 for protocol control,
 * 3 for the connection's commands, 5 for a stream's commands and data, 4 for audio, 6 for video.
 */
export function chunkStreamIdOf({ typeId, streamId }: MessageHeader): number {
  if (typeId <= MESSAGE_TYPE.peerBandwidth) return 2;
  if (typeId === MESSAGE_TYPE.audio) return 4;
  if (typeId === MESSAGE_TYPE.video || typeId === MESSAGE_TYPE.aggregate) return 6;
  const isCommand = typeId === MESSAGE_TYPE.commandAmf0 || typeId === MESSAGE_TYPE.commandAmf3;
  return isCommand && streamId === 0 ? 3 : 5;
}

/**
 * Messages to chunks (RTMP 1.0 §5.3). Every message begins with a header of format 0 and its absolute timestamp, so that
 * what one peer got never depends on what was dropped before: the same bytes serve every viewer. Extended timestamps are
 * repeated on continuations.
 */
export class ChunkWriter {
  #chunkSize = DEFAULT_CHUNK_SIZE;

  /** The Set Chunk Size message; it holds from the next message on, so send it before any of those. */
  setChunkSize(chunkSize: number): Buffer {
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(chunkSize);
    const bytes = this.encode({ typeId: MESSAGE_TYPE.setChunkSize, timestampMs: 0, streamId: 0, payload });
    this.#chunkSize = chunkSize;
    return bytes;
  }

  /**
   * One message as one buffer that is new and never touched again. `streamId` overrides the message's own.
   *
   * @throws {ProtocolError} RTMP_MESSAGE_TOO_LONG
   */
  encode(message: RawMessage, streamId?: number): Buffer {
    return this.encodeParts(message, [message.payload], streamId);
  }

  /**
   * The same for a payload in parts, which are copied once, into their chunks.
   *
   * @throws {ProtocolError} RTMP_MESSAGE_TOO_LONG
   */
  encodeParts(header: MessageHeader, parts: readonly Buffer[], streamId: number = header.streamId): Buffer {
    const chunkSize = this.#chunkSize;
    const timestampMs = header.timestampMs >>> 0;
    const isExtended = timestampMs >= EXTENDED_TIMESTAMP;
    const extendedBytes = isExtended ? 4 : 0;
    const payloadBytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (payloadBytes > MAX_PAYLOAD_BYTES) {
      throw new ProtocolError('RTMP_MESSAGE_TOO_LONG', `${payloadBytes} bytes do not fit into one message`);
    }
    const continuations = Math.max(0, Math.ceil(payloadBytes / chunkSize) - 1);
    const chunkStreamId = chunkStreamIdOf(header);
    const bytes = Buffer.allocUnsafe(
      FIRST_HEADER_BYTES + extendedBytes + payloadBytes + continuations * (1 + extendedBytes),
    );
    bytes[0] = chunkStreamId;
    bytes.writeUIntBE(isExtended ? EXTENDED_TIMESTAMP : timestampMs, 1, 3);
    bytes.writeUIntBE(payloadBytes, 4, 3);
    bytes[7] = header.typeId;
    bytes.writeUInt32LE(streamId, 8);
    let at = FIRST_HEADER_BYTES;
    if (isExtended) at = bytes.writeUInt32BE(timestampMs, at);
    let roomBytes = chunkSize;
    for (const part of parts) {
      for (let from = 0; from < part.length;) {
        if (roomBytes === 0) {
          bytes[at++] = 0xc0 | chunkStreamId;
          if (isExtended) at = bytes.writeUInt32BE(timestampMs, at);
          roomBytes = chunkSize;
        }
        const to = Math.min(from + roomBytes, part.length);
        at += part.copy(bytes, at, from, to);
        roomBytes -= to - from;
        from = to;
      }
    }
    return bytes;
  }
}
