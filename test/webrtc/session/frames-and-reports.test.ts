import { describe, expect, it } from 'vitest';
import { ntpToUs, usToNtp } from '../../../src/protocol/rtp/ntp.ts';
import { rtpSequence } from '../../../src/protocol/rtp/packet.ts';
import { buildBye, buildSenderReport } from '../../../src/protocol/rtp/rtcp-build.ts';
import { AUDIO, createRig, PPS, PUBLISH_OFFER, slice, SPS, TestSender, VIDEO } from './worker-rig.ts';

const NTP_US = 3_990_000_000_000_000;

function senderReport(ssrc: number, ntpUs: number, rtpTimestamp: number): Buffer {
  return buildSenderReport({ ssrc, ntp: usToNtp(ntpUs), rtpTimestamp, packetCount: 1, octetCount: 1, reports: [] });
}

const annexB = (...nals: Buffer[]) => Buffer.concat(nals.flatMap((nal) => [Buffer.from([0, 0, 0, 1]), nal]));

describe('frames', () => {
  it('come only while they are wanted, beginning with the cached GOP under its own times of arrival', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const video = new TestSender(peer, VIDEO);
    const audio = new TestSender(peer, AUDIO);
    video.delta(0);
    video.keyframe(3000);
    rig.clock.advance(40);
    video.delta(6000, 7);
    expect(rig.eventsOf('frame')).toEqual([]);

    rig.worker.setFramesWanted('P', true);
    audio.send(Buffer.from([0xfc, 1]), 960);
    rig.clock.advance(40);
    video.delta(9000, 8);
    const frames = rig.eventsOf('frame').map(({ frame }) => frame);
    expect(frames.map(({ kind, rtpTime, arrivalUs, isKeyframe }) => [kind, rtpTime, arrivalUs, isKeyframe])).toEqual([
      ['video', 3000, 0, true],
      ['video', 6000, 40_000, false],
      ['audio', 960, 40_000, true],
      ['video', 9000, 80_000, false],
    ]);
    expect(frames[0]!).toMatchObject({ codec: 'h264', clockRateHz: 90_000, width: 640, height: 360 });
    expect(frames[0]!.data.subarray(0, SPS.length + PPS.length + 8)).toEqual(annexB(SPS, PPS));
    expect(frames[1]!.data).toEqual(annexB(slice(1, 500, 7)));
    expect(frames[2]!).toMatchObject({ codec: 'opus', clockRateHz: 48_000, data: Buffer.from([0xfc, 1]) });

    rig.worker.setFramesWanted('P', false);
    video.delta(12_000);
    expect(rig.eventsOf('frame')).toHaveLength(4);
  });

  it('of a cached GOP with a packet missing wait for its repair and come once, in order', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const video = new TestSender(peer, VIDEO);
    video.keyframe(0);
    const lost = video.next(slice(1, 60), 3000, { marker: true });
    video.delta(6000);
    rig.worker.setFramesWanted('P', true);
    expect(rig.eventsOf('frame').map(({ frame }) => frame.rtpTime)).toEqual([0]);
    video.deliver(lost);
    video.delta(9000);
    expect(rig.eventsOf('frame').map(({ frame }) => frame.rtpTime)).toEqual([0, 3000, 6000, 9000]);
  });

  it('of a cached GOP with a hole that was given up are not made: a keyframe is asked for', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const video = new TestSender(peer, VIDEO);
    video.keyframe(0);
    video.next(slice(1, 60), 3000, { marker: true });
    video.delta(6000);
    rig.clock.advance(2000);
    video.delta(9000);
    peer.rtcp.length = 0;
    rig.worker.setFramesWanted('P', true);
    expect(rig.eventsOf('frame')).toEqual([]);
    expect(peer.takeRtcp('pli')).toHaveLength(1);
    video.keyframe(12_000);
    expect(rig.eventsOf('frame').map(({ frame }) => frame.rtpTime)).toEqual([12_000]);
  });

  it('end neither the session nor others when a publisher sends what is no H.264 at all', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const other = await rig.publish('Q');
    rig.worker.setFramesWanted('P', true);
    rig.worker.setFramesWanted('Q', true);
    const video = new TestSender(peer, VIDEO);
    const noise = new TestSender(peer, AUDIO);
    for (let i = 0; i < 2000; i++) {
      const bytes = Buffer.alloc(1 + (i % 97), (i * 73) & 0xff);
      video.send(bytes, i * 10, { marker: i % 3 === 0, paddingBytes: i % 5 === 0 ? 3 : 0 });
      noise.send(bytes, i * 960);
    }
    video.send(Buffer.from([0x67, 0xff, 0xff]), 100_000, { marker: true });
    // Together more than a picture may have.
    for (let i = 0; i < 7000; i++) video.send(slice(i === 0 ? 5 : 1, 1300), 200_000);
    // More padding than there are bytes.
    const overlong = video.next(Buffer.alloc(10, 0xff), 200_000);
    overlong[0]! |= 0x20;
    video.deliver(overlong);
    peer.sendRtcp(Buffer.from([0x80, 200, 0, 1, 1, 2, 3, 4, 0x8f, 206, 0xff, 0xff]));
    rig.clock.advance(2000);
    const healthy = new TestSender(other.peer, VIDEO);
    healthy.keyframe(0);
    video.keyframe(300_000);
    // The malformed packet is a hole that nothing repairs.
    rig.clock.advance(600);
    expect(rig.eventsOf('frame').filter(({ streamId }) => streamId === 'Q')).toHaveLength(1);
    const last = rig.eventsOf('frame').findLast(({ streamId, frame }) => streamId === 'P' && frame.kind === 'video')!;
    expect(last.frame).toMatchObject({ rtpTime: 300_000, isKeyframe: true });
    expect(rig.eventsOf('ended')).toEqual([]);
  });
});

