/**
 * SRTP protection (AES_CM_128_HMAC_SHA1_80, RFC 3711) of a batch of packets: the part that JavaScript is slow at. The key
 * stream itself comes from the AES of node:crypto. AssemblyScript; built by scripts/build-wasm.ts; used by
 * src/webrtc/srtp/wasm-fanout.ts, which reads the exported limits and addresses and so repeats none of them.
 *
 * A job is one packet for one viewer, a run is the consecutive jobs of one viewer.
 */

export const MAX_PAYLOADS: u32 = 256;
export const MAX_JOBS: u32 = 64;

const HEADER_BYTES: u32 = 12;
const TAG_BYTES: u32 = 10;
const LANES: u32 = 4;
const AES_BLOCK_BYTES: u32 = 16;
const SHA_BLOCK_BYTES: u32 = 64;
const ROUNDS: u32 = 80;

/** Payloads have at most 1,500 bytes, and are read up to 15 bytes past their end. */
export const PAYLOAD_STRIDE: u32 = 1536;
/** Header, payload, roll-over counter and SHA-1 padding, in whole SHA-1 blocks. */
export const PACKET_STRIDE: u32 = 1600;

/** u32 fields of a job: payload slot, run, first header word, timestamp, SSRC, roll-over counter, key stream address. */
export const JOB_WORDS: u32 = 7;
const JOB_BYTES: u32 = JOB_WORDS * 4;

/** u32 fields of a run: inner (5) and outer (5) HMAC state, and as bytes the salt of the counter (14, then two zeros). */
export const RUN_WORDS: u32 = 14;
const RUN_BYTES: u32 = RUN_WORDS * 4;
const RUN_OUTER: u32 = 20;
const RUN_SALT: u32 = 40;

/** Two blocks, the padded keys, go in here and the two states come out (`hashPads`). */
export const PADS: u32 = 1024;
const STATE: u32 = PADS + 2 * SHA_BLOCK_BYTES;
const SCHEDULE: u32 = STATE + 5 * 16;
const ORDER: u32 = SCHEDULE + ROUNDS * 16;
export const RUNS: u32 = ORDER + MAX_JOBS * 4;
export const JOBS: u32 = RUNS + MAX_JOBS * RUN_BYTES;
export const PAYLOAD_LENGTHS: u32 = JOBS + MAX_JOBS * JOB_BYTES;
export const PAYLOADS: u32 = 16384;
export const PACKETS: u32 = PAYLOADS + MAX_PAYLOADS * PAYLOAD_STRIDE;
/** Counter blocks of at most 1,504 bytes a job, replaced in place by their encryption. They end inside the tenth page. */
export const KEYSTREAM: u32 = PACKETS + MAX_JOBS * PACKET_STRIDE;

/** First SHA-1 block of two messages, whose states HMAC starts from. The states replace the start of each block. */
export function hashPads(): void {
  store<v128>(STATE, i32x4.splat(0x67452301));
  store<v128>(STATE + 16, i32x4.splat(0xefcdab89));
  store<v128>(STATE + 32, i32x4.splat(0x98badcfe));
  store<v128>(STATE + 48, i32x4.splat(0x10325476));
  store<v128>(STATE + 64, i32x4.splat(0xc3d2e1f0));
  loadBlock(PADS, PADS + SHA_BLOCK_BYTES, PADS, PADS);
  compress();
  for (let word: u32 = 0; word < 5; word++) {
    const state = v128.load(STATE + word * 16);
    store<u32>(PADS + word * 4, i32x4.extract_lane(state, 0));
    store<u32>(PADS + SHA_BLOCK_BYTES + word * 4, i32x4.extract_lane(state, 1));
  }
}

/** Writes the counter blocks (RFC 3711 §4.1.1) of all jobs, one job after the other. Returns the end of the last one. */
export function writeCounters(jobs: u32): u32 {
  let at = KEYSTREAM;
  for (let job: u32 = 0; job < jobs; job++) {
    const fields = JOBS + job * JOB_BYTES;
    store<u32>(fields + 24, at);
    const salt = RUNS + load<u32>(fields + 4) * RUN_BYTES + RUN_SALT;
    const ssrc = bswap<u32>(load<u32>(fields + 16));
    const cycles = bswap<u32>(load<u32>(fields + 20));
    const sequenceNumber: u32 = bswap<u16>(<u16>load<u32>(fields + 8));
    const counter = v128.xor(
      i32x4(load<u32>(salt), load<u32>(salt + 4), load<u32>(salt + 8), load<u16>(salt + 12)),
      i32x4(0, ssrc, cycles, sequenceNumber),
    );
    const blocks = (payloadBytes(job) + AES_BLOCK_BYTES - 1) / AES_BLOCK_BYTES;
    for (let block: u32 = 0; block < blocks; block++) {
      v128.store(at, i8x16.replace_lane(counter, 15, <i8>block));
      at += AES_BLOCK_BYTES;
    }
  }
  return at;
}

