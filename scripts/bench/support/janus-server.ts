import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describeClient, remoteEndOf, ssrcsOf } from './descriptions.ts';
import type { FanoutTarget } from './fanout-target.ts';
import { JanusApi } from './janus-api.ts';
import { MOUNTPOINT_ID, writeJanusConfig } from './janus-config.ts';
import { RtcClient } from './rtc-client.ts';
import { AUDIO_TRACK, TestStream, VIDEO_TRACK } from './test-stream.ts';

const JANUS = '/usr/bin/janus';
const LIBRARIES = '/usr/lib';
const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 3000;

export interface JanusServerOptions {
  readonly name: string;
  /** Not of the loopback interface: Janus gives no candidates for that. */
  readonly address: string;
  readonly eventLoops: number | undefined;
}

export function isJanusInstalled(): boolean {
  return existsSync(JANUS);
}

/** Starts Debian's Janus with its streaming plugin, which is fed by plain RTP. */
export async function startJanus({ name, address, eventLoops }: JanusServerOptions): Promise<FanoutTarget> {
  const [webSocketPort, audioPort, videoPort] = await freePorts();
  const config = { address, webSocketPort, audioPort, videoPort, eventLoops };
  const directory = await writeJanusConfig(config, await findPlugins());
  // It must not outlive a bench that was killed.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', JANUS, '-F', directory], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  const source = createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) });
  let api: JanusApi | undefined;
  const close = async (): Promise<void> => {
    api?.close();
    source.close();
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const started = (api = await connectWhenUp(`ws://127.0.0.1:${webSocketPort}`));
    const ports = { audio: audioPort, video: videoPort };
    return {
      name,
      pid: child.pid!,
      stream: new TestStream((kind, packet) => source.send(packet, ports[kind], '127.0.0.1')),
      connectViewer: () => connectViewer(started, address),
      sendsDropped: async () => undefined,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function connectViewer(api: JanusApi, address: string) {
  const handleId = await api.attachStreaming();
  const offer = (await api.message(handleId, { request: 'watch', id: MOUNTPOINT_ID })).jsep!.sdp;
  const mids = [...offer.matchAll(/^a=mid:(\S+)/gm)].map(([, mid]) => mid!);
  const client = await RtcClient.open(address);
  const tracks = [AUDIO_TRACK, VIDEO_TRACK].map((track, i) => ({ ...track, mid: mids[i]!, ssrc: undefined }));
  const answer = describeClient({ client, direction: 'recvonly', setup: 'active', tracks, address });
  const up = api.webrtcUp(handleId);
  const connected = client.connect(remoteEndOf(offer, address), 'controlled');
  await api.message(handleId, { request: 'start' }, { type: 'answer', sdp: answer, trickle: false });
  await Promise.all([up, connected]);
  return { client, ssrcs: ssrcsOf(offer) };
}

async function findPlugins(): Promise<string> {
  for (const entry of ['janus', ...(await readdir(LIBRARIES)).map((name) => join(name, 'janus'))]) {
    const plugins = join(LIBRARIES, entry, 'plugins');
    if (existsSync(join(plugins, 'libjanus_streaming.so'))) return plugins;
  }
  throw new Error(`no streaming plugin of Janus below ${LIBRARIES}`);
}

async function connectWhenUp(url: string): Promise<JanusApi> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      return await JanusApi.connect(url);
    } catch (error) {
      if (performance.now() > deadlineMs) throw new Error('Janus does not listen', { cause: error });
      await delay(50);
    }
  }
}

/** Janus cannot bind port 0, so the kernel picks some and gives them up again. */
async function freePorts(): Promise<[number, number, number]> {
  const servers = [createServer(), createServer(), createServer()];
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ports.push((server.address() as AddressInfo).port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return [ports[0]!, ports[1]!, ports[2]!];
}
