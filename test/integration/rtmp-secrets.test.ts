import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { amfObject } from '../../src/protocol/amf0/values.ts';
import { json, withConfig, type Answer } from '../support/hook-backend.ts';
import { startHookRig } from '../support/hook-rig.ts';
import { connectObject, RtmpTestClient } from '../support/rtmp-client.ts';
import { sendMedia } from '../support/send-media.ts';

const WAIT = { timeout: 15_000 };

it('what RTMP clients and backends keep secret is in no log line, metric, file or answer to others', async () => {
  const canaries: string[] = [];
  const canary = (place: string): string => {
    const text = `canary${place}${randomBytes(6).toString('hex')}`;
    canaries.push(text);
    return text;
  };
  const found = (text: string): string[] => canaries.filter((secret) => text.includes(secret));
  const credentials = { restUsername: canary('user'), restPassword: canary('password') };
  await using rig = await startHookRig({}, credentials);
  const { app, backend } = rig;
  const port = app.ports['rtmp.port']!;
  const allow = withConfig({ playStream: { restOnError: 'FAIL' }, unknown: { [canary('unknownRule')]: 1 } });
  const refusal = canary('refusal');
  const refuse: Answer = (response) => json(response, { reason: refusal, exception: refusal }, 403);
  const refusesOf = (key: string): Answer => {
    return (response, request) => (JSON.stringify(request.body).includes(key) ? refuse : allow)(response, request);
  };
  backend.answer = allow;

  // Those who are let in: a publisher and a player.
  const app1 = `live?auth=${canary('appParam')}`;
  const connect = (appName: string) => ({
    ...amfObject({ pageUrl: `http://u:${canary('pageUrl')}@h/`, swfUrl: canary('swfUrl') }),
    ...(connectObject(port, appName) as object),
    tcUrl: `rtmp://user:${canary('tcUrl')}@127.0.0.1:${port}/${appName}`,
  });
  await using encoder = await RtmpTestClient.open(port);
  await encoder.ask('connect', amfObject(connect(app1)));
  await encoder.ask('releaseStream', null, `film?key=${canary('released')}`);
  encoder.say('publish', [null, `film?key=${canary('streamParam')}`, 'live'], 1);
  await encoder.status('NetStream.Publish.Start');
  encoder.say('unknown', [null, canary('unknownCommand')]);
  sendMedia(encoder);
  encoder.send({
    kind: 'data',
    values: ['@setDataFrame', 'onMetaData', amfObject({ encoder: canary('metadata') })],
    timestampMs: 0,
    streamId: 1,
  });
  await expect.poll(() => backend.story, WAIT).toContain('StreamStatusEvent PUBLISHING');
  await using player = await RtmpTestClient.playing(
    port,
    `film?key=${canary('playParam')}`,
    `live?auth=${canary('p')}`,
  );
  await player.until(() => player.count('video') > 0, 'pictures');

  // Those who are not: by the backend, by their names, by what they say.
  const playKey = canary('refusedKey');
  const plays = [
    `film?key=${playKey}`,
    `nothing?key=${canary('absent')}`,
    `rtmp://user:${canary('pulledPassword')}@192.0.2.1/live/${canary('pulledKey')}`,
    `rtmp%3A%2F%2Fuser:${canary('encodedPassword')}%40192.0.2.1/live`,
    `${'x'.repeat(300)}${canary('long')}`,
    `film?${'x'.repeat(5000)}${canary('longParam')}`,
    `film\u0007${canary('control')}`,
  ];
  backend.answer = refusesOf(playKey);
  const heard: RtmpTestClient[] = [];
  for (const name of plays) {
    const client = await RtmpTestClient.connected(port);
    client.say('play', [null, name, -2000], 1);
    await client.closed;
    heard.push(client);
  }
  const connectKey = canary('refusedConnect');
  backend.answer = refusesOf(connectKey);
  for (const appName of [`live?auth=${connectKey}`, `live?${'x'.repeat(5000)}${canary('longAppParam')}`]) {
    const client = await RtmpTestClient.open(port);
    client.say('connect', [amfObject(connect(appName))], 0, 1);
    await client.closed;
    heard.push(client);
  }
  const garbage = canary('garbage');
  backend.answer = (response) => response.writeHead(500).end(garbage);
  const denied = await RtmpTestClient.open(port);
  denied.say('connect', [connectObject(port, 'live')], 0, 1);
  await denied.closed;
  heard.push(denied);
  backend.answer = allow;

  const seen = new Map<string, string>();
  const rest = async (path: string) => (await app.rest(`/rest-api/${path}`)).text;
  seen.set('streams', await rest('stream/find_all'));
  // `custom` is what operators are shown of a connection (reference/wcs-protocol.md §3.5).
  const connections = JSON.parse(await rest('connection/find_all')) as Record<string, unknown>[];
  expect(connections).toHaveLength(2);
  seen.set('connections', JSON.stringify(connections.map(({ custom: _custom, ...shown }) => shown)));
  for (const path of ['/metrics', '/health/ready', '/api/transponders']) {
    seen.set(path, await (await fetch(`http://127.0.0.1:${app.ports['http.port']}${path}`)).text());
  }
  const commandsOf = (client: RtmpTestClient) => JSON.stringify(client.commands.map(({ args }) => args));
  seen.set('answers', [player, ...heard].map(commandsOf).join('\n'));
  await encoder.close();
  await player.closed;
  for (const name of await readdir(join(app.directory, 'data'))) {
    seen.set(`file ${name}`, await readFile(join(app.directory, 'data', name), 'latin1'));
  }
  await expect.poll(() => app.log(), WAIT).toContain('Stopped by session disconnect');
  seen.set('log', app.log());

  for (const sentence of ['a stream moved', 'a REST hook did not succeed', 'restClientConfig', 'names a stream that']) {
    expect(seen.get('log')).toContain(sentence);
  }
  const told = new Set(
    found(JSON.stringify(backend.requests.map(({ body }) => body))).map((secret) => secret.slice(0, -12)),
  );
  for (const place of ['appParam', 'streamParam', 'playParam', 'refusedKey', 'pulledKey', 'refusedConnect']) {
    expect(told).toContain(`canary${place}`);
  }
  expect([...seen].flatMap(([where, text]) => found(text).map((secret) => `${where}: ${secret}`))).toEqual([]);
});
