import { describe, expect, it } from 'vitest';
import { writeRtpHeader } from '../../../src/protocol/rtp/packet.ts';
import type { PublishTrack } from '../../../src/protocol/sdp/plan.ts';
import type { RtpFrame } from '../../../src/webrtc/media-worker.ts';
import { IncomingTrack } from '../../../src/webrtc/session/incoming-track.ts';

const SSRC = 7;

function opusPacket(sequence: number): Buffer {
  const packet = Buffer.alloc(20, 0x78);
  writeRtpHeader(packet, { payloadType: 111, marker: false, sequence, timestamp: sequence * 960, ssrc: SSRC });
  return packet;
}

describe('the audio of a publisher', () => {
  it.each([true, false])('is not held back by more than 60 ms when a packet is lost (nack: %s)', (nack) => {
    const frames: { frame: RtpFrame; atUs: number }[] = [];
    let nowUs = 0;
    const plan: PublishTrack = {
      codec: 'opus',
      payloadType: 111,
      clockRateHz: 48_000,
      channels: 2,
      ssrc: SSRC,
      feedback: { nack, nackPli: false, ccmFir: false, googRemb: false, transportCc: false },
      transportIndex: 0,
    };
    const track = new IncomingTrack('audio', plan, 1, {
      onPacket: () => {},
      onSize: () => {},
      onFrame: (frame) => frames.push({ frame, atUs: nowUs }),
      onKeyframeNeeded: () => {},
      onFramesLost: () => {},
      onMalformed: (error) => expect.fail(error.message),
      onSenderReport: () => {},
    });
    track.setFramesWanted(true);
    for (; nowUs < 2_000_000; nowUs += 10_000) {
      const sequence = nowUs / 20_000;
      if (Number.isInteger(sequence) && sequence % 20 !== 10) track.receive(opusPacket(sequence), nowUs);
      track.poll(nowUs);
    }
    const heldMs = frames.map(({ frame, atUs }) => (atUs - frame.arrivalUs) / 1000);
    expect(frames).toHaveLength(95);
    expect(Math.max(...heldMs)).toBeLessThanOrEqual(60);
  });
});
