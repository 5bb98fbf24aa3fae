import { CryptoFanout } from './crypto-fanout.ts';
import { loadFanoutModule } from './fanout-module.ts';
import type { SrtpFanout } from './fanout.ts';
import { WasmFanout } from './wasm-fanout.ts';

/** The WebAssembly fan-out, or where there is no WebAssembly SIMD the one on node:crypto. Nothing to close. */
export function createSrtpFanout(): SrtpFanout {
  const module = loadFanoutModule();
  return module === undefined ? new CryptoFanout() : new WasmFanout(module);
}
