import { randomBytes } from 'node:crypto';
import { CryptoFanout } from '../../src/webrtc/srtp/crypto-fanout.ts';
import { loadFanoutModule } from '../../src/webrtc/srtp/fanout-module.ts';
import type { SrtpFanout } from '../../src/webrtc/srtp/fanout.ts';
import { createSrtpReceiver } from '../../src/webrtc/srtp/receiver.ts';
import { createSrtpSender } from '../../src/webrtc/srtp/sender.ts';
import type { SrtpMaster, SrtpProfile } from '../../src/webrtc/srtp/srtp.ts';
import { WasmFanout } from '../../src/webrtc/srtp/wasm-fanout.ts';

/**
 * CPU per protected packet when one publisher's bursts go to many viewers: the parts that a server can be built from.
 * Each is measured several times in turns and the best round counts, for the machine is shared.
 */

const VIEWERS = 100;
const BURST_PACKETS = 6;
const PACKET_BYTES = 1200;
const HEADER_BYTES = 12;
const BURSTS_PER_ROUND = 60;
const ROUNDS = 9;

const payload = randomBytes(PACKET_BYTES - HEADER_BYTES);
const packet = Buffer.concat([Buffer.from('806000010000000000000001', 'hex'), payload]);
let sentBytes = 0;
const send = (sent: Buffer): void => {
  sentBytes += sent.length;
};

function masterOf(profile: SrtpProfile): SrtpMaster {
  return { key: randomBytes(16), salt: randomBytes(profile === 'AEAD_AES_128_GCM' ? 12 : 14) };
}

function singlePackets(profile: SrtpProfile): (burst: number) => void {
  const senders = Array.from({ length: VIEWERS }, () => createSrtpSender(profile, masterOf(profile)));
  return (burst) => {
    for (const sender of senders)
      for (let n = 0; n < BURST_PACKETS; n++) send(sender.protectRtp(packet, burst * BURST_PACKETS + n));
  };
}

function fanout(implementation: SrtpFanout): (burst: number) => void {
  const viewers = Array.from({ length: VIEWERS }, () =>
    implementation.addViewer(masterOf('AES_CM_128_HMAC_SHA1_80'), send),
  );
  return (burst) => {
    for (let n = 0; n < BURST_PACKETS; n++) implementation.addPayload(payload);
    for (const viewer of viewers)
      for (let n = 0; n < BURST_PACKETS; n++) implementation.queue(viewer, n, burst * BURST_PACKETS + n, 96, burst, 1);
    implementation.flush();
  };
}

/** One publisher's packets, all different, protected once and opened by a fresh receiver in each burst. */
function receive(profile: SrtpProfile): (burst: number) => void {
  const master = masterOf(profile);
  const sender = createSrtpSender(profile, master);
  const sent = Array.from({ length: VIEWERS * BURST_PACKETS }, (_, n) => {
    const plain = Buffer.from(packet);
    plain.writeUInt16BE(n, 2);
    return Buffer.from(sender.protectRtp(plain, n));
  });
  return () => {
    const receiver = createSrtpReceiver(profile, master);
    for (const one of sent) send(receiver.unprotectRtp(one)!);
  };
}

const module = loadFanoutModule();
const candidates: Record<string, (burst: number) => void> = {
  receiveGcm: receive('AEAD_AES_128_GCM'),
  receiveCm: receive('AES_CM_128_HMAC_SHA1_80'),
  sendGcm: singlePackets('AEAD_AES_128_GCM'),
  sendCm: singlePackets('AES_CM_128_HMAC_SHA1_80'),
  fanoutCrypto: fanout(new CryptoFanout()),
  ...(module === undefined ? {} : { fanoutWasm: fanout(new WasmFanout(module)) }),
};

const bestUs: Record<string, number> = {};
let burst = 0;
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, run] of Object.entries(candidates)) {
    const before = process.cpuUsage();
    for (let n = 0; n < BURSTS_PER_ROUND; n++) run(burst++);
    const used = process.cpuUsage(before);
    const us = (used.user + used.system) / (BURSTS_PER_ROUND * VIEWERS * BURST_PACKETS);
    bestUs[name] = Math.min(bestUs[name] ?? Infinity, us);
  }
}

for (const [name, us] of Object.entries(bestUs)) {
  const ratio = us / (bestUs['fanoutWasm'] ?? us);
  console.log(`${name.padEnd(14)} ${us.toFixed(2).padStart(6)} µs CPU per packet   ${ratio.toFixed(2)} × fanoutWasm`);
}
const rounded = Object.fromEntries(Object.entries(bestUs).map(([name, us]) => [name, Number(us.toFixed(3))]));
console.log(
  JSON.stringify({
    bench: 'srtp',
    packetBytes: PACKET_BYTES,
    viewers: VIEWERS,
    burstPackets: BURST_PACKETS,
    usPerPacket: rounded,
    sentBytes,
  }),
);
