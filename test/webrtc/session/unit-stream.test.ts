import { describe, expect, it } from 'vitest';
import { ntpToUs, unixMsToNtpUs } from '../../../src/protocol/rtp/ntp.ts';
import { rtpMarker, rtpSequence, rtpSsrc, rtpTimestamp } from '../../../src/protocol/rtp/packet.ts';
import { buildNack, buildPli } from '../../../src/protocol/rtp/rtcp-build.ts';
import { picture, receiver, rigWithUnitStream, sound } from './unit-rig.ts';
import { createRig } from './worker-rig.ts';

describe('a stream of media units', () => {
  it('reaches players as H.264 and Opus packets on the timeline of the units', async () => {
    const rig = rigWithUnitStream();
    const player = await rig.play('V', 'U');
    const units = [picture(40_000, true, 9000), picture(80_000, false), picture(120_000, false, 200)];
    for (const unit of units) {
      rig.worker.writeUnit('U', unit);
      await rig.settle();
    }
    rig.worker.writeUnit('U', sound(60_000));
    rig.worker.writeUnit('U', sound(80_000));
    await rig.settle();
    const { pictures, video, audio } = receiver(player)();
    expect(pictures.map(({ data }) => data)).toEqual(units.map(({ data }) => data));
    const times = pictures.map(({ rtpTimestamp: timestamp }) => timestamp);
    expect(times.map((timestamp) => (timestamp - times[0]!) | 0)).toEqual([0, 3600, 7200]);
    expect(Math.max(...video.map(({ length }) => length))).toBeLessThanOrEqual(1192);
    expect(video.filter(rtpMarker)).toHaveLength(3);
    expect(video.map(rtpSequence)).toEqual(video.map((_packet, i) => (rtpSequence(video[0]!) + i) & 0xffff));
    expect(audio.map((packet) => packet.subarray(12))).toEqual([Buffer.alloc(80, 1), Buffer.alloc(80, 1)]);
    expect((rtpTimestamp(audio[1]!) - rtpTimestamp(audio[0]!)) | 0).toBe(960);
    expect(rig.eventsOf('videoFormat')).toEqual([{ type: 'videoFormat', streamId: 'U', width: 640, height: 360 }]);
    expect(player.peer.rejected).toBe(0);
  });

  it('begins at once for a late player, with the cached GOP, and repairs what it lost', async () => {
    const rig = rigWithUnitStream();
    for (let i = 0; i < 10; i++) rig.worker.writeUnit('U', picture(i * 40_000, i === 3));
    const player = await rig.play('V', 'U');
    const { pictures, video } = receiver(player)();
    expect(pictures.map(({ isKeyframe }) => isKeyframe)).toEqual([true, ...Array.from({ length: 6 }, () => false)]);
    player.peer.sendRtcp(buildNack(1, player.video.ssrc, [rtpSequence(video[5]!)]));
    const [repair] = player.peer.takeRtp();
    expect(rtpSsrc(repair!)).toBe(player.videoRtx.ssrc);
    expect(repair!.subarray(14)).toEqual(video[5]!.subarray(12));
  });

  it('asks its owner for a keyframe when players need one, once in 500 ms', async () => {
    const rig = rigWithUnitStream();
    const players = [];
    for (let i = 0; i < 20; i++) players.push(await rig.play(`V${i}`, 'U'));
    expect(rig.eventsOf('keyframeNeeded')).toEqual([{ type: 'keyframeNeeded', streamId: 'U' }]);
    rig.worker.writeUnit('U', picture(0, true));
    await rig.settle();
    // Since the last keyframe there is more than is kept for players.
    rig.worker.writeUnit('U', picture(11_000_000, false));
    await rig.settle();
    rig.clock.advance(11_000);
    expect(rig.eventsOf('keyframeNeeded')).toHaveLength(1);
    for (const { peer, video } of players) peer.sendRtcp(buildPli(1, video.ssrc));
    expect(rig.eventsOf('keyframeNeeded')).toHaveLength(2);
  });

  it('tells players each second how its tracks lie on one clock', async () => {
    const rig = rigWithUnitStream();
    const player = await rig.play('V', 'U');
    rig.worker.writeUnit('U', picture(5_000_000, true));
    rig.worker.writeUnit('U', sound(5_000_000));
    await rig.settle();
    const { video, audio } = receiver(player)();
    rig.clock.advance(2000);
    const reports = player.peer.takeRtcp('sr');
    expect(reports).toHaveLength(4);
    const first = { [player.video.ssrc]: rtpTimestamp(video[0]!), [player.audio.ssrc]: rtpTimestamp(audio[0]!) };
    const rateHz = { [player.video.ssrc]: 90_000, [player.audio.ssrc]: 48_000 };
    const startNtpUs = unixMsToNtpUs(rig.clock.nowMs() - 2000);
    for (const { ssrc, rtpTimestamp: timestamp, ntp } of reports) {
      const sinceStartUs = (((timestamp - first[ssrc]!) | 0) * 1_000_000) / rateHz[ssrc]!;
      expect(ntpToUs(ntp) - startNtpUs).toBe(sinceStartUs);
    }
    const late = await rig.play('V2', 'U');
    expect(late.peer.takeRtcp('sr')).toHaveLength(2);
  });

  it('ignores units of other codecs, and gives a player what it has of what is offered', async () => {
    const rig = createRig();
    rig.worker.openUnitStream({ streamId: 'U', audio: { codec: 'pcma' } });
    const player = await rig.play('V', 'U');
    expect(player.answer).toMatchObject({ video: undefined, audio: { codec: 'pcma' } });
    rig.worker.writeUnit('U', picture(0, true));
    rig.worker.writeUnit('U', sound(0));
    rig.worker.writeUnit('U', { kind: 'audio', codec: 'pcma', ptsUs: 0, durationUs: 20_000, data: Buffer.alloc(160) });
    rig.worker.writeUnit('unknown', sound(0));
    await rig.settle();
    expect(player.peer.takeRtp().map((packet) => packet.length - 12)).toEqual([160]);
  });

  it('ends its players when it is closed, frees its id and leaves no timer', async () => {
    const rig = rigWithUnitStream();
    expect(() => rig.worker.openUnitStream({ streamId: 'U' })).toThrow(
      expect.objectContaining({ code: 'MEDIA_SESSION_IN_USE' }),
    );
    await rig.play('V', 'U');
    rig.worker.requestKeyframe('U');
    rig.worker.closeUnitStream('U');
    expect(rig.eventsOf('ended')).toEqual([{ type: 'ended', sessionId: 'V', reason: 'source_ended' }]);
    rig.worker.writeUnit('U', sound(0));
    expect(rig.clock.pendingTimers).toBe(0);
    await expect(rig.play('V2', 'U')).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
    rig.worker.openUnitStream({ streamId: 'U' });
    await rig.worker.dispose();
    expect(rig.clock.pendingTimers).toBe(0);
  });
});
