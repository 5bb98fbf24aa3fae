import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SIZE_BYTES = 8 << 20;
/** As on any real disk; mkfs would take less for one so small. */
const BLOCK_BYTES = 4096;
const BALLAST = 'ballast';

/** A file system of its own in a file, that a test can fill, or damage, under a running program. */
export interface SmallDisk {
  /** Where it is mounted. */
  readonly path: string;
  /** Takes all the room there is. */
  fill(): Promise<void>;
  makeRoom(): Promise<void>;
  /** What the kernel does with a file system that it finds damaged: nothing can be written from now on, for good. */
  turnReadOnly(): Promise<void>;
  /** Nothing may be open on it any more. */
  close(): Promise<void>;
}

/** Why disks cannot be had here, in a sentence; `undefined` where they can. */
export async function whyNoDisks(): Promise<string | undefined> {
  try {
    await (await mountSmallDisk()).close();
    return undefined;
  } catch (error) {
    const { code, stderr = '', message } = error as NodeJS.ErrnoException & { stderr?: string };
    if (code === 'ENOENT' || /permission|permitted|superuser|loop device/i.test(stderr)) {
      return `mounts are not permitted here: ${(stderr || message).trim()}`;
    }
    throw error;
  }
}

export async function mountSmallDisk(): Promise<SmallDisk> {
  const directory = await mkdtemp(join(tmpdir(), 'small-disk-'));
  const image = join(directory, 'image');
  const path = join(directory, 'mount');
  try {
    await mkdir(path);
    await writeFile(image, '');
    await truncate(image, SIZE_BYTES);
    await run('mkfs.ext4', ['-q', '-m', '0', '-b', String(BLOCK_BYTES), image]);
    await run('mount', ['-o', 'loop,errors=remount-ro', image, path]);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
  return {
    path,
    async fill() {
      const { bavail, bsize } = await statfs(path);
      const failed = await writeFile(join(path, BALLAST), Buffer.alloc(bavail * bsize + 1)).catch(
        (error: NodeJS.ErrnoException) => error.code,
      );
      if (failed !== 'ENOSPC') throw new Error(`the disk is not full: ${failed}`);
    },
    makeRoom: () => rm(join(path, BALLAST)),
    async turnReadOnly() {
      const { stdout } = await run('findmnt', ['--noheadings', '--output', 'SOURCE', path]);
      await writeFile(`/sys/fs/ext4/${basename(stdout.trim())}/trigger_fs_error`, '1');
    },
    async close() {
      await run('umount', [path]);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
