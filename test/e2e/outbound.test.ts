import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { generate } from 'selfsigned';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { H264_ONLY, startPushRig, type PushRig } from '../support/push-rig.ts';
import { startRtmpDestination } from '../support/rtmp-destination.ts';

/** An address of this machine that no outgoing connection has by itself. */
const PUBLISHER_ADDRESS = '127.0.0.7';

const WAIT = { timeout: 15_000, interval: 50 };

interface SignedBy {
  readonly key: string;
  readonly cert: string;
}

describe('outgoing connections', () => {
  let rig: PushRig;
  let directory: string;
  let authority: SignedBy;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'outbound-'));
    const made = await generate([{ name: 'commonName', value: 'test authority' }], {
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, cRLSign: true, digitalSignature: true },
      ],
    });
    authority = { key: made.private, cert: made.cert };
    const caFile = join(directory, 'authorities.pem');
    await writeFile(caFile, authority.cert);
    rig = await startPushRig({
      settings: {
        rtmps_ca_file: caFile,
        rtmp_publisher_ip: PUBLISHER_ADDRESS,
        outbound_deny: '127.0.0.66/32',
        outbound_allow: '127.0.0.99/32',
      },
    });
    await rig.page.publish({ name: 'cam', stripCodecs: H264_ONLY });
  });
  afterAll(async () => {
    await rig?.close();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  /** A TLS server in front of nginx-rtmp; counts what connects. */
  async function startTls(names: readonly string[], signer: SignedBy | undefined) {
    const altNames = names.map((name) =>
      /^[\d.]+$/.test(name) ? { type: 7 as const, ip: name } : { type: 2 as const, value: name },
    );
    const { private: key, cert } = await generate([{ name: 'commonName', value: names[0]! }], {
      extensions: [{ name: 'subjectAltName', altNames }],
      ...(signer && { ca: signer }),
    });
    let handshakes = 0;
    const server = createTlsServer({ key, cert }, (secure) => {
      handshakes += 1;
      const plain = connect(rig.nginx.rtmpPort, '127.0.0.1');
      for (const [from, to] of [
        [secure, plain],
        [plain, secure],
      ] as const) {
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
        from.pipe(to);
      }
    });
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
    return { port: (server.address() as AddressInfo).port, handshakes: () => handshakes };
  }

  const runOf = (id: string) => rig.rows('SELECT exit_class, exit_detail FROM run WHERE transponder_id = ?', id)[0];

  it('publish over TLS to a server whose certificate an authority of rtmps_ca_file has signed', async () => {
    const { port, handshakes } = await startTls(['localhost'], authority);
    const push = await rig.startup({ streamName: 'cam', rtmpUrl: `rtmps://localhost:${port}/live` });
    await rig.waitForState(push.mediaSessionId, 'ACTIVE');
    await rig.waitForNginx('publish', { app: 'live', name: 'rtmp_cam' });
    expect(handshakes()).toBe(1);
    await rig.terminate(push);
    await rig.waitForNginx('publish_done', { app: 'live', name: 'rtmp_cam' });
  });

  it.each([
    ['is self-signed', ['localhost'], false],
    ['names another host', ['other.example'], true],
  ] as const)('are refused as a TLS error where the certificate %s', async (_, names, isSigned) => {
    const { port } = await startTls(names, isSigned ? authority : undefined);
    const publishes = () => rig.nginx.calls.filter(({ call }) => call === 'publish').length;
    const before = publishes();
    const push = await rig.startup({ streamName: 'cam', rtmpUrl: `rtmps://localhost:${port}/live` });
    await rig.waitForState(push.mediaSessionId, 'FAILED');
    expect(rig.row(push.mediaSessionId)).toMatchObject({ reason: 'tls_error' });
    expect(runOf(push.mediaSessionId)).toMatchObject({ exit_class: 'tls_error' });
    expect(publishes()).toBe(before);
  });

  it('come from rtmp_publisher_ip', async () => {
    const destination = await startRtmpDestination();
    onTestFinished(() => destination.stop());
    const push = await rig.startup({ streamName: 'cam', rtmpUrl: `rtmp://127.0.0.1:${destination.port}/live` });
    await rig.waitForState(push.mediaSessionId, 'ACTIVE');
    expect(destination.peers.map(({ socket }) => socket.remoteAddress)).toEqual([PUBLISHER_ADDRESS]);
    await rig.terminate(push);
  });

  /** Listens on all addresses of this machine and counts who comes. */
  async function startCounting(): Promise<{ readonly port: number; readonly connections: string[] }> {
    const connections: string[] = [];
    const server = createServer((socket) => {
      connections.push(String(socket.localAddress));
      socket.destroy();
    });
    server.listen(0, '0.0.0.0');
    await once(server, 'listening');
    onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
    return { port: (server.address() as AddressInfo).port, connections };
  }

  it.each([
    ['127.0.0.66', 'the deny list'],
    ['2130706498', 'the deny list, spelt as a number'],
    ['169.254.169.254', 'what is never dialled'],
    ['0.0.0.0', 'what is never dialled'],
  ])('are not made to %s for a REST caller: %s', async (host) => {
    const { port, connections } = await startCounting();
    const rtmpUrl = `rtmp://${host}:${port}/canary`;
    const answer = await rig.app.rest('/rest-api/push/startup', { streamName: 'cam', rtmpUrl });
    expect(answer).toMatchObject({
      status: 400,
      text: expect.stringMatching(/"message":"publishing to .* not allowed/),
    });
    expect(answer.text).not.toContain('canary');
    expect(rig.rows("SELECT id FROM transponder WHERE state NOT IN ('TERMINATED', ?)", 'FAILED')).toEqual([]);
    expect(connections).toEqual([]);
  });

  it('are not made to private addresses for a page, which is warned and goes on publishing', async () => {
    const { port, connections } = await startCounting();
    const name = 'page';
    await rig.page.publish({ name, stripCodecs: H264_ONLY, rtmpUrl: `rtmp://127.0.0.1:${port}/live` });
    await vi.waitFor(async () => expect(await rig.page.warnings(name)).toHaveLength(1), WAIT);
    expect((await rig.page.statuses(name)).at(-1)).toMatchObject({ status: 'PUBLISHING' });
    expect(rig.rows('SELECT state FROM transponder WHERE stream_name = ?', name)).toEqual([]);
    expect(connections).toEqual([]);
    await rig.page.unpublish(name);
  });

  it('are made for a page where outbound_allow says so', async () => {
    const { port, connections } = await startCounting();
    const name = 'page-allowed';
    await rig.page.publish({ name, stripCodecs: H264_ONLY, rtmpUrl: `rtmp://127.0.0.99:${port}/live` });
    const ended = () => rig.rows('SELECT state, reason FROM transponder WHERE stream_name = ?', name);
    await vi.waitFor(() => expect(ended()).toEqual([{ state: 'FAILED', reason: 'dest_reset' }]), WAIT);
    expect(connections).toEqual(['127.0.0.99']);
    await rig.page.unpublish(name);
  });
});
