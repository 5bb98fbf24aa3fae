import { describe, expect, test } from 'vitest';
import { sdkRig } from '../support/sdk-rig.ts';
import { waitUntil } from '../support/wait-until.ts';

const TIMEOUT_MS = 15_000;
const MAX_UPDATES = 20;

interface QualityUpdate {
  readonly quality: string;
  readonly clientBps: number;
  readonly serverBps: number;
}

const rig = sdkRig({
  inbound_video_rate_stat_send_interval: '1',
  outbound_video_rate_stat_send_interval: '1',
});
const { openPage, freshName } = rig;

/** When sessions have ended, by the log. */
function sessionEndsMs(): readonly number[] {
  return rig.app
    .log()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string; to?: string; time: string })
    .filter(({ msg, to }) => msg === 'a session moved' && to === 'DISCONNECTED')
    .map(({ time }) => Date.parse(time));
}

describe('the statuses of the official SDK', () => {
  test('lead a publisher over PENDING and PUBLISHING to UNPUBLISHED', async () => {
    const publisher = await (await openPage()).createStream({ name: freshName() });
    expect(await publisher.act('publish', 'status')).toBe('PENDING');
    await publisher.waitFor('PUBLISHING');
    await publisher.act('stop');
    expect(await publisher.waitFor('UNPUBLISHED')).toMatchObject({ info: 'Stopped by publisher stop' });
    expect(await publisher.statuses()).toEqual(['PUBLISHING', 'UNPUBLISHED']);
  });

  test('lead a player over PENDING and PLAYING to STOPPED', async () => {
    const name = freshName();
    await (await openPage()).publish({ name });
    const player = await (await openPage()).play({ name });
    await player.act('stop');
    expect(await player.waitFor('STOPPED')).toMatchObject({ info: 'Stopped by user' });
    expect(await player.statuses()).toEqual(['PENDING', 'PLAYING', 'STOPPED']);
  });

  test('tell a player that its publisher has stopped', async () => {
    const name = freshName();
    const publisher = await (await openPage()).publish({ name });
    const player = await (await openPage()).play({ name });
    await publisher.act('stop');
    expect(await player.waitFor('FAILED')).toMatchObject({ info: 'Stopped by publisher stop' });
    expect(await publisher.waitFor('UNPUBLISHED')).toMatchObject({ info: 'Stopped by publisher stop' });
  });

  test('refuse a second publisher of a live name and leave the first alone', async () => {
    const name = freshName();
    const first = await (await openPage()).publish({ name });
    const second = await (await openPage()).createStream({ name });
    await second.act('publish');
    expect(await second.waitFor('FAILED')).toMatchObject({ info: 'Stream name is already in use' });
    const framesBefore = Number((await first.stat('outbound-rtp', 'video'))['framesEncoded'] ?? 0);
    await first.untilFrames(framesBefore + 5);
    expect(await first.statuses()).toEqual(['PUBLISHING']);
  });

  test('refuse to play a name that nobody publishes', async () => {
    const player = await (await openPage()).createStream({ name: freshName() });
    await player.act('play');
    expect(await player.waitFor('FAILED')).toMatchObject({ info: 'Stream not found' });
  });

  test('end a publisher whose certificate is not the one of its offer', async () => {
    const publisher = await (await openPage()).createStream({ name: freshName(), offerEdit: 'wrongFingerprint' });
    await publisher.act('publish');
    expect(await publisher.waitFor('FAILED', { timeoutMs: 15_000 })).toMatchObject({
      info: 'Failed by DTLS fingerprint error',
    });
    expect(await publisher.statuses()).toEqual(['FAILED']);
  });

  test('end a publisher from which no ICE check comes', async () => {
    const publisher = await (await openPage()).createStream({ name: freshName(), answerEdit: 'withoutCandidates' });
    await publisher.act('publish');
    expect(await publisher.waitFor('FAILED', { timeoutMs: 16_000 })).toMatchObject({ info: 'Failed by ICE timeout' });
  });

  test.each(['closed', 'crashed'])(
    'free the name of a publisher within a second of the end of its session, whose page was %s',
    async (how) => {
      const name = freshName();
      const killed = await openPage();
      await killed.publish({ name });
      const second = await (await openPage()).createStream({ name });
      const startMs = Date.now();
      const killing =
        how === 'closed' ? killed.page.close() : killed.page.goto('chrome://crash').catch(() => undefined);
      const endMs = await waitUntil(
        () => sessionEndsMs().find((ms) => ms >= startMs),
        TIMEOUT_MS,
        () => rig.app.log(),
      );
      while ((await second.available()).isAvailable) expect(Date.now() - endMs).toBeLessThan(1000);
      await second.act('publish');
      await second.waitFor('PUBLISHING');
      expect(await second.statuses()).toEqual(['PUBLISHING']);
      await killing;
    },
  );

  test('say whether a name can be played', async () => {
    const name = freshName();
    const asking = await (await openPage()).createStream({ name });
    expect(await asking.available()).toEqual({ isAvailable: false, info: 'Stream not found' });
    await (await openPage()).publish({ name });
    expect(await asking.available()).toMatchObject({ isAvailable: true });
  });
});

