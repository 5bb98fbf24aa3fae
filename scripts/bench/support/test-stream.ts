import { randomBytes } from 'node:crypto';
import { RTP_HEADER_BYTES, rtpPayloadOffset, writeRtpHeader } from '../../../src/protocol/rtp/packet.ts';
import type { DescribedTrack } from './descriptions.ts';

/** The stream of every measurement: 1.5 Mbit/s of video in packets of 1,200 bytes, and an audio packet every 20 ms. */
export const VIDEO_PACKETS_PER_SECOND = 160;
export const AUDIO_PACKETS_PER_SECOND = 50;
const FRAMES_PER_SECOND = 25;
const VIDEO_PACKET_BYTES = 1200;
const AUDIO_PACKET_BYTES = 120;
const TICK_MS = 5;

export const AUDIO_TRACK: DescribedTrack = {
  kind: 'audio',
  mid: '0',
  payloadType: 111,
  codec: 'opus/48000/2',
  ssrc: 1001,
};
export const VIDEO_TRACK: DescribedTrack = { kind: 'video', mid: '1', payloadType: 96, codec: 'VP8/90000', ssrc: 1002 };

const VP8_START_OF_PARTITION = 0x10;
/** A key frame of 640 x 360 (RFC 7741 §4.3, RFC 6386 §9.1), and the first byte of any other frame. */
const VP8_KEYFRAME = Buffer.from([0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
const VP8_INTERFRAME = Buffer.from([0x11]);
/** Behind this everything in a payload is the same in all packets. */
const FIXED_FROM = 16;

export type SendRtp = (kind: 'audio' | 'video', packet: Buffer, index: number) => void;

/** One publisher's packets, in real time. The same numbers go on from run to run, so that a server sees one long stream. */
export class TestStream {
  readonly #send: SendRtp;
  readonly #packets = { video: makePacket(VIDEO_PACKET_BYTES), audio: makePacket(AUDIO_PACKET_BYTES) };
  readonly #indexes = { video: 1, audio: 1 };
  #sent = 0;

  constructor(send: SendRtp) {
    this.#send = send;
  }

  /** Sends for that time, beginning with a keyframe; resolves with the number of packets. */
  async run(durationMs: number): Promise<number> {
    const startMs = performance.now();
    this.#sent = 0;
    let frames = 0;
    let videoPackets = 0;
    let audioPackets = 0;
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        const elapsedMs = Math.min(performance.now() - startMs, durationMs);
        while (audioPackets < (elapsedMs * AUDIO_PACKETS_PER_SECOND) / 1000) {
          this.#sendPacket('audio', true, startMs + (audioPackets++ * 1000) / AUDIO_PACKETS_PER_SECOND);
        }
        while (frames < (elapsedMs * FRAMES_PER_SECOND) / 1000) {
          const end = Math.round(((frames + 1) * VIDEO_PACKETS_PER_SECOND) / FRAMES_PER_SECOND);
          this.#sendFrame(end - videoPackets, frames === 0, startMs + (frames * 1000) / FRAMES_PER_SECOND);
          videoPackets = end;
          frames++;
        }
        if (elapsedMs < durationMs) return;
        clearInterval(timer);
        resolve();
      }, TICK_MS);
    });
    return this.#sent;
  }

  #sendFrame(packets: number, isKeyframe: boolean, timeMs: number): void {
    const payload = this.#packets.video.subarray(RTP_HEADER_BYTES);
    for (let n = 0; n < packets; n++) {
      payload[0] = n === 0 ? VP8_START_OF_PARTITION : 0;
      (isKeyframe ? VP8_KEYFRAME : VP8_INTERFRAME).copy(payload, 1);
      this.#sendPacket('video', n === packets - 1, timeMs);
    }
  }

  #sendPacket(kind: 'audio' | 'video', marker: boolean, timeMs: number): void {
    const { payloadType, ssrc } = kind === 'video' ? VIDEO_TRACK : AUDIO_TRACK;
    const packet = this.#packets[kind];
    const index = this.#indexes[kind]++;
    const clockRateKhz = kind === 'video' ? 90 : 48;
    writeRtpHeader(packet, {
      payloadType,
      marker,
      sequence: index,
      timestamp: Math.round(timeMs * clockRateKhz),
      ssrc: ssrc!,
    });
    this.#sent++;
    this.#send(kind, packet, index);
  }
}

const filling = randomBytes(VIDEO_PACKET_BYTES);

function makePacket(bytes: number): Buffer {
  return Buffer.concat([Buffer.alloc(RTP_HEADER_BYTES), filling.subarray(0, bytes - RTP_HEADER_BYTES)]);
}

/** Whether a plain packet carries what this stream sends, byte for byte. */
export function isOfTestStream(packet: Buffer): boolean {
  const start = rtpPayloadOffset(packet);
  const bytes = packet.length - start;
  if (bytes !== VIDEO_PACKET_BYTES - RTP_HEADER_BYTES && bytes !== AUDIO_PACKET_BYTES - RTP_HEADER_BYTES) return false;
  return packet.subarray(start + FIXED_FROM).equals(filling.subarray(FIXED_FROM, bytes));
}
