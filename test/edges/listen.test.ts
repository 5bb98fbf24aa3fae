import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { expect, it, vi } from 'vitest';
import { type Logger, silentLogger } from '../../src/domain/logger.ts';
import { listen } from '../../src/edges/listen.ts';

const OPTIONS = { key: 'ws.port', port: 0, hostKey: 'ip_local', host: '127.0.0.1', logger: silentLogger };

it('a listening server survives a connection that cannot be accepted', async () => {
  const logged = vi.fn<Logger['error']>();
  const server = createServer();
  const listening = await listen(server, { ...OPTIONS, logger: { ...silentLogger, error: logged } });
  try {
    const error = new Error('accept EMFILE');
    server.emit('error', error);
    expect(logged).toHaveBeenCalledExactlyOnceWith({ error, key: 'ws.port' }, 'a listening socket failed');
  } finally {
    await listening.close();
  }
});

it('closing ends a connection that has not said anything', async () => {
  const listening = await listen(createServer(), OPTIONS);
  const socket = connect(listening.port, '127.0.0.1');
  await once(socket, 'connect');
  const ended = once(socket, 'close');
  socket.resume();
  await listening.close();
  await ended;
  expect(socket.destroyed).toBe(true);
});
