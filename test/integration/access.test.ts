import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, get } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { selfSignedCertificate } from '../../src/edges/tls/certificate.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';

/** An address of this machine on which a listener on 127.0.0.1 does not answer, and one on all interfaces does. */
const OTHER_OWN_ADDRESS = '127.0.0.2';
const CREDENTIALS = { disable_rest_auth: 'false', rest_username: 'operator', rest_password: 'correct horse' };

let open: ServerProcess;
let guarded: ServerProcess;
let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'transponder-access-'));
  await selfSignedCertificate(home);
  const tls = { ssl_cert_file: join(home, 'tls-cert.pem'), ssl_key_file: join(home, 'tls-key.pem') };
  open = await startServerProcess();
  guarded = await startServerProcess({ settings: { ...CREDENTIALS, ...tls } });
});

afterAll(async () => {
  await open?.[Symbol.asyncDispose]();
  await guarded?.[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

async function isReachable(port: number, host: string): Promise<boolean> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

describe('REST', () => {
  it('listens on loopback while it asks for no credentials; signalling listens everywhere', async () => {
    for (const key of ['http.port', 'https.port'] as const) {
      expect(await isReachable(open.ports[key]!, '127.0.0.1')).toBe(true);
      expect(await isReachable(open.ports[key]!, OTHER_OWN_ADDRESS)).toBe(false);
    }
    expect(await isReachable(open.ports['ws.port']!, OTHER_OWN_ADDRESS)).toBe(true);
    expect(await isReachable(open.ports['wss.port']!, OTHER_OWN_ADDRESS)).toBe(true);
  });

  it('listens everywhere once it asks for credentials', async () => {
    expect(await isReachable(guarded.ports['http.port']!, OTHER_OWN_ADDRESS)).toBe(true);
  });

  it('listens where http.host says', async () => {
    await using server = await startServerProcess({ settings: { 'http.host': OTHER_OWN_ADDRESS } });
    expect(await isReachable(server.ports['http.port']!, OTHER_OWN_ADDRESS)).toBe(true);
    expect(await isReachable(server.ports['http.port']!, '127.0.0.1')).toBe(false);
  });

  it('takes only the right credentials, and needs none for health', async () => {
    const url = `http://127.0.0.1:${guarded.ports['http.port']}`;
    const status = async (credentials?: string) => {
      const authorization = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`;
      const headers = { 'content-type': 'application/json', ...(authorization ? { authorization } : {}) };
      return (await fetch(`${url}/rest-api/push/find_all`, { method: 'POST', headers, body: '{}' })).status;
    };
    expect(await status()).toBe(401);
    expect(await status('operator:wrong')).toBe(401);
    expect(await status('somebody:correct horse')).toBe(401);
    // Nothing is pushed: 404 is the answer to a caller who may ask.
    expect(await status('operator:correct horse')).toBe(404);
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
  });

  it('gives metrics to whom it answers, and to nobody else', async () => {
    const metricsOf = (server: ServerProcess, credentials?: string) =>
      fetch(`http://127.0.0.1:${server.ports['http.port']}/metrics`, {
        headers: credentials ? { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` } : {},
      });
    expect((await metricsOf(guarded)).status).toBe(401);
    expect((await metricsOf(guarded, 'operator:wrong')).status).toBe(401);
    for (const answer of [await metricsOf(guarded, 'operator:correct horse'), await metricsOf(open)]) {
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
      const text = await answer.text();
      expect(text).toContain('\ntransponder_store_writable 1\n');
      expect(text).toContain('\ntransponder_transponders{state="ACTIVE"} 0\n');
    }
  });

  it('answers a preflight without credentials, with the configured headers', async () => {
    const response = await fetch(`http://127.0.0.1:${guarded.ports['http.port']}/rest-api/push/startup`, {
      method: 'OPTIONS',
      headers: { origin: 'https://page.example', 'access-control-request-method': 'POST' },
    });
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-headers': 'content-type,x-requested-with',
      'access-control-allow-methods': 'POST',
    });
  });
});

describe('TLS', () => {
  const fingerprintOf = async (file: string) => {
    const pem = await readFile(file, 'utf8');
    const der = Buffer.from(pem.split('-----')[2]!, 'base64');
    return createHash('sha256').update(der).digest('hex').toUpperCase().match(/../g)!.join(':');
  };

  it.each([
    ['its own certificate', () => open, () => join(open.directory, 'data', 'tls-cert.pem')],
    ['the files that it was given', () => guarded, () => join(home, 'tls-cert.pem')],
  ])('is spoken on HTTPS and WSS with %s', async (_, server, file) => {
    const { ports } = server();
    const ca = await readFile(file(), 'utf8');
    const wanted = await fingerprintOf(file());
    const agent = new Agent({ ca });
    const request = get(`https://localhost:${ports['https.port']}/health/live`, { agent, family: 4 });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(200);
    expect((response.socket as TLSSocket).getPeerCertificate().fingerprint256).toBe(wanted);
    agent.destroy();

    const socket = new WebSocket(`wss://localhost:${ports['wss.port']}`, { ca, family: 4 });
    await once(socket, 'open');
    socket.send(
      JSON.stringify({ message: 'connection', data: [{ appKey: 'defaultApp', mediaProviders: ['WebRTC'] }] }),
    );
    const [frame] = (await once(socket, 'message')) as [Buffer];
    expect(JSON.parse(String(frame))).toMatchObject({ message: 'getUserData', data: [{ status: 'ESTABLISHED' }] });
    socket.terminate();
  });
});
