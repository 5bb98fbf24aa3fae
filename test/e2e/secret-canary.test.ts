import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { appChildren } from '../support/app-children.ts';
import { H264_ONLY, startPushRig, type PushRig } from '../support/push-rig.ts';
import { startRtmpDestination, type OnCommand } from '../support/rtmp-destination.ts';

/** All that must not be seen; one for each place of each URL, so that a leak names its source. */
const canaries: string[] = [];

function canary(place: string): string {
  const text = `canary${place}${randomBytes(6).toString('hex')}`;
  canaries.push(text);
  return text;
}

/** With user information and a query; `key` is put behind the application. */
function secretUrl(port: number, app: string, push: string, key = ''): string {
  const [user, password, query] = ['User', 'Password', 'Query'].map((place) => canary(push + place));
  const path = key === '' ? app : `${app}/${key}`;
  return `rtmp://${user}:${password}@127.0.0.1:${port}/${path}?token=${query}`;
}

/** A destination that repeats all it was told in its refusals, as some do. */
const tellTale: OnCommand = (command, peer) => {
  const heard = inspect(peer.messages, {
    depth: 8,
    maxArrayLength: null,
    maxStringLength: null,
    breakLength: Infinity,
  });
  if (command.name === 'connect' && heard.includes('refuseconnect')) {
    const end = heard.slice(heard.indexOf('tcUrl'));
    peer.error(command, 'NetConnection.Connect.Rejected', `code=403 need auth; ${end}`);
    return true;
  }
  if (command.name === 'publish' && heard.includes('refusepublish')) {
    peer.status(
      'error',
      'NetStream.Publish.BadName',
      `taken: ${inspect(command.args)} ${heard.slice(heard.indexOf('tcUrl'))}`,
    );
    return true;
  }
  if (command.name === 'publish') peer.status('warning', 'NetStream.Publish.Notice', inspect(command.args));
  return false;
};

