import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Clock } from '../../src/domain/clock.ts';
import type { Closable } from '../../src/domain/life-cycle.ts';
import type { Logger } from '../../src/domain/logger.ts';
import { startChild } from '../../src/supervisor/child-process.ts';

export const PICTURE_FPS = 25;
const KEYFRAME_PERIOD_S = 2;
const VIDEO_BITRATE_KBPS = 800;
const AUDIO_BITRATE_KBPS = 64;
/** Leaves room for SRTP and its tag below the usual limit of 1,280 bytes of IPv6. */
const MAX_PACKET_BYTES = 1200;
/** In RTCP's place a payload type with the marker bit has these values (RFC 5761 §4). */
const FIRST_RTCP_TYPE = 192;
const LAST_RTCP_TYPE = 223;
const RECEIVE_BUFFER_BYTES = 4 << 20;

export interface TestPictureOptions {
  readonly ffmpegPath: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** One RTP packet: H.264 or Opus, with ffmpeg's own payload type and SSRC. */
  readonly onVideo: (packet: Buffer) => void;
  readonly onAudio: (packet: Buffer) => void;
}

export interface TestPicture extends Closable {
  /** Resolves with the last words of ffmpeg when it ends, asked or not. */
  readonly ended: Promise<string>;
}

/** A moving test picture with a beep each second, encoded in real time by ffmpeg as a browser would (baseline, no B-frames). */
export async function startTestPicture(options: TestPictureOptions): Promise<TestPicture> {
  const { ffmpegPath: program, clock, logger } = options;
  const [video, audio] = await Promise.all([receive(options.onVideo), receive(options.onAudio)]);
  const child = startChild({
    program,
    args: encoderArguments(portOf(video), portOf(audio)),
    name: 'test-picture',
    nonce: 'demo',
    clock,
    logger,
  });
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await child.kill();
    video.close();
    audio.close();
  };
  return {
    ended: child.ended.then(() => child.stderrLines().at(-1) ?? 'it said nothing'),
    close: () => (closing ??= close()),
  };
}

function encoderArguments(videoPort: number, audioPort: number): string[] {
  return [
    ['-hide_banner', '-loglevel', 'error', '-nostdin'],
    ['-re', '-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=${PICTURE_FPS}`],
    ['-re', '-f', 'lavfi', '-i', 'sine=frequency=440:beep_factor=2:sample_rate=48000'],
    ['-map', '0:v', '-c:v', 'libx264', '-profile:v', 'baseline', '-preset', 'ultrafast', '-tune', 'zerolatency'],
    ['-pix_fmt', 'yuv420p', '-b:v', `${VIDEO_BITRATE_KBPS}k`, '-maxrate', `${VIDEO_BITRATE_KBPS}k`],
    ['-bufsize', `${VIDEO_BITRATE_KBPS / 2}k`, '-g', String(PICTURE_FPS * KEYFRAME_PERIOD_S)],
    ['-x264-params', 'repeat-headers=1:scenecut=0', '-f', 'rtp', rtpUrl(videoPort)],
    ['-map', '1:a', '-c:a', 'libopus', '-b:a', `${AUDIO_BITRATE_KBPS}k`, '-ac', '2', '-f', 'rtp', rtpUrl(audioPort)],
  ].flat();
}

/** RTCP goes to the same port, so that no port of somebody else is written to. */
function rtpUrl(port: number): string {
  return `rtp://127.0.0.1:${port}?rtcpport=${port}&pkt_size=${MAX_PACKET_BYTES}`;
}

async function receive(onPacket: (packet: Buffer) => void): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('message', (packet) => {
    const type = packet[1] ?? FIRST_RTCP_TYPE;
    if (type < FIRST_RTCP_TYPE || type > LAST_RTCP_TYPE) onPacket(packet);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  // A keyframe must not be lost while this process does something else. Not every system lets it be that much.
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
  } catch {
    // As it is, then.
  }
  return socket;
}

function portOf(socket: Socket): number {
  return socket.address().port;
}
