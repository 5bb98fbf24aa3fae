import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:https';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readCertificate, selfSignedCertificate } from '../../../src/edges/tls/certificate.ts';

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'tls-'));
  onTestFinished(() => rmSync(made, { recursive: true }));
  return made;
}

describe('the TLS certificate', () => {
  it('is made once, for localhost too, and found again on the next start', async () => {
    const dir = join(directory(), 'data');
    const first = await selfSignedCertificate(dir);
    const certificate = new X509Certificate(first.cert);
    expect(certificate.checkHost('localhost')).toBe('localhost');
    expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(new Date(certificate.validTo).getTime()).toBeGreaterThan(Date.now() + 9 * 365 * 86_400_000);
    expect(await selfSignedCertificate(dir)).toEqual(first);
    expect(statSync(join(dir, 'tls-key.pem')).mode & 0o777).toBe(0o600);
    createServer(first).close();
  });

  it('of the operator is read, and a missing or wrong file is named', async () => {
    const dir = directory();
    const { cert, key } = await selfSignedCertificate(dir);
    expect(await readCertificate(join(dir, 'tls-cert.pem'), join(dir, 'tls-key.pem'))).toEqual({ cert, key });
    await expect(readCertificate('/no/such.pem', join(dir, 'tls-key.pem'))).rejects.toThrow(
      'ssl_cert_file="/no/such.pem"',
    );
    writeFileSync(join(dir, 'x'), 'nonsense');
    await expect(readCertificate(join(dir, 'tls-cert.pem'), join(dir, 'x'))).rejects.toThrow('is not a PEM file');
  });

  it('that is damaged or has the key of another one is refused before anybody connects', async () => {
    const dir = directory();
    const other = directory();
    await selfSignedCertificate(dir);
    await selfSignedCertificate(other);
    const cert = join(dir, 'tls-cert.pem');
    await expect(readCertificate(cert, join(other, 'tls-key.pem'))).rejects.toMatchObject({
      code: 'BAD_CONFIGURATION',
      message: expect.stringContaining(`ssl_cert_file="${cert}" with ssl_key_file="${join(other, 'tls-key.pem')}"`),
    });
    writeFileSync(cert, '-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n');
    await expect(selfSignedCertificate(dir)).rejects.toMatchObject({ code: 'BAD_CONFIGURATION' });
  });
});
