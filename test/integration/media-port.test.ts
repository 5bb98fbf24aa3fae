import { generateKeyPairSync, sign } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  RTP_HEADER_BYTES,
  rtpMarker,
  rtpPayloadOffset,
  rtpPayloadType,
  rtpSequence,
  writeRtpHeader,
} from '../../src/protocol/rtp/packet.ts';
import { buildSenderReport } from '../../src/protocol/rtp/rtcp-build.ts';
import { createDtlsCertificate } from '../../src/webrtc/dtls-certificate.ts';
import { writeRtx } from '../../src/webrtc/receive/rtx.ts';
import { RAW_STREAM, RawStream, type RawStreamOptions } from '../support/raw-stream.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { PeerClient } from '../webrtc/peer-client.ts';

/** VP8 (RFC 7741 §4): descriptor with the start of a frame, then a frame tag; that of a keyframe goes on with its size. */
const KEYFRAME_START = Buffer.from('101002009d012a40010001', 'hex');
const INTERFRAME_START = Buffer.from('10110200', 'hex');
const FRAME_TICKS = 3000;

let app: TestApp;
const cleanups: (() => Promise<unknown> | void)[] = [];
beforeAll(async () => {
  app = await startTestApp({ ip: '127.0.0.1' });
});
afterAll(() => app.close('test ended'));
afterEach(async () => {
  for (const close of cleanups.splice(0).reverse()) await close();
});

async function open(options: RawStreamOptions): Promise<RawStream> {
  const stream = await RawStream.open(app, options);
  cleanups.push(() => stream.close());
  return stream;
}

/** The `number`-th packet of a stream whose frames are one packet each, numbered in their last four bytes. */
function plainPacket(number: number, firstSequence: number): Buffer {
  const header = Buffer.alloc(RTP_HEADER_BYTES);
  writeRtpHeader(header, {
    payloadType: RAW_STREAM.payloadType,
    marker: true,
    sequence: (firstSequence + number) & 0xffff,
    timestamp: number * FRAME_TICKS,
    ssrc: RAW_STREAM.ssrc,
  });
  const tail = Buffer.alloc(4);
  tail.writeUInt32BE(number);
  return Buffer.concat([header, number === 0 ? KEYFRAME_START : INTERFRAME_START, tail]);
}

const numberOf = (packet: Buffer): number => packet.readUInt32BE(packet.length - 4);
/** SRTP's packet index: the roll-over counter begins at 0 with the first sequence number. */
const send = (publisher: RawStream, number: number, firstSequence: number): void =>
  publisher.peer.send(publisher.protect(plainPacket(number, firstSequence), firstSequence + number));

/** A publisher that has sent its keyframe, and a viewer that has got it. */
async function openPair(firstSequence: number, hasRtx = true): Promise<{ publisher: RawStream; viewer: RawStream }> {
  const name = `stream-${performance.now()}`;
  const publisher = await open({ action: 'publishStream', name, hasRtx });
  await publisher.connect();
  send(publisher, 0, firstSequence);
  await publisher.waitForStatus('PUBLISHING');
  const viewer = await open({ action: 'playStream', name, hasRtx });
  await viewer.connect();
  await until(viewer, 0);
  return { publisher, viewer };
}

function until(viewer: RawStream, number: number): Promise<void> {
  return vi.waitFor(
    () => {
      if (!viewer.rtp.some((packet) => numberOf(packet) === number)) throw new Error(`packet ${number} has not come`);
    },
    { timeout: 15_000, interval: 5 },
  );
}

const numbersOf = (viewer: RawStream): number[] => viewer.rtp.map(numberOf);

describe('losses around the wrap of the sequence number', () => {
  const FIRST = 65_400;
  const PACKETS = 300;
  const LOST = [65_535, 0];

  it.each([
    ['on the RTX stream', true],
    ['as they were', false],
  ])('are asked for and repaired for the viewer, sent again %s', async (_name, hasRtx) => {
    const { publisher, viewer } = await openPair(FIRST, hasRtx);
    let rtxSequence = 0;
    const repair = (sequence: number): void => {
      const number = (sequence - FIRST) & 0xffff;
      if (!hasRtx) return send(publisher, number, FIRST);
      const target = Buffer.alloc(1500);
      const bytes = writeRtx(plainPacket(number, FIRST), target, {
        ssrc: RAW_STREAM.rtxSsrc,
        payloadType: RAW_STREAM.rtxPayloadType,
        sequence: rtxSequence,
        originalSequence: sequence,
      });
      publisher.peer.send(publisher.protect(target.subarray(0, bytes), rtxSequence++));
    };
    for (let number = 1; number < PACKETS; number++) {
      if (!LOST.includes((FIRST + number) & 0xffff)) send(publisher, number, FIRST);
    }
    const asked = await vi.waitFor(
      () => {
        const nacks = publisher.rtcp.filter((packet) => packet.type === 'nack');
        const sequences = new Set(nacks.flatMap((nack) => nack.sequences));
        if (sequences.size < LOST.length) throw new Error(`asked for ${[...sequences].join()} only`);
        return [...sequences];
      },
      { timeout: 15_000, interval: 5 },
    );
    for (const sequence of LOST) repair(sequence);
    for (const sequence of LOST) await until(viewer, (sequence - FIRST) & 0xffff);
    await until(viewer, PACKETS - 1);

    expect(asked).toEqual(LOST);
    expect(numbersOf(viewer).toSorted((left, right) => left - right)).toEqual(
      Array.from({ length: PACKETS }, (_, number) => number),
    );
    // Every packet has its own place in the viewer's order, the late ones too.
    const [first] = viewer.rtp;
    for (const packet of viewer.rtp) {
      expect((rtpSequence(packet) - rtpSequence(first!)) & 0xffff).toBe(numberOf(packet));
    }
    expect(viewer.rtp.every((packet) => rtpMarker(packet) && rtpPayloadType(packet) === RAW_STREAM.payloadType)).toBe(
      true,
    );
  });
});

