import { describe, expect, it } from 'vitest';
import {
  rtpPayloadOffset,
  rtpPayloadType,
  rtpSequence,
  rtpSsrc,
  rtpTimestamp,
} from '../../../src/protocol/rtp/packet.ts';
import { buildFir, buildNack, buildPli, buildReceiverReport, buildRemb } from '../../../src/protocol/rtp/rtcp-build.ts';
import { createRig, PARAMETER_SETS, PLAY_OFFER, type Rig, slice, TestSender, VIDEO, withoutRtx } from './worker-rig.ts';

const payloadOf = (packet: Buffer) => packet.subarray(rtpPayloadOffset(packet));

async function playing(options: { firstSequence?: number; offer?: string; pictures?: number } = {}) {
  const rig = createRig(options);
  const { peer } = await rig.publish();
  const player = await rig.play('V', 'P', options.offer);
  const video = new TestSender(peer, VIDEO);
  video.keyframe(0);
  for (let picture = 1; picture <= (options.pictures ?? 10); picture++) {
    video.delta(picture * 3000, picture & 0xff);
    if (picture % 100 === 0) await rig.settle();
  }
  await rig.settle();
  return { rig, peer, player, video, seen: player.peer.takeRtp() };
}

describe('what a viewer lost', () => {
  it('comes again by RTX, with the original sequence number in front of the same payload', async () => {
    const { player, seen } = await playing();
    const lost = [seen[3]!, seen[5]!];
    player.peer.sendRtcp(buildNack(1, player.video.ssrc, lost.map(rtpSequence)));
    const repairs = player.peer.takeRtp();
    expect(repairs.map(rtpSsrc)).toEqual([player.videoRtx.ssrc, player.videoRtx.ssrc]);
    expect(repairs.map(rtpPayloadType)).toEqual([player.videoRtx.payloadType, player.videoRtx.payloadType]);
    expect(repairs.map((packet) => payloadOf(packet).readUInt16BE(0))).toEqual(lost.map(rtpSequence));
    expect(repairs.map((packet) => payloadOf(packet).subarray(2))).toEqual(lost.map(payloadOf));
    expect(repairs.map(rtpTimestamp)).toEqual(lost.map(rtpTimestamp));
    expect(rtpSequence(repairs[1]!)).toBe((rtpSequence(repairs[0]!) + 1) & 0xffff);
  });

  it.each([
    ['by RTX', PLAY_OFFER],
    ['as it was', withoutRtx(PLAY_OFFER)],
  ])('comes again %s across the wrap of the sequence number', async (_how, offer) => {
    const rig = createRig({ firstSequence: 0x7fff });
    const { peer } = await rig.publish();
    const player = await rig.play('V', 'P', offer);
    const video = new TestSender(peer, VIDEO);
    video.keyframe(0);
    // Holes of up to 1,000 packets stay holes for the viewer, which brings its sequence number near the wrap in few packets.
    for (let jump = 0; jump < 32; jump++) {
      video.index += 999;
      video.delta(3000 + jump * 3000);
      await rig.settle();
    }
    const near = player.peer.takeRtp().map(rtpSequence).at(-1)!;
    const lost: Buffer[] = [];
    for (let sequence = near + 1; sequence <= 0x1_0010; sequence++) {
      player.peer.isDeaf = sequence >= 0xffff && sequence <= 0x1_0001;
      const packet = video.delta(sequence * 3000, sequence & 0xff);
      if (player.peer.isDeaf) lost.push(packet);
      await rig.settle();
    }
    expect(lost).toHaveLength(3);
    const seen = player.peer.takeRtp();
    expect(seen.slice(-16).map(rtpSequence)).toEqual([0xfffe, ...Array.from({ length: 15 }, (_, i) => 2 + i)]);
    const wanted = [0xffff, 0, 1];
    player.peer.sendRtcp(buildNack(1, player.video.ssrc, wanted));
    const repairs = player.peer.takeRtp();
    expect(repairs.map(rtpTimestamp)).toEqual(lost.map(rtpTimestamp));
    const isRtx = player.videoRtx.payloadType > 0;
    expect(repairs.map((packet) => (isRtx ? payloadOf(packet).readUInt16BE(0) : rtpSequence(packet)))).toEqual(wanted);
    expect(player.peer.rejected).toBe(0);
  });

  it('does not come again when it is older than the store, of another SSRC, or more than the budget allows', async () => {
    const { player, seen, peer, video, rig } = await playing({ pictures: 2100 });
    player.peer.sendRtcp(buildNack(1, player.video.ssrc, [rtpSequence(seen[0]!)]));
    player.peer.sendRtcp(buildNack(1, player.audio.ssrc, [rtpSequence(seen.at(-1)!)]));
    player.peer.sendRtcp(buildNack(1, 999, [rtpSequence(seen.at(-1)!)]));
    expect(player.peer.takeRtp()).toEqual([]);
    const recent = seen.slice(-1000).map(rtpSequence);
    for (let again = 0; again < 3; again++) player.peer.sendRtcp(buildNack(1, player.video.ssrc, recent));
    const bytes = player.peer.takeRtp().reduce((sum, packet) => sum + packet.length, 0);
    expect(bytes).toBeGreaterThan(200_000);
    expect(bytes).toBeLessThan(270_000);
    expect(peer.isClosed).toBe(false);
    video.delta(9_000_000);
    await rig.settle();
    expect(player.peer.takeRtp()).toHaveLength(1);
  });
});

