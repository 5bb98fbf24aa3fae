import { createSocket, type Socket } from 'node:dgram';

/**
 * `udp-delay.ts PORT HOST ONE_WAY_MS`: takes UDP packets on PORT and passes them on to PORT of HOST after that time; the
 * answers likewise. A line on standard output says that it is ready.
 */
const [port, host, oneWayMs] = [Number(process.argv[2]), process.argv[3]!, Number(process.argv[4])];
const BUFFER_BYTES = 4 * 1024 * 1024;
const upstreams = new Map<string, Promise<Socket>>();

const downstream = createSocket('udp4');
downstream.on('message', (packet, from) => {
  const key = `${from.address}:${from.port}`;
  let upstream = upstreams.get(key);
  if (!upstream) upstreams.set(key, (upstream = openUpstream(from.address, from.port)));
  setTimeout(() => void upstream.then((socket) => socket.send(packet)), oneWayMs);
});
downstream.bind(port, () => {
  downstream.setRecvBufferSize(BUFFER_BYTES);
  process.stdout.write('ready\n');
});

function openUpstream(clientAddress: string, clientPort: number): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('error', () => {});
  socket.on('message', (packet) => setTimeout(() => downstream.send(packet, clientPort, clientAddress), oneWayMs));
  return new Promise((resolve) => socket.connect(port, host, () => resolve(socket)));
}
