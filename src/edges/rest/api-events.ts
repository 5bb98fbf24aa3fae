import type { ServerResponse } from 'node:http';
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import type { CancelTimer, Clock } from '../../domain/clock.ts';
import { AppError } from '../../domain/errors.ts';
import type { Logger } from '../../domain/logger.ts';
import type { TransponderService } from '../../services/transponders.ts';
import { EventHeaders, EventStreamAnswer } from './api-schemas.ts';

const MAX_CLIENTS = 100;
/** Read from the store at once; with what the socket holds this is all that waits for a slow client. */
const PAGE_EVENTS = 100;
const HEARTBEAT_MS = 15_000;
/** A client that has taken nothing for so many heartbeats is gone. */
const MAX_MISSED_HEARTBEATS = 4;
/** For clients: when to come back after the connection has broken. */
const RECONNECT_MS = 2000;

export interface EventFeedOptions {
  readonly transponders: TransponderService;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * `GET /api/events`: every transition as a server-sent event (WHATWG HTML §9.2). The event table is the only queue: a
 * client has a position in it and reads on when something happens and its socket takes more, so a slow one costs nothing,
 * and one that comes back says where it was (`Last-Event-ID`).
 */
export const eventRoutes: FastifyPluginCallbackTypebox<EventFeedOptions> = (app, options, done) => {
  const { transponders, clock } = options;
  const clients = new Set<EventClient>();
  let isWoken = false;
  let cancelHeartbeat: CancelTimer | undefined;

  const unsubscribe = transponders.onEvent(() => {
    // Once for a burst of transitions.
    if (isWoken || clients.size === 0) return;
    isWoken = true;
    setImmediate(() => {
      isWoken = false;
      for (const client of clients) client.pump();
    });
  });
  const leave = (client: EventClient): void => {
    clients.delete(client);
    if (clients.size > 0) return;
    cancelHeartbeat?.();
    cancelHeartbeat = undefined;
  };
  app.addHook('preClose', async () => {
    unsubscribe();
    for (const client of clients) client.end();
  });

  app.get(
    '/events',
    {
      exposeHeadRoute: false,
      schema: {
        summary: 'Every transition of every transponder, as it happens (server-sent events).',
        headers: EventHeaders,
        response: EventStreamAnswer,
      },
    },
    (request, reply) => {
      if (clients.size >= MAX_CLIENTS) throw new AppError('OVERLOADED', `there are ${MAX_CLIENTS} event feeds already`);
      const newest = transponders.lastEventSeq();
      const position = Math.min(request.headers['last-event-id'] ?? newest, newest);
      reply.hijack();
      const client = new EventClient(reply.raw, position, options);
      clients.add(client);
      reply.raw.once('close', () => leave(client));
      cancelHeartbeat ??= clock.every(HEARTBEAT_MS, () => {
        for (const each of clients) each.beat();
      });
    },
  );

  done();
};

class EventClient {
  readonly #response: ServerResponse;
  readonly #options: EventFeedOptions;
  /** The number of the last event that was given to the socket. */
  #position: number;
  #isBlocked = false;
  #missedHeartbeats = 0;

  constructor(response: ServerResponse, position: number, options: EventFeedOptions) {
    this.#response = response;
    this.#position = position;
    this.#options = options;
    response.on('error', () => response.destroy());
    response.on('drain', () => {
      this.#isBlocked = false;
      this.#missedHeartbeats = 0;
      this.pump();
    });
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Proxies must not collect what is to arrive at once.
      'x-accel-buffering': 'no',
    });
    this.#write(`retry: ${RECONNECT_MS}\n\n`);
    this.pump();
  }

  pump(): void {
    try {
      while (!this.#isBlocked && !this.#response.destroyed) {
        const events = this.#options.transponders.eventsAfter(this.#position, PAGE_EVENTS);
        const last = events.at(-1);
        if (!last) return;
        this.#position = last.seq;
        this.#write(events.map((event) => `id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`).join(''));
      }
    } catch (error) {
      this.#options.logger.error({ err: error }, 'an event feed cannot be read from the store');
      this.#response.destroy();
    }
  }

  /** Also looks for events that could not be stored when they happened. */
  beat(): void {
    if (!this.#isBlocked) {
      this.#write(': still here\n\n');
      return this.pump();
    }
    this.#missedHeartbeats++;
    if (this.#missedHeartbeats >= MAX_MISSED_HEARTBEATS) this.#response.destroy();
    return undefined;
  }

  end(): void {
    this.#response.end();
  }

  #write(text: string): void {
    this.#isBlocked = !this.#response.write(text);
  }
}
