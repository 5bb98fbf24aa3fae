import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { AppError } from '../domain/errors.ts';

/** Makes a directory where it is missing. Rejects with AppError BAD_CONFIGURATION that names `key` when it cannot be written to. */
export async function requireDirectory(key: string, path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
    await access(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new AppError(
      'BAD_CONFIGURATION',
      `${key}="${path}" cannot be used (${code}); expected a directory that this user may make and write to`,
    );
  }
}
