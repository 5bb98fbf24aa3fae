import { describe, expect, it } from 'vitest';
import { opusChannels, opusDurationUs } from '../../../src/protocol/opus/packet.ts';
import { OPUS_SILENCE, OPUS_SILENCE_DURATION_US } from '../../../src/protocol/opus/silence.ts';

function packet(configuration: number, stereo: boolean, code: number, ...rest: number[]): Buffer {
  return Buffer.from([(configuration << 3) | (stereo ? 4 : 0) | code, ...rest]);
}

describe('Opus packets', () => {
  it.each([
    [0, 10_000],
    [3, 60_000],
    [10, 40_000],
    [12, 10_000],
    [15, 20_000],
    [16, 2_500],
    [21, 5_000],
    [30, 10_000],
    [31, 20_000],
  ])('have frames of the duration of configuration %i', (configuration, durationUs) => {
    expect(opusDurationUs(packet(configuration, false, 0))).toBe(durationUs);
    expect(opusDurationUs(packet(configuration, false, 1))).toBe(2 * durationUs);
  });

  it('count their frames in code 3', () => {
    expect(opusDurationUs(packet(31, true, 3, 0xc3))).toBe(60_000);
    expect(opusDurationUs(packet(16, true, 3, 48))).toBe(120_000);
  });

  it('are mono or stereo', () => {
    expect(opusChannels(packet(31, true, 0))).toBe(2);
    expect(opusChannels(OPUS_SILENCE)).toBe(1);
  });

  it('are refused when empty, cut, without frames or longer than 120 ms', () => {
    for (const bad of [Buffer.alloc(0), packet(31, false, 3), packet(31, false, 3, 0), packet(31, false, 3, 7)]) {
      expect(() => opusDurationUs(bad)).toThrow(expect.objectContaining({ code: 'OPUS_PACKET' }));
    }
  });

  it('of silence last 20 ms', () => {
    expect(opusDurationUs(OPUS_SILENCE)).toBe(OPUS_SILENCE_DURATION_US);
  });
});
