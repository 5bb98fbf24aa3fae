import { randomBytes as cryptoRandomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { Clock } from '../domain/clock.ts';
import type { Logger } from '../domain/logger.ts';
import type { AddressPolicy } from './address-policy.ts';
import { ChildLink } from './child-link.ts';
import type { Connect, Resolve } from './dial.ts';
import type { GateOptions, GateSession, RtmpPushGate } from './gate.ts';
import { PushSession } from './push-session.ts';
import type { PushSessionContext } from './push-session.ts';
import { createNameResolver } from './name-resolver.ts';
import { SendQueues } from './send-queues.ts';
import type { ReadTcpTables } from './send-queues.ts';

export interface RtmpPushGateOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Returns why the address must not be dialled, or undefined. */
  readonly allowAddress: AddressPolicy;
  readonly resolve?: Resolve | undefined;
  readonly connect?: Connect | undefined;
  /** For `rtmps`: a CA of the operator's, for example. Certificates are always verified. */
  readonly tlsOptions?: Pick<ConnectionOptions, 'ca' | 'minVersion'> | undefined;
  readonly randomBytes?: ((size: number) => Buffer) | undefined;
  readonly readTcpTables?: ReadTcpTables | undefined;
}

/** From accepting a child to its `connect`. */
const ADMISSION_TIMEOUT_MS = 10_000;
const MAX_CHILD_CONNECTIONS = 1024;
const LOOPBACK = '127.0.0.1';

/** Listens on a free loopback port; the caller closes the gate. */
export async function createRtmpPushGate(options: RtmpPushGateOptions): Promise<RtmpPushGate> {
  const gate = new LoopbackGate(options);
  await gate.listen();
  return gate;
}

class LoopbackGate implements RtmpPushGate {
  readonly #context: PushSessionContext;
  readonly #server: Server;
  readonly #sessions = new Map<string, PushSession>();
  readonly #children = new Set<Socket>();
  #port = 0;
  #closing: Promise<void> | undefined;

  constructor(options: RtmpPushGateOptions) {
    this.#context = {
      logger: options.logger,
      clock: options.clock,
      allowAddress: options.allowAddress,
      resolve: options.resolve ?? createNameResolver(),
      connect: options.connect ?? connectTcp,
      tlsOptions: options.tlsOptions ?? {},
      randomBytes: options.randomBytes ?? cryptoRandomBytes,
      sendQueues: new SendQueues(options.clock, options.readTcpTables),
      onGone: (session) => void this.#sessions.delete(session.childApp),
    };
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#server.maxConnections = MAX_CHILD_CONNECTIONS;
  }

  async listen(): Promise<void> {
    this.#server.listen(0, LOOPBACK);
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
    this.#server.on('error', (error) => this.#context.logger.error({ err: error }, 'the egress gate cannot accept'));
  }

  admit(options: GateOptions): GateSession {
    const session = new PushSession(`rtmp://${LOOPBACK}:${this.#port}/`, options, this.#context);
    this.#sessions.set(session.childApp, session);
    if (this.#closing) void session.close();
    return session;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const isClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all(Array.from(this.#sessions.values(), (session) => session.close()));
    for (const socket of this.#children) socket.destroy();
    await isClosed;
  }

  /** A child has nothing until it names a session's app; the token works once. */
  #accept(socket: Socket): void {
    const { clock, logger, randomBytes } = this.#context;
    let session: PushSession | undefined;
    let failure: Error | undefined;
    const cancelAdmission = clock.after(ADMISSION_TIMEOUT_MS, () => socket.destroy());
    const link: ChildLink = new ChildLink(randomBytes, {
      send: (bytes) => void (socket.writable && socket.write(bytes)),
      connect: (app) => {
        const named = this.#sessions.get(app);
        if (!named?.attach(socket, link)) return false;
        cancelAdmission();
        session = named;
        return true;
      },
      publish: (playPath) => playPath === session?.childPlayPath,
      media: (message) => session?.forward(message),
      finished: () => session?.childFinished(),
    });
    this.#children.add(socket);
    socket.on('error', (error) => (failure = error));
    socket.on('end', () => session?.childClosed());
    socket.on('close', () => {
      cancelAdmission();
      this.#children.delete(socket);
      session?.childClosed(failure);
    });
    socket.on('data', (bytes) => {
      const current = session;
      current?.beginBatch();
      try {
        link.push(bytes);
      } catch (error) {
        (session?.logger ?? logger).warn({ err: error }, 'a connection to the egress gate was cut');
        failure = error instanceof Error ? error : undefined;
        socket.destroy();
      } finally {
        current?.endBatch();
      }
    });
  }
}