describe('what a publisher lost on the way', () => {
  it('is asked for after a moment, comes by RTX and reaches players and frames in its place', async () => {
    const { rig, peer, player, video } = await playing();
    rig.worker.setFramesWanted('P', true);
    peer.takeRtcp('nack');
    const lost = video.next(slice(1, 60, 0xaa), 33_000, { marker: true });
    video.delta(36_000);
    rig.clock.advance(20);
    await rig.settle();
    expect(peer.takeRtcp('nack')).toEqual([
      expect.objectContaining({ mediaSsrc: VIDEO.ssrc, sequences: [rtpSequence(lost)] }),
    ]);
    expect(rig.eventsOf('frame').at(-1)!.frame.rtpTime).toBe(30_000);

    const rtx = new TestSender(peer, { ssrc: VIDEO.rtxSsrc, payloadType: VIDEO.rtxPayloadType }, 5);
    const original = Buffer.alloc(2);
    original.writeUInt16BE(rtpSequence(lost));
    rtx.send(Buffer.concat([original, payloadOf(lost)]), 33_000, { marker: true });
    await rig.settle();
    expect(
      rig
        .eventsOf('frame')
        .slice(-2)
        .map(({ frame }) => frame.rtpTime),
    ).toEqual([33_000, 36_000]);
    const [after, repaired] = player.peer.takeRtp();
    expect(payloadOf(repaired!)).toEqual(payloadOf(lost));
    expect(rtpSequence(repaired!)).toBe((rtpSequence(after!) - 1) & 0xffff);
    rig.clock.advance(1000);
    expect(peer.takeRtcp('nack')).toEqual([]);
    expect(rig.eventsOf('framesLost')).toEqual([]);
    expect(rig.eventsOf('rate').findLast(({ sessionId }) => sessionId === 'P')!.rate).toMatchObject({ nack: 1 });
  });

  it('is given up after 500 ms: a keyframe is asked for, and frames go on with it', async () => {
    const { rig, peer, video } = await playing();
    rig.worker.setFramesWanted('P', true);
    video.next(slice(1, 60), 33_000, { marker: true });
    video.delta(36_000);
    rig.clock.advance(490);
    expect(rig.eventsOf('framesLost')).toEqual([]);
    peer.rtcp.length = 0;
    rig.clock.advance(30);
    expect(rig.eventsOf('framesLost')).toEqual([{ type: 'framesLost', streamId: 'P' }]);
    expect(peer.takeRtcp('pli')).toHaveLength(1);
    const before = rig.eventsOf('frame').length;
    video.delta(39_000);
    video.keyframe(42_000);
    video.delta(45_000);
    expect(
      rig
        .eventsOf('frame')
        .slice(before)
        .map(({ frame }) => [frame.rtpTime, frame.isKeyframe]),
    ).toEqual([
      [42_000, true],
      [45_000, false],
    ]);
  });
});