/** Writes the protected packet of every job at `PACKETS + job * PACKET_STRIDE`. */
export function protect(jobs: u32): void {
  sortByLength(jobs);
  for (let first: u32 = 0; first < jobs; first += LANES) {
    const last = jobs - 1;
    protectLanes(
      load<u32>(ORDER + first * 4),
      load<u32>(ORDER + min(first + 1, last) * 4),
      load<u32>(ORDER + min(first + 2, last) * 4),
      load<u32>(ORDER + min(first + 3, last) * 4),
    );
  }
}

/** Insertion sort, stable: lanes of equal length waste no hashing. */
function sortByLength(jobs: u32): void {
  for (let job: u32 = 0; job < jobs; job++) {
    const bytes = payloadBytes(job);
    let at = job;
    while (at > 0 && payloadBytes(load<u32>(ORDER + (at - 1) * 4)) > bytes) {
      store<u32>(ORDER + at * 4, load<u32>(ORDER + (at - 1) * 4));
      at--;
    }
    store<u32>(ORDER + at * 4, job);
  }
}

/** Jobs in order of length; a job may be given more than once. */
function protectLanes(job0: u32, job1: u32, job2: u32, job3: u32): void {
  const blocks0 = writeMessage(job0);
  const blocks1 = writeMessage(job1);
  const blocks2 = writeMessage(job2);
  const blocks3 = writeMessage(job3);
  const run0 = runOf(job0);
  const run1 = runOf(job1);
  const run2 = runOf(job2);
  const run3 = runOf(job3);

  loadStates(run0, run1, run2, run3);
  let packet0 = packetOf(job0);
  let packet1 = packetOf(job1);
  let packet2 = packetOf(job2);
  let packet3 = packetOf(job3);
  let inner0 = i32x4.splat(0);
  let inner1 = inner0;
  let inner2 = inner0;
  let inner3 = inner0;
  let inner4 = inner0;
  for (let block: u32 = 1; block <= blocks3; block++) {
    loadBlock(packet0, packet1, packet2, packet3);
    compress();
    if (block === blocks0 || block === blocks1 || block === blocks2 || block === blocks3) {
      const ended = i32x4.eq(i32x4(blocks0, blocks1, blocks2, blocks3), i32x4.splat(block));
      inner0 = v128.bitselect(v128.load(STATE), inner0, ended);
      inner1 = v128.bitselect(v128.load(STATE + 16), inner1, ended);
      inner2 = v128.bitselect(v128.load(STATE + 32), inner2, ended);
      inner3 = v128.bitselect(v128.load(STATE + 48), inner3, ended);
      inner4 = v128.bitselect(v128.load(STATE + 64), inner4, ended);
    }
    packet0 += SHA_BLOCK_BYTES;
    packet1 += SHA_BLOCK_BYTES;
    packet2 += SHA_BLOCK_BYTES;
    packet3 += SHA_BLOCK_BYTES;
  }

  loadStates(run0 + RUN_OUTER, run1 + RUN_OUTER, run2 + RUN_OUTER, run3 + RUN_OUTER);
  v128.store(SCHEDULE, inner0);
  v128.store(SCHEDULE + 16, inner1);
  v128.store(SCHEDULE + 32, inner2);
  v128.store(SCHEDULE + 48, inner3);
  v128.store(SCHEDULE + 64, inner4);
  v128.store(SCHEDULE + 80, i32x4.splat(0x80000000));
  memory.fill(SCHEDULE + 96, 0, 9 * 16);
  v128.store(SCHEDULE + 240, i32x4.splat((SHA_BLOCK_BYTES + 20) * 8));
  compress();
  const tag0 = v128.load(STATE);
  const tag1 = v128.load(STATE + 16);
  const tag2 = v128.load(STATE + 32);
  writeTag(job0, i32x4.extract_lane(tag0, 0), i32x4.extract_lane(tag1, 0), i32x4.extract_lane(tag2, 0));
  writeTag(job1, i32x4.extract_lane(tag0, 1), i32x4.extract_lane(tag1, 1), i32x4.extract_lane(tag2, 1));
  writeTag(job2, i32x4.extract_lane(tag0, 2), i32x4.extract_lane(tag1, 2), i32x4.extract_lane(tag2, 2));
  writeTag(job3, i32x4.extract_lane(tag0, 3), i32x4.extract_lane(tag1, 3), i32x4.extract_lane(tag2, 3));
}

