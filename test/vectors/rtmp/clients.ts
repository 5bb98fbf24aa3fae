import { CLIENT_KEY, placeDigest } from '../../../src/protocol/rtmp/handshake-digest.ts';

/**
 * What clients send, written down from the forms that their sources document and framed here without the code under test.
 * They do not wait for answers, so that each is also the case of a client that pipelines.
 */
export interface RtmpClientVector {
  readonly client: string;
  readonly intent: 'publish' | 'play';
  readonly c0c1: Buffer;
  readonly c2: Buffer;
  /** Commands and control messages in their order, each with its chunk headers. */
  readonly steps: readonly { readonly name: string; readonly bytes: Buffer }[];
  /** Everything, in one piece. */
  readonly bytes: Buffer;
  readonly app: string;
  readonly flashVersion: string;
  readonly isEnhanced: boolean;
  /** As written in publish or play. */
  readonly target: string;
}

const PACKET_BYTES = 1536;
const RTMP_VERSION = Buffer.from([3]);
const COMMAND = 0x14;
const SET_CHUNK_SIZE = 1;
const USER_CONTROL = 4;
const WINDOW_ACK_SIZE = 5;

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

function uint(value: number, byteLength: number): Buffer {
  const bytes = Buffer.alloc(byteLength);
  bytes.writeUIntBE(value, 0, byteLength);
  return bytes;
}

const text = (value: string): Buffer => Buffer.concat([hex('02'), uint(value.length, 2), Buffer.from(value, 'latin1')]);
const flag = (value: boolean): Buffer => hex(value ? '0101' : '0100');
const NULL = hex('05');
function number(value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.writeDoubleBE(value, 1);
  return bytes;
}
function object(properties: Readonly<Record<string, Buffer>>): Buffer {
  const pairs = Object.entries(properties).flatMap(([key, value]) => [text(key).subarray(1), value]);
  return Buffer.concat([hex('03'), ...pairs, hex('000009')]);
}
const strictArray = (values: readonly Buffer[]): Buffer =>
  Buffer.concat([hex('0a'), uint(values.length, 4), ...values]);

/** A message with a header of format 0 or, on a chunk stream that has had one, of format 1. */
function message(
  format: 0 | 1,
  chunkStreamId: number,
  typeId: number,
  payload: Buffer,
  more: { chunkSize?: number; streamId?: number } = {},
): Buffer {
  const { chunkSize = 128, streamId = 0 } = more;
  const header = [uint((format << 6) | chunkStreamId, 1), uint(0, 3), uint(payload.length, 3), uint(typeId, 1)];
  if (format === 0) header.push(Buffer.from([streamId, 0, 0, 0]));
  const chunks: Buffer[] = [...header];
  for (let from = 0; from < payload.length; from += chunkSize) {
    if (from > 0) chunks.push(uint(0xc0 | chunkStreamId, 1));
    chunks.push(payload.subarray(from, from + chunkSize));
  }
  return Buffer.concat(chunks);
}

const command = (name: string, transactionId: number, ...values: Buffer[]): Buffer =>
  Buffer.concat([text(name), number(transactionId), ...values]);

/** Bytes that are the same in each run and look random to a parser. */
function filler(seed: number): Buffer {
  let state = seed;
  return Buffer.from(
    Uint8Array.from({ length: PACKET_BYTES }, () => (state = (state * 1_103_515_245 + 12_345) & 0x7fffffff) >> 16),
  );
}

/** Time, four zero bytes, random: librtmp and GStreamer. */
function simpleC1(): Buffer {
  return Buffer.concat([hex('00000000 00000000'), filler(1).subarray(8)]);
}

/** Time, the version of a Flash player, and a digest: ffmpeg. */
function digestC1(): Buffer {
  const c1 = Buffer.concat([hex('00000000 09007c02'), filler(2).subarray(8)]);
  placeDigest(c1, CLIENT_KEY, 8);
  return c1;
}

type Step = readonly [name: string, bytes: Buffer];

