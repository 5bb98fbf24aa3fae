import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface HookRequest {
  /** The last part of the path. */
  readonly method: string;
  readonly path: string;
  readonly verb: string;
  readonly headers: IncomingHttpHeaders;
  readonly raw: Buffer;
  readonly body: Readonly<Record<string, unknown>>;
}

export type Answer = (response: ServerResponse, request: HookRequest) => void;

/** A real backend, which mirrors what it is asked unless a test says otherwise. It remembers all requests in order. */
export class HookBackend {
  readonly requests: HookRequest[] = [];
  answer: Answer = mirror;
  /** How many requests have been on their way at the same time, at most. */
  mostAtOnce = 0;
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #atOnce = 0;

  private constructor() {
    this.#server = createServer((incoming, response) => {
      this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#atOnce);
      response.on('close', () => (this.#atOnce -= 1));
      const chunks: Buffer[] = [];
      incoming.on('error', () => {});
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const raw = Buffer.concat(chunks);
        const path = incoming.url ?? '';
        const method = path.slice(path.lastIndexOf('/') + 1);
        const body = JSON.parse(raw.toString()) as Record<string, unknown>;
        const request = { method, path, verb: incoming.method ?? '', headers: incoming.headers, raw, body };
        this.requests.push(request);
        this.answer(response, request);
      });
    });
    this.#server.on('connection', (socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(): Promise<HookBackend> {
    const backend = new HookBackend();
    backend.#server.listen(0, '127.0.0.1');
    await once(backend.#server, 'listening');
    return backend;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/my-app`;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  /** `<method>[ <status>[: <info>]]` of every request so far. */
  get story(): string[] {
    return this.requests.map(({ method, body }) => storyOf(method, body));
  }

  /** The bodies of all requests of this method. */
  bodies(method: string): Readonly<Record<string, unknown>>[] {
    return this.requests.filter((request) => request.method === method).map(({ body }) => body);
  }

  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.dropConnections();
    await once(this.#server, 'close');
  }
}

function storyOf(method: string, { status, info }: Readonly<Record<string, unknown>>): string {
  if (!method.endsWith('Event') || typeof status !== 'string') return method;
  return typeof info === 'string' ? `${method} ${status}: ${info}` : `${method} ${status}`;
}

export function json(response: ServerResponse, value: unknown, httpStatus = 200): void {
  response.writeHead(httpStatus, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

export const mirror: Answer = (response, { body }) => json(response, body);

/** Says yes to everything, with these rules for the session. */
export function withConfig(restClientConfig: unknown): Answer {
  return (response, { method, body }) => json(response, method === 'connect' ? { ...body, restClientConfig } : body);
}

/** Answers of a backend that is broken or does not agree; none may be taken for consent. */
export const TROUBLES: Readonly<Record<string, Answer>> = {
  'refuses with 403': (response) => json(response, { reason: 'no' }, 403),
  'answers 500': (response) => json(response, {}, 500),
  'sends elsewhere': (response) => response.writeHead(302, { location: '/my-app/elsewhere' }).end(),
  'answers no JSON': (response) => response.writeHead(200).end('<html>It works!</html>'),
  'answers a list': (response) => json(response, []),
  'answers broken UTF-8': (response) => response.writeHead(200).end(Buffer.from([0x7b, 0xff, 0xfe, 0x7d])),
  'nests without end': (response) => response.writeHead(200).end('{"a":'.repeat(5000) + '1' + '}'.repeat(5000)),
  'answers 100 MB': (response) => {
    const chunk = Buffer.alloc(64 * 1024, ' ');
    let left = 1600;
    const write = (): void => {
      while (left > 0 && !response.destroyed) {
        left -= 1;
        if (!response.write(chunk)) return void response.once('drain', write);
      }
      response.end('{}');
    };
    response.on('error', () => {});
    write();
  },
  'closes the connection': (response) => response.socket?.destroy(),
  'ends in the middle': (response) => {
    response.writeHead(200, { 'content-length': 100 }).write('{"a"');
    response.socket?.end();
  },
  'speaks no HTTP': (response) => response.socket?.end('220 mail.example ESMTP\r\n'),
  'switches protocols': (response) =>
    response.socket?.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
};
