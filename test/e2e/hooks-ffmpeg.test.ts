import { expect, it } from 'vitest';
import { mirror, withConfig } from '../support/hook-backend.ts';
import { startHookRig } from '../support/hook-rig.ts';
import { ffmpegPlaying, ffmpegPublishing, startProgram } from '../support/rtmp-programs.ts';

const WAIT = { timeout: 30_000 };
const CONNECT_PARAMS = { connectParam1: 'val1', connectParam2: 'val2' };
const STREAM_PARAMS = { streamParam1: 'val1', streamParam2: 'val2' };

function query(params: Readonly<Record<string, string>>): string {
  return new URLSearchParams(params).toString();
}

it('the URL of the seed reaches the backend from ffmpeg, which publishes and plays, in its two parts', async () => {
  await using rig = await startHookRig();
  const { backend, app } = rig;
  const place = `rtmp://127.0.0.1:${app.ports['rtmp.port']}/live?${query(CONNECT_PARAMS)}`;
  const url = `${place}/streamName?${query(STREAM_PARAMS)}`;
  await using started = new AsyncDisposableStack();
  const publisher = startProgram(ffmpegPublishing(url, 60));
  started.defer(() => publisher.kill());
  await expect.poll(() => backend.story, WAIT).toContain('StreamStatusEvent PUBLISHING');
  const player = startProgram(ffmpegPlaying(url, `${app.directory}/played.flv`));
  started.defer(() => player.kill());
  await expect.poll(() => backend.story, WAIT).toContain('StreamStatusEvent PLAYING');
  const connects = backend.bodies('connect');
  expect(connects).toMatchObject([{ appKey: 'flashStreamingApp' }, { appKey: 'flashStreamingApp' }]);
  for (const { custom } of connects) expect(custom).toEqual(CONNECT_PARAMS);
  for (const method of ['publishStream', 'playStream']) {
    const [body, ...others] = backend.bodies(method);
    expect(others).toEqual([]);
    expect(body).toMatchObject({ name: 'streamName', published: method === 'publishStream' });
    expect(body!['custom']).toEqual(STREAM_PARAMS);
  }
});

it('ffmpeg ends with an error when the backend refuses its connection, or its stream', async () => {
  await using rig = await startHookRig();
  const url = `rtmp://127.0.0.1:${rig.app.ports['rtmp.port']}/live/test`;
  const strict = withConfig({ publishStream: { restOnError: 'FAIL' } });
  for (const refused of ['connect', 'publishStream']) {
    rig.backend.answer = (response, request) => {
      if (request.method === refused) response.writeHead(403).end();
      else if (request.method === 'connect') strict(response, request);
      else mirror(response, request);
    };
    const publisher = startProgram(ffmpegPublishing(url, 60));
    const { isByItself, exitCode } = await publisher.ended;
    expect({ refused, isByItself, isError: exitCode !== 0 }).toEqual({ refused, isByItself: true, isError: true });
  }
  expect(rig.backend.story).not.toContain('StreamStatusEvent PUBLISHING');
});
