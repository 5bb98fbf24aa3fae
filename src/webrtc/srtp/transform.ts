import { deriveSessionKeys } from './key-derivation.ts';
import { AesCmTransform } from './aes-cm-transform.ts';
import { AesGcmTransform } from './aes-gcm-transform.ts';
import type { SrtpMaster, SrtpProfile } from './srtp.ts';

/**
 * The cryptography of one protection profile in one direction. Lengths and headers are checked by the caller, indexes are
 * the caller's. A returned view is valid until the next call; `undefined` says that the tag is wrong.
 */
export interface SrtpTransform {
  readonly tagBytes: number;
  /** Distance of the SRTCP index from the end of a protected packet. */
  readonly rtcpIndexFromEnd: number;
  sealRtp(packet: Buffer, headerBytes: number, index: number): Buffer;
  openRtp(packet: Buffer, headerBytes: number, index: number): Buffer | undefined;
  sealRtcp(packet: Buffer, index: number): Buffer;
  openRtcp(packet: Buffer, index: number): Buffer | undefined;
}

export function createTransform(profile: SrtpProfile, master: SrtpMaster): SrtpTransform {
  const rtp = deriveSessionKeys(profile, master, 'rtp');
  const rtcp = deriveSessionKeys(profile, master, 'rtcp');
  return profile === 'AEAD_AES_128_GCM' ? new AesGcmTransform(rtp, rtcp) : new AesCmTransform(rtp, rtcp);
}
