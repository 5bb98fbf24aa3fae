import { readFile } from 'node:fs/promises';
import { it, expect } from 'vitest';
import { buildFanoutWasm } from '../../../scripts/build-wasm.ts';

it('has the fanout.wasm that its source gives', { timeout: 60_000 }, async () => {
  const checkedIn = await readFile(new URL('../../../src/webrtc/srtp/fanout.wasm', import.meta.url));
  expect(Buffer.from(await buildFanoutWasm()).equals(checkedIn)).toBe(true);
});
