import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { generate } from 'selfsigned';
import { AppError } from '../../domain/errors.ts';

/** Certificate chain and private key, both PEM. */
export interface TlsCertificate {
  readonly cert: string;
  readonly key: string;
}

const VALID_DAYS = 3650;

/** The operator's certificate. AppError BAD_CONFIGURATION names the file that cannot be used. */
export async function readCertificate(certFile: string, keyFile: string): Promise<TlsCertificate> {
  const [cert, key] = await Promise.all([readPem('ssl_cert_file', certFile), readPem('ssl_key_file', keyFile)]);
  const certificate = { cert, key };
  requireUsable(`ssl_cert_file="${certFile}" with ssl_key_file="${keyFile}"`, certificate);
  return certificate;
}

/** The self-signed certificate of `directory`; made on the first start and kept, so that browsers need to trust it only once. */
export async function selfSignedCertificate(directory: string): Promise<TlsCertificate> {
  const certFile = join(directory, 'tls-cert.pem');
  const keyFile = join(directory, 'tls-key.pem');
  try {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
    const certificate = { cert, key };
    requireUsable(`the certificate in ${certFile} and ${keyFile}`, certificate);
    return certificate;
  } catch (error) {
    if (error instanceof AppError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT')
      throw new AppError('BAD_CONFIGURATION', `${certFile} or ${keyFile} cannot be read (${code})`);
  }
  const { cert, private: key } = await generate([{ name: 'commonName', value: hostname() }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + VALID_DAYS * 86_400_000),
    extensions: [{ name: 'subjectAltName', altNames: alternativeNames() }],
  });
  await mkdir(directory, { recursive: true });
  await writeAtomically(keyFile, key);
  await writeAtomically(certFile, cert);
  return { cert, key };
}

function alternativeNames() {
  const addresses = Object.values(networkInterfaces()).flatMap((addressList) => addressList ?? []);
  return [
    { type: 2 as const, value: 'localhost' },
    { type: 2 as const, value: hostname() },
    ...addresses.filter(({ scopeid }) => !scopeid).map(({ address }) => ({ type: 7 as const, ip: address })),
  ];
}

async function writeAtomically(file: string, content: string): Promise<void> {
  const part = `${file}.part`;
  await writeFile(part, content, { mode: 0o600 });
  await chmod(part, 0o600);
  await rename(part, file);
}

/** What the TLS library would refuse at the first connection is refused at the start: damaged files, and keys of another certificate. */
function requireUsable(name: string, certificate: TlsCertificate): void {
  try {
    createSecureContext(certificate);
  } catch (error) {
    throw new AppError('BAD_CONFIGURATION', `${name} cannot be used: ${(error as Error).message}`);
  }
}

async function readPem(key: string, file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new AppError('BAD_CONFIGURATION', `${key}="${file}" cannot be read: ${(error as Error).message}`);
  }
  if (!text.includes('-----BEGIN ')) throw new AppError('BAD_CONFIGURATION', `${key}="${file}" is not a PEM file`);
  return text;
}
