import { createCipheriv } from 'node:crypto';
import { MAX_PACKET_BYTES } from './packet-layout.ts';

const BLOCK_BYTES = 16;
const MAX_BLOCKS = MAX_PACKET_BYTES / BLOCK_BYTES;

/** Shared by all ciphers: used only inside one call. */
const counterBlocks = new Uint32Array(MAX_BLOCKS * 4);
const counterBytes = Buffer.from(counterBlocks.buffer);
const keystreamWords = new Uint32Array(MAX_BLOCKS * 4);
const keystreamBytes = Buffer.from(keystreamWords.buffer);

/** Last word of block n of a counter that starts at 0, in the byte order of this machine. */
const blockNumbers = new Uint32Array(MAX_BLOCKS);
const blockNumberBytes = Buffer.from(blockNumbers.buffer);
for (let block = 0; block < MAX_BLOCKS; block++) blockNumberBytes.writeUInt32BE(block, block * 4);

/**
 * AES in counter mode as RFC 3711 §4.1.1 has it, from one persistent ECB cipher: a cipher object per packet costs more
 * than the encryption, and is a native handle for the garbage collector.
 */
export class AesCmKeystream {
  readonly #cipher;
  readonly #salt = Buffer.alloc(BLOCK_BYTES);
  readonly #iv = Buffer.from(new ArrayBuffer(BLOCK_BYTES));
  readonly #ivWords = new Uint32Array(this.#iv.buffer);

  constructor(key: Buffer, salt: Buffer) {
    this.#cipher = createCipheriv('aes-128-ecb', key, null);
    salt.copy(this.#salt);
  }

  /**
   * XORs the key stream of a packet into `bytes` bytes from `offset`, and possibly into three bytes more. `words` are the
   * packet's bytes, `offset` a multiple of four.
   */
  apply(words: Uint32Array, offset: number, bytes: number, ssrc: number, index: number): void {
    if (bytes === 0) return;
    this.#fillCounters(Math.ceil(bytes / BLOCK_BYTES), ssrc, index);
    keystreamBytes.set(this.#cipher.update(counterBytes.subarray(0, Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES)));
    const firstWord = offset >>> 2;
    const wordCount = (bytes + 3) >>> 2;
    for (let word = 0; word < wordCount; word++) words[firstWord + word]! ^= keystreamWords[word]!;
  }

  #fillCounters(blocks: number, ssrc: number, index: number): void {
    const iv = this.#iv;
    this.#salt.copy(iv);
    iv.writeUInt32BE((iv.readUInt32BE(4) ^ ssrc) >>> 0, 4);
    iv.writeUInt32BE((iv.readUInt32BE(8) ^ Math.floor(index / 0x10000)) >>> 0, 8);
    iv.writeUInt16BE(iv.readUInt16BE(12) ^ (index & 0xffff), 12);
    const word0 = this.#ivWords[0]!;
    const word1 = this.#ivWords[1]!;
    const word2 = this.#ivWords[2]!;
    const word3 = this.#ivWords[3]!;
    for (let block = 0; block < blocks; block++) {
      counterBlocks[block * 4] = word0;
      counterBlocks[block * 4 + 1] = word1;
      counterBlocks[block * 4 + 2] = word2;
      counterBlocks[block * 4 + 3] = word3 ^ blockNumbers[block]!;
    }
  }
}
