import { describe, expect, it } from 'vitest';
import { createRig, PLAY_OFFER, PUBLISH_OFFER, slice, TestSender, VIDEO, withoutBundle } from './session/worker-rig.ts';

describe('a media worker', () => {
  it('has no timer while nobody publishes, and none after the last publisher', async () => {
    const rig = createRig();
    expect(rig.clock.pendingTimers).toBe(0);
    const { peer } = await rig.publish();
    expect(rig.clock.pendingTimers).toBe(2);
    await rig.play('V');
    rig.worker.requestKeyframe('P');
    new TestSender(peer, VIDEO).delta(0);
    rig.worker.close('P');
    expect(rig.clock.pendingTimers).toBe(0);
    expect(rig.host.peers.size).toBe(0);
  });

  it('leaves nothing behind after 200 publishers with two players each', async () => {
    const rig = createRig();
    for (let cycle = 0; cycle < 200; cycle++) {
      const { peer } = await rig.publish('P');
      await rig.play('V1');
      await rig.offerPlay('V2');
      rig.worker.setFramesWanted('P', true);
      const video = new TestSender(peer, VIDEO);
      video.keyframe(0);
      video.next(slice(1, 10), 3000);
      video.delta(6000);
      if (cycle % 2 === 0) await rig.settle();
      rig.clock.advance(30);
      rig.worker.close('P');
      expect(rig.clock.pendingTimers).toBe(0);
      expect(rig.host.peers.size).toBe(0);
    }
    expect(rig.eventsOf('ended')).toHaveLength(600);
    await rig.worker.dispose();
    expect(rig.host.isClosed).toBe(true);
  });

  it.each([
    ['closed', 'closed'],
    ['ice_timeout', 'ice_timeout'],
    ['ice_keep_alive', 'ice_keep_alive'],
    ['dtls_fingerprint', 'dtls_fingerprint'],
    ['dtls_error', 'dtls_error'],
    ['remote_closed', 'remote_closed'],
  ] as const)('says once why a session ended: %s', async (reason, expected) => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const player = await rig.play('V');
    peer.end(reason);
    rig.worker.close('P');
    rig.worker.close('V');
    expect(player.peer.isClosed).toBe(true);
    expect(rig.eventsOf('ended')).toEqual([
      { type: 'ended', sessionId: 'V', reason: 'source_ended' },
      { type: 'ended', sessionId: 'P', reason: expected },
    ]);
  });

  it('ends a player alone', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const leaving = await rig.play('V1');
    const staying = await rig.play('V2');
    leaving.peer.end('remote_closed');
    const video = new TestSender(peer, VIDEO);
    video.keyframe(0);
    await rig.settle();
    expect(leaving.peer.rtp).toEqual([]);
    expect(staying.peer.rtp).toHaveLength(3);
    expect(rig.eventsOf('ended')).toEqual([{ type: 'ended', sessionId: 'V1', reason: 'remote_closed' }]);
  });

  it('gives up a publisher that is connected and silent for 30 s', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    const video = new TestSender(peer, VIDEO);
    rig.clock.advance(29_000);
    video.delta(0);
    rig.clock.advance(30_000);
    expect(rig.eventsOf('ended')).toEqual([]);
    rig.clock.advance(1000);
    expect(rig.eventsOf('ended')).toEqual([{ type: 'ended', sessionId: 'P', reason: 'rtp_activity' }]);
  });

  it('refuses a second session of the same id, and a player of no stream, and keeps what it had', async () => {
    const rig = createRig();
    await rig.publish();
    await expect(rig.publish()).rejects.toMatchObject({ code: 'MEDIA_SESSION_IN_USE' });
    await expect(rig.play('P')).rejects.toMatchObject({ code: 'MEDIA_SESSION_IN_USE' });
    await expect(rig.play('V', 'missing')).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
    await expect(rig.publish('Q', 'v=0\r\n')).rejects.toMatchObject({ code: 'BAD_SDP' });
    expect([...rig.host.peers.keys()]).toEqual(['P']);
  });

  it('leaves nothing and says nothing when the second transport of a publisher is bad', async () => {
    const rig = createRig();
    rig.host.refusedId = 'P#1';
    await expect(rig.publish('P', withoutBundle(PUBLISH_OFFER))).rejects.toMatchObject({ code: 'BAD_SDP' });
    expect(rig.clock.pendingTimers).toBe(0);
    expect(rig.host.peers.size).toBe(0);
    expect(rig.events).toEqual([]);
  });

  it('leaves nothing and says nothing when the second transport of a player is bad', async () => {
    const rig = createRig();
    await rig.publish();
    const before = rig.events.length;
    rig.host.refusedId = 'V#1';
    await expect(rig.play('V', 'P', withoutBundle(PLAY_OFFER))).rejects.toMatchObject({ code: 'BAD_SDP' });
    expect([...rig.host.peers.keys()]).toEqual(['P']);
    expect(rig.events).toHaveLength(before);
  });

  it('goes on when a listener of its events fails', async () => {
    const rig = createRig();
    let calls = 0;
    rig.worker.onEvent(() => {
      calls += 1;
      throw new Error('from the listener');
    });
    const { peer } = await rig.publish();
    new TestSender(peer, VIDEO).keyframe(0);
    rig.clock.advance(1000);
    expect(calls).toBeGreaterThanOrEqual(3);
    expect(rig.clock.pendingTimers).toBe(2);
  });

  it('ends everything when it is disposed of, and only once', async () => {
    const rig = createRig();
    const { peer } = await rig.publish();
    await rig.play('V');
    new TestSender(peer, VIDEO).keyframe(0);
    await Promise.all([rig.worker.dispose(), rig.worker.dispose()]);
    expect(rig.eventsOf('ended').map(({ sessionId }) => sessionId)).toEqual(['V', 'P']);
    expect(rig.clock.pendingTimers).toBe(0);
  });
});