describe('sender reports', () => {
  it('reach every player with the NTP and RTP time of the publisher, under its own SSRC and counts', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    const video = new TestSender(peer, VIDEO);
    video.keyframe(0);
    await rig.settle();
    peer.sendRtcp(senderReport(VIDEO.ssrc, NTP_US, 12_345));
    peer.sendRtcp(senderReport(4711, NTP_US, 1));
    const octets = player.peer.rtp.reduce((sum, packet) => sum + packet.length - 12, 0);
    const [report, name] = player.peer.rtcp;
    expect(report).toMatchObject({ type: 'sr', ssrc: player.video.ssrc, rtpTimestamp: 12_345 });
    expect(report).toMatchObject({ ntp: usToNtp(NTP_US), packetCount: 3, octetCount: octets });
    expect(name).toEqual({ type: 'sdes', chunks: [{ ssrc: player.video.ssrc, cname: 'rtp/video/V' }] });
    expect(player.answer.answerSdp).toContain(`a=ssrc:${player.video.ssrc} cname:rtp/video/V\r\n`);
    expect(player.peer.rtcp).toHaveLength(2);
  });

  it('that came before a player are brought to it at once, moved to the present', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    new TestSender(peer, AUDIO).send(Buffer.from([0xfc]), 0);
    peer.sendRtcp(senderReport(AUDIO.ssrc, NTP_US, 0xffff_ff00));
    rig.clock.advance(1500);
    const player = await rig.play('V');
    const [report] = player.peer.takeRtcp('sr');
    expect(report).toMatchObject({ ssrc: player.audio.ssrc, rtpTimestamp: 72_000 - 256 });
    expect(ntpToUs(report!.ntp)).toBe(NTP_US + 1_500_000);
  });

  it('become events on the clock of the frames, while these are wanted and never before the first', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const video = new TestSender(peer, VIDEO);
    video.keyframe(0xffff_fff0);
    peer.sendRtcp(senderReport(VIDEO.ssrc, NTP_US, 0x10));
    peer.sendRtcp(senderReport(AUDIO.ssrc, NTP_US, 7));
    expect(rig.eventsOf('senderReport')).toEqual([]);
    rig.worker.setFramesWanted('P', true);
    const kinds = rig.events.map(({ type }) => type).filter((type) => type === 'frame' || type === 'senderReport');
    expect(kinds).toEqual(['frame', 'senderReport']);
    rig.clock.advance(200);
    // A wild report does not move the clock of the frames.
    peer.sendRtcp(senderReport(VIDEO.ssrc, NTP_US + 1, 0x7fff_0000));
    video.delta(3000 - 16);
    expect(rig.eventsOf('frame').at(-1)!.frame.rtpTime).toBe(0x1_0000_0000 + 3000 - 16);
    expect(rig.eventsOf('senderReport')[0]).toEqual({
      type: 'senderReport',
      streamId: 'P',
      kind: 'video',
      ntpUs: NTP_US,
      rtpTime: 0x1_0000_0010,
    });
  });

  it('in a flood are not multiplied by the number of players', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    new TestSender(peer, AUDIO).send(Buffer.from([0xfc]), 0);
    for (let i = 0; i < 1000; i++) {
      peer.sendRtcp(senderReport(AUDIO.ssrc, NTP_US + i, i));
      rig.clock.advance(1);
    }
    expect(player.peer.takeRtcp('sr')).toHaveLength(10);
  });
});