const connect = (properties: Readonly<Record<string, Buffer>>, chunkSize?: number): Step => [
  'connect',
  message(0, 3, COMMAND, command('connect', 1, object(properties)), chunkSize === undefined ? {} : { chunkSize }),
];

function vector(
  facts: Omit<RtmpClientVector, 'c0c1' | 'c2' | 'steps' | 'bytes'>,
  c1: Buffer,
  steps: readonly Step[],
): RtmpClientVector {
  const c0c1 = Buffer.concat([RTMP_VERSION, c1]);
  const c2 = filler(3);
  return {
    ...facts,
    c0c1,
    c2,
    steps: steps.map(([name, bytes]) => ({ name, bytes })),
    bytes: Buffer.concat([c0c1, c2, ...steps.map(([, bytes]) => bytes)]),
  };
}

const HOST = 'rtmp://media.example:1935';
const FMLE = 'FMLE/3.0 (compatible; FMSc/1.0)';
const LIBRTMP = 'LNX 9,0,124,2';
const LAVF = 'FMLE/3.0 (compatible; Lavf59.27.100)';
const LAVF_PLAYER = 'LNX 9,0,124,2';
const PLAIN_CODECS = { audioCodecs: number(4071), videoCodecs: number(252), videoFunction: number(1) };

/** OBS: its own librtmp in chunks of 4,096, and Enhanced RTMP announced with a strict array, maps and capsEx. */
const obs = vector(
  { client: 'OBS', intent: 'publish', app: 'live', flashVersion: FMLE, isEnhanced: true, target: 'stream1?key=a/b' },
  simpleC1(),
  [
    ['setChunkSize', message(0, 2, SET_CHUNK_SIZE, uint(4096, 4))],
    connect(
      {
        app: text('live'),
        type: text('nonprivate'),
        flashVer: text(FMLE),
        swfUrl: text(`${HOST}/live`),
        tcUrl: text(`${HOST}/live`),
        fourCcList: strictArray([text('av01'), text('hvc1')]),
        videoFourCcInfoMap: object({ '*': number(2), avc1: number(3) }),
        audioFourCcInfoMap: object({ mp4a: number(2), Opus: number(2) }),
        capsEx: number(12),
        videoFunction: number(1),
      },
      4096,
    ),
    [
      'releaseStream',
      message(1, 3, COMMAND, command('releaseStream', 2, NULL, text('stream1?key=a/b')), { chunkSize: 4096 }),
    ],
    ['FCPublish', message(1, 3, COMMAND, command('FCPublish', 3, NULL, text('stream1?key=a/b')), { chunkSize: 4096 })],
    ['createStream', message(1, 3, COMMAND, command('createStream', 4, NULL))],
    [
      'publish',
      message(0, 4, COMMAND, command('publish', 5, NULL, text('stream1?key=a/b'), text('live')), {
        chunkSize: 4096,
        streamId: 1,
      }),
    ],
  ],
);

/** ffmpeg as an encoder: a digest, and transactions counted from the connection's first command. */
const ffmpegPublisher = vector(
  {
    client: 'ffmpeg',
    intent: 'publish',
    app: 'live?user=u&token=a/b',
    flashVersion: LAVF,
    isEnhanced: false,
    target: 'stream1?s1=v1',
  },
  digestC1(),
  [
    connect({
      app: text('live?user=u&token=a/b'),
      type: text('nonprivate'),
      flashVer: text(LAVF),
      tcUrl: text(`${HOST}/live?user=u&token=a/b`),
    }),
    ['setChunkSize', message(0, 2, SET_CHUNK_SIZE, uint(60_000, 4))],
    ['releaseStream', message(1, 3, COMMAND, command('releaseStream', 2, NULL, text('stream1?s1=v1')))],
    ['FCPublish', message(1, 3, COMMAND, command('FCPublish', 3, NULL, text('stream1?s1=v1')))],
    ['createStream', message(1, 3, COMMAND, command('createStream', 4, NULL))],
    ['_checkbw', message(1, 3, COMMAND, command('_checkbw', 5, NULL))],
    [
      'publish',
      message(0, 8, COMMAND, command('publish', 6, NULL, text('stream1?s1=v1'), text('live')), { streamId: 1 }),
    ],
  ],
);

