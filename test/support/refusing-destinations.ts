import { createServer } from 'node:tls';
import { generate } from 'selfsigned';
import { amfString } from '../../src/protocol/amf0/values.ts';
import { listen, startRtmpDestination } from './rtmp-destination.ts';

interface Destination {
  readonly url: string;
  close(): Promise<void>;
}

/** Asks for a password, and takes none. */
export async function startPasswordDestination(): Promise<Destination> {
  const { port, stop } = await startRtmpDestination((command, peer) => {
    if (command.name !== 'connect') return false;
    const isAsked = (amfString(command.args[0]!, 'app') ?? '').includes('authmod');
    const words = isAsked
      ? '[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=OP'
      : '[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ';
    peer.error(command, 'NetConnection.Connect.Rejected', words);
    return true;
  });
  return { url: `rtmp://name:wrong@127.0.0.1:${port}/live`, close: () => stop() };
}

/** Speaks TLS, with a certificate that nobody knows. */
export async function startSelfSignedDestination(): Promise<Destination & { readonly handshakes: () => number }> {
  const altNames = [
    { type: 2, value: 'localhost' },
    { type: 7, ip: '127.0.0.1' },
  ] as const;
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [{ name: 'subjectAltName', altNames: [...altNames] }],
  });
  let handshakes = 0;
  const server = createServer({ cert, key }, () => handshakes++);
  server.on('tlsClientError', () => {});
  const port = await listen(server);
  return {
    url: `rtmps://127.0.0.1:${port}/live`,
    handshakes: () => handshakes,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
