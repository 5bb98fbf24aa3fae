import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { GateSession } from '../../src/egress/gate.ts';
import { PublishClient } from '../../src/egress/publish-client.ts';
import { parseRtmpTarget } from '../../src/egress/rtmp-target.ts';

/** Connects to a session of the gate as its ffmpeg would. The caller destroys the socket. */
export function connectGateChild({ childUrl, childApp, childPlayPath }: GateSession): Socket {
  const { hostname, port } = new URL(childUrl);
  const rtmpUrl = `${childUrl}${childApp}/${childPlayPath}`;
  const socket = connect(Number(port), hostname);
  const child = new PublishClient(
    {
      target: parseRtmpTarget({ rtmpUrl, streamName: '', fullUrl: true, prefix: '' }),
      flashVersion: '',
      authQuery: undefined,
      randomBytes,
    },
    {
      send: (bytes) => void socket.write(bytes),
      publishing: () => {},
      status: () => {},
      refused: () => {},
      finished: () => {},
    },
  );
  socket.on('data', (bytes) => child.push(bytes));
  socket.on('error', () => {});
  socket.on('connect', () => child.start());
  return socket;
}
