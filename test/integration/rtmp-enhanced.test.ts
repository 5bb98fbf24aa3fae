import { afterAll, beforeAll, expect, it } from 'vitest';
import { OPUS_SILENCE } from '../../src/protocol/opus/silence.ts';
import { MESSAGE_TYPE, type RawMessage } from '../../src/protocol/rtmp/raw-message.ts';
import { recordRtmpMessages } from '../support/flv-recording.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { waitUntil } from '../support/wait-until.ts';

const START_MS = 15_000;
const SECONDS = 3;
const OPUS_MS = 20;
const STEP_MS = 40;
/** Of a picture: header, length of the NAL unit, and the beginning of its slice. */
const HEAD_BYTES = 16;

let app: TestApp;
let recording: RawMessage[];

beforeAll(async () => {
  app = await startTestApp();
  const picture = `-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t ${SECONDS}`;
  const video = '-c:v libx264 -preset ultrafast -bf 2 -g 100 -sc_threshold 0 -pix_fmt yuv420p';
  recording = await recordRtmpMessages(`${picture} ${video} -c:a aac`.split(' '));
});

afterAll(async () => {
  await app?.close('the tests have ended');
});

/** The same with an extended header (Enhanced RTMP v2); pictures that are shown at once say so in the short form. */
function extended(message: RawMessage): RawMessage {
  const { typeId, payload } = message;
  if (typeId === MESSAGE_TYPE.audio) {
    return {
      ...message,
      payload: Buffer.concat([Buffer.from([0x90 | payload[1]!]), Buffer.from('mp4a'), payload.subarray(2)]),
    };
  }
  if (typeId !== MESSAGE_TYPE.video) return message;
  const frameType = payload[0]! & 0xf0;
  const isConfig = payload[1] === 0;
  const isShownAtOnce = payload.readUIntBE(2, 3) === 0;
  const packetType = isConfig ? 0 : isShownAtOnce ? 3 : 1;
  const data = payload.subarray(packetType === 1 ? 2 : 5);
  return {
    ...message,
    payload: Buffer.concat([Buffer.from([0x80 | frameType | packetType]), Buffer.from('avc1'), data]),
  };
}

/** Opus in place of the sound, from its OpusHead on. */
function withOpus(messages: readonly RawMessage[]): RawMessage[] {
  const tag = (packetType: number, data: Buffer, timestampMs: number): RawMessage => ({
    typeId: MESSAGE_TYPE.audio,
    timestampMs,
    streamId: 1,
    payload: Buffer.concat([Buffer.from([0x90 | packetType]), Buffer.from('Opus'), data]),
  });
  const head = Buffer.concat([Buffer.from('OpusHead'), Buffer.from('0102380180bb0000000000', 'hex')]);
  const sound = [tag(0, head, 0)];
  for (let ms = 0; ms < SECONDS * 1000; ms += OPUS_MS) sound.push(tag(1, OPUS_SILENCE, ms));
  return [...messages.filter(({ typeId }) => typeId !== MESSAGE_TYPE.audio), ...sound].sort(
    (left, right) => left.timestampMs - right.timestampMs,
  );
}

const pictures = (messages: readonly RawMessage[]) =>
  messages.filter(({ typeId, payload }) => typeId === MESSAGE_TYPE.video && payload[1] === 1);

/** Publishes in real time to a player that comes when the stream is live; resolves with what each was, when all has been played. */
async function played(
  name: string,
  messages: readonly RawMessage[],
): Promise<{ player: RtmpTestClient; stream: unknown }> {
  const port = app.ports['rtmp.port']!;
  await using encoder = await RtmpTestClient.publishing(port, name);
  const waiting = [...messages];
  let timeMs = 0;
  const timer = setInterval(() => {
    while (waiting[0] && waiting[0].timestampMs <= timeMs) encoder.media(waiting.shift()!);
    timeMs += STEP_MS;
  }, STEP_MS);
  try {
    const stream = await waitUntil(
      async () => {
        const { status, json } = await app.rest('/rest-api/stream/find', { name, status: 'PUBLISHING' });
        return status === 200 ? json() : undefined;
      },
      START_MS,
      () => `${name} to be live`,
    );
    const player = await RtmpTestClient.playing(port, name);
    const sent = pictures(recording).length;
    await player.until(() => player.count('video') === sent && player.count('audio') > 25, 'all pictures, and sound');
    return { player, stream };
  } finally {
    clearInterval(timer);
  }
}

/** Of the pictures that need no other one before them the parameter sets come first, so only the others are the same bytes. */
function interHeads(payloads: readonly Buffer[]): string[] {
  return payloads.filter((payload) => payload[0] === 0x27).map((payload) => payload.toString('hex', 0, HEAD_BYTES));
}

it.each([
  ['AAC', () => recording.map(extended), 'mpeg4-generic'],
  ['Opus', () => withOpus(recording.map(extended)), 'opus'],
])(
  'H.264 with B-frames and %s with extended headers are played with plain ones',
  async (codec, messages, audioCodec) => {
    const name = `enhanced-${codec}`;
    const { player, stream } = await played(name, messages());
    expect(stream).toMatchObject([{ videoCodec: 'H264', audioCodec, width: 320, height: 180 }]);

    const given = player.messages.flatMap((message) => (message.kind === 'video' ? [message.payload] : []));
    expect(given.slice(0, 2).map((payload) => payload.toString('hex', 0, 2))).toEqual(['1700', '1701']);
    const sent = pictures(recording).map(({ payload }) => payload);
    expect(sent.some((payload) => payload.readIntBE(2, 3) > 0)).toBe(true);
    expect(interHeads(given)).toEqual(interHeads(sent));
    const sounds = player.messages.flatMap((message) =>
      message.kind === 'audio' ? [message.payload.toString('hex', 0, 2)] : [],
    );
    expect(new Set(sounds)).toEqual(new Set(['af00', 'af01']));
  },
);
