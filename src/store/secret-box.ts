import { createCipheriv, createDecipheriv, createHmac, createSecretKey, hkdfSync, randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { AppError } from '../domain/errors.ts';

const KEY_BYTES = 32;
const FORMAT = 1;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + IV_BYTES + TAG_BYTES;

/** Keeps RTMP URLs out of the database: sealed to be dialled again, hashed to be compared. */
export interface SecretBox {
  /** AES-256-GCM. `context` (the row's id) is authenticated: a sealed value moved to another row does not open. */
  seal(secret: string, context: string): Buffer;
  /** Throws STORE_FAILED when the value was changed, moved, or sealed with another key. */
  open(sealed: Buffer, context: string): string;
  /** HMAC-SHA256 in hex: equal for equal texts, useless to whoever has only the database. */
  hash(text: string): string;
  /** Says which key this is without telling the key. */
  readonly keyId: string;
}

/**
 * Reads the key file or makes it (32 random bytes, mode 600). Throws BAD_CONFIGURATION when it cannot be read or written,
 * has another size, or others than its owner may read it.
 */
export function openSecretBox(keyPath: string): SecretBox {
  return createSecretBox(readKey(keyPath) ?? makeKey(keyPath));
}

function readKey(keyPath: string): Buffer | undefined {
  let key: Buffer;
  try {
    key = readFileSync(keyPath);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new AppError('BAD_CONFIGURATION', `the key file ${keyPath} cannot be read`, { cause: error });
  }
  if (key.length !== KEY_BYTES) {
    throw new AppError('BAD_CONFIGURATION', `the key file ${keyPath} has ${key.length} bytes instead of ${KEY_BYTES}`);
  }
  if ((statSync(keyPath).mode & 0o077) !== 0) {
    throw new AppError('BAD_CONFIGURATION', `the key file ${keyPath} may be used by others; give it mode 600`);
  }
  return key;
}

function makeKey(keyPath: string): Buffer {
  const key = randomBytes(KEY_BYTES);
  try {
    writeFileSync(keyPath, key, { mode: 0o600, flag: 'wx', flush: true });
  } catch (error) {
    throw new AppError('BAD_CONFIGURATION', `the key file ${keyPath} cannot be written`, { cause: error });
  }
  return key;
}

function createSecretBox(masterKey: Buffer): SecretBox {
  const derive = (purpose: string) => Buffer.from(hkdfSync('sha256', masterKey, '', purpose, KEY_BYTES));
  // As an object: with bare bytes each call imports the key anew, which takes three quarters of its time.
  const sealingKey = createSecretKey(derive('transponder/seal'));
  const hashingKey = createSecretKey(derive('transponder/hash'));
  return {
    keyId: derive('transponder/key-id').toString('hex', 0, 8),
    hash: (text) => createHmac('sha256', hashingKey).update(text).digest('hex'),
    seal(secret, context) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', sealingKey, iv).setAAD(Buffer.from(context));
      const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return Buffer.concat([Buffer.of(FORMAT), iv, cipher.getAuthTag(), text]);
    },
    open(sealed, context) {
      if (sealed.length < HEADER_BYTES || sealed[0] !== FORMAT) {
        throw new AppError('STORE_FAILED', 'a sealed destination has an unknown format');
      }
      try {
        const decipher = createDecipheriv('aes-256-gcm', sealingKey, sealed.subarray(1, 1 + IV_BYTES), {
          authTagLength: TAG_BYTES,
        })
          .setAAD(Buffer.from(context))
          .setAuthTag(sealed.subarray(1 + IV_BYTES, HEADER_BYTES));
        return decipher.update(sealed.subarray(HEADER_BYTES), undefined, 'utf8') + decipher.final('utf8');
      } catch (error) {
        throw new AppError('STORE_FAILED', 'a sealed destination does not open with this key', { cause: error });
      }
    },
  };
}
