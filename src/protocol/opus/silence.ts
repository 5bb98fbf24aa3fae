/** 20 ms of mono silence: CELT, fullband, one frame (RFC 6716 §3.1). Any Opus decoder takes it, whatever came before. */
export const OPUS_SILENCE = Buffer.from('f8fffe', 'hex');
/** At the 48 kHz of every Opus stream (RFC 7587 §4.1). */
export const OPUS_SILENCE_SAMPLES = 960;
