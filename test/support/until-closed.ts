import type { EventEmitter } from 'node:events';

/** Resolves when the socket is gone, in whatever way; `once` of `node:events` fails with an error that comes before. */
export function untilClosed(socket: EventEmitter): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}
