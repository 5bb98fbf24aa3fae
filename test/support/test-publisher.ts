import { startTestPicture, type TestPicture } from '../../scripts/demo/test-picture.ts';
import { publishOverWebrtc } from '../../scripts/demo/webrtc-client.ts';
import { systemClock } from '../../src/domain/clock.ts';
import type { Closable } from '../../src/domain/life-cycle.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import { SentTrack } from './sent-track.ts';

export interface TestPublisher extends Closable {
  readonly video: SentTrack;
  readonly audio: SentTrack;
  /** It stays connected and sends nothing any more. */
  stopSending(): Promise<void>;
}

/** Publishes a moving picture with sound over real WebRTC, without a browser: about 0.9 Mbit/s of H.264 and Opus. */
export async function startTestPublisher(wsUrl: string, streamName: string): Promise<TestPublisher> {
  const video = new SentTrack(90_000);
  const audio = new SentTrack(48_000);
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
          onVideo(packet) {
            video.note(packet);
            sendVideo(packet);
          },
          onAudio(packet) {
            audio.note(packet);
            sendAudio(packet);
          },
        });
      },
    });
    return {
      video,
      audio,
      stopSending: closePicture,
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
