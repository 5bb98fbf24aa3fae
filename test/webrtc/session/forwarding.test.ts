import { describe, expect, it } from 'vitest';
import {
  rtpMarker,
  rtpPayloadEnd,
  rtpPayloadOffset,
  rtpPayloadType,
  rtpSequence,
  rtpSsrc,
  rtpTimestamp,
} from '../../../src/protocol/rtp/packet.ts';
import { buildNack } from '../../../src/protocol/rtp/rtcp-build.ts';
import {
  AUDIO,
  createRig,
  fragmentedIdr,
  PARAMETER_SETS,
  PLAY_OFFER,
  PUBLISH_OFFER,
  slice,
  TestSender,
  VIDEO,
  withoutH264,
} from './worker-rig.ts';

const payloadOf = (packet: Buffer) => packet.subarray(rtpPayloadOffset(packet), rtpPayloadEnd(packet));
const ofSsrc = (packets: readonly Buffer[], ssrc: number) => packets.filter((packet) => rtpSsrc(packet) === ssrc);
const sequences = (packets: readonly Buffer[]) => packets.map(rtpSequence);

function expectContinuous(packets: readonly Buffer[]): void {
  const first = rtpSequence(packets[0]!);
  expect(sequences(packets)).toEqual(packets.map((_packet, i) => (first + i) & 0xffff));
}

