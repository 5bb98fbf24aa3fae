import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { describe, it, expect } from 'vitest';
import { createSrtpFanout } from '../../../src/webrtc/srtp/create-fanout.ts';
import { CryptoFanout } from '../../../src/webrtc/srtp/crypto-fanout.ts';
import { loadFanoutModule } from '../../../src/webrtc/srtp/fanout-module.ts';
import {
  MAX_BURST_PACKETS,
  MAX_BURST_PAYLOAD_BYTES,
  type FanoutViewer,
  type SrtpFanout,
} from '../../../src/webrtc/srtp/fanout.ts';
import { createSrtpSender } from '../../../src/webrtc/srtp/sender.ts';
import type { SrtpMaster, SrtpSender } from '../../../src/webrtc/srtp/srtp.ts';
import { WasmFanout } from '../../../src/webrtc/srtp/wasm-fanout.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const PROFILE = 'AES_CM_128_HMAC_SHA1_80';
const implementations: [string, () => SrtpFanout][] = [
  ['WebAssembly', () => new WasmFanout(loadFanoutModule()!)],
  ['node:crypto', () => new CryptoFanout()],
];

const newMaster = (): SrtpMaster => ({ key: randomBytes(16), salt: randomBytes(14) });

interface TestViewer {
  readonly viewer: FanoutViewer;
  readonly sender: SrtpSender;
  readonly got: Buffer[];
  readonly expected: Buffer[];
}

function addTestViewer(fanout: SrtpFanout): TestViewer {
  const master = newMaster();
  const got: Buffer[] = [];
  const viewer = fanout.addViewer(master, (packet) => got.push(Buffer.from(packet)));
  return { viewer, sender: createSrtpSender(PROFILE, master), got, expected: [] };
}

/** Adds a viewer that sends to a session, sends to it once and removes it; the session, if it is still reachable. */
function addSessionOf(fanout: SrtpFanout): WeakRef<object> {
  const session = { packets: 0 };
  const viewer = fanout.addViewer(newMaster(), () => session.packets++);
  fanout.queue(viewer, fanout.addPayload(randomBytes(100)), 1, 96, 1, 1);
  fanout.flush();
  expect(session.packets).toBe(1);
  fanout.removeViewer(viewer);
  return new WeakRef(session);
}

/** Queues a packet and notes what the single-packet sender makes of it. */
function queueBoth(
  fanout: SrtpFanout,
  test: TestViewer,
  slot: number,
  payload: Buffer,
  index: number,
  markerAndType = 0xe0,
  timestamp = 0xfedcba98,
  ssrc = 0x89abcdef,
): void {
  fanout.queue(test.viewer, slot, index, markerAndType, timestamp, ssrc);
  const header = Buffer.alloc(12);
  header.writeUInt16BE((0x80 << 8) | markerAndType);
  header.writeUInt16BE(index % 65_536, 2);
  header.writeUInt32BE(timestamp, 4);
  header.writeUInt32BE(ssrc, 8);
  test.expected.push(Buffer.from(test.sender.protectRtp(Buffer.concat([header, payload]), index)));
}

const anyIndex = fc.oneof(
  fc.integer({ min: 0, max: 0xffff }),
  fc.constantFrom(0xffff, 0x10000, 0xffff_ffff, 0x8000_0000_0000, 0xffff_ffff_ffff),
  fc.integer({ min: 0, max: 0xffff_ffff_ffff }),
);
const anyPayload = fc.oneof(
  fc.uint8Array({ maxLength: 70 }),
  fc.integer({ min: 0, max: MAX_BURST_PAYLOAD_BYTES }).map((bytes) => randomBytes(bytes)),
);
const anyJob = fc.record({
  payload: fc.nat(),
  index: anyIndex,
  markerAndType: fc.integer({ min: 0, max: 255 }),
  timestamp: fc.integer({ min: 0, max: 0xffff_ffff }),
  ssrc: fc.integer({ min: 0, max: 0xffff_ffff }),
});

it('has WebAssembly SIMD here, so that the fast path is what runs', () => {
  expect(loadFanoutModule()).toBeDefined();
  expect(createSrtpFanout()).toBeInstanceOf(WasmFanout);
});

