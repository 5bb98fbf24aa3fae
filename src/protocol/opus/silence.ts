/** 20 ms of mono silence: CELT, fullband, one frame (RFC 6716 §3.1). Any Opus decoder takes it, whatever came before. */
export const OPUS_SILENCE = Buffer.from([0xf8, 0xff, 0xfe]);
export const OPUS_SILENCE_DURATION_US = 20_000;

/** One sample of silence in A-law and in µ-law (ITU-T G.711). */
export const PCMA_SILENCE_BYTE = 0xd5;
export const PCMU_SILENCE_BYTE = 0xff;