describe('what stands in RTMP URLs', () => {
  let rig: PushRig;
  let destination: Awaited<ReturnType<typeof startRtmpDestination>>;
  /** What was seen of the server from outside, by where. */
  const seen = new Map<string, string>();
  const note = (where: string, text: string): void => void seen.set(where, (seen.get(where) ?? '') + text);
  const found = (text: string): string[] => canaries.filter((secret) => text.includes(secret));

  const post = async (path: string, body: object = {}) => {
    const answer = await rig.app.rest(path, body);
    const isEcho = path.startsWith('/rest-api/push/') && answer.status === 200 && answer.text !== '';
    // The one place where WCS shows it (reference/wcs-protocol.md §3.1).
    const shown = isEcho ? withoutEcho(answer.json()) : answer.text;
    note(`${path} ${answer.status}`, shown);
    return answer;
  };
  const startup = async (rtmpUrl: string, more: object = {}) => {
    const answer = await post('/rest-api/push/startup', { streamName: 'cam', rtmpUrl, ...more });
    return { status: answer.status, id: (answer.json() as { mediaSessionId?: string }).mediaSessionId ?? '' };
  };
  const noteChildren = async (): Promise<void> => {
    const children = appChildren();
    expect(children.map(({ kind }) => kind)).toContain('rtmp-push');
    for (const { pid, kind, commandLine } of children) {
      note(`command line of ${kind}`, commandLine);
      note(`environment of ${kind}`, await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => ''));
    }
  };

  beforeAll(async () => {
    destination = await startRtmpDestination(tellTale);
    const settings = { outbound_private_addresses: 'all', rtmp_push_auto_start: 'true' };
    const autoUrl = (port: number) => ({ rtmp_push_auto_start_url: secretUrl(port, 'auto', 'auto') });
    rig = await startPushRig({ settings: { ...settings, ...autoUrl(destination.port) } });
  });

  afterAll(async () => {
    await rig?.close();
    await destination?.stop();
  });

  it('reaches its destinations, in every form, through success, failure and restarts', async () => {
    const { nginx, page } = rig;

    // Success: the publisher's own, the automatic one, and both forms of REST.
    await page.publish({ name: 'cam', stripCodecs: H264_ONLY, rtmpUrl: secretUrl(nginx.rtmpPort, 'app_name', 'page') });
    const plain = await startup(secretUrl(nginx.rtmpPort, 'live', 'plain'));
    const full = await startup(secretUrl(nginx.rtmpPort, 'live', 'full', canary('fullKey')), {
      rtmpTransponderFullUrl: true,
    });
    const dropped = await startup(secretUrl(destination.port, 'drop', 'drop', canary('dropInstance')), {
      restartPolicy: 'persistent',
    });
    for (const { id } of [plain, full, dropped]) await rig.waitForState(id, 'ACTIVE');
    await vi.waitFor(() => expect(nginx.calls.filter(({ call }) => call === 'publish')).toHaveLength(3), 15_000);
    await noteChildren();

    // Failure: bad names, refusals that repeat what they refuse, a host that is not there, nothing that listens, the same again.
    const refused = [
      await startup(secretUrl(destination.port, 'refuseconnect', 'connect', canary('connectInstance'))),
      await startup(secretUrl(destination.port, 'refusepublish', 'publish', canary('publishKey')), {
        rtmpTransponderFullUrl: true,
      }),
      await startup(secretUrl(nginx.rtmpPort, 'nowhere', 'nowhere', canary('nowhereInstance'))),
      await startup(secretUrl(9, 'live', 'closed')),
    ];
    const unresolvable = secretUrl(1935, 'live', 'unresolvable').replace('127.0.0.1', 'host.invalid');
    expect((await startup(unresolvable)).status).toBe(400);
    for (const broken of [':99999/', '@[/', ' /']) {
      expect((await startup(secretUrl(1935, 'live', 'broken').replace(':1935/', broken))).status).toBe(400);
    }
    await post('/rest-api/push/startup', { streamName: 'cam', rtmpUrl: secretUrl(1935, 'live', 'typed'), width: 'x' });
    const absent = await post('/rest-api/push/startup', {
      streamName: 'absent',
      rtmpUrl: secretUrl(1935, 'live', 'absent'),
    });
    expect(absent.status).toBe(404);
    const twice = secretUrl(nginx.rtmpPort, 'app', 'twice');
    expect([(await startup(twice)).status, (await startup(twice)).status]).toEqual([200, 409]);
    for (const { id } of refused) await rig.waitForState(id, 'FAILED');

    // Restart: a destination that hangs up, and a child that is killed.
    const connectionsBefore = destination.peers.length;
    for (const { socket } of destination.peers) socket.destroy();
    await vi.waitFor(() => expect(destination.peers.length).toBeGreaterThan(connectionsBefore), 15_000);
    await rig.waitForState(dropped.id, 'ACTIVE');
    const [run] = rig.rows('SELECT pid FROM run WHERE transponder_id = ?', plain.id);
    process.kill(Number(run!['pid']), 'SIGKILL');
    await rig.waitForState(plain.id, 'FAILED');
    await noteChildren();

    for (const path of ['push/find_all', 'stream/find_all', 'connection/find_all']) await post(`/rest-api/${path}`);
    await post('/rest-api/push/find', { rtmpUrl: secretUrl(1935, 'live', 'find') });
    await post('/rest-api/push/terminate', { mediaSessionId: full.id });
    const url = `http://127.0.0.1:${rig.app.ports['http.port']}`;
    const pages = ['/metrics', '/health/ready', '/rest-api/openapi.json', '/api/transponders', '/api/docs'];
    for (const path of pages) {
      const answer = await fetch(url + path);
      expect(answer.status).toBe(200);
      note(path, await answer.text());
    }
    for (const { id } of [plain, full, dropped, ...refused]) {
      const answer = await fetch(`${url}/api/transponders/${id}`);
      expect(answer.status).toBe(200);
      note('/api/transponders/:id', await answer.text());
    }
    for (const [id, command] of [
      [dropped.id, 'restart'],
      [refused[0]!.id, 'resume'],
      [plain.id, 'stop'],
    ]) {
      const answer = await fetch(`${url}/api/transponders/${id}/${command}`, { method: 'POST' });
      note(`/api/transponders/:id/${command} ${answer.status}`, await answer.text());
    }
    const [newest] = rig.rows('SELECT max(seq) AS seq FROM event WHERE seq > ?', '0');
    note('/api/events', await eventsUpTo(`${url}/api/events`, Number(newest!['seq'])));
    note('statuses of the page', JSON.stringify(await page.statuses('cam')));
    await page.unpublish('cam');
    await rig.waitForState(dropped.id, 'WAITING_SOURCE');
    note('log', rig.app.log());
    for (const name of await readdir(join(rig.app.directory, 'data'))) {
      note(`file ${name}`, await readFile(join(rig.app.directory, 'data', name), 'latin1'));
    }

    const calls = JSON.stringify(nginx.calls);
    const heard = inspect(
      destination.peers.map(({ messages }) => messages),
      { depth: 8, maxArrayLength: null, maxStringLength: null },
    );
    const reached = new Set([...found(calls), ...found(heard)].map((secret) => secret.slice(0, -12)));
    for (const push of ['page', 'plain', 'full', 'auto', 'drop', 'connect', 'publish', 'twice']) {
      expect(reached).toContain(`canary${push}Query`);
    }
    for (const key of ['fullKey', 'publishKey', 'dropInstance', 'connectInstance']) {
      expect(reached).toContain(`canary${key}`);
    }
  });

  it('would be found if it were there', () => {
    expect([...seen.keys()]).toEqual(
      expect.arrayContaining([
        'log',
        'file transponder.sqlite',
        'file transponder.sqlite-wal',
        'command line of rtmp-push',
        'environment of rtmp-push',
        '/metrics',
        '/rest-api/push/startup 400',
        '/rest-api/push/startup 404',
        '/rest-api/push/startup 409',
        '/rest-api/push/find_all 200',
        '/api/transponders/:id/restart 200',
        '/api/transponders/:id/resume 200',
        '/api/transponders/:id/stop 409',
      ]),
    );
    const nothing = [...seen].filter(([, text]) => text === '').map(([where]) => where);
    expect(nothing).toEqual(['/rest-api/push/terminate 200', 'file server.lock']);
    const log = seen.get('log')!;
    for (const sentence of [
      '"to":"ACTIVE"',
      '"to":"BACKOFF"',
      '"to":"FAILED"',
      'the destination says',
      '"level":"debug"',
    ]) {
      expect(log).toContain(sentence);
    }
    expect(found(rig.app.log())).toEqual([]);
    expect(found(`x${canaries[0]}x`)).toEqual([canaries[0]]);
  });

  it('is in no log line, answer, metric, command line, environment or file', () => {
    const leaks = [...seen].flatMap(([where, text]) =>
      found(text).map((secret) => `${where}: ${contextOf(text, secret)}`),
    );
    expect(leaks).toEqual([]);
  });
});

/** An answer about pushes, without the URL that was given by whoever asks. */
function withoutEcho(answer: unknown): string {
  return JSON.stringify(answer, (key, value: unknown) => (key === 'rtmpUrl' ? undefined : value));
}

/** The feed from its first event to that one. */
async function eventsUpTo(url: string, seq: number): Promise<string> {
  const answer = await fetch(url, { headers: { 'last-event-id': '0' } });
  let text = '';
  for await (const bytes of answer.body!) {
    text += Buffer.from(bytes).toString();
    if (text.includes(`id: ${seq}\n`)) break;
  }
  return text;
}

function contextOf(text: string, secret: string): string {
  const at = text.indexOf(secret);
  return text.slice(Math.max(0, at - 150), at + 80);
}
