import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './free-port.ts';

const NGINX = '/usr/sbin/nginx';
const RTMP_MODULE = '/usr/lib/nginx/modules/ngx_rtmp_module.so';
const LOOPBACK = '127.0.0.1';
const START_TIMEOUT_MS = 20_000;
const DEFAULT_MAX_MESSAGE_BYTES = 1 << 20;

/** One notification of nginx-rtmp: `call` is its kind (`connect`, `publish`, `play`, `publish_done`, …), the rest its arguments. */
export type NginxCall = Readonly<Record<string, string>>;

export interface NginxRtmpOptions {
  /** The HTTP status with which to answer; anything but 2xx refuses. Default 200. */
  readonly onConnect?: (call: NginxCall) => number;
  readonly onPublish?: (call: NginxCall) => number;
  /** Live applications. Default `live`, `app_name` and `app`. */
  readonly apps?: readonly string[];
  /** Write what is published to the files of `recordingPath`. */
  readonly isRecording?: boolean;
  /** The largest message it takes; its own default is 1 MiB. */
  readonly maxMessageBytes?: number;
  /** Where it listens, where its notifications go, and the program that starts it there. Default this machine's loopback. */
  readonly network?: { readonly address: string; readonly hostAddress: string; readonly program: string };
}

export interface NginxRtmp {
  readonly rtmpPort: number;
  readonly pid: number;
  /** All notifications so far, oldest first. */
  readonly calls: readonly NginxCall[];
  /** `rtmp://<address>:<port>/<app>`. */
  url(app: string): string;
  /** The FLV file of the publication of that name, with `isRecording`. Written without delay. */
  recordingPath(name: string): string;
  /** The first notification of that kind, past or to come. */
  waitForCall(kind: string): Promise<NginxCall>;
  /** The statistics page (XML). */
  stat(): Promise<string>;
  /** Signals the process; default is a clean end. `stop` also removes the files and is needed in any case. */
  kill(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
}

/** A real nginx-rtmp in the foreground, in a directory of its own, on free ports. */
export async function startNginxRtmp(options: NginxRtmpOptions = {}): Promise<NginxRtmp> {
  const { onConnect = () => 200, onPublish = () => 200, apps = ['live', 'app_name', 'app'] } = options;
  const { address, hostAddress, program } = options.network ?? {
    address: LOOPBACK,
    hostAddress: LOOPBACK,
    program: NGINX,
  };
  const calls: NginxCall[] = [];
  const emitter = new EventEmitter();
  const notifications = createHttpServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const call = Object.fromEntries(new URLSearchParams(body));
    calls.push(call);
    const answer = call['call'] === 'connect' ? onConnect : call['call'] === 'publish' ? onPublish : () => 200;
    response.writeHead(answer(call)).end();
    emitter.emit('call', call);
  });
  notifications.listen(0, hostAddress);
  await once(notifications, 'listening');
  const notifyPort = (notifications.address() as AddressInfo).port;

  const directory = await mkdtemp(join(tmpdir(), 'nginx-rtmp-'));
  const [rtmpPort, statPort] = [await freePort(), await freePort()];
  const text = configuration({
    directory,
    address,
    rtmpPort,
    statPort,
    notify: `http://${hostAddress}:${notifyPort}/`,
    apps,
    isRecording: options.isRecording ?? false,
    maxMessageBytes: options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES,
  });
  await writeFile(join(directory, 'nginx.conf'), text);
  const args = ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', join(directory, 'error.log')];
  // A run of tests that is killed leaves none behind.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
    notifications.closeAllConnections();
    notifications.close();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await Promise.race([
      waitUntilListening(address, rtmpPort),
      exited.then(() => {
        throw new Error(`nginx ended: ${stderr}`);
      }),
    ]);
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    rtmpPort,
    pid: child.pid!,
    calls,
    url: (app) => `rtmp://${address}:${rtmpPort}/${app}`,
    recordingPath: (name) => join(directory, `${name}.flv`),
    async waitForCall(kind) {
      for (;;) {
        const found = calls.find((call) => call['call'] === kind);
        if (found) return found;
        await once(emitter, 'call');
      }
    },
    stat: async () => (await fetch(`http://${address}:${statPort}/stat`)).text(),
    kill: (signal) => void child.kill(signal),
    stop,
  };
}

interface Configuration {
  readonly directory: string;
  readonly address: string;
  readonly rtmpPort: number;
  readonly statPort: number;
  readonly notify: string;
  readonly apps: readonly string[];
  readonly isRecording: boolean;
  readonly maxMessageBytes: number;
}

function configuration(options: Configuration): string {
  const { directory, address, rtmpPort, statPort, notify, apps, isRecording, maxMessageBytes } = options;
  const applications = apps.map(
    (app) => `    application ${app} { live on; on_publish ${notify}; on_publish_done ${notify}; on_play ${notify}; }`,
  );
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `  ${kind}_temp_path ${directory}/${kind};`,
  );
  return `load_module ${RTMP_MODULE};
user root;
daemon off;
master_process off;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log info;
events { worker_connections 1024; }
rtmp {
  server {
    listen ${address}:${rtmpPort};
    on_connect ${notify};
    max_message ${maxMessageBytes};
    ${isRecording ? `record all; record_path ${directory};` : 'record off;'}
${applications.join('\n')}
  }
}
http {
  access_log off;
${temporary.join('\n')}
  server { listen ${address}:${statPort}; location /stat { rtmp_stat all; } }
}
`;
}

async function waitUntilListening(host: string, port: number): Promise<void> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host });
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isOpen) return;
    if (performance.now() > deadlineMs) throw new Error('nginx does not listen');
    await delay(20);
  }
}
