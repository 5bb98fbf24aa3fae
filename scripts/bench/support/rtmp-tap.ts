import { EventEmitter } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { ChunkReader } from '../../../src/protocol/rtmp/chunk-reader.ts';
import { MESSAGE_TYPE } from '../../../src/protocol/rtmp/raw-message.ts';

/** C0, C1 and C2 (RTMP 1.0 §5.2). */
const HANDSHAKE_BYTES = 1 + 2 * 1536;
/** Second byte of an AVC video tag: a picture, not a sequence header. */
const AVC_PICTURE = 1;

export interface RtmpTap {
  readonly port: number;
  /** `performance.now()` when the next connection's first picture goes on to the destination. */
  nextFirstPictureMs(): Promise<number>;
  close(): Promise<void>;
}

/** Stands in front of an RTMP server, passes everything on both ways and sees when pictures come. */
export async function startRtmpTap(destinationPort: number): Promise<RtmpTap> {
  const emitter = new EventEmitter();
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const destination = connect(destinationPort, '127.0.0.1');
    for (const [socket, other] of [
      [client, destination],
      [destination, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.on('close', () => sockets.delete(socket));
      socket.pipe(other);
    }
    watchForPicture(client, () => emitter.emit('picture', performance.now()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    nextFirstPictureMs: async () => ((await once(emitter, 'picture')) as [number])[0],
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function watchForPicture(client: Socket, onPicture: () => void): void {
  const reader = new ChunkReader();
  let toSkip = HANDSHAKE_BYTES;
  const watch = (bytes: Buffer): void => {
    const skipped = Math.min(toSkip, bytes.length);
    toSkip -= skipped;
    const messages = reader.push(Buffer.from(bytes.subarray(skipped)));
    if (!messages.some(({ typeId, payload }) => typeId === MESSAGE_TYPE.video && payload[1] === AVC_PICTURE)) return;
    client.off('data', watch);
    onPicture();
  };
  client.on('data', watch);
}
