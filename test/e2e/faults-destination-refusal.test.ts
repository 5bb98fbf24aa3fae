import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { AwakeClock } from '../support/awake-clock.ts';
import { expectUnharmed } from '../support/expect-unharmed.ts';
import { startFaultRig, type FaultRig } from '../support/fault-rig.ts';
import { startNginxRtmp } from '../support/nginx-rtmp.ts';
import { startPasswordDestination, startSelfSignedDestination } from '../support/refusing-destinations.ts';
import { startTcpRelay } from '../support/tcp-relay.ts';

/** A name that the resolver of this test knows until it is told to forget it. */
const FORGOTTEN_HOST = 'forgotten.test';
const dns = vi.hoisted(() => ({ knowsHost: true }));
vi.mock('node:dns/promises', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:dns/promises')>();
  const lookup = async (host: string, options: object = {}) => {
    if (host !== FORGOTTEN_HOST) return original.lookup(host, options);
    if (!dns.knowsHost) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' });
    const found = { address: '127.0.0.1', family: 4 };
    return 'all' in options ? [found] : found;
  };
  return { ...original, lookup };
});

/** From the startup's answer to the state, where the destination answers at once: the audio encoder and one ffmpeg must start. */
const VERDICT_MS = 4000;
/** For what comes by itself, on a busy machine. */
const TIMEOUT_MS = 20_000;
const CONNECT_TIMEOUT_MS = 10_000;
const BUSY_FLOOR_MS = 5000;

const awake = new AwakeClock();
afterAll(() => awake[Symbol.dispose]());
let rig: FaultRig;
beforeAll(async () => {
  rig = await startFaultRig();
});
afterAll(() => rig?.close());
afterEach(async () => expectUnharmed(await rig.bystanders()));

async function startPush(rtmpUrl: string, request?: object) {
  const startedMs = Date.now();
  const id = await rig.startup(rtmpUrl, request);
  onTestFinished(async () => {
    if (!['FAILED', 'TERMINATED'].includes(rig.state(id).state)) await rig.terminate(id);
  });
  return { id, startedMs };
}

