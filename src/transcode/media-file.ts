import { open, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { AppError } from '../domain/errors.ts';

export interface MediaFile {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** Changes whenever the content may have changed. */
  readonly version: string;
}

const WAV_HEADER_BYTES = 12;

/**
 * Finds a WAV file that a caller named. Only what really lies inside `directory` is found: no absolute names, no `..`, no
 * symbolic links that lead out. Throws AppError SOUND_FILE_NOT_FOUND for whatever is not a readable RIFF WAV file in there.
 */
export async function findSoundFile(directory: string, name: string): Promise<MediaFile> {
  const isPlain = name !== '' && !name.includes('\0') && !isAbsolute(name) && !name.split(/[\\/]/).includes('..');
  const file = isPlain ? await openInside(directory, name).catch(() => undefined) : undefined;
  if (!file) throw new AppError('SOUND_FILE_NOT_FOUND', `no WAV file ${JSON.stringify(name)} in the media directory`);
  return file;
}

async function openInside(directory: string, name: string): Promise<MediaFile | undefined> {
  const root = await realpath(directory);
  const path = await realpath(join(root, name));
  const fromRoot = relative(root, path);
  if (fromRoot === '' || fromRoot === '..' || fromRoot.startsWith(`..${sep}`) || isAbsolute(fromRoot)) return undefined;
  const { size, mtimeMs, ...kind } = await stat(path).then((found) => ({
    size: found.size,
    mtimeMs: found.mtimeMs,
    isFile: found.isFile(),
  }));
  if (!kind.isFile || !(await isWav(path))) return undefined;
  return { path, version: `${mtimeMs}:${size}` };
}

/** RIFF with the form type WAVE (Microsoft Multimedia Programming Interface 1.0, "RIFF"). */
async function isWav(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(WAV_HEADER_BYTES), 0, WAV_HEADER_BYTES, 0);
    if (bytesRead < WAV_HEADER_BYTES) return false;
    return buffer.toString('latin1', 0, 4) === 'RIFF' && buffer.toString('latin1', 8, 12) === 'WAVE';
  } finally {
    await file.close();
  }
}
