import { createHash, X509Certificate } from 'node:crypto';
import { CipherContext, HashAlgorithm, NamedCurveAlgorithm, SignatureAlgorithm } from 'werift';
import type { Fingerprint } from './peer.ts';

/** What a DTLS server shows and signs with. ECDSA on P-256; the key stays in memory only. */
export interface DtlsCertificate {
  readonly certPem: string;
  readonly keyPem: string;
  /** SHA-256, as it stands in our answers. */
  readonly fingerprint: Fingerprint;
}

/** The signature scheme of our certificates, in werift's numbers. */
export const CERTIFICATE_SIGNATURE = { hash: HashAlgorithm.sha256_4, signature: SignatureAlgorithm.ecdsa_3 };

/** Makes a self-signed certificate. Once per host: browsers check it by its fingerprint only (RFC 8122 §3.1). */
export async function createDtlsCertificate(): Promise<DtlsCertificate> {
  const { certPem, keyPem } = await CipherContext.createSelfSignedCertificateWithKey(
    CERTIFICATE_SIGNATURE,
    NamedCurveAlgorithm.secp256r1_23,
  );
  const algorithm = 'sha-256';
  return { certPem, keyPem, fingerprint: { algorithm, value: digestDer(new X509Certificate(certPem).raw, 'sha256') } };
}

/** Upper-case hex pairs with colons (RFC 8122 §5). `hash` is node's name of the function. */
export function digestDer(der: Buffer, hash: string): string {
  return createHash(hash)
    .update(der)
    .digest('hex')
    .toUpperCase()
    .replace(/..(?=.)/g, '$&:');
}
