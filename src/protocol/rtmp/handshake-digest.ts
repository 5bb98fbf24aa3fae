import { createHmac } from 'node:crypto';

/** C1, S1, C2 and S2 have this size (RTMP 1.0 §5.2.3). */
export const HANDSHAKE_PACKET_BYTES = 1536;

const DIGEST_BYTES = 32;
const BLOCK_BYTES = 764;
const SECRET_TAIL = Buffer.from('f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae', 'hex');
const SIGNATURE_BYTES = HANDSHAKE_PACKET_BYTES - DIGEST_BYTES;

/** Adobe's two constants: a text, which alone keys the digest, and with its tail keys the answer. */
export interface HandshakeKey {
  readonly digestKey: Buffer;
  readonly answerKey: Buffer;
}

export const CLIENT_KEY = handshakeKey('Genuine Adobe Flash Player 001');
export const SERVER_KEY = handshakeKey('Genuine Adobe Flash Media Server 001');

/** Where the digest block may begin: behind time and version, or behind the key block. */
const SCHEME_OFFSETS = [8 + BLOCK_BYTES, 8] as const;

export interface FoundDigest {
  /** Start of the digest block; an answer uses the same. */
  readonly blockOffset: number;
  readonly digest: Buffer;
}

/** The digest in a first packet (C1 or S1), tried at both places, or undefined in a simple handshake. */
export function findDigest(packet: Buffer, key: HandshakeKey): FoundDigest | undefined {
  for (const blockOffset of SCHEME_OFFSETS) {
    const at = digestOffset(packet, blockOffset);
    const digest = packet.subarray(at, at + DIGEST_BYTES);
    if (digest.equals(computeDigest(packet, at, key))) return { blockOffset, digest: Buffer.from(digest) };
  }
  return undefined;
}

/** Writes the digest into a first packet of our own. */
export function placeDigest(packet: Buffer, key: HandshakeKey, blockOffset: number = SCHEME_OFFSETS[1]): void {
  const at = digestOffset(packet, blockOffset);
  computeDigest(packet, at, key).copy(packet, at);
}

/** Signs a second packet (C2 or S2) as the answer to the peer's digest. */
export function signAnswer(packet: Buffer, key: HandshakeKey, peerDigest: Buffer): void {
  const answerKey = createHmac('sha256', key.answerKey).update(peerDigest).digest();
  createHmac('sha256', answerKey).update(packet.subarray(0, SIGNATURE_BYTES)).digest().copy(packet, SIGNATURE_BYTES);
}

function handshakeKey(text: string): HandshakeKey {
  const digestKey = Buffer.from(text, 'latin1');
  return { digestKey, answerKey: Buffer.concat([digestKey, SECRET_TAIL]) };
}

/** The first four bytes of the block add up to the digest's place in the rest of it. */
function digestOffset(packet: Buffer, blockOffset: number): number {
  let sum = 0;
  for (let index = 0; index < 4; index++) sum += packet[blockOffset + index]!;
  return blockOffset + 4 + (sum % (BLOCK_BYTES - 4 - DIGEST_BYTES));
}

function computeDigest(packet: Buffer, at: number, key: HandshakeKey): Buffer {
  return createHmac('sha256', key.digestKey)
    .update(packet.subarray(0, at))
    .update(packet.subarray(at + DIGEST_BYTES))
    .digest();
}
