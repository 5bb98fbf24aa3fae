import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../../src/domain/errors.ts';
import { buildAacLcConfig, parseAudioSpecificConfig } from '../../../src/protocol/aac/audio-specific-config.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

describe('AudioSpecificConfig', () => {
  it('of AAC-LC 48 kHz stereo is 11 90', () => {
    expect(buildAacLcConfig(48_000, 2).toString('hex')).toBe('1190');
  });

  it('that was built is parsed back', () => {
    for (const sampleRateHz of [96_000, 48_000, 44_100, 16_000, 8_000, 7_350]) {
      for (const channels of [1, 2, 6, 8]) {
        const parsed = parseAudioSpecificConfig(buildAacLcConfig(sampleRateHz, channels));
        expect(parsed).toEqual({ objectType: 2, sampleRateHz, channels });
      }
    }
  });

  it('with an explicit rate and an escaped object type is understood', () => {
    expect(parseAudioSpecificConfig(Buffer.from('17802ee010', 'hex'))).toEqual({
      objectType: 2,
      sampleRateHz: 24_000,
      channels: 2,
    });
    expect(parseAudioSpecificConfig(Buffer.from('f8e640', 'hex'))).toMatchObject({
      objectType: 39,
      sampleRateHz: 48_000,
    });
  });

  it('without an index for its rate or layout is not built', () => {
    expect(() => buildAacLcConfig(47_000, 2)).toThrow(ProtocolError);
    expect(() => buildAacLcConfig(48_000, 7)).toThrow(ProtocolError);
    expect(() => buildAacLcConfig(48_000, 0)).toThrow(ProtocolError);
  });

  it('throws nothing but ProtocolError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), (bytes) => {
        expect(protocolErrorCode(() => parseAudioSpecificConfig(Buffer.from(bytes)))).toMatch(/^AAC_CONFIG_|^none$/);
      }),
    );
  });
});
