/** 20 ms at the 8 kHz of G.711 over RTP (RFC 3551 §4.5.14). */
export const G711_SILENCE_SAMPLES = 160;
/** The code for zero (ITU-T G.711), as often. */
export const PCMA_SILENCE = Buffer.alloc(G711_SILENCE_SAMPLES, 0xd5);
export const PCMU_SILENCE = Buffer.alloc(G711_SILENCE_SAMPLES, 0xff);
