import { ProtocolError } from '../../domain/errors.ts';

/** What an AudioSpecificConfig says (ISO/IEC 14496-3 §1.6.2.1). */
export interface AudioSpecificConfig {
  /** 2 is AAC-LC; 5 and 29 tell explicitly of SBR and PS. */
  readonly objectType: number;
  /** Rate of the core codec; frames are 1024 samples of it. */
  readonly sampleRateHz: number;
  /** 0 where only a program config element tells. */
  readonly channels: number;
}

const SAMPLE_RATES_HZ = [
  96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
] as const;
const EXPLICIT_RATE_INDEX = 15;
const EXPLICIT_OBJECT_TYPE = 31;
const AAC_LC = 2;
/** Channels by channelConfiguration; 7 means eight. */
const CHANNELS = [0, 1, 2, 3, 4, 5, 6, 8] as const;

/** Throws AAC_CONFIG_TRUNCATED and AAC_CONFIG_RESERVED. */
export function parseAudioSpecificConfig(bytes: Buffer): AudioSpecificConfig {
  let bit = 0;
  const take = (count: number): number => {
    if (bit + count > bytes.length * 8)
      throw new ProtocolError('AAC_CONFIG_TRUNCATED', 'AudioSpecificConfig is too short');
    let value = 0;
    for (const end = bit + count; bit < end; bit++) value = value * 2 + ((bytes[bit >> 3]! >> (7 - (bit & 7))) & 1);
    return value;
  };

  let objectType = take(5);
  if (objectType === EXPLICIT_OBJECT_TYPE) objectType = 32 + take(6);
  const rateIndex = take(4);
  const sampleRateHz = rateIndex === EXPLICIT_RATE_INDEX ? take(24) : SAMPLE_RATES_HZ[rateIndex];
  const channels = CHANNELS[take(4)];
  if (!sampleRateHz || channels === undefined) {
    throw new ProtocolError('AAC_CONFIG_RESERVED', 'AudioSpecificConfig uses a reserved rate or channel layout');
  }
  return { objectType, sampleRateHz, channels };
}

/** Whether `buildAacLcConfig` has words for it. */
export function isAacLcAnnounceable(sampleRateHz: number, channels: number): boolean {
  return SAMPLE_RATES_HZ.some((rate) => rate === sampleRateHz) && CHANNELS.indexOf(channels as 1) > 0;
}

/** The two bytes that announce AAC-LC. Throws AAC_CONFIG_RESERVED for a rate or layout that has no index. */
export function buildAacLcConfig(sampleRateHz: number, channels: number): Buffer {
  const rateIndex = SAMPLE_RATES_HZ.findIndex((rate) => rate === sampleRateHz);
  const layout = CHANNELS.findIndex((count) => count === channels);
  if (rateIndex < 0 || layout < 1) {
    throw new ProtocolError(
      'AAC_CONFIG_RESERVED',
      `AAC-LC has no index for ${sampleRateHz} Hz with ${channels} channels`,
    );
  }
  return Buffer.from([(AAC_LC << 3) | (rateIndex >> 1), ((rateIndex & 1) << 7) | (layout << 3)]);
}