describe('somebody on the network', () => {
  it('cannot make a viewer get a packet twice by sending its bytes again', async () => {
    const { publisher, viewer } = await openPair(100);
    const protectedPacket = publisher.protect(plainPacket(1, 100), 101);
    for (let time = 0; time < 3; time++) publisher.peer.send(protectedPacket);
    const stranger = await PeerClient.udp(4, '127.0.0.1', app.ports['media']!);
    cleanups.push(() => stranger.close());
    stranger.send(protectedPacket);
    send(publisher, 2, 100);
    await until(viewer, 2);
    publisher.peer.send(protectedPacket);
    send(publisher, 3, 100);
    await until(viewer, 3);
    expect(numbersOf(viewer)).toEqual([0, 1, 2, 3]);
  });

  it('cannot make a viewer get a sender report twice by sending its bytes again', async () => {
    const { publisher, viewer } = await openPair(100);
    let reports = 0;
    const nextReport = (): Buffer =>
      publisher.protectRtcp(
        buildSenderReport({
          ssrc: RAW_STREAM.ssrc,
          ntp: { seconds: 4_000_000_000 + reports, fraction: 0 },
          rtpTimestamp: 90_000 * reports++,
          packetCount: 1,
          octetCount: 16,
          reports: [],
        }),
      );
    const replayed = nextReport();
    publisher.peer.send(replayed);
    // Reports in quick succession are not all passed on, so both go on until the viewer has got several.
    const seen = await vi.waitFor(
      () => {
        publisher.peer.send(replayed);
        publisher.peer.send(nextReport());
        const times = viewer.rtcp.filter((packet) => packet.type === 'sr').map(({ ntp }) => ntp.seconds);
        if (times.length < 4) throw new Error(`${times.length} sender reports only`);
        return times;
      },
      { timeout: 15_000, interval: 20 },
    );
    expect(seen[0]).toBe(4_000_000_000);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('cannot have a changed packet forwarded', async () => {
    const { publisher, viewer } = await openPair(100);
    const protectedPacket = publisher.protect(plainPacket(1, 100), 101);
    const offset = rtpPayloadOffset(protectedPacket);
    protectedPacket[offset + 2]! ^= 1;
    publisher.peer.send(protectedPacket);
    send(publisher, 2, 100);
    await until(viewer, 2);
    expect(numbersOf(viewer)).toEqual([0, 2]);
  });

  it('cannot take over a stream with STUN that is not authenticated', async () => {
    const { publisher, viewer } = await openPair(100);
    const stranger = await PeerClient.udp(4, '127.0.0.1', app.ports['media']!);
    cleanups.push(() => stranger.close());
    for (const stream of [publisher, viewer]) {
      stranger.send(stranger.request(stream.local, { nominate: true, password: 'not the password at all!' }).packet);
    }
    // Even a packet under the right key is nobody's when it comes from an address that ICE has not admitted.
    stranger.send(publisher.protect(plainPacket(1, 100), 101));
    send(publisher, 2, 100);
    await until(viewer, 2);
    expect(numbersOf(viewer)).toEqual([0, 2]);
    // And what the server sends goes to the old addresses: the viewer's media above, the publisher's reports here.
    publisher.rtcp.length = 0;
    await vi.waitFor(() => expect(publisher.rtcp.some(({ type }) => type === 'rr')).toBe(true), { timeout: 15_000 });
    expect(stranger.waitingMedia).toBe(0);
  });
});

describe('a client whose DTLS handshake is not genuine', () => {
  type Patch = NonNullable<Parameters<RawStream['connect']>[0]>;
  const signedByAnotherKey: Patch = (client) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    client.cipher.signatureData = (data, hash) => sign(hash, data, privateKey);
  };
  const wrongFinished: Patch = (client) => {
    const genuine = client.cipher.verifyData.bind(client.cipher);
    client.cipher.verifyData = (data) => {
      const verifyData = genuine(data);
      verifyData[0]! ^= 1;
      return verifyData;
    };
  };

  it.each([
    ['CertificateVerify is signed with another key', signedByAnotherKey, false, 'Failed by DTLS error'],
    ['Finished is wrong', wrongFinished, false, 'Failed by DTLS error'],
    ['certificate is not the one of the offer', () => {}, true, 'Failed by DTLS fingerprint error'],
  ] as const)('is refused when its %s, and its name is free then', async (what, patch, hasOtherFingerprint, info) => {
    const name = `refused ${what}`;
    const fingerprint = hasOtherFingerprint ? { fingerprint: (await createDtlsCertificate()).fingerprint } : {};
    const refused = await open({ action: 'publishStream', name, ...fingerprint });
    void refused.connect(patch);
    expect(await refused.waitForStatus('FAILED')).toEqual({ status: 'FAILED', info });

    const genuine = await open({ action: 'publishStream', name });
    await genuine.connect();
    send(genuine, 0, 1);
    await genuine.waitForStatus('PUBLISHING');
  });
});