describe('a stream', () => {
  it('reaches every player byte for byte, under its own payload types and SSRCs and in its own sequence', async () => {
    const rig = createRig();
    const { peer, answer } = await rig.publish();
    expect(answer).toMatchObject({ video: { codec: 'h264' }, audio: { codec: 'opus' } });
    const video = new TestSender(peer, VIDEO);
    const audio = new TestSender(peer, AUDIO, 30_000);
    const players = [await rig.play('V1'), await rig.play('V2'), await rig.play('V3')];

    for (let picture = 0; picture < 5; picture++) {
      if (picture === 0) video.keyframe(picture * 3000, 3);
      else video.delta(picture * 3000, picture);
      audio.send(Buffer.from([0xfc, picture, 1, 2]), picture * 960);
    }
    await rig.settle();

    for (const player of players) {
      const pictures = ofSsrc(player.peer.rtp, player.video.ssrc);
      const sounds = ofSsrc(player.peer.rtp, player.audio.ssrc);
      expect(pictures.map(payloadOf)).toEqual(video.sent.map(({ packet }) => payloadOf(packet)));
      expect(pictures.map(rtpMarker)).toEqual(video.sent.map(({ packet }) => rtpMarker(packet)));
      expect(pictures.map(rtpTimestamp)).toEqual(video.sent.map(({ packet }) => rtpTimestamp(packet)));
      expect(sounds.map(payloadOf)).toEqual(audio.sent.map(({ packet }) => payloadOf(packet)));
      expect(new Set(pictures.map(rtpPayloadType))).toEqual(new Set([player.video.payloadType]));
      expect(new Set(sounds.map(rtpPayloadType))).toEqual(new Set([player.audio.payloadType]));
      expectContinuous(pictures);
      expectContinuous(sounds);
      expect(player.peer.rejected).toBe(0);
    }
    expect(new Set(players.map(({ video: { ssrc } }) => ssrc)).size).toBe(3);
    expect(rig.eventsOf('videoFormat')).toEqual([{ type: 'videoFormat', streamId: 'P', width: 640, height: 360 }]);
    expect(rig.eventsOf('mediaStarted').map(({ sessionId }) => sessionId)).toEqual(['P', 'V1', 'V2', 'V3']);
  });

  it('is forwarded without the padding and header extensions of the publisher, and its sequence shows no hole', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    const video = new TestSender(peer, VIDEO);
    video.keyframe(0);
    video.send(Buffer.alloc(0), 0, { paddingBytes: 200 });
    video.send(Buffer.alloc(0), 0, { paddingBytes: 200 });
    video.send(slice(1, 100), 3000, { marker: true, transportSequence: 7, paddingBytes: 9 });
    await rig.settle();
    const pictures = ofSsrc(player.peer.rtp, player.video.ssrc);
    expect(pictures).toHaveLength(4);
    expectContinuous(pictures);
    expect(pictures.at(-1)!.subarray(12)).toEqual(slice(1, 100));
    expect(pictures.every((packet) => (packet[0]! & 0x3f) === 0)).toBe(true);
  });

  it('gives players an empty packet for padding that comes after what followed it', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    const video = new TestSender(peer, VIDEO);
    video.keyframe(0);
    const padding = video.next(Buffer.alloc(0), 0, { paddingBytes: 100 });
    video.delta(3000);
    video.deliver(padding);
    await rig.settle();
    const pictures = ofSsrc(player.peer.rtp, player.video.ssrc);
    expect(pictures).toHaveLength(5);
    expect(payloadOf(pictures[4]!)).toHaveLength(0);
    expect(rtpSequence(pictures[4]!)).toBe((rtpSequence(pictures[3]!) - 1) & 0xffff);
  });

  it('keeps what was not agreed on from the players: other payload types under the SSRC of the media', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    rig.worker.setFramesWanted('P', true);
    const audio = new TestSender(peer, AUDIO);
    audio.send(Buffer.from([0xfc, 1]), 0);
    audio.send(Buffer.from([5, 0x8a, 0, 160]), 960, { payloadType: 110 });
    audio.send(Buffer.from([0xfc, 2]), 1920);
    await rig.settle();
    const sounds = ofSsrc(player.peer.rtp, player.audio.ssrc);
    expect(sounds.map(payloadOf)).toEqual([Buffer.from([0xfc, 1]), Buffer.from([0xfc, 2])]);
    expectContinuous(sounds);
    expect(rig.eventsOf('frame').map(({ frame }) => [...frame.data])).toEqual([
      [0xfc, 1],
      [0xfc, 2],
    ]);
  });

  it('arrives at a player once, also where packets come twice, late, or again by RTX', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    const video = new TestSender(peer, VIDEO);
    video.keyframe(0);
    const late = video.next(slice(1, 50, 1), 3000, { marker: true });
    const next = video.delta(6000, 2);
    video.deliver(late);
    const rtx = new TestSender(peer, { ssrc: VIDEO.rtxSsrc, payloadType: VIDEO.rtxPayloadType }, 10);
    for (const original of [late, next]) {
      const sequence = Buffer.alloc(2);
      sequence.writeUInt16BE(rtpSequence(original));
      rtx.send(Buffer.concat([sequence, payloadOf(original)]), rtpTimestamp(original), { marker: true });
    }
    await rig.settle();
    const pictures = ofSsrc(player.peer.rtp, player.video.ssrc);
    expect(pictures).toHaveLength(5);
    expectContinuous(pictures.toSorted((a, b) => rtpSequence(a) - rtpSequence(b)));
  });

  it('begins for a player with a keyframe, or with nothing', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const video = new TestSender(peer, VIDEO);
    video.delta(0);
    const player = await rig.play('V');
    video.delta(3000);
    await rig.settle();
    expect(player.peer.takeRtp()).toEqual([]);
    video.keyframe(6000);
    await rig.settle();
    expect(payloadOf(player.peer.rtp[0]!)).toEqual(PARAMETER_SETS);
  });

  it('gives a waiting player the parameter sets too when they come after the slice that they precede', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    const video = new TestSender(peer, VIDEO);
    const sets = video.next(PARAMETER_SETS, 0);
    const [first, last] = fragmentedIdr(2, 300).map((payload, i) => video.next(payload, 0, { marker: i === 1 }));
    for (const packet of [first!, sets, last!]) video.deliver(packet);
    await rig.settle();
    const inOrder = player.peer.rtp.toSorted((a, b) => rtpSequence(a) - rtpSequence(b));
    expect(inOrder.map(payloadOf)).toEqual([sets, first!, last!].map(payloadOf));
    expectContinuous(inOrder);
  });

  it('survives for its players a hole of 40,000 packets', async () => {
    const rig = createRig({ firstSequence: 0x7ff0 });
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    const video = new TestSender(peer, VIDEO, 60_000);
    video.keyframe(0);
    await rig.settle();
    // What is sent now is lost on the way, but for one packet each 20,000 that keeps SRTP's roll-over counter.
    video.index += 20_000;
    video.delta(9000);
    video.index += 20_000;
    video.keyframe(90_000);
    video.delta(93_000);
    await rig.settle();
    expect(player.peer.rejected).toBe(0);
    const pictures = ofSsrc(player.peer.rtp, player.video.ssrc);
    expect(pictures).toHaveLength(8);
    const steps = pictures.slice(1).map((packet, i) => (rtpSequence(packet) - rtpSequence(pictures[i]!)) & 0xffff);
    expect(steps).toEqual([1, 1, 2, 2, 1, 1, 1]);
  });

  it('goes on for its players when the publisher changes its SSRC, but not while the old one is alive', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    const before = new TestSender(peer, VIDEO, 500);
    before.keyframe(0);
    const stray = new TestSender(peer, { ...VIDEO, ssrc: 77 }, 100);
    stray.delta(1000, 0x77);
    rig.clock.advance(600);
    const after = new TestSender(peer, { ...VIDEO, ssrc: 88 }, 20);
    after.keyframe(90_000);
    after.delta(93_000);
    await rig.settle();
    const pictures = ofSsrc(player.peer.rtp, player.video.ssrc);
    expect(pictures.map(payloadOf)).toEqual([...before.sent, ...after.sent].map(({ packet }) => payloadOf(packet)));
    const steps = pictures.slice(1).map((packet, i) => (rtpSequence(packet) - rtpSequence(pictures[i]!)) & 0xffff);
    expect(steps).toEqual([1, 1, 2, 1, 1, 1]);
    rig.worker.requestKeyframe('P');
    expect(peer.takeRtcp('pli').map(({ mediaSsrc }) => mediaSsrc)).toContain(88);
  });

  it('is told apart by payload type where the offer announces no SSRC, also over a transport for each track', async () => {
    const rig = createRig();
    const offer = PUBLISH_OFFER.replace(/^a=ssrc.*\r\n/gm, '').replace(/^a=group:BUNDLE.*\r\n/m, '');
    await rig.worker.publish({ sessionId: 'P', offerSdp: offer, transport: 'UDP', maxBitrateKbps: 0 });
    const audioPeer = rig.host.peer('P');
    const videoPeer = rig.host.peer('P#1');
    audioPeer.connect();
    expect(rig.eventsOf('connected')).toEqual([]);
    videoPeer.connect();
    expect(rig.eventsOf('connected')).toEqual([{ type: 'connected', sessionId: 'P' }]);
    const player = await rig.play('V');
    const video = new TestSender(videoPeer, { ...VIDEO, ssrc: 4711 });
    const audio = new TestSender(audioPeer, { ...AUDIO, ssrc: 4712 });
    video.keyframe(0);
    audio.send(Buffer.from([0xfc]), 0);
    await rig.settle();
    expect(ofSsrc(player.peer.rtp, player.video.ssrc)).toHaveLength(3);
    expect(ofSsrc(player.peer.rtp, player.audio.ssrc)).toHaveLength(1);
  });
});

