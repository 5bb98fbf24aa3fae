import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { alphanumericsOf } from '../../domain/alphanumerics.ts';
import { AppError } from '../../domain/errors.ts';

const RANDOM_CHARS = 32;
const LOOPBACK = '127.0.0.1';

/**
 * Who this server is to backends: 32 random characters, made once for a data directory, `@` and the server's address
 * (reference/wcs-protocol.md §4). Rejects with AppError BAD_CONFIGURATION when the file cannot be read or written.
 */
export async function readNodeId(directory: string, address: string | undefined): Promise<string> {
  const file = join(directory, 'node-id');
  try {
    const known = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const isWhole = new RegExp(`^[A-Za-z0-9]{${RANDOM_CHARS}}$`).test(known.trim());
    const random = isWhole ? known.trim() : alphanumericsOf(randomBytes(RANDOM_CHARS));
    if (!isWhole) await writeAtomically(file, `${random}\n`);
    return `${random}@${address || ownAddress()}`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new AppError('BAD_CONFIGURATION', `${file} cannot be read or written (${code})`);
  }
}

async function writeAtomically(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? LOOPBACK;
}
