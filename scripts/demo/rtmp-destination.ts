import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import type { Clock } from '../../src/domain/clock.ts';
import type { Closable } from '../../src/domain/life-cycle.ts';
import type { Logger } from '../../src/domain/logger.ts';
import { startChild, type Child } from '../../src/supervisor/child-process.ts';

const RESTART_DELAY_MS = 200;

export interface RtmpDestination extends Closable {
  /** What to push to, without the name of the stream. */
  readonly url: string;
}

/**
 * An RTMP server of one connection that throws everything away: ffmpeg with `-listen`, started again when it ends, which it does
 * with each connection.
 */
export async function startRtmpDestination(
  ffmpegPath: string,
  playPath: string,
  clock: Clock,
  logger: Logger,
): Promise<RtmpDestination> {
  const url = `rtmp://127.0.0.1:${await freePort()}/demo`;
  let child: Child | undefined;
  let isClosed = false;
  let cancelRestart = (): void => {};
  const start = (): void => {
    if (isClosed) return;
    const args = ['-hide_banner', '-loglevel', 'error', '-nostdin', '-listen', '1', '-f', 'flv'];
    child = startChild({
      program: ffmpegPath,
      args: [...args, '-i', `${url}/${playPath}`, '-c', 'copy', '-f', 'null', '-'],
      name: 'demo-destination',
      nonce: 'demo',
      clock,
      logger,
    });
    void child.ended.then(() => (cancelRestart = clock.after(RESTART_DELAY_MS, start)));
  };
  start();
  return {
    url,
    async close() {
      isClosed = true;
      await child?.kill();
      cancelRestart();
    },
  };
}

/** ffmpeg cannot say which port it took, so it is told a free one. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
