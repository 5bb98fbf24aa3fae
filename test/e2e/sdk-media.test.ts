import { describe, expect, test } from 'vitest';
import type { SdkStream } from '../support/sdk-page.ts';
import { sdkRig } from '../support/sdk-rig.ts';

const rig = sdkRig();
const { openPage, freshName } = rig;

/** What the player decodes now and how loud it is, once both have begun. */
async function expectPictureAndSound(player: SdkStream): Promise<void> {
  await player.untilFrames(5);
  const before = Number((await player.stat('inbound-rtp', 'video'))['framesDecoded']);
  await player.untilFrames(before + 10);
  await player.until(
    (stats) => stats.find((stat) => stat.kind === 'audio' && Number(stat['audioLevel']) > 0.01),
    'an audio level that is heard',
  );
}

function streamsOf(name: string): Promise<unknown> {
  return rig.app.rest('/rest-api/stream/find', { name }).then((answer) => answer.json());
}

/** The local and the remote end of the path that is in use. */
async function protocolsOf(stream: SdkStream): Promise<unknown[]> {
  const stats = await stream.stats();
  const byId = (id: unknown) => stats.find((stat) => stat['id'] === id);
  const pair = byId(stats.find(({ type }) => type === 'transport')?.['selectedCandidatePairId']);
  return [byId(pair?.['localCandidateId'])?.['protocol'], byId(pair?.['remoteCandidateId'])?.['protocol']];
}

async function codecOf(player: SdkStream): Promise<unknown> {
  const stats = await player.stats();
  const video = stats.find((stat) => stat.type === 'inbound-rtp' && stat.kind === 'video');
  return stats.find((stat) => stat['id'] === video?.['codecId'])?.['mimeType'];
}

describe('a stream that a page publishes', () => {
  test('plays in a second page as H.264 with sound', async () => {
    const name = freshName();
    await (await openPage()).publish({ name });
    const player = await (await openPage()).play({ name });
    await expectPictureAndSound(player);
    expect(await codecOf(player)).toBe('video/H264');
  });

  test('plays in a second page as VP8 with sound where the publisher has no H.264', async () => {
    const name = freshName();
    await (await openPage()).publish({ name, stripCodecs: 'H264' });
    const player = await (await openPage()).play({ name });
    await expectPictureAndSound(player);
    expect(await codecOf(player)).toBe('video/VP8');
  });

  test('is published and played over ICE-TCP when both ask for it', async () => {
    const name = freshName();
    const publisher = await (await openPage()).publish({ name, transport: 'TCP' });
    const player = await (await openPage()).play({ name, transport: 'TCP' });
    await expectPictureAndSound(player);
    for (const stream of [publisher, player]) expect(await protocolsOf(stream)).toEqual(['tcp', 'tcp']);
  });

  test('is published and played with audio only', async () => {
    const name = freshName();
    await (await openPage()).publish({ name, constraints: { audio: true, video: false } });
    const player = await (await openPage()).play({ name, constraints: { audio: true, video: false } });
    await player.until(
      (stats) => stats.find((stat) => stat.kind === 'audio' && Number(stat['audioLevel']) > 0.01),
      'an audio level that is heard',
    );
    expect((await player.stats()).filter((stat) => stat.kind === 'video')).toEqual([]);
  });

  test('is published and played with video only', async () => {
    const name = freshName();
    await (await openPage()).publish({ name, constraints: { audio: false, video: true } });
    const player = await (await openPage()).play({ name, constraints: { audio: false, video: true } });
    await player.untilFrames(10);
    expect((await player.stats()).filter((stat) => stat.kind === 'audio')).toEqual([]);
  });

  test('with audio only plays in a page that asks for both', async () => {
    const name = freshName();
    await (await openPage()).publish({ name, constraints: { audio: true, video: false } });
    const player = await (await openPage()).play({ name });
    await player.until(
      (stats) => stats.find((stat) => stat.kind === 'audio' && Number(stat['audioLevel']) > 0.01),
      'an audio level that is heard',
    );
    expect(await streamsOf(name)).toMatchObject([
      { hasAudio: true, hasVideo: false },
      { hasAudio: true, hasVideo: false },
    ]);
  });

  test('with video only plays in a page that asks for both', async () => {
    const name = freshName();
    await (await openPage()).publish({ name, constraints: { audio: false, video: true } });
    const player = await (await openPage()).play({ name });
    await player.untilFrames(10);
    expect(await streamsOf(name)).toMatchObject([
      { hasAudio: false, hasVideo: true },
      { hasAudio: false, hasVideo: true },
    ]);
  });

  test('is published and played without bundling, each track over a connection of its own', async () => {
    const name = freshName();
    const publisher = await (await openPage()).publish({ name, offerEdit: 'withoutBundle' });
    const player = await (await openPage()).play({ name, offerEdit: 'withoutBundle' });
    await expectPictureAndSound(player);
    for (const stream of [publisher, player]) {
      expect((await stream.stats()).filter(({ type }) => type === 'transport')).toHaveLength(2);
    }
  });
});
