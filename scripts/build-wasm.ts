import { fileURLToPath } from 'node:url';
import { writeFile } from 'node:fs/promises';
import { main } from 'assemblyscript/asc';

const SOURCE = 'fanout.ts';
const OUTPUT = 'fanout.wasm';
const OPTIONS = '--runtime stub --enable simd --initialMemory 10 --maximumMemory 10 -O3 --converge --noAssert'.split(
  ' ',
);
const SOURCE_DIR = new URL('./wasm/', import.meta.url);
const TARGET = new URL('../src/webrtc/srtp/fanout.wasm', import.meta.url);

/** Compiles scripts/wasm/fanout.ts: no imports, no garbage collector, SIMD, one fixed memory of 10 pages. */
export async function buildFanoutWasm(): Promise<Uint8Array> {
  let binary: Uint8Array | undefined;
  const { error, stderr } = await main(
    [SOURCE, '--baseDir', fileURLToPath(SOURCE_DIR), '--outFile', OUTPUT, ...OPTIONS],
    {
      writeFile: (name, contents) => {
        if (name === OUTPUT && typeof contents !== 'string') binary = contents;
      },
    },
  );
  if (error !== null || binary === undefined) throw new Error(`asc failed: ${stderr.toString()}`, { cause: error });
  return binary;
}

if (import.meta.main) {
  const binary = await buildFanoutWasm();
  await writeFile(TARGET, binary);
  console.log(`${fileURLToPath(TARGET)}: ${binary.length} bytes`);
}
