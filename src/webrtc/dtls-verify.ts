import { createHash, createHmac, timingSafeEqual, verify, X509Certificate } from 'node:crypto';
import { digestDer } from './dtls-certificate.ts';
import type { Fingerprint } from './peer.ts';

const VERIFY_DATA_BYTES = 12;
const SIGNATURE_HEADER_BYTES = 4;
/** `SignatureAndHashAlgorithm` with SHA-256 (RFC 5246 §7.4.1.4.1): what our CertificateRequest offers. */
const KEY_TYPE_BY_SCHEME: Readonly<Record<number, string>> = { 0x0401: 'rsa', 0x0403: 'ec' };

/** The hash functions of `a=fingerprint` that we take (RFC 8122 §5), by their SDP name; weaker ones do not count. */
const HASH_BY_NAME: Readonly<Record<string, string>> = {
  'sha-256': 'sha256',
  'sha-384': 'sha384',
  'sha-512': 'sha512',
};

/** True if the fingerprint's hash function is one that proves something. */
export function isUsableFingerprint(fingerprint: Fingerprint): boolean {
  return Object.hasOwn(HASH_BY_NAME, fingerprint.algorithm);
}

/** True if the certificate is the one that one of the offer's usable fingerprints names (RFC 8122 §5). */
export function matchesFingerprint(certificateDer: Buffer, fingerprints: readonly Fingerprint[]): boolean {
  return fingerprints.some(
    (fingerprint) =>
      isUsableFingerprint(fingerprint) &&
      digestDer(certificateDer, HASH_BY_NAME[fingerprint.algorithm]!) === fingerprint.value.toUpperCase(),
  );
}

/**
 * True if `body`, the client's CertificateVerify, signs the handshake so far with the key of the shown certificate
 * (RFC 5246 §7.4.8). `transcript` is all handshake messages in front of it. Never throws.
 */
export function isGenuineCertificateVerify(certificateDer: Buffer, transcript: Buffer, body: Buffer): boolean {
  if (body.length < SIGNATURE_HEADER_BYTES) return false;
  const signature = body.subarray(SIGNATURE_HEADER_BYTES);
  if (signature.length !== body.readUInt16BE(2)) return false;
  try {
    const { publicKey } = new X509Certificate(certificateDer);
    if (publicKey.asymmetricKeyType !== KEY_TYPE_BY_SCHEME[body.readUInt16BE(0)]) return false;
    return verify('sha256', transcript, publicKey, signature);
  } catch {
    return false;
  }
}

/** True if `body`, the client's Finished, proves the master secret and the handshake so far (RFC 5246 §7.4.9). */
export function isGenuineFinished(masterSecret: Buffer, transcript: Buffer, body: Buffer): boolean {
  if (body.length !== VERIFY_DATA_BYTES) return false;
  const seed = Buffer.concat([Buffer.from('client finished'), createHash('sha256').update(transcript).digest()]);
  return timingSafeEqual(prfSha256(masterSecret, seed).subarray(0, VERIFY_DATA_BYTES), body);
}

/** The first 32 bytes of P_SHA256 (RFC 5246 §5); more is not needed here. */
function prfSha256(secret: Buffer, seed: Buffer): Buffer {
  const first = createHmac('sha256', secret).update(seed).digest();
  return createHmac('sha256', secret).update(first).update(seed).digest();
}
