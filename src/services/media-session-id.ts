const ALPHABET = '0123456789abcdefghijklmnopqrstuv';
const LENGTH = 26;

/** 26 characters of lower-case base 32 (130 random bits), the look of a WCS mediaSessionId. `bytes` needs 26 of them. */
export function mediaSessionIdFrom(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, LENGTH), (byte) => ALPHABET[byte & 31]).join('');
}

/** How many random bytes an id takes. */
export const MEDIA_SESSION_ID_BYTES = LENGTH;
