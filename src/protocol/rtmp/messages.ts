import { ProtocolError } from '../../domain/errors.ts';
import { type AmfLimits, DEFAULT_AMF_LIMITS, decodeAmf0 } from '../amf0/decode.ts';
import { encodeAmf0 } from '../amf0/encode.ts';
import type { AmfValue } from '../amf0/values.ts';
import { MESSAGE_TYPE } from './raw-message.ts';
import type { RawMessage } from './raw-message.ts';

/** Event types of a user control message (RTMP 1.0 §7.1.7). */
export const USER_CONTROL = {
  streamBegin: 0,
  streamEof: 1,
  setBufferLength: 3,
  pingRequest: 6,
  pingResponse: 7,
} as const;

export interface CommandMessage {
  readonly kind: 'command';
  readonly name: string;
  /** 0 where no answer is wanted. */
  readonly transactionId: number;
  /** Everything after the transaction id; the first is the command object or null. */
  readonly args: readonly AmfValue[];
  readonly streamId: number;
}

/** What our side may send, with its meaning taken apart. Transactions and windows are in bytes, times in milliseconds. */
export type OutgoingMessage =
  | { readonly kind: 'setChunkSize'; readonly chunkSize: number }
  | { readonly kind: 'abort'; readonly chunkStreamId: number }
  | { readonly kind: 'acknowledgement'; readonly receivedBytes: number }
  | { readonly kind: 'windowAckSize'; readonly windowBytes: number }
  | { readonly kind: 'peerBandwidth'; readonly windowBytes: number; readonly limitType: number }
  /** `value` is a stream id or, for pings, a timestamp; `bufferMs` belongs to Set Buffer Length. */
  | {
      readonly kind: 'userControl';
      readonly event: number;
      readonly value: number;
      readonly bufferMs?: number | undefined;
    }
  | CommandMessage
  | {
      readonly kind: 'data';
      readonly values: readonly AmfValue[];
      readonly timestampMs: number;
      readonly streamId: number;
    }
  | {
      readonly kind: 'audio' | 'video';
      readonly payload: Buffer;
      readonly timestampMs: number;
      readonly streamId: number;
    };

export type RtmpMessage =
  | OutgoingMessage
  | { readonly kind: 'aggregate'; readonly parts: readonly RawMessage[] }
  /** Shared objects and types that nobody assigned: to be passed over. */
  | { readonly kind: 'unknown'; readonly typeId: number };

const MAX_AGGREGATE_PARTS = 4096;
/** `onMetaData` of a file may list all of its keyframes; the length of the message is the bound. */
const DATA_LIMITS: AmfLimits = { ...DEFAULT_AMF_LIMITS, maxValues: 32_768 };
const FLV_TAG_HEADER_BYTES = 11;
const FLV_BACK_POINTER_BYTES = 4;

/**
 * The meaning of one message. Audio and video are not copied.
 *
 * @throws {ProtocolError} RTMP_CONTROL, RTMP_COMMAND, RTMP_AGGREGATE, and the codes of `decodeAmf0`
 */
export function decodeMessage(raw: RawMessage): RtmpMessage {
  const { payload, timestampMs, streamId } = raw;
  switch (raw.typeId) {
    case MESSAGE_TYPE.setChunkSize:
      return { kind: 'setChunkSize', chunkSize: uint32(payload, 0) & 0x7fffffff };
    case MESSAGE_TYPE.abort:
      return { kind: 'abort', chunkStreamId: uint32(payload, 0) };
    case MESSAGE_TYPE.acknowledgement:
      return { kind: 'acknowledgement', receivedBytes: uint32(payload, 0) };
    case MESSAGE_TYPE.windowAckSize:
      return { kind: 'windowAckSize', windowBytes: uint32(payload, 0) };
    case MESSAGE_TYPE.peerBandwidth:
      // Some servers leave out the limit type; dynamic (2) is what they mean.
      return { kind: 'peerBandwidth', windowBytes: uint32(payload, 0), limitType: payload[4] ?? 2 };
    case MESSAGE_TYPE.userControl:
      return decodeUserControl(payload);
    case MESSAGE_TYPE.commandAmf0:
    case MESSAGE_TYPE.commandAmf3:
      return decodeCommand(amf0Part(raw), streamId);
    case MESSAGE_TYPE.dataAmf0:
    case MESSAGE_TYPE.dataAmf3:
      return { kind: 'data', values: decodeAmf0(amf0Part(raw), DATA_LIMITS), timestampMs, streamId };
    case MESSAGE_TYPE.audio:
      return { kind: 'audio', payload, timestampMs, streamId };
    case MESSAGE_TYPE.video:
      return { kind: 'video', payload, timestampMs, streamId };
    case MESSAGE_TYPE.aggregate:
      return { kind: 'aggregate', parts: splitAggregate(raw) };
    default:
      return { kind: 'unknown', typeId: raw.typeId };
  }
}