describe('a destination that does not take a push, while nine others go on', () => {
  it('refused: is tried again under persistent, and no run outlives its try', async () => {
    const relay = await startTcpRelay({ destinationPort: undefined });
    await relay.shut();
    const { id, startedMs } = await startPush(`rtmp://127.0.0.1:${relay.port}/live`);
    const { atMs } = await rig.runEnded(id, TIMEOUT_MS);
    expect(awake.betweenMs(startedMs, atMs)).toBeLessThan(VERDICT_MS);
    await rig.reached(id, 'STARTING', TIMEOUT_MS, atMs);
    // Said while the push waits for the next try, which may be a matter of milliseconds.
    await vi.waitFor(() => expect(rig.state(id)).toMatchObject({ state: 'BACKOFF', reason: 'dest_refused' }), {
      timeout: TIMEOUT_MS,
      interval: 10,
    });
    expect(new Set(rig.exitClasses(id))).toEqual(new Set(['dest_refused']));
    expect(rig.steps(id).some(({ toState }) => toState === 'ACTIVE')).toBe(false);
  });

  it('refused: fails at once under wcs with restore switched off', async () => {
    const relay = await startTcpRelay({ destinationPort: undefined });
    await relay.shut();
    const { id } = await startPush(`rtmp://127.0.0.1:${relay.port}/live`, { restartPolicy: 'wcs' });
    await rig.reached(id, 'FAILED', TIMEOUT_MS);
    expect(rig.state(id).reason).toBe('dest_refused');
    expect(rig.exitClasses(id)).toEqual(['dest_refused']);
  });

  it('unresolvable: a startup is answered 400 within three seconds and leaves no push behind', async () => {
    const startedMs = Date.now();
    const rtmpUrl = 'rtmp://no-such-host.invalid/live';
    const answer = await rig.app.rest('/rest-api/push/startup', { streamName: 'faults', rtmpUrl });
    expect(answer.status).toBe(400);
    expect(awake.betweenMs(startedMs, Date.now())).toBeLessThan(3500);
    expect((await rig.app.rest('/rest-api/push/find', { rtmpUrl })).status).toBe(404);
  });

  it('unresolvable: a name that is forgotten while the push waits is dest_dns, and a name that comes back is used', async () => {
    const relay = await startTcpRelay({ destinationPort: rig.nginx.rtmpPort });
    onTestFinished(() => relay.close());
    onTestFinished(() => void (dns.knowsHost = true));
    const { id } = await startPush(`rtmp://${FORGOTTEN_HOST}:${relay.port}/live`);
    await rig.reached(id, 'ACTIVE', TIMEOUT_MS);
    dns.knowsHost = false;
    const forgottenMs = Date.now();
    relay.reset();
    const { atMs } = await rig.reached(id, 'STARTING', TIMEOUT_MS, forgottenMs);
    const twoClasses = () => rig.exitClasses(id).slice(0, 2);
    await vi.waitFor(() => expect(twoClasses()).toEqual(['dest_reset', 'dest_dns']), { timeout: TIMEOUT_MS });
    dns.knowsHost = true;
    await rig.reached(id, 'ACTIVE', TIMEOUT_MS, atMs);
  });

  it('wrong application: an application that nginx does not know is final, also under persistent', async () => {
    const { id } = await startPush(rig.nginx.url('nowhere'));
    await rig.reached(id, 'FAILED', TIMEOUT_MS);
    expect(rig.exitClasses(id)).toEqual(['dest_closed']);
  });

  it('wrong application: a 403 of on_publish is final, also under persistent', async () => {
    const nginx = await startNginxRtmp({ onPublish: () => 403 });
    onTestFinished(() => nginx.stop());
    const { id } = await startPush(nginx.url('live'));
    await rig.reached(id, 'FAILED', TIMEOUT_MS);
    expect(rig.exitClasses(id)).toEqual(['dest_closed']);
    expect(nginx.calls.filter(({ call }) => call === 'publish')).toHaveLength(1);
  });

  it('a 403 of on_publish for a push that was accepted before is trouble that passes, and the push comes back', async () => {
    let status = 200;
    const nginx = await startNginxRtmp({ onPublish: () => status });
    onTestFinished(() => nginx.stop());
    const relay = await startTcpRelay({ destinationPort: nginx.rtmpPort });
    onTestFinished(() => relay.close());
    const { id } = await startPush(`rtmp://127.0.0.1:${relay.port}/live`);
    await rig.reached(id, 'ACTIVE', TIMEOUT_MS);
    status = 403;
    const cutMs = Date.now();
    relay.reset();
    await vi.waitFor(() => expect(rig.exitClasses(id)).toEqual(['dest_reset', 'dest_closed']), { timeout: TIMEOUT_MS });
    status = 200;
    const { atMs } = await rig.reached(id, 'ACTIVE', BUSY_FLOOR_MS + TIMEOUT_MS, cutMs);
    expect(atMs - cutMs).toBeGreaterThanOrEqual(BUSY_FLOOR_MS);
  });

  it('name taken: waits for five seconds between its tries and publishes once the name is free', async () => {
    const url = `${rig.nginx.url('live')}/taken`;
    const input = ['-re', '-f', 'lavfi', '-i', 'anullsrc=r=48000', '-c:a', 'aac', '-f', 'flv'];
    const holder = spawn('ffmpeg', ['-v', 'error', '-nostdin', ...input, url], { stdio: 'ignore' });
    const gone = once(holder, 'exit');
    onTestFinished(async () => {
      holder.kill('SIGKILL');
      await gone;
    });
    const isHeld = () => rig.nginx.calls.some(({ call, name }) => call === 'publish' && name === 'taken');
    await vi.waitFor(() => expect(isHeld()).toBe(true), { timeout: TIMEOUT_MS });

    const { id } = await startPush(url, { rtmpTransponderFullUrl: true });
    const { atMs: refusedMs } = await rig.reached(id, 'BACKOFF', TIMEOUT_MS);
    expect(rig.state(id).reason).toBe('dest_busy');
    holder.kill('SIGKILL');
    await gone;
    const { atMs: activeMs } = await rig.reached(id, 'ACTIVE', BUSY_FLOOR_MS + TIMEOUT_MS);
    expect(activeMs - refusedMs).toBeGreaterThanOrEqual(BUSY_FLOOR_MS);
    expect(rig.exitClasses(id)).toEqual(['dest_busy']);
  });

  it('wrong password: fails after the second refusal in a row', async () => {
    const destination = await startPasswordDestination();
    onTestFinished(() => destination.close());
    const { id } = await startPush(destination.url);
    await rig.reached(id, 'FAILED', TIMEOUT_MS);
    expect(rig.exitClasses(id)).toEqual(['dest_auth', 'dest_auth']);
  });

  it('accepted, then silent: is given up after the connect timeout and tried again', async () => {
    const relay = await startTcpRelay({ destinationPort: undefined });
    onTestFinished(() => relay.close());
    const { id, startedMs } = await startPush(`rtmp://127.0.0.1:${relay.port}/live`);
    const { atMs } = await rig.runEnded(id, CONNECT_TIMEOUT_MS + TIMEOUT_MS);
    expect(atMs - startedMs).toBeGreaterThanOrEqual(CONNECT_TIMEOUT_MS);
    // The next try may have begun by now.
    expect(rig.exitClasses(id)[0]).toBe('dest_timeout');
    expect(relay.connectedAtMs.filter((connectedMs) => connectedMs < atMs)).toHaveLength(1);
  });

  it('bad certificate: is final, and nothing is sent to that server', async () => {
    const server = await startSelfSignedDestination();
    onTestFinished(() => server.close());
    const { id } = await startPush(server.url);
    await rig.reached(id, 'FAILED', TIMEOUT_MS);
    expect(rig.endedRuns(id)).toMatchObject([
      { exitClass: 'tls_error', exitDetail: expect.stringContaining('DEPTH_ZERO_SELF_SIGNED_CERT') },
    ]);
    expect(server.handshakes()).toBe(0);
  });
});
