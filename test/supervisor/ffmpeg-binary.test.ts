import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkFfmpeg, resolveFfmpeg } from '../../src/supervisor/ffmpeg-binary.ts';

const COMPLETE = [
  'case "$2" in',
  '-version) echo "ffmpeg version 5.1.9-test Copyright";;',
  '-protocols) echo "  rtmp";;',
  '-encoders) echo " V....D libx264   x"; echo " A....D aac   x"; echo " A..... libopus   x";;',
  '-bsfs) echo extract_extradata;;',
  'esac',
].join('\n');

describe('the ffmpeg binary', () => {
  let directory = '';
  const program = async (name: string, script: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    return path;
  };

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ffmpeg-'));
  });
  afterAll(async () => {
    await rm(directory, { recursive: true });
  });

  it('is the configured one, else FFMPEG_BIN, else the one on PATH', async () => {
    const onPath = await program('ffmpeg', '');
    const configured = await program('configured', '');
    const named = await program('named', '');
    const env = { FFMPEG_BIN: named, PATH: `/nonexistent:${directory}` };
    expect(await resolveFfmpeg(configured, env)).toBe(configured);
    expect(await resolveFfmpeg(undefined, env)).toBe(named);
    expect(await resolveFfmpeg('', { PATH: env.PATH })).toBe(onPath);
  });

  it('that is configured but missing is an error even when there is another', async () => {
    await program('ffmpeg', '');
    const attempt = resolveFfmpeg('/nonexistent/ffmpeg', { PATH: directory });
    await expect(attempt).rejects.toMatchObject({ code: 'BAD_CONFIGURATION' });
  });

  it('with everything is known by its version', async () => {
    expect(await checkFfmpeg(await program('complete', COMPLETE))).toBe('5.1.9-test');
  });

  it('that lacks something is refused with a sentence that names it all', async () => {
    const path = await program('poor', COMPLETE.replace('libx264', 'libopenh264').replace('"  rtmp"', '"  rtp"'));
    await expect(checkFfmpeg(path)).rejects.toThrow(/5\.1\.9-test at .* lacks the rtmp protocol, the libx264 encoder$/);
  });

  it('that is another program is refused', async () => {
    await expect(checkFfmpeg(await program('other', 'echo hello'))).rejects.toThrow(/does not answer like ffmpeg/);
    await expect(checkFfmpeg(await program('failing', 'exit 3'))).rejects.toThrow(/failed \(exit code 3\)/);
  });
});
