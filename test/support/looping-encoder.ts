import { MESSAGE_TYPE, type RawMessage } from '../../src/protocol/rtmp/raw-message.ts';
import { recordRtmpMessages } from './flv-recording.ts';
import { RtmpTestClient } from './rtmp-client.ts';

const TICK_MS = 20;
const FRAME_MS = 40;
const RECORDING_MS = 4000;

export interface LoopingEncoder extends AsyncDisposable {
  readonly client: RtmpTestClient;
  /** So far. */
  readonly sentPictures: number;
}

/** Four seconds of noise in 25 pictures a second, and a tone: about `megabitsPerSecond`, so that what nobody reads piles up. */
export function recordNoise(megabitsPerSecond: number): Promise<RawMessage[]> {
  const picture = '-f lavfi -i testsrc2=size=640x360:rate=25,noise=alls=60:allf=t';
  const sound = '-f lavfi -i sine=frequency=440:sample_rate=48000';
  const rate = `-b:v ${megabitsPerSecond}M -maxrate ${megabitsPerSecond}M -bufsize ${megabitsPerSecond / 4}M`;
  const video = `-c:v libx264 -preset ultrafast -tune zerolatency -g 25 -pix_fmt yuv420p ${rate}`;
  return recordRtmpMessages(`${picture} ${sound} -t ${RECORDING_MS / 1000} ${video} -c:a aac`.split(' '));
}

/** Publishes a recording again and again in real time, without a gap in its timeline. */
export async function publishLooping(
  port: number,
  name: string,
  recording: readonly RawMessage[],
): Promise<LoopingEncoder> {
  const client = await RtmpTestClient.publishing(port, name);
  const startMs = performance.now();
  let sentPictures = 0;
  let index = 0;
  let round = 0;
  const timer = setInterval(() => {
    const nowMs = performance.now() - startMs;
    for (;;) {
      const message = recording[index]!;
      const timestampMs = message.timestampMs + round * RECORDING_MS;
      if (timestampMs > nowMs || client.isClosed) return;
      const isPicture = message.typeId === MESSAGE_TYPE.video && message.payload[1] === 1;
      // The last sound of a round lies behind its end, where that of the next begins.
      const isBeyond = message.timestampMs > RECORDING_MS - FRAME_MS;
      if (
        round === 0 ||
        isPicture ||
        (message.typeId === MESSAGE_TYPE.audio && message.payload[1] === 1 && !isBeyond)
      ) {
        client.media({ ...message, timestampMs });
        if (isPicture) sentPictures += 1;
      }
      index = (index + 1) % recording.length;
      if (index === 0) round += 1;
    }
  }, TICK_MS);
  return {
    client,
    get sentPictures() {
      return sentPictures;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await client.close();
    },
  };
}