describe('a player that joins late', () => {
  it('gets the cached GOP at once, at a quickened pace that ends at the present, and then what is live', async () => {
    const rig = createRig({ firstSequence: 0x7fff });
    const { peer } = await rig.publish();
    const video = new TestSender(peer, VIDEO, 65_520);
    const early = await rig.play('V1');
    video.delta(0);
    video.keyframe(3000);
    for (let picture = 2; picture < 30; picture++) video.delta(picture * 3000, picture);
    await rig.settle();
    rig.clock.advance(1000);
    const waiting = video.delta(90_000, 99);

    const player = await rig.play('V2');
    const replayed = ofSsrc(player.peer.takeRtp(), player.video.ssrc);
    expect(replayed.map(payloadOf)).toEqual(video.sent.slice(1).map(({ packet }) => payloadOf(packet)));
    expectContinuous(replayed);
    expect(rtpSequence(replayed[0]!)).toBe(0x7fff);
    const times = replayed.map(rtpTimestamp);
    expect(times.at(-1)).toBe(90_000);
    expect(times[0]).toBe(90_000 - 87_000 / 30);
    expect(times).toEqual(times.toSorted((a, b) => a - b));

    video.delta(93_000, 1);
    await rig.settle();
    const live = ofSsrc(player.peer.takeRtp(), player.video.ssrc);
    expect(live.map(rtpTimestamp)).toEqual([93_000]);
    expect(sequences(live)).toEqual([(rtpSequence(replayed.at(-1)!) + 1) & 0xffff]);
    // The one who was there before missed nothing of it and got nothing twice.
    const seen = ofSsrc(early.peer.rtp, early.video.ssrc).map(payloadOf);
    expect(seen).toEqual(video.sent.slice(1).map(({ packet }) => payloadOf(packet)));
    expect(seen.filter((payload) => payload.equals(payloadOf(waiting)))).toHaveLength(1);
    expect(peer.takeRtcp('pli')).toEqual([expect.objectContaining({ mediaSsrc: VIDEO.ssrc })]);
  });

  it('gets retransmissions of replayed packets under the timestamps that it has seen', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const video = new TestSender(peer, VIDEO);
    video.keyframe(0);
    for (let picture = 1; picture < 10; picture++) video.delta(picture * 3000, picture);
    const player = await rig.play('V');
    const replayed = player.peer.takeRtp();
    player.peer.sendRtcp(buildNack(1, player.video.ssrc, [rtpSequence(replayed[4]!)]));
    const [repair] = player.peer.takeRtp();
    expect(rtpTimestamp(repair!)).toBe(rtpTimestamp(replayed[4]!));
    expect(payloadOf(repair!).readUInt16BE(0)).toBe(rtpSequence(replayed[4]!));
  });

  it('gets a VP8 stream from its cached keyframe too', async () => {
    const rig = createRig();
    const { peer, answer } = await rig.publish('P', withoutH264(PUBLISH_OFFER));
    expect(answer.video).toEqual({ codec: 'vp8' });
    const video = new TestSender(peer, { ssrc: VIDEO.ssrc, payloadType: 96 });
    const keyframe = Buffer.from([0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00, 1, 2, 3]);
    const rest = Buffer.from([0x00, 9, 9]);
    const delta = Buffer.from([0x10, 0x11, 4, 5]);
    video.send(delta, 0, { marker: true });
    video.send(keyframe, 3000);
    video.send(rest, 3000, { marker: true });
    video.send(delta, 6000, { marker: true });
    const player = await rig.play('V', 'P', withoutH264(PLAY_OFFER));
    expect(player.answer.video).toEqual({ codec: 'vp8' });
    expect(player.peer.rtp.map(payloadOf)).toEqual([keyframe, rest, delta]);
    expect(rig.eventsOf('videoFormat')).toEqual([{ type: 'videoFormat', streamId: 'P', width: 320, height: 240 }]);
  });

  it('gets live audio and a keyframe that is asked for once for 20 players, where the cached GOP is too old', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const video = new TestSender(peer, VIDEO);
    const audio = new TestSender(peer, AUDIO);
    video.keyframe(0);
    rig.clock.advance(4001);
    const players = [];
    for (let i = 0; i < 20; i++) players.push(await rig.play(`V${i}`));
    audio.send(Buffer.from([0xfc]), 0);
    video.delta(400_000);
    await rig.settle();
    for (const player of players) expect(player.peer.takeRtp().map(rtpSsrc)).toEqual([player.audio.ssrc]);
    expect(peer.takeRtcp('pli')).toHaveLength(1);
    video.keyframe(403_000);
    rig.clock.advance(500);
    await rig.settle();
    for (const player of players) expect(player.peer.takeRtp()).toHaveLength(3);
    expect(peer.takeRtcp('pli')).toEqual([]);
  });
});