/**
 * Writes what is hashed: header, encrypted payload, roll-over counter (RFC 3711 §4.2) and the padding of SHA-1, whose
 * length counts the inner pad of HMAC. Returns its length in SHA-1 blocks.
 */
function writeMessage(job: u32): u32 {
  const fields = JOBS + job * JOB_BYTES;
  const packet = packetOf(job);
  store<u32>(packet, bswap<u32>(load<u32>(fields + 8)));
  store<u32>(packet + 4, bswap<u32>(load<u32>(fields + 12)));
  store<u32>(packet + 8, bswap<u32>(load<u32>(fields + 16)));

  const bytes = payloadBytes(job);
  const payload = PAYLOADS + load<u32>(fields) * PAYLOAD_STRIDE;
  const keystream = load<u32>(fields + 24);
  const target = packet + HEADER_BYTES;
  for (let at: u32 = 0; at < bytes; at += AES_BLOCK_BYTES) {
    v128.store(target + at, v128.xor(v128.load(payload + at), v128.load(keystream + at)));
  }

  const messageBytes = HEADER_BYTES + bytes + 4;
  const blocks = (messageBytes + 1 + 8 + SHA_BLOCK_BYTES - 1) / SHA_BLOCK_BYTES;
  store<u32>(packet + messageBytes - 4, bswap<u32>(load<u32>(fields + 20)));
  memory.fill(packet + messageBytes, 0, blocks * SHA_BLOCK_BYTES - messageBytes);
  store<u8>(packet + messageBytes, 0x80);
  store<u32>(packet + blocks * SHA_BLOCK_BYTES - 4, bswap<u32>((SHA_BLOCK_BYTES + messageBytes) * 8));
  return blocks;
}

function writeTag(job: u32, word0: u32, word1: u32, word2: u32): void {
  const tag = packetOf(job) + HEADER_BYTES + payloadBytes(job);
  store<u32>(tag, bswap<u32>(word0));
  store<u32>(tag + 4, bswap<u32>(word1));
  store<u16>(tag + TAG_BYTES - 2, bswap<u16>(<u16>(word2 >>> 16)));
}

function packetOf(job: u32): u32 {
  return PACKETS + job * PACKET_STRIDE;
}

function runOf(job: u32): u32 {
  return RUNS + load<u32>(JOBS + job * JOB_BYTES + 4) * RUN_BYTES;
}

function payloadBytes(job: u32): u32 {
  return load<u32>(PAYLOAD_LENGTHS + load<u32>(JOBS + job * JOB_BYTES) * 4);
}

function loadStates(lane0: u32, lane1: u32, lane2: u32, lane3: u32): void {
  for (let word: u32 = 0; word < 20; word += 4) {
    v128.store(
      STATE + word * 4,
      i32x4(load<u32>(lane0 + word), load<u32>(lane1 + word), load<u32>(lane2 + word), load<u32>(lane3 + word)),
    );
  }
}

/** The 64 bytes at each address become the first 16 words of the message schedule, one message per lane. */
function loadBlock(lane0: u32, lane1: u32, lane2: u32, lane3: u32): void {
  for (let at: u32 = 0; at < SHA_BLOCK_BYTES; at += 16) {
    const row0 = bigEndian(v128.load(lane0 + at));
    const row1 = bigEndian(v128.load(lane1 + at));
    const row2 = bigEndian(v128.load(lane2 + at));
    const row3 = bigEndian(v128.load(lane3 + at));
    const low01 = v128.shuffle<i32>(row0, row1, 0, 4, 1, 5);
    const low23 = v128.shuffle<i32>(row2, row3, 0, 4, 1, 5);
    const high01 = v128.shuffle<i32>(row0, row1, 2, 6, 3, 7);
    const high23 = v128.shuffle<i32>(row2, row3, 2, 6, 3, 7);
    const words = SCHEDULE + at * 4;
    v128.store(words, v128.shuffle<i64>(low01, low23, 0, 2));
    v128.store(words + 16, v128.shuffle<i64>(low01, low23, 1, 3));
    v128.store(words + 32, v128.shuffle<i64>(high01, high23, 0, 2));
    v128.store(words + 48, v128.shuffle<i64>(high01, high23, 1, 3));
  }
}

function bigEndian(words: v128): v128 {
  return v128.shuffle<i8>(words, words, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
}

function rotateLeft(words: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(words, bits), i32x4.shr_u(words, 32 - bits));
}

