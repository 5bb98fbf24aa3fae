import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failToStart, startServerProcess } from '../support/server-process.ts';

let directory: string;
let busy: Server;
let busyPort: number;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'transponder-start-'));
  await writeFile(join(directory, 'file'), 'no directory\n');
  busy = createServer();
  busy.listen(0);
  await once(busy, 'listening');
  busyPort = (busy.address() as AddressInfo).port;
});

afterAll(async () => {
  busy.close();
  await rm(directory, { recursive: true, force: true });
});

describe('a start', () => {
  it('prints one JSON line with the ports, and health serves the same', async () => {
    await using server = await startServerProcess();
    expect(Object.keys(server.ports).sort()).toEqual([
      'http.port',
      'https.port',
      'media',
      'rtmp.port',
      'ws.port',
      'wss.port',
    ]);
    const response = await fetch(`http://127.0.0.1:${server.ports['http.port']}/health/ready`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ state: 'ready', ports: server.ports });
    const { stdout, stderr } = await server.end();
    expect(stdout).toBe(JSON.stringify({ state: 'ready', ports: server.ports }));
    for (const port of Object.values(server.ports)) expect(stderr).toMatch(new RegExp(`[: ]${port}\\b`));
  });

  it('on files of an earlier one finds them, certificate included', async () => {
    const home = join(directory, 'twice');
    const certificate = join(home, 'data', 'tls-cert.pem');
    const first = await startServerProcess({ directory: home });
    const before = await readFile(certificate, 'utf8');
    await first.end();
    await using second = await startServerProcess({ directory: home });
    expect(await readFile(certificate, 'utf8')).toBe(before);
    expect(await second.end()).toMatchObject({ exitCode: 0 });
  });

  it('takes keys from a file, the environment and flags, the latter first', async () => {
    const file = join(directory, 'some.properties');
    await writeFile(file, 'disable_rest_auth=false\nrest_username=from-file\nrest_password=file\n');
    await using server = await startServerProcess({
      command: ['node_modules/.bin/node', 'src/main.ts', '--config', file],
      env: { TRANSPONDER_REST_USERNAME: 'from-environment', TRANSPONDER_REST_PASSWORD: 'environment' },
      settings: { rest_password: 'flag' },
    });
    const status = async (credentials: string) => {
      const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
      const url = `http://127.0.0.1:${server.ports['http.port']}/rest-api/openapi.json`;
      return (await fetch(url, { headers: { authorization } })).status;
    };
    expect(await status('from-environment:flag')).toBe(200);
    expect(await status('from-file:flag')).toBe(401);
    expect(await status('from-environment:environment')).toBe(401);
  });

  it('by npm start hands the flags on', async () => {
    await using server = await startServerProcess({ command: ['npm', 'start', '--silent', '--'] });
    expect(server.ports['http.port']).toBeGreaterThan(0);
  });
});

describe('a start is refused with one sentence that names', () => {
  const cases: [string, () => Record<string, string>, () => string][] = [
    [
      'an unknown key, and one like it',
      () => ({ 'ws.prot': '1' }),
      () => '--set: unknown key "ws.prot" (value "1"); did you mean "ws.port"?',
    ],
    [
      'a bad value, and what is allowed',
      () => ({ 'ws.port': 'high' }),
      () => '--set: ws.port="high" is not allowed; expected a whole number from 0 to 65535 (0 = any free port)',
    ],
    [
      'an address that is none',
      () => ({ ip_local: 'eth0' }),
      () => '--set: ip_local="eth0" is not allowed; expected an IP address',
    ],
    [
      'an address of another machine',
      () => ({ ip_local: '203.0.113.9' }),
      () =>
        'ip_local="203.0.113.9" is not possible: this machine has no such address; expected one of its own addresses',
    ],
    [
      'a REST address of another machine',
      () => ({ 'http.host': '203.0.113.9' }),
      () =>
        'http.host="203.0.113.9" is not possible: this machine has no such address; expected one of its own addresses',
    ],
    ...(['ws.port', 'wss.port', 'http.port', 'https.port', 'rtmp.port'] as const).map((key): (typeof cases)[number] => [
      `the busy ${key}`,
      () => ({ [key]: String(busyPort), ...(key.startsWith('http') ? { 'http.host': '0.0.0.0' } : {}) }),
      () =>
        `${key}="${busyPort}" is not possible: the port is in use by another program; expected a free port, or 0 for any free one`,
    ]),
    [
      'busy media ports',
      () => ({ media_port_from: String(busyPort), media_port_to: String(busyPort) }),
      () =>
        `media_port_from="${busyPort}" to media_port_to="${busyPort}" is not possible: no port there is free for both UDP and TCP; expected a free one in between, or media_port_from=0 for any`,
    ],
    [
      'a data directory that is none',
      () => ({ data_dir: join(directory, 'file') }),
      () =>
        `data_dir="${join(directory, 'file')}" cannot be used (EEXIST); expected a directory that this user may make and write to`,
    ],
    [
      'a media directory that cannot be made',
      () => ({ media_dir: join(directory, 'file', 'media') }),
      () =>
        `media_dir="${join(directory, 'file', 'media')}" cannot be used (ENOTDIR); expected a directory that this user may make and write to`,
    ],
    [
      'an ffmpeg that is not there',
      () => ({ ffmpeg_path: '/no/ffmpeg' }),
      () => 'ffmpeg_path="/no/ffmpeg" does not exist or cannot be executed',
    ],
  ];

  it.each(cases)('%s', async (_, settings, sentence) => {
    const { exitCode, stdout, stderr, isAllGone } = await failToStart({ settings: settings() });
    expect({ exitCode, stdout, stderr, isAllGone }).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: sentence(),
      isAllGone: true,
    });
  });

  it('an application whose backend has no URL for requests', async () => {
    const file = join(directory, 'applications.json');
    await writeFile(file, '{"applications":[{"name":"a","appKey":"b","url":"ftp://x"}]}');
    const { exitCode, stdout, stderr } = await failToStart({ settings: { applications_file: file } });
    expect([exitCode, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`${file}: applications[0].url`);
  });

  it('a configuration file that cannot be read', async () => {
    const command = ['node_modules/.bin/node', 'src/main.ts', '--config', join(directory, 'none')] as const;
    const { exitCode, stderr } = await failToStart({ command: [...command] });
    expect(exitCode).toBe(1);
    expect(stderr).toBe(
      `--config "${join(directory, 'none')}" cannot be read: ENOENT: no such file or directory, open '${join(directory, 'none')}'`,
    );
  });

  it('file, line, key and value of a bad line in a file', async () => {
    const file = join(directory, 'bad.properties');
    await writeFile(file, '# comment\nlog_level=loud\n');
    const { exitCode, stderr } = await failToStart({
      command: ['node_modules/.bin/node', 'src/main.ts', '--config', file],
    });
    expect(exitCode).toBe(1);
    expect(stderr).toBe(`${file} line 2: log_level="loud" is not allowed; expected debug, info, warn, error`);
  });

  it('a database that is none', async () => {
    const home = join(directory, 'damaged');
    const first = await startServerProcess({ directory: home });
    await first.end();
    const path = join(home, 'data', 'transponder.sqlite');
    await writeFile(path, 'this is no database, '.repeat(100));
    const { exitCode, stderr } = await failToStart({ directory: home });
    expect(exitCode).toBe(1);
    expect(stderr).toBe(`${path} is no SQLite database, or is damaged (SQLITE_NOTADB)`);
  });
});
