import { expect } from 'vitest';
import { silentAac } from '../../src/protocol/aac/silence.ts';
import { type AacFormat, decodeAac, STEREO_48_KHZ } from '../e2e/ffmpeg-support.ts';
import type { TappedSound } from './live-tap.ts';

const SAMPLES_PER_FRAME = 1024;
const AUDIBLE = 0.01;

export interface HeardSound {
  readonly sound: TappedSound;
  /** 0 for silence. */
  readonly hz: number;
}

/** Pitch of the frames so far by their zero crossings. A decoder gives a frame's sound one frame later. */
export async function pitchesOf(
  sounds: readonly TappedSound[],
  format: AacFormat = STEREO_48_KHZ,
): Promise<HeardSound[]> {
  const soFar = [...sounds];
  const samples = await decodeAac([...soFar.map(({ frame }) => frame), silentAac(format.channels)], format);
  expect(samples).toHaveLength((soFar.length + 1) * SAMPLES_PER_FRAME);
  return soFar.slice(0, -1).map((sound, index) => {
    const from = (index + 1) * SAMPLES_PER_FRAME;
    const frame = samples.subarray(from, from + SAMPLES_PER_FRAME);
    if (!frame.some((sample) => Math.abs(sample) > AUDIBLE)) return { sound, hz: 0 };
    let crossings = 0;
    for (let at = 1; at < frame.length; at++) if (frame[at]! >= 0 !== frame[at - 1]! >= 0) crossings++;
    return { sound, hz: (crossings / 2) * (format.sampleRateHz / SAMPLES_PER_FRAME) };
  });
}

export function isSilence(hz: number): boolean {
  return hz === 0;
}

export function isNear(wantedHz: number): (hz: number) => boolean {
  return (hz) => Math.abs(hz - wantedHz) < wantedHz / 5;
}