/** What a round adds to `e`: the rotated `a`, the mixed `b`, `c` and `d`, the constant and the scheduled word. */
function step(e: v128, a: v128, mixed: v128, constant: v128, word: u32): v128 {
  return i32x4.add(i32x4.add(i32x4.add(e, constant), i32x4.add(mixed, v128.load(word))), rotateLeft(a, 5));
}

function parity(b: v128, c: v128, d: v128): v128 {
  return v128.xor(v128.xor(b, c), d);
}

function choose(b: v128, c: v128, d: v128): v128 {
  return v128.bitselect(c, d, b);
}

function majority(b: v128, c: v128, d: v128): v128 {
  return v128.bitselect(c, b, v128.xor(b, d));
}

/** One SHA-1 block (FIPS 180-4 §6.1.2) in four lanes: `STATE` and the first 16 words of `SCHEDULE` to `STATE`. */
function compress(): void {
  const end = SCHEDULE + ROUNDS * 16;
  for (let at = SCHEDULE + 16 * 16; at < end; at += 16) {
    const mixed = v128.xor(
      v128.xor(v128.load(at - 3 * 16), v128.load(at - 8 * 16)),
      v128.xor(v128.load(at - 14 * 16), v128.load(at - 16 * 16)),
    );
    v128.store(at, rotateLeft(mixed, 1));
  }

  let a = v128.load(STATE);
  let b = v128.load(STATE + 16);
  let c = v128.load(STATE + 32);
  let d = v128.load(STATE + 48);
  let e = v128.load(STATE + 64);
  let word = SCHEDULE;

  let constant = i32x4.splat(0x5a827999);
  for (; word < SCHEDULE + 20 * 16; word += 5 * 16) {
    e = step(e, a, choose(b, c, d), constant, word);
    b = rotateLeft(b, 30);
    d = step(d, e, choose(a, b, c), constant, word + 16);
    a = rotateLeft(a, 30);
    c = step(c, d, choose(e, a, b), constant, word + 32);
    e = rotateLeft(e, 30);
    b = step(b, c, choose(d, e, a), constant, word + 48);
    d = rotateLeft(d, 30);
    a = step(a, b, choose(c, d, e), constant, word + 64);
    c = rotateLeft(c, 30);
  }
  constant = i32x4.splat(0x6ed9eba1);
  for (; word < SCHEDULE + 40 * 16; word += 5 * 16) {
    e = step(e, a, parity(b, c, d), constant, word);
    b = rotateLeft(b, 30);
    d = step(d, e, parity(a, b, c), constant, word + 16);
    a = rotateLeft(a, 30);
    c = step(c, d, parity(e, a, b), constant, word + 32);
    e = rotateLeft(e, 30);
    b = step(b, c, parity(d, e, a), constant, word + 48);
    d = rotateLeft(d, 30);
    a = step(a, b, parity(c, d, e), constant, word + 64);
    c = rotateLeft(c, 30);
  }
  constant = i32x4.splat(0x8f1bbcdc);
  for (; word < SCHEDULE + 60 * 16; word += 5 * 16) {
    e = step(e, a, majority(b, c, d), constant, word);
    b = rotateLeft(b, 30);
    d = step(d, e, majority(a, b, c), constant, word + 16);
    a = rotateLeft(a, 30);
    c = step(c, d, majority(e, a, b), constant, word + 32);
    e = rotateLeft(e, 30);
    b = step(b, c, majority(d, e, a), constant, word + 48);
    d = rotateLeft(d, 30);
    a = step(a, b, majority(c, d, e), constant, word + 64);
    c = rotateLeft(c, 30);
  }
  constant = i32x4.splat(0xca62c1d6);
  for (; word < end; word += 5 * 16) {
    e = step(e, a, parity(b, c, d), constant, word);
    b = rotateLeft(b, 30);
    d = step(d, e, parity(a, b, c), constant, word + 16);
    a = rotateLeft(a, 30);
    c = step(c, d, parity(e, a, b), constant, word + 32);
    e = rotateLeft(e, 30);
    b = step(b, c, parity(d, e, a), constant, word + 48);
    d = rotateLeft(d, 30);
    a = step(a, b, parity(c, d, e), constant, word + 64);
    c = rotateLeft(c, 30);
  }

  v128.store(STATE, i32x4.add(a, v128.load(STATE)));
  v128.store(STATE + 16, i32x4.add(b, v128.load(STATE + 16)));
  v128.store(STATE + 32, i32x4.add(c, v128.load(STATE + 32)));
  v128.store(STATE + 48, i32x4.add(d, v128.load(STATE + 48)));
  v128.store(STATE + 64, i32x4.add(e, v128.load(STATE + 64)));
}
