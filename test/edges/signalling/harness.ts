import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { vi } from 'vitest';
import { WebSocket } from 'ws';
import { AppError } from '../../../src/domain/errors.ts';
import { silentLogger } from '../../../src/domain/logger.ts';
import { createSignallingServer, type SignallingOptions } from '../../../src/edges/signalling/server.ts';
import { allowEverything, type Backend } from '../../../src/services/backend.ts';
import { Sessions } from '../../../src/services/sessions.ts';
import { StreamNames } from '../../../src/services/stream-names.ts';
import { Streams } from '../../../src/services/streams.ts';
import { type PlayerRenditions, type WebrtcPublisherHub, WebrtcStreams } from '../../../src/services/webrtc-streams.ts';
import { FakeMediaWorker } from '../../services/fake-media-worker.ts';
import { ManualClock } from '../../support/manual-clock.ts';

export interface Message {
  readonly message: string;
  readonly data: unknown[];
}

export type Harness = Awaited<ReturnType<typeof startHarness>>;

/** The signalling edge on port 0 with its real services, on a manual clock, over a fake media worker. */
export async function startHarness(
  options: Partial<SignallingOptions> & {
    backend?: Partial<Backend>;
    rateIntervalS?: number;
    maxStreamsPerSession?: number;
    renditions?: PlayerRenditions;
  } = {},
) {
  const { backend, rateIntervalS = 0, maxStreamsPerSession, renditions, ...signallingOptions } = options;
  const clock = new ManualClock();
  const worker = new FakeMediaWorker();
  const names = new StreamNames();
  const streams = new Streams({
    names,
    clock,
    logger: silentLogger,
    ...(maxStreamsPerSession === undefined ? {} : { maxStreamsPerSession }),
  });
  const publishers = {
    published: vi.fn<WebrtcPublisherHub['published']>(),
    unpublished: vi.fn<WebrtcPublisherHub['unpublished']>(),
  };
  const webrtcStreams = new WebrtcStreams({
    streams,
    worker,
    publishers,
    renditions,
    clock,
    logger: silentLogger,
    inboundRateIntervalS: rateIntervalS,
    outboundRateIntervalS: rateIntervalS,
  });
  worker.onEvent((event) => webrtcStreams.onMediaEvent(event));
  const sessions = new Sessions({
    clock,
    logger: silentLogger,
    backend: { ...allowEverything, ...backend },
    onGone: (session) => streams.sessionGone(session),
  });
  const http = createServer();
  const server = createSignallingServer({
    servers: [http],
    sessions,
    streams,
    webrtcStreams,
    snapshots: { take: () => Promise.reject(new AppError('STREAM_NOT_FOUND', 'none')) },
    clock,
    logger: silentLogger,
    version: '5.2.0-test',
    ...signallingOptions,
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo;
  const clients: Client[] = [];

  return {
    clock,
    worker,
    publishers,
    names,
    streams,
    sessions,
    server,
    port,
    async open(path = '/', protocols: string[] = []): Promise<Client> {
      const client = new Client(new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols));
      clients.push(client);
      await client.opened;
      return client;
    },
    /** A client whose session is established. */
    async connect(): Promise<Client> {
      const client = await this.open();
      client.send('connection', { appKey: 'defaultApp', mediaProviders: ['WebRTC'] });
      await client.next('getVersion');
      return client;
    },
    async close(): Promise<void> {
      for (const client of clients) client.socket.terminate();
      await server.close('end of test');
      http.close();
    },
  };
}

/** A WebSocket client that keeps what it is told until a test asks for it. */
export class Client {
  readonly socket: WebSocket;
  readonly opened: Promise<unknown>;
  readonly closed: Promise<number>;
  readonly #messages: Message[] = [];
  #wake: () => void = () => {};

  constructor(socket: WebSocket) {
    this.socket = socket;
    this.opened = once(socket, 'open');
    this.closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => {});
    socket.on('message', (data, isBinary) => {
      if (isBinary) throw new Error('the server sent a binary frame');
      this.#messages.push(JSON.parse(String(data)) as Message);
      this.#wake();
    });
  }

  send(message: string, argument: unknown = null): void {
    this.socket.send(JSON.stringify({ message, data: [argument] }));
  }

  /** The next message of this name; what came before it is skipped. */
  async next(name: string): Promise<Message> {
    for (;;) {
      const message = await this.any();
      if (message.message === name) return message;
    }
  }

  /** The next message. */
  async any(): Promise<Message> {
    for (;;) {
      const message = this.#messages.shift();
      if (message) return message;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Everything up to now: asks for something whose answer comes last, and returns what came before. */
  async flush(): Promise<Message[]> {
    this.send('availableStream', { mediaSessionId: 'flush', name: 'flush' });
    const messages: Message[] = [];
    for (;;) {
      const message = await this.any();
      if (message.message === 'availableStream') return messages;
      messages.push(message);
    }
  }

  async status(): Promise<Record<string, unknown>> {
    const { data } = await this.next('notifyStreamStatusEvent');
    return data[0] as Record<string, unknown>;
  }
}