describe.each(implementations)('the fan-out on %s', (_name, create) => {
  it('gives what the single-packet sender gives, for any payloads, viewers, headers and indexes', () => {
    const fanout = create();
    fc.assert(
      fc.property(
        fc.array(anyPayload, { minLength: 1, maxLength: 12 }),
        fc.array(fc.array(anyJob, { maxLength: 20 }), { minLength: 1, maxLength: 9 }),
        (payloads, jobsOfViewers) => {
          const viewers = jobsOfViewers.map(() => addTestViewer(fanout));
          const slots = payloads.map((payload) => fanout.addPayload(Buffer.from(payload)));
          for (const [at, jobs] of jobsOfViewers.entries())
            for (const { payload, index, markerAndType, timestamp, ssrc } of jobs) {
              const which = payload % payloads.length;
              const bytes = Buffer.from(payloads[which]!);
              queueBoth(fanout, viewers[at]!, slots[which]!, bytes, index, markerAndType, timestamp, ssrc);
            }
          fanout.flush();
          for (const { viewer, got, expected } of viewers) {
            expect(got).toEqual(expected);
            fanout.removeViewer(viewer);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('gives every payload length its right packet', () => {
    const fanout = create();
    const viewer = addTestViewer(fanout);
    for (let bytes = 0; bytes <= MAX_BURST_PAYLOAD_BYTES; bytes++) {
      const payload = randomBytes(bytes);
      queueBoth(fanout, viewer, fanout.addPayload(payload), payload, bytes);
      if (bytes % 50 === 0) fanout.flush();
    }
    fanout.flush();
    expect(viewer.got.length).toBe(MAX_BURST_PAYLOAD_BYTES + 1);
    expect(viewer.got).toEqual(viewer.expected);
  });

  it('takes viewers in any order, slot by slot', () => {
    const fanout = create();
    const viewers = Array.from({ length: 7 }, () => addTestViewer(fanout));
    for (let slot = 0; slot < 30; slot++) {
      const payload = randomBytes(100 + slot);
      fanout.addPayload(payload);
      for (const viewer of viewers) queueBoth(fanout, viewer, slot, payload, 0xfff0 + slot);
    }
    fanout.flush();
    for (const { got, expected } of viewers) expect(got).toEqual(expected);
  });

  it('takes a full burst and refuses one packet more, until it is flushed', () => {
    const fanout = create();
    const viewer = addTestViewer(fanout);
    const payload = randomBytes(MAX_BURST_PAYLOAD_BYTES);
    for (let n = 0; n < MAX_BURST_PACKETS; n++) queueBoth(fanout, viewer, fanout.addPayload(payload), payload, n);
    expect(() => fanout.addPayload(payload)).toThrow(expect.objectContaining({ code: 'SRTP_BURST_FULL' }));
    fanout.flush();
    expect(viewer.got).toEqual(viewer.expected);
    expect(fanout.addPayload(payload)).toBe(0);
  });

  it('refuses a payload that is too long, and the burst goes on', () => {
    const fanout = create();
    const viewer = addTestViewer(fanout);
    const payload = randomBytes(MAX_BURST_PAYLOAD_BYTES);
    const tooLong = Buffer.alloc(MAX_BURST_PAYLOAD_BYTES + 1);
    expect(() => fanout.addPayload(tooLong)).toThrow(expect.objectContaining({ code: 'SRTP_BURST_PAYLOAD' }));
    queueBoth(fanout, viewer, fanout.addPayload(payload), payload, 5);
    fanout.flush();
    expect(viewer.got).toEqual(viewer.expected);
  });

  it('copies payloads, so that the caller may reuse their memory at once', () => {
    const fanout = create();
    const viewer = addTestViewer(fanout);
    const payload = randomBytes(200);
    const reused = Buffer.from(payload);
    const slot = fanout.addPayload(reused);
    reused.fill(0);
    queueBoth(fanout, viewer, slot, payload, 9);
    fanout.flush();
    expect(viewer.got).toEqual(viewer.expected);
  });

  it('sends nothing to a viewer that was removed by another one while the batch is sent', () => {
    const fanout = create();
    const payload = randomBytes(50);
    const late = addTestViewer(fanout);
    const newcomers: TestViewer[] = [];
    const first = fanout.addViewer(newMaster(), () => {
      fanout.removeViewer(late.viewer);
      newcomers.push(addTestViewer(fanout));
    });
    const other = addTestViewer(fanout);
    const slot = fanout.addPayload(payload);
    fanout.queue(first, slot, 1, 96, 1, 1);
    fanout.queue(late.viewer, slot, 1, 96, 1, 1);
    queueBoth(fanout, other, slot, payload, 1);
    fanout.queue(late.viewer, slot, 2, 96, 1, 1);
    fanout.flush();
    expect(late.got).toEqual([]);
    expect(other.got).toEqual(other.expected);

    const nextSlot = fanout.addPayload(payload);
    queueBoth(fanout, newcomers[0]!, nextSlot, payload, 1);
    fanout.flush();
    expect(newcomers[0]!.got).toEqual(newcomers[0]!.expected);
  });

  it('stays usable after a send that throws', () => {
    const fanout = create();
    const faulty = fanout.addViewer(newMaster(), () => {
      throw new Error('socket is gone');
    });
    const viewer = addTestViewer(fanout);
    const payload = randomBytes(300);
    expect(() => {
      fanout.queue(faulty, fanout.addPayload(payload), 1, 96, 1, 1);
      fanout.flush();
    }).toThrow('socket is gone');
    fanout.flush();
    queueBoth(fanout, viewer, fanout.addPayload(payload), payload, 3);
    fanout.flush();
    expect(viewer.got).toEqual(viewer.expected);
  });

  it('lets go of what a removed viewer sent to', async () => {
    const fanout = create();
    const session = addSessionOf(fanout);
    await setImmediate();
    collectGarbage();
    expect(session.deref()).toBeUndefined();
  });

  it('serves a thousand viewers that come and go', () => {
    const fanout = create();
    const payload = randomBytes(1100);
    for (let round = 0; round < 4; round++) {
      const viewers = Array.from({ length: 250 }, () => addTestViewer(fanout));
      const slot = fanout.addPayload(payload);
      for (const viewer of viewers) queueBoth(fanout, viewer, slot, payload, 0x20000 + round);
      fanout.flush();
      for (const { viewer, got, expected } of viewers) {
        expect(got).toEqual(expected);
        fanout.removeViewer(viewer);
      }
    }
  });
});
