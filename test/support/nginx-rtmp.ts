import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const NGINX = '/usr/sbin/nginx';
const RTMP_MODULE = '/usr/lib/nginx/modules/ngx_rtmp_module.so';
const START_TIMEOUT_MS = 10_000;

/** One notification of nginx-rtmp: `call` is its kind (`connect`, `publish`, `play`, `publish_done`, …), the rest its arguments. */
export type NginxCall = Readonly<Record<string, string>>;

export interface NginxRtmpOptions {
  /** The HTTP status with which to answer; anything but 2xx refuses. Default 200. */
  readonly onConnect?: (call: NginxCall) => number;
  readonly onPublish?: (call: NginxCall) => number;
  /** Live applications. Default `live`, `app_name` and `app`. */
  readonly apps?: readonly string[];
}

export interface NginxRtmp {
  readonly rtmpPort: number;
  readonly pid: number;
  /** All notifications so far, oldest first. */
  readonly calls: readonly NginxCall[];
  /** `rtmp://127.0.0.1:<port>/<app>`. */
  url(app: string): string;
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
  notifications.listen(0, '127.0.0.1');
  await once(notifications, 'listening');
  const notifyPort = (notifications.address() as AddressInfo).port;

  const directory = await mkdtemp(join(tmpdir(), 'nginx-rtmp-'));
  const [rtmpPort, statPort] = await freePorts();
  await writeFile(join(directory, 'nginx.conf'), configuration(directory, rtmpPort, statPort, notifyPort, apps));
  const child = spawn(
    NGINX,
    ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', join(directory, 'error.log')],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
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
      waitUntilListening(rtmpPort),
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
    url: (app) => `rtmp://127.0.0.1:${rtmpPort}/${app}`,
    async waitForCall(kind) {
      for (;;) {
        const found = calls.find((call) => call['call'] === kind);
        if (found) return found;
        await once(emitter, 'call');
      }
    },
    stat: async () => (await fetch(`http://127.0.0.1:${statPort}/stat`)).text(),
    kill: (signal) => void child.kill(signal),
    stop,
  };
}

function configuration(
  directory: string,
  rtmpPort: number,
  statPort: number,
  notifyPort: number,
  apps: readonly string[],
): string {
  const notify = `http://127.0.0.1:${notifyPort}/`;
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
events { worker_connections 256; }
rtmp {
  server {
    listen 127.0.0.1:${rtmpPort};
    on_connect ${notify};
${applications.join('\n')}
  }
}
http {
  access_log off;
${temporary.join('\n')}
  server { listen 127.0.0.1:${statPort}; location /stat { rtmp_stat all; } }
}
`;
}

/** nginx cannot bind port 0, so the kernel picks two and gives them up again. */
async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  for (const server of servers) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return [ports[0]!, ports[1]!];
}

async function waitUntilListening(port: number): Promise<void> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isOpen) return;
    if (performance.now() > deadlineMs) throw new Error('nginx does not listen');
    await delay(20);
  }
}
