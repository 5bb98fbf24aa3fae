import { createCipheriv, type Cipheriv } from 'node:crypto';
import { instantiateFanout, type FanoutExports, type WasmModule } from './fanout-module.ts';
import { checkPayload, type FanoutViewer, type SrtpFanout } from './fanout.ts';
import { HMAC_PREFIX_BYTES, hmacPad } from './hmac-sha1.ts';
import { deriveSessionKeys } from './key-derivation.ts';
import { RTP_FIXED_BYTES } from './packet-layout.ts';
import { CM_TAG_BYTES } from './aes-cm-transform.ts';
import type { SrtpMaster } from './srtp.ts';

const SHA1_STATE_WORDS = 5;

/**
 * A batch that has this many packets is not begun on for one more viewer: a viewer's packets in two batches cost it two
 * cipher calls. What is left of the batch holds the burst of that many packets.
 */
const FULL_BATCH_PACKETS = 48;

interface WasmViewer extends FanoutViewer {
  readonly cipher: Cipheriv;
  /** As the module wants a run: both HMAC states and the counter's salt. */
  readonly run: Uint32Array;
  send: (packet: Buffer) => void;
  removed: boolean;
}

const sendNothing = (): void => {};

/**
 * The fan-out on WebAssembly: per viewer and batch one call of a persistent AES-ECB cipher for the key stream of all its
 * packets, the rest (XOR, header, HMAC of four packets at a time) in fanout.wasm. Batches bound the memory.
 */
export class WasmFanout implements SrtpFanout {
  readonly #module: FanoutExports;
  readonly #memory: Buffer;
  readonly #jobs: Uint32Array;
  readonly #runs: Uint32Array;
  readonly #payloadLengths: Uint32Array;
  readonly #payloads: number;
  readonly #payloadStride: number;
  readonly #packets: number;
  readonly #packetStride: number;
  readonly #jobWords: number;
  readonly #runWords: number;
  readonly #maxJobs: number;
  readonly #jobViewers: WasmViewer[] = [];
  /** The last view of each packet place: most packets of a burst have the same length. */
  readonly #views: Buffer[] = [];
  #payloadCount = 0;
  #jobCount = 0;
  #runCount = 0;