describe('the events of the official SDK', () => {
  test('carry mute, unmute and data of a publisher to its player', async () => {
    const name = freshName();
    const publisher = await (await openPage()).publish({ name });
    const player = await (await openPage()).play({ name });
    const mediaSessionId = await player.act('id');
    await publisher.act('muteAudio');
    await publisher.act('unmuteAudio');
    await publisher.act('muteVideo');
    await publisher.act('unmuteVideo');
    await publisher.sendData({ text: 'hello', nested: [1, { two: true }] });
    await player.waitFor('STREAM_EVENT', { count: 5 });
    const events = (await player.events()).filter((event) => event.name === 'STREAM_EVENT');
    expect(events.map(({ detail }) => detail)).toEqual([
      expect.objectContaining({ mediaSessionId, type: 'audioMuted' }),
      expect.objectContaining({ mediaSessionId, type: 'audioUnmuted' }),
      expect.objectContaining({ mediaSessionId, type: 'videoMuted' }),
      expect.objectContaining({ mediaSessionId, type: 'videoUnmuted' }),
      expect.objectContaining({ mediaSessionId, type: 'data', payload: { text: 'hello', nested: [1, { two: true }] } }),
    ]);
  });

  test('accept the data of a session', async () => {
    expect(await (await openPage()).sendSessionData({ any: 'thing' })).toBe('accepted');
  });

  test('give the player the size of the picture', async () => {
    const name = freshName();
    const video = { width: 320, height: 240 };
    await (await openPage()).publish({ name, constraints: { audio: true, video } });
    const player = await (await openPage()).play({ name });
    expect(await player.waitFor('RESIZE')).toMatchObject({ detail: video });
    const { frameWidth, frameHeight } = await player.until(
      (stats) => stats.find((stat) => Number(stat['frameWidth']) > 0 && stat.type === 'inbound-rtp'),
      'a decoded picture',
    );
    expect({ width: frameWidth, height: frameHeight }).toEqual(video);
  });

  test('tell publisher and player of a clean path that the quality is perfect, from true rates', async () => {
    const name = freshName();
    const publisher = await (await openPage()).publish({ name });
    const player = await (await openPage()).play({ name });
    const isTrue = ({ quality, clientBps, serverBps }: QualityUpdate): boolean =>
      quality === 'PERFECT' && serverBps > 50_000 && Math.abs(serverBps - clientBps) / serverBps < 0.2;
    for (const stream of [publisher, player]) {
      // A machine that is busy makes a clean path look otherwise for a while.
      const updates: QualityUpdate[] = [];
      while (updates.length < MAX_UPDATES && !updates.some(isTrue)) {
        const { detail } = await stream.waitFor('UPDATE', { count: updates.length + 1 });
        updates.push(detail as QualityUpdate);
      }
      expect(updates).toContainEqual(expect.toSatisfy(isTrue, 'perfect, from true rates'));
    }
  });
});