describe('keyframe requests', () => {
  it('of all players become one in 500 ms, and those about other SSRCs become none', async () => {
    const { rig, peer, player } = await playing();
    rig.clock.advance(1000);
    peer.rtcp.length = 0;
    player.peer.sendRtcp(buildPli(1, 12_345));
    player.peer.sendRtcp(buildFir(1, 12_345, 1));
    player.peer.sendRtcp(buildPli(1, player.audio.ssrc));
    expect(peer.takeRtcp('pli')).toEqual([]);
    for (let i = 0; i < 50; i++) {
      player.peer.sendRtcp(buildPli(1, player.video.ssrc));
      player.peer.sendRtcp(buildFir(1, player.video.ssrc, i));
      rig.clock.advance(10);
    }
    expect(peer.takeRtcp('pli')).toHaveLength(2);
    rig.clock.advance(1000);
    expect(rig.eventsOf('rate').findLast(({ sessionId }) => sessionId === 'V')!.rate.pli).toBe(100);
  });

  it('are repeated, with FIR, as long as no keyframe comes and the publisher sends', async () => {
    const { rig, peer, player, video } = await playing();
    rig.clock.advance(1000);
    peer.rtcp.length = 0;
    player.peer.sendRtcp(buildPli(1, player.video.ssrc));
    expect(peer.rtcp.splice(0).map(({ type }) => type)).toEqual(['pli']);
    for (let picture = 11; picture < 41; picture++) {
      video.delta(picture * 3000);
      rig.clock.advance(100);
    }
    const repeated = peer.rtcp.splice(0).filter(({ type }) => type === 'pli' || type === 'fir');
    expect(repeated.map(({ type }) => type)).toEqual(['pli', 'fir', 'pli', 'fir', 'pli', 'fir']);
    video.keyframe(200_000);
    for (let picture = 0; picture < 20; picture++) {
      video.delta(203_000 + picture * 3000);
      rig.clock.advance(100);
    }
    expect(peer.takeRtcp('pli')).toEqual([]);
  });
});

describe('a viewer with too little bandwidth', () => {
  const report = (ssrc: number, cumulativeLost: number, extendedHighestSequence: number) =>
    buildReceiverReport(1, [
      { ssrc, fractionLost: 0, cumulativeLost, extendedHighestSequence, jitter: 0, lastSr: 0, delaySinceLastSr: 0 },
    ]);

  async function second(rig: Rig, video: TestSender, fromMs: number): Promise<void> {
    for (let ms = 0; ms < 1000; ms += 100) {
      video.delta((fromMs + ms) * 90);
      rig.clock.advance(100);
    }
    await rig.settle();
  }

  it('is told, then gets audio alone, then is tried again with a keyframe and an unbroken sequence', async () => {
    const { rig, peer, player, video } = await playing();
    const other = await rig.play('V2');
    player.peer.sendRtcp(report(player.video.ssrc, 0, 1000));
    player.peer.sendRtcp(report(player.video.ssrc, 50, 1100));
    for (let ms = 1000; ms < 12_000; ms += 1000) await second(rig, video, ms);
    expect(rig.eventsOf('notEnoughBandwidth').map(({ sessionId }) => sessionId)).toEqual(['V']);
    player.peer.rtp.length = 0;
    other.peer.rtp.length = 0;
    const last = rtpSequence(video.sent.at(-1)!.packet);
    await second(rig, video, 12_000);
    expect(player.peer.takeRtp()).toEqual([]);
    expect(other.peer.takeRtp()).toHaveLength(10);
    expect(last).toBeGreaterThan(0);

    peer.rtcp.length = 0;
    for (let ms = 13_000; ms < 21_000; ms += 1000) await second(rig, video, ms);
    expect(peer.takeRtcp('pli').length).toBeGreaterThan(0);
    video.keyframe(21_000 * 90);
    await rig.settle();
    const resumed = player.peer.takeRtp();
    expect(payloadOf(resumed[0]!)).toEqual(PARAMETER_SETS);
    expect(player.peer.rejected).toBe(0);
    expect(rig.eventsOf('ended')).toEqual([]);
  });

  it('is told what its estimate says', async () => {
    const { rig, player, video } = await playing();
    player.peer.sendRtcp(buildRemb({ senderSsrc: 1, bitrateBps: 20_000, ssrcs: [player.video.ssrc] }));
    for (let ms = 1000; ms < 6000; ms += 1000) await second(rig, video, ms);
    expect(rig.eventsOf('notEnoughBandwidth')).toEqual([
      { type: 'notEnoughBandwidth', sessionId: 'V', bitrateBps: expect.any(Number), availableBps: 20_000 },
    ]);
  });
});
