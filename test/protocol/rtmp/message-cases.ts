import { AmfEcmaArray, amfObject } from '../../../src/protocol/amf0/values.ts';
import type { OutgoingMessage } from '../../../src/protocol/rtmp/messages.ts';

export interface MessageCase {
  readonly name: string;
  readonly message: OutgoingMessage;
  readonly typeId: number;
  readonly payloadHex: string;
}

/** One table drives decoding, encoding and the round trip through the chunk layer. */
export const messageCases: readonly MessageCase[] = [
  { name: 'Set Chunk Size', message: { kind: 'setChunkSize', chunkSize: 65_536 }, typeId: 1, payloadHex: '00010000' },
  { name: 'Abort', message: { kind: 'abort', chunkStreamId: 6 }, typeId: 2, payloadHex: '00000006' },
  {
    name: 'Acknowledgement',
    message: { kind: 'acknowledgement', receivedBytes: 0xfffffffe },
    typeId: 3,
    payloadHex: 'fffffffe',
  },
  { name: 'Stream Begin', message: { kind: 'userControl', event: 0, value: 1 }, typeId: 4, payloadHex: '000000000001' },
  {
    name: 'Set Buffer Length',
    message: { kind: 'userControl', event: 3, value: 1, bufferMs: 3000 },
    typeId: 4,
    payloadHex: '00030000000100000bb8',
  },
  {
    name: 'Ping Request',
    message: { kind: 'userControl', event: 6, value: 258 },
    typeId: 4,
    payloadHex: '000600000102',
  },
  {
    name: 'Window Acknowledgement Size',
    message: { kind: 'windowAckSize', windowBytes: 250_000 },
    typeId: 5,
    payloadHex: '0003d090',
  },
  {
    name: 'Set Peer Bandwidth',
    message: { kind: 'peerBandwidth', windowBytes: 2_500_000, limitType: 2 },
    typeId: 6,
    payloadHex: '002625a002',
  },
  {
    name: 'audio',
    message: { kind: 'audio', payload: Buffer.from('af0121', 'hex'), timestampMs: 23, streamId: 1 },
    typeId: 8,
    payloadHex: 'af0121',
  },
  {
    name: 'video with an extended timestamp',
    message: { kind: 'video', payload: Buffer.alloc(300, 7), timestampMs: 0xfffffffe, streamId: 1 },
    typeId: 9,
    payloadHex: '07'.repeat(300),
  },
  {
    name: 'empty audio',
    message: { kind: 'audio', payload: Buffer.alloc(0), timestampMs: 0, streamId: 1 },
    typeId: 8,
    payloadHex: '',
  },
  {
    name: 'data',
    message: { kind: 'data', values: ['onMetaData', new AmfEcmaArray({ width: 1 })], timestampMs: 0, streamId: 1 },
    typeId: 18,
    payloadHex: '02000a6f6e4d65746144617461080000000100057769647468003ff0000000000000000009',
  },
  {
    name: 'connect',
    message: { kind: 'command', name: 'connect', transactionId: 1, args: [amfObject({ app: 'live' })], streamId: 0 },
    typeId: 20,
    payloadHex: '020007636f6e6e656374003ff00000000000000300036170700200046c697665000009',
  },
  {
    name: 'publish',
    message: { kind: 'command', name: 'publish', transactionId: 5, args: [null, 'key', 'live'], streamId: 1 },
    typeId: 20,
    payloadHex: '0200077075626c697368004014000000000000050200036b65790200046c697665',
  },
];
