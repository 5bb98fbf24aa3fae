import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import { AppError } from '../domain/errors.ts';

const CHECK_TIMEOUT_MS = 10_000;
const MAX_CHECK_BYTES = 4 << 20;
/** Not declared as a dependency of every installation; a name that is not a literal keeps the compiler from asking for it. */
const STATIC_BUILD_PACKAGE: string = 'ffmpeg-static';

/** What every pipeline together needs; the pattern finds it in ffmpeg's own listing. */
const NEEDS = [
  { listing: '-protocols', feature: 'the rtmp protocol', pattern: /^\s*rtmp$/m },
  { listing: '-encoders', feature: 'the libx264 encoder', pattern: /^\s*V\S*\s+libx264\s/m },
  { listing: '-encoders', feature: 'the libopus encoder', pattern: /^\s*A\S*\s+libopus\s/m },
  { listing: '-encoders', feature: 'the aac encoder', pattern: /^\s*A\S*\s+aac\s/m },
  { listing: '-bsfs', feature: 'the extract_extradata bitstream filter', pattern: /^\s*extract_extradata$/m },
] as const;

/**
 * Where ffmpeg is: the configured path, else FFMPEG_BIN, else on PATH, else the npm package ffmpeg-static. A path that is given
 * but cannot be executed is an error, not a reason to take another. Throws AppError BAD_CONFIGURATION.
 */
export async function resolveFfmpeg(
  configured: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const chosen = configured || env['FFMPEG_BIN'];
  if (chosen) {
    if (await isExecutable(chosen)) return chosen;
    throw new AppError(
      'BAD_CONFIGURATION',
      `${configured ? 'ffmpeg_path' : 'FFMPEG_BIN'}="${chosen}" does not exist or cannot be executed`,
    );
  }
  for (const directory of (env['PATH'] ?? '').split(delimiter)) {
    const path = join(directory, 'ffmpeg');
    if (directory !== '' && (await isExecutable(path))) return path;
  }
  const packaged = await packagedFfmpeg();
  if (packaged !== undefined && (await isExecutable(packaged))) return packaged;
  throw new AppError(
    'BAD_CONFIGURATION',
    'no ffmpeg found: install one, or give its path in the configuration or FFMPEG_BIN',
  );
}

/** Runs ffmpeg and returns its version. Throws AppError BAD_CONFIGURATION with one sentence that names all it lacks. */
export async function checkFfmpeg(path: string): Promise<string> {
  const [version, ...listings] = await Promise.all([
    runToText(path, '-version'),
    ...NEEDS.map(({ listing }) => runToText(path, listing)),
  ]);
  const number = /^ffmpeg version (\S+)/m.exec(version)?.[1];
  if (number === undefined) throw new AppError('BAD_CONFIGURATION', `${path} does not answer like ffmpeg`);
  const missing = NEEDS.filter(({ pattern }, index) => !pattern.test(listings[index]!)).map(({ feature }) => feature);
  if (missing.length > 0) {
    throw new AppError('BAD_CONFIGURATION', `ffmpeg ${number} at ${path} lacks ${missing.join(', ')}`);
  }
  return number;
}

async function runToText(path: string, listing: string): Promise<string> {
  const result = await execa(path, ['-hide_banner', listing], {
    reject: false,
    timeout: CHECK_TIMEOUT_MS,
    maxBuffer: MAX_CHECK_BYTES,
    stdin: 'ignore',
    stderr: 'ignore',
  });
  if (!result.failed) return result.stdout;
  const how = result.exitCode === undefined ? (result.code ?? result.signal) : `exit code ${result.exitCode}`;
  throw new AppError('BAD_CONFIGURATION', `${path} ${listing} failed (${how})`);
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function packagedFfmpeg(): Promise<string | undefined> {
  try {
    const module: { default?: unknown } = await import(STATIC_BUILD_PACKAGE);
    return typeof module.default === 'string' ? module.default : undefined;
  } catch {
    return undefined;
  }
}
