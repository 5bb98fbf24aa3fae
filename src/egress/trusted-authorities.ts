import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';
import { AppError } from '../domain/errors.ts';

/**
 * The authorities that `rtmps://` destinations are verified by, in PEM: node's own, those of `NODE_EXTRA_CA_CERTS`, and those
 * of the file (`rtmps_ca_file`). Throws BAD_CONFIGURATION when the file cannot be read or holds no certificate.
 */
export async function trustedAuthorities(caFile: string): Promise<string[]> {
  let pem: string;
  try {
    pem = await readFile(caFile, 'utf8');
  } catch (error) {
    throw new AppError('BAD_CONFIGURATION', `rtmps_ca_file="${caFile}" cannot be read`, { cause: error });
  }
  const own = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (own.length === 0 || !own.every(isCertificate)) {
    throw new AppError('BAD_CONFIGURATION', `rtmps_ca_file="${caFile}" holds no certificates in PEM`);
  }
  return [...getCACertificates('default'), ...own];
}

function isCertificate(pem: string): boolean {
  try {
    void new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}