describe('a publisher is told', () => {
  it('of every packet by transport-wide feedback, also of those that are lost', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const video = new TestSender(peer, VIDEO);
    const audio = new TestSender(peer, AUDIO);
    rig.clock.advance(100);
    for (const transportSequence of [65_534, 65_535, 1]) {
      video.send(slice(1, 100), transportSequence, { transportSequence });
      rig.clock.advance(5);
    }
    audio.send(Buffer.from([0xfc]), 0, { transportSequence: 2 });
    rig.clock.advance(50);
    const [feedback, ...more] = peer.takeRtcp('transport-cc');
    expect(more.length).toBeLessThanOrEqual(1);
    const arrivals = [feedback!, ...more].flatMap(({ arrivalsUs }) => [...arrivalsUs]);
    expect(feedback!.baseSequence).toBe(65_534);
    expect(arrivals.map((us) => (Number.isNaN(us) ? 'lost' : us - arrivals[0]!))).toEqual([
      0,
      5000,
      'lost',
      10_000,
      15_000,
    ]);
  });

  it('each second of loss, jitter and its last sender report, in one report for both tracks', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const video = new TestSender(peer, VIDEO, 65_530);
    const audio = new TestSender(peer, AUDIO);
    peer.sendRtcp(senderReport(VIDEO.ssrc, NTP_US, 0));
    for (let i = 0; i < 10; i++) {
      if (i === 7) video.next(slice(1, 10), 0);
      else video.delta(i * 3000);
      audio.send(Buffer.from([0xfc]), i * 960);
    }
    rig.clock.advance(3000);
    const reports = peer.takeRtcp('rr');
    expect(reports).toHaveLength(3);
    expect(reports[0]!.reports.map(({ ssrc }) => ssrc).toSorted()).toEqual([AUDIO.ssrc, VIDEO.ssrc].toSorted());
    const block = reports[0]!.reports.find(({ ssrc }) => ssrc === VIDEO.ssrc)!;
    expect(block).toMatchObject({ fractionLost: 25, cumulativeLost: 1, extendedHighestSequence: 65_539 });
    expect(block.lastSr).not.toBe(0);
    expect(block.delaySinceLastSr).toBe(65_536);
    expect(reports[1]!.reports.find(({ ssrc }) => ssrc === VIDEO.ssrc)!.fractionLost).toBe(0);
  });

  it('a bitrate by REMB where it offers no transport-wide congestion control', async () => {
    const rig = createRig();
    const offerSdp = PUBLISH_OFFER.replace(/^a=rtcp-fb:\d+ transport-cc\r\n/gm, '');
    await rig.worker.publish({ sessionId: 'P', offerSdp, transport: 'UDP', maxBitrateKbps: 700 });
    const peer = rig.host.peer('P');
    peer.connect();
    new TestSender(peer, VIDEO).delta(0);
    rig.clock.advance(1000);
    const [estimate] = peer.takeRtcp('remb');
    expect(estimate).toMatchObject({ bitrateBps: 700_000, ssrcs: [VIDEO.ssrc] });
  });
});

describe('rates', () => {
  it('are those of the payload, without headers, padding and retransmissions, on both sides', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    await rig.offerPlay('unconnected');
    const video = new TestSender(peer, VIDEO);
    let payloadBytes = 0;
    for (let picture = 0; picture < 25; picture++) {
      if (picture === 0) payloadBytes += video.keyframe(0).reduce((sum, packet) => sum + packet.length - 12, 0);
      else payloadBytes += video.delta(picture * 3600).length - 12;
      video.send(Buffer.alloc(0), picture * 3600, { paddingBytes: 255 });
      peer.sendRtp(video.sent.at(-2)!.packet, video.sent.at(-2)!.index);
      await rig.settle();
      rig.clock.advance(40);
    }
    const rate = { videoRateBps: payloadBytes * 8, fps: 25, nack: 0, pli: 0, lostPackets: 0, width: 640, height: 360 };
    expect(rig.eventsOf('rate')).toEqual([
      { type: 'rate', sessionId: 'P', direction: 'inbound', rate: { ...rate, pli: 1 } },
      { type: 'rate', sessionId: 'V', direction: 'outbound', rate },
    ]);
    expect(player.peer.rejected).toBe(0);
  });
});

describe('the goodbye of a publisher', () => {
  it('lets another SSRC take over at once', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    new TestSender(peer, VIDEO).keyframe(0);
    peer.sendRtcp(buildBye([999]));
    const next = new TestSender(peer, { ...VIDEO, ssrc: 1234 }, 5);
    next.keyframe(90_000);
    await rig.settle();
    expect(player.peer.takeRtp()).toHaveLength(3);
    peer.sendRtcp(buildBye([VIDEO.ssrc]));
    next.keyframe(180_000);
    await rig.settle();
    const [first] = player.peer.takeRtp();
    expect(first).toBeDefined();
    expect(rtpSequence(first!)).toBeGreaterThan(0);
  });
});
