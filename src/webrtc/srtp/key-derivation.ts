import { createCipheriv } from 'node:crypto';
import { ProtocolError } from '../../domain/errors.ts';
import type { SrtpMaster, SrtpProfile } from './srtp.ts';

/** Session keys of RTP or of RTCP (RFC 3711 §4.3). `auth` is empty for GCM, which authenticates with its own tag. */
export interface SessionKeys {
  readonly key: Buffer;
  readonly auth: Buffer;
  readonly salt: Buffer;
}

const KEY_BYTES = 16;
const SALT_BYTES = { AEAD_AES_128_GCM: 12, AES_CM_128_HMAC_SHA1_80: 14 } as const satisfies Record<SrtpProfile, number>;
const AUTH_BYTES = { AEAD_AES_128_GCM: 0, AES_CM_128_HMAC_SHA1_80: 20 } as const satisfies Record<SrtpProfile, number>;

/** First of the three labels (key, authentication, salt) of RFC 3711 §4.3.1 and §4.3.2. */
const FIRST_LABEL = { rtp: 0, rtcp: 3 } as const;

/**
 * Session keys from a master key and salt with a key derivation rate of 0 (RFC 3711 §4.3; RFC 7714 §11 for GCM, whose
 * salt is padded to 14 bytes on the right). Throws `SRTP_MASTER_LENGTH`.
 */
export function deriveSessionKeys(
  profile: SrtpProfile,
  master: SrtpMaster,
  kind: keyof typeof FIRST_LABEL,
): SessionKeys {
  if (master.key.length !== KEY_BYTES || master.salt.length !== SALT_BYTES[profile])
    throw new ProtocolError('SRTP_MASTER_LENGTH', `master key or salt of a wrong length for ${profile}`);
  const label = FIRST_LABEL[kind];
  return {
    key: derive(master, label, KEY_BYTES),
    auth: derive(master, label + 1, AUTH_BYTES[profile]),
    salt: derive(master, label + 2, SALT_BYTES[profile]),
  };
}

function derive(master: SrtpMaster, label: number, bytes: number): Buffer {
  const counter = Buffer.alloc(16);
  master.salt.copy(counter);
  counter[7]! ^= label;
  return createCipheriv('aes-128-ctr', master.key, counter).update(Buffer.alloc(bytes));
}
