/** Seconds from 1900-01-01 (NTP era 0) to 1970-01-01. */
const NTP_EPOCH_OFFSET_SECONDS = 2_208_988_800;
const FRACTION = 0x1_0000_0000;

/** A 64-bit NTP time: whole seconds since 1900 and a binary fraction in units of 2^-32 s (RFC 3550 §4). */
export interface NtpTime {
  readonly seconds: number;
  readonly fraction: number;
}

/** Microseconds since 1900, rounded to the nearest one. */
export function ntpToUs(ntp: NtpTime): number {
  return ntp.seconds * 1_000_000 + Math.round((ntp.fraction * 1_000_000) / FRACTION);
}

/** The inverse of `ntpToUs`, exact for whole microseconds. */
export function usToNtp(ntpUs: number): NtpTime {
  const seconds = Math.floor(ntpUs / 1_000_000);
  const fraction = Math.round(((ntpUs - seconds * 1_000_000) * FRACTION) / 1_000_000);
  if (fraction === FRACTION) return { seconds: (seconds + 1) >>> 0, fraction: 0 };
  return { seconds: seconds >>> 0, fraction };
}

/** Microseconds since 1900 of a wall-clock time in milliseconds since 1970. */
export function unixMsToNtpUs(unixMs: number): number {
  return Math.round(unixMs * 1000) + NTP_EPOCH_OFFSET_SECONDS * 1_000_000;
}

/** The middle 32 bits, in units of 2^-16 s: the LSR field of a report block (RFC 3550 §6.4.1). */
export function compactNtp(ntp: NtpTime): number {
  return (((ntp.seconds & 0xffff) << 16) | (ntp.fraction >>> 16)) >>> 0;
}

/** A duration in the 2^-16 s units of DLSR and LSR (RFC 3550 §6.4.1). */
export function usToCompactNtp(durationUs: number): number {
  return Math.round((durationUs * 65_536) / 1_000_000) >>> 0;
}

/**
 * Round-trip time from a report block: arrival − LSR − DLSR, all in compact NTP (RFC 3550 §6.4.1). `undefined` when the
 * reporter had no sender report yet, or when its delay is larger than the time that passed.
 */
export function roundTripUs(arrivalCompactNtp: number, lastSr: number, delaySinceLastSr: number): number | undefined {
  if (lastSr === 0) return undefined;
  const units = (arrivalCompactNtp - lastSr - delaySinceLastSr) | 0;
  return units < 0 ? undefined : Math.round((units * 1_000_000) / 65_536);
}
