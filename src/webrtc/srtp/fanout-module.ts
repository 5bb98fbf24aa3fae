import { readFileSync } from 'node:fs';

/** Neither the ES library nor @types/node describes the global; this is the part that is used. */
declare const WebAssembly:
  | {
      validate(bytes: Uint8Array): boolean;
      Module: new (bytes: Uint8Array) => WasmModule;
      Instance: new (module: WasmModule) => { readonly exports: FanoutExports };
    }
  | undefined;

/** A compiled fanout.wasm. */
export type WasmModule = object;

type Address = { readonly value: number };

/** Exports of scripts/wasm/fanout.ts, which describes them. */
export interface FanoutExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly MAX_PAYLOADS: Address;
  readonly MAX_JOBS: Address;
  readonly PAYLOAD_STRIDE: Address;
  readonly PACKET_STRIDE: Address;
  readonly JOB_WORDS: Address;
  readonly RUN_WORDS: Address;
  readonly PADS: Address;
  readonly RUNS: Address;
  readonly JOBS: Address;
  readonly PAYLOAD_LENGTHS: Address;
  readonly PAYLOADS: Address;
  readonly PACKETS: Address;
  hashPads(): void;
  writeCounters(jobs: number): number;
  protect(jobs: number): void;
}

let compiled: WasmModule | undefined;

/** fanout.wasm, compiled once per thread; undefined where this machine has no WebAssembly SIMD. */
export function loadFanoutModule(): WasmModule | undefined {
  if (compiled !== undefined || typeof WebAssembly === 'undefined') return compiled;
  const bytes = readFileSync(new URL('./fanout.wasm', import.meta.url));
  if (WebAssembly.validate(bytes)) compiled = new WebAssembly.Module(bytes);
  return compiled;
}

export function instantiateFanout(module: WasmModule): FanoutExports {
  return new WebAssembly!.Instance(module).exports;
}
