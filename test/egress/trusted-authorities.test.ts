import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { generate } from 'selfsigned';
import { expect, it, onTestFinished } from 'vitest';

const MODULE_URL = new URL('../../src/egress/trusted-authorities.ts', import.meta.url).href;
const PROGRAM = `
  const { trustedAuthorities } = await import(${JSON.stringify(MODULE_URL)});
  process.stdout.write(JSON.stringify(await trustedAuthorities(process.argv[1])));
`;

it('trusts the authorities of NODE_EXTRA_CA_CERTS and those of node beside those of the operator’s file', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'authorities-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const paths = await Promise.all(
    ['own', 'extra'].map(async (name) => {
      const path = join(directory, `${name}.pem`);
      await writeFile(path, (await generate([{ name: 'commonName', value: name }])).cert);
      return path;
    }),
  );
  // Node reads that variable when it starts.
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', PROGRAM, paths[0]!],
    { env: { ...process.env, NODE_EXTRA_CA_CERTS: paths[1] }, maxBuffer: 16 << 20 },
  );
  const subjects = (JSON.parse(stdout) as string[]).map((pem) => new X509Certificate(pem).subject);
  expect(subjects).toEqual(expect.arrayContaining(['CN=own', 'CN=extra']));
  expect(subjects.length).toBeGreaterThan(100);
});