export function encodeMessage(message: OutgoingMessage): RawMessage {
  switch (message.kind) {
    case 'setChunkSize':
      return control(MESSAGE_TYPE.setChunkSize, message.chunkSize);
    case 'abort':
      return control(MESSAGE_TYPE.abort, message.chunkStreamId);
    case 'acknowledgement':
      return control(MESSAGE_TYPE.acknowledgement, message.receivedBytes);
    case 'windowAckSize':
      return control(MESSAGE_TYPE.windowAckSize, message.windowBytes);
    case 'peerBandwidth': {
      const payload = Buffer.allocUnsafe(5);
      payload[payload.writeUInt32BE(message.windowBytes)] = message.limitType;
      return { typeId: MESSAGE_TYPE.peerBandwidth, timestampMs: 0, streamId: 0, payload };
    }
    case 'userControl': {
      const payload = Buffer.allocUnsafe(message.bufferMs === undefined ? 6 : 10);
      const at = payload.writeUInt32BE(message.value, payload.writeUInt16BE(message.event));
      if (message.bufferMs !== undefined) payload.writeUInt32BE(message.bufferMs, at);
      return { typeId: MESSAGE_TYPE.userControl, timestampMs: 0, streamId: 0, payload };
    }
    case 'command': {
      const payload = encodeAmf0([message.name, message.transactionId, ...message.args]);
      return { typeId: MESSAGE_TYPE.commandAmf0, timestampMs: 0, streamId: message.streamId, payload };
    }
    case 'data': {
      const { timestampMs, streamId } = message;
      return { typeId: MESSAGE_TYPE.dataAmf0, timestampMs, streamId, payload: encodeAmf0(message.values) };
    }
    case 'audio':
    case 'video': {
      const { timestampMs, streamId, payload } = message;
      return { typeId: MESSAGE_TYPE[message.kind], timestampMs, streamId, payload };
    }
  }
}

/** The tags of an aggregate message on the message's own clock (RTMP 1.0 §7.1.6). */
function splitAggregate({ payload, timestampMs, streamId }: RawMessage): RawMessage[] {
  const parts: RawMessage[] = [];
  let firstTagMs: number | undefined;
  let at = 0;
  while (at < payload.length) {
    if (payload.length - at < FLV_TAG_HEADER_BYTES) throw new ProtocolError('RTMP_AGGREGATE', 'a tag header is cut');
    const from = at + FLV_TAG_HEADER_BYTES;
    const to = from + payload.readUIntBE(at + 1, 3);
    if (to > payload.length) throw new ProtocolError('RTMP_AGGREGATE', 'a tag runs past its message');
    if (parts.length === MAX_AGGREGATE_PARTS)
      throw new ProtocolError('RTMP_AGGREGATE', `more than ${MAX_AGGREGATE_PARTS} tags`);
    const tagMs = payload.readUIntBE(at + 4, 3) + payload[at + 7]! * 0x1000000;
    firstTagMs ??= tagMs;
    const partMs = (timestampMs + tagMs - firstTagMs) >>> 0;
    parts.push({ typeId: payload[at]! & 0x1f, timestampMs: partMs, streamId, payload: payload.subarray(from, to) });
    at = to + FLV_BACK_POINTER_BYTES;
  }
  return parts;
}

function decodeUserControl(payload: Buffer): RtmpMessage {
  if (payload.length < 2) throw new ProtocolError('RTMP_CONTROL', 'a user control message is shorter than 2 bytes');
  const event = payload.readUInt16BE(0);
  if (event === USER_CONTROL.setBufferLength) {
    return { kind: 'userControl', event, value: uint32(payload, 2), bufferMs: uint32(payload, 6) };
  }
  // Events of other vendors may carry less; they are passed over, not refused (reference/rtmp.md §2.4).
  return { kind: 'userControl', event, value: payload.length >= 6 ? payload.readUInt32BE(2) : 0 };
}

function decodeCommand(amf: Buffer, streamId: number): CommandMessage {
  const [name, transactionId, ...args] = decodeAmf0(amf);
  if (typeof name !== 'string') throw new ProtocolError('RTMP_COMMAND', 'a command has no name');
  return {
    kind: 'command',
    name,
    transactionId: typeof transactionId === 'number' ? transactionId : 0,
    args,
    streamId,
  };
}

/** Messages of the AMF3 types carry AMF0 behind one zero byte in practice (reference/rtmp.md §1). */
function amf0Part({ typeId, payload }: RawMessage): Buffer {
  const isAmf3 = typeId === MESSAGE_TYPE.commandAmf3 || typeId === MESSAGE_TYPE.dataAmf3;
  return isAmf3 && payload[0] === 0 ? payload.subarray(1) : payload;
}

function uint32(payload: Buffer, offset: number): number {
  if (payload.length < offset + 4) throw new ProtocolError('RTMP_CONTROL', 'a control message is too short');
  return payload.readUInt32BE(offset);
}

function control(typeId: number, value: number): RawMessage {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(value >>> 0);
  return { typeId, timestampMs: 0, streamId: 0, payload };
}