/** ffmpeg, VLC and what else plays by libavformat. */
const ffmpegPlayer = vector(
  {
    client: 'ffmpeg',
    intent: 'play',
    app: 'live?suppress_sound=true',
    flashVersion: LAVF_PLAYER,
    isEnhanced: false,
    target: 'mp4:stream1.mp4',
  },
  digestC1(),
  [
    connect({
      app: text('live?suppress_sound=true'),
      flashVer: text(LAVF_PLAYER),
      tcUrl: text(`${HOST}/live?suppress_sound=true`),
      fpad: flag(false),
      capabilities: number(15),
      ...PLAIN_CODECS,
    }),
    ['windowAckSize', message(0, 2, WINDOW_ACK_SIZE, uint(2_500_000, 4))],
    ['createStream', message(1, 3, COMMAND, command('createStream', 2, NULL))],
    ['_checkbw', message(1, 3, COMMAND, command('_checkbw', 3, NULL))],
    ['getStreamLength', message(0, 8, COMMAND, command('getStreamLength', 4, NULL, text('mp4:stream1.mp4')))],
    ['play', message(0, 8, COMMAND, command('play', 5, NULL, text('mp4:stream1.mp4'), number(-2000)), { streamId: 1 })],
    ['setBufferLength', message(1, 2, USER_CONTROL, hex('0003 00000001 00000bb8'))],
  ],
);

/** librtmp as a player (rtmpdump, curl, rtmpsrc): a name in percent encoding and the subscription of `-v`. */
const librtmpPlayer = vector(
  {
    client: 'librtmp',
    intent: 'play',
    app: 'live/_definst_',
    flashVersion: LIBRTMP,
    isEnhanced: false,
    target: 'my%20stream?s1=v1',
  },
  simpleC1(),
  [
    connect({
      app: text('live/_definst_'),
      flashVer: text(LIBRTMP),
      tcUrl: text(`${HOST}/live/_definst_`),
      fpad: flag(false),
      capabilities: number(15),
      ...PLAIN_CODECS,
    }),
    ['windowAckSize', message(0, 2, WINDOW_ACK_SIZE, uint(2_500_000, 4))],
    ['setBufferLength', message(0, 2, USER_CONTROL, hex('0003 00000000 0000012c'))],
    ['createStream', message(1, 3, COMMAND, command('createStream', 2, NULL))],
    ['FCSubscribe', message(1, 3, COMMAND, command('FCSubscribe', 3, NULL, text('my%20stream?s1=v1')))],
    [
      'play',
      message(0, 8, COMMAND, command('play', 4, NULL, text('my%20stream?s1=v1'), number(-1000)), { streamId: 1 }),
    ],
    ['setBufferLength', message(1, 2, USER_CONTROL, hex('0003 00000001 00008ca0'))],
  ],
);

/** librtmp as an encoder (rtmpsink, older hardware), whose key is a part of the application. */
const librtmpPublisher = vector(
  { client: 'librtmp', intent: 'publish', app: 'live/stream1', flashVersion: FMLE, isEnhanced: false, target: '' },
  simpleC1(),
  [
    connect({
      app: text('live/stream1'),
      type: text('nonprivate'),
      flashVer: text(FMLE),
      tcUrl: text(`${HOST}/live/stream1`),
    }),
    ['releaseStream', message(1, 3, COMMAND, command('releaseStream', 2, NULL, text('')))],
    ['FCPublish', message(1, 3, COMMAND, command('FCPublish', 3, NULL, text('')))],
    ['createStream', message(1, 3, COMMAND, command('createStream', 4, NULL))],
    ['publish', message(0, 4, COMMAND, command('publish', 5, NULL, text(''), text('live')), { streamId: 1 })],
  ],
);

export const rtmpClientVectors: readonly RtmpClientVector[] = [
  obs,
  ffmpegPublisher,
  ffmpegPlayer,
  librtmpPlayer,
  librtmpPublisher,
];