  constructor(module: WasmModule) {
    this.#module = instantiateFanout(module);
    const layout = this.#module;
    const { buffer } = layout.memory;
    this.#memory = Buffer.from(buffer);
    this.#maxJobs = layout.MAX_JOBS.value;
    this.#jobWords = layout.JOB_WORDS.value;
    this.#runWords = layout.RUN_WORDS.value;
    this.#jobs = new Uint32Array(buffer, layout.JOBS.value, this.#maxJobs * this.#jobWords);
    this.#runs = new Uint32Array(buffer, layout.RUNS.value, this.#maxJobs * this.#runWords);
    this.#payloadLengths = new Uint32Array(buffer, layout.PAYLOAD_LENGTHS.value, layout.MAX_PAYLOADS.value);
    this.#payloads = layout.PAYLOADS.value;
    this.#payloadStride = layout.PAYLOAD_STRIDE.value;
    this.#packets = layout.PACKETS.value;
    this.#packetStride = layout.PACKET_STRIDE.value;
    for (let job = 0; job < this.#maxJobs; job++) this.#views.push(this.#viewOf(job, 0));
  }

  addViewer(master: SrtpMaster, send: (packet: Buffer) => void): FanoutViewer {
    const keys = deriveSessionKeys('AES_CM_128_HMAC_SHA1_80', master, 'rtp');
    const run = new Uint32Array(this.#runWords);
    const pads = this.#module.PADS.value;
    hmacPad(keys.auth, 0x36).copy(this.#memory, pads);
    hmacPad(keys.auth, 0x5c).copy(this.#memory, pads + HMAC_PREFIX_BYTES);
    this.#module.hashPads();
    const { buffer } = this.#memory;
    run.set(new Uint32Array(buffer, pads, SHA1_STATE_WORDS));
    run.set(new Uint32Array(buffer, pads + HMAC_PREFIX_BYTES, SHA1_STATE_WORDS), SHA1_STATE_WORDS);
    keys.salt.copy(Buffer.from(run.buffer), 2 * SHA1_STATE_WORDS * 4);
    const viewer: WasmViewer = { cipher: createCipheriv('aes-128-ecb', keys.key, null), run, send, removed: false };
    return viewer;
  }

  removeViewer(viewer: FanoutViewer): void {
    const wasmViewer = viewer as WasmViewer;
    wasmViewer.removed = true;
    // The slots of the last burst still name the viewer until others take them; its session must not live that long.
    wasmViewer.send = sendNothing;
  }

  addPayload(payload: Buffer): number {
    checkPayload(payload, this.#payloadCount);
    const slot = this.#payloadCount++;
    this.#memory.set(payload, this.#payloads + slot * this.#payloadStride);
    this.#payloadLengths[slot] = payload.length;
    return slot;
  }

  queue(
    viewer: FanoutViewer,
    slot: number,
    index: number,
    markerAndType: number,
    timestamp: number,
    ssrc: number,
  ): void {
    const wasmViewer = viewer as WasmViewer;
    if (wasmViewer.removed) return;
    if (this.#jobCount === this.#maxJobs) this.#runBatch();
    if (this.#jobCount === 0 || this.#jobViewers[this.#jobCount - 1] !== wasmViewer) {
      if (this.#jobCount >= FULL_BATCH_PACKETS) this.#runBatch();
      this.#runs.set(wasmViewer.run, this.#runCount++ * this.#runWords);
    }
    const at = this.#jobCount * this.#jobWords;
    const jobs = this.#jobs;
    jobs[at] = slot;
    jobs[at + 1] = this.#runCount - 1;
    jobs[at + 2] = 0x80000000 | (markerAndType << 16) | (index & 0xffff);
    jobs[at + 3] = timestamp;
    jobs[at + 4] = ssrc;
    jobs[at + 5] = Math.floor(index / 0x10000);
    this.#jobViewers[this.#jobCount++] = wasmViewer;
  }

  flush(): void {
    this.#payloadCount = 0;
    this.#runBatch();
  }

  #runBatch(): void {
    const jobs = this.#jobCount;
    if (jobs === 0) return;
    this.#encryptCounters(jobs);
    this.#module.protect(jobs);
    this.#jobCount = 0;
    this.#runCount = 0;
    for (let job = 0; job < jobs; job++) {
      const viewer = this.#jobViewers[job]!;
      if (!viewer.removed) viewer.send(this.#packet(job));
    }
  }

  /** Replaces the counter blocks of each run by the key stream. */
  #encryptCounters(jobs: number): void {
    const end = this.#module.writeCounters(jobs);
    let first = 0;
    while (first < jobs) {
      const viewer = this.#jobViewers[first]!;
      let next = first + 1;
      while (next < jobs && this.#jobViewers[next] === viewer) next++;
      const from = this.#keystreamOf(first);
      const to = next < jobs ? this.#keystreamOf(next) : end;
      if (to > from) this.#memory.set(viewer.cipher.update(this.#memory.subarray(from, to)), from);
      first = next;
    }
  }

  #keystreamOf(job: number): number {
    return this.#jobs[job * this.#jobWords + 6]!;
  }

  #packet(job: number): Buffer {
    const slot = this.#jobs[job * this.#jobWords]!;
    const bytes = RTP_FIXED_BYTES + this.#payloadLengths[slot]! + CM_TAG_BYTES;
    const last = this.#views[job]!;
    return last.length === bytes ? last : (this.#views[job] = this.#viewOf(job, bytes));
  }

  #viewOf(job: number, bytes: number): Buffer {
    const start = this.#packets + job * this.#packetStride;
    return this.#memory.subarray(start, start + bytes);
  }
}
