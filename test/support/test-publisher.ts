import { startTestPicture, type TestPicture } from '../../scripts/demo/test-picture.ts';
import { publishOverWebrtc } from '../../scripts/demo/webrtc-client.ts';
import { systemClock } from '../../src/domain/clock.ts';
import type { Closable } from '../../src/domain/life-cycle.ts';
import { silentLogger } from '../../src/domain/logger.ts';

/** Publishes a moving picture with sound over real WebRTC, without a browser: about 0.9 Mbit/s of H.264 and Opus. */
export async function startTestPublisher(wsUrl: string, streamName: string): Promise<Closable> {
  let picture: Promise<TestPicture> | undefined;
  const closePicture = async (): Promise<void> => (await picture)?.close('test ended');
  try {
    const client = await publishOverWebrtc({
      url: wsUrl,
      streamName,
      onConnected: ({ sendVideo, sendAudio }) => {
        picture = startTestPicture({
          ffmpegPath: 'ffmpeg',
          clock: systemClock,
          logger: silentLogger,
          onVideo: sendVideo,
          onAudio: sendAudio,
        });
      },
    });
    return {
      async close(reason) {
        await closePicture();
        await client.close(reason);
      },
    };
  } catch (error) {
    await closePicture();
    throw error;
  }
}
