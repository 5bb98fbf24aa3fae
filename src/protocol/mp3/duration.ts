/** Layer III bit rates in kbit/s by index (ISO/IEC 11172-3 §2.4.2.3, 13818-3 §2.4.2.3); 0 is free format. */
const BITRATES_MPEG_1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320] as const;
const BITRATES_MPEG_2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160] as const;
const SAMPLE_RATES_HZ = [44_100, 48_000, 32_000] as const;
const HEADER_BYTES = 4;
const MPEG_1 = 3;
const MPEG_2 = 2;
const MPEG_2_5 = 0;
const LAYER_III = 1;

interface Mp3Frame {
  readonly bytes: number;
  readonly durationUs: number;
}

/** How long the MP3 frames in `data` last, one after the other, in microseconds; 0 where it begins with none. */
export function mp3DurationUs(data: Buffer): number {
  let durationUs = 0;
  for (let at = 0; at + HEADER_BYTES <= data.length;) {
    const frame = frameAt(data, at);
    if (frame === undefined) break;
    durationUs += frame.durationUs;
    at += frame.bytes;
  }
  return durationUs;
}

/** By the frame header (ISO/IEC 11172-3 §2.4.1.3). */
function frameAt(data: Buffer, at: number): Mp3Frame | undefined {
  const header = data.readUInt32BE(at);
  const version = (header >> 19) & 3;
  const sampleRateIndex = (header >> 10) & 3;
  const isMp3 = header >>> 21 === 0x7ff && ((header >> 17) & 3) === LAYER_III;
  const baseRateHz = SAMPLE_RATES_HZ[sampleRateIndex];
  const bitrates = version === MPEG_1 ? BITRATES_MPEG_1 : BITRATES_MPEG_2;
  const bitrateKbps = bitrates[(header >> 12) & 15];
  if (!isMp3 || baseRateHz === undefined || !bitrateKbps) return undefined;
  if (version !== MPEG_1 && version !== MPEG_2 && version !== MPEG_2_5) return undefined;
  const sampleRateHz = baseRateHz / { [MPEG_1]: 1, [MPEG_2]: 2, [MPEG_2_5]: 4 }[version];
  const samples = version === MPEG_1 ? 1152 : 576;
  const padding = (header >> 9) & 1;
  const bytes = Math.floor((samples * bitrateKbps * 125) / sampleRateHz) + padding;
  return { bytes, durationUs: (samples * 1_000_000) / sampleRateHz };
}
