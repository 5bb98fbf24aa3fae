import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { CancelTimer, Clock } from '../domain/clock.ts';
import type { Logger } from '../domain/logger.ts';
import type { RunEnd } from '../domain/transponder.ts';
import { MESSAGE_TYPE } from '../protocol/rtmp/raw-message.ts';
import type { RawMessage } from '../protocol/rtmp/raw-message.ts';
import type { AddressPolicy } from './address-policy.ts';
import type { ChildLink } from './child-link.ts';
import { dialFirst, resolveAllowed } from './dial.ts';
import type { Connect, DialOptions, Resolve } from './dial.ts';
import { isAudioFrame, isVideoKeyframe, parseMetadata } from './flv-start.ts';
import type { GateCounters, GateOptions, GateSession } from './gate.ts';
import { MediaTime } from './media-time.ts';
import { PublishClient } from './publish-client.ts';
import type { DestinationStatus } from './publish-client.ts';
import { secretMasker } from './redact.ts';
import { nextAuthStep } from './rtmp-auth.ts';
import { classOfRefusal, endOfClose, endOfError } from './run-failure.ts';
import type { DestinationStage } from './run-failure.ts';
import type { SendQueues, WatchedQueue } from './send-queues.ts';

export interface PushSessionContext {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly resolve: Resolve;
  readonly connect: Connect;
  readonly tlsOptions: ConnectionOptions;
  readonly allowAddress: AddressPolicy;
  readonly randomBytes: (size: number) => Buffer;
  readonly sendQueues: SendQueues;
  /** The session is over and its sockets are gone. */
  readonly onGone: (session: PushSession) => void;
}

/** Answers (pongs, acknowledgements) that a destination leaves unread; one that asks on is only after our memory. */
const MAX_UNREAD_REPLY_BYTES = 256 * 1024;
/** Remarks of the destination that are passed on; a server in good order makes one or two. */
const MAX_STATUS_EVENTS = 32;
/** A bare demand, then a challenge (see `nextAuthStep`). */
const MAX_AUTH_STEPS = 2;
/** For the goodbye to be taken, and for a peer to close after us. */
const CLOSE_GRACE_MS = 300;

interface Destination {
  readonly socket: Socket;
  readonly client: PublishClient;
}

/** One child and its destination: dials when it is made, without waiting for the child, copies its messages, ends both together. */
export class PushSession implements GateSession {
  readonly childUrl: string;
  readonly childApp: string;
  readonly childPlayPath: string;
  readonly #options: GateOptions;
  readonly #context: PushSessionContext;
  readonly #mask: (text: string) => string;
  readonly #abort = new AbortController();
  #cancelTimeout: CancelTimer = () => {};
  #child: { readonly socket: Socket; readonly link: ChildLink } | undefined;
  #isChildFinished = false;
  #destination: Destination | undefined;
  #hasAnsweredChallenge = false;
  #authSteps = 0;
  #statusEvents = 0;
  #isPublishing = false;
  #isVideoExpected = false;
  #isMediaStarted = false;
  #mediaBytes = 0;
  readonly #mediaTime = new MediaTime();
  #queue: WatchedQueue | undefined;
  #frozen: GateCounters | undefined;
  #ending: Promise<void> | undefined;

  constructor(childUrl: string, options: GateOptions, context: PushSessionContext) {
    this.childUrl = childUrl;
    this.childApp = context.randomBytes(24).toString('hex');
    this.childPlayPath = context.randomBytes(8).toString('hex');
    this.#options = options;
    this.#context = context;
    this.#mask = secretMasker(options.target);
    const { connectTimeoutMs } = options;
    this.#cancelTimeout = context.clock.after(connectTimeoutMs, () =>
      this.#end({
        exitClass: 'dest_timeout',
        detail: `the destination did not accept the stream within ${connectTimeoutMs} ms`,
      }),
    );
    void this.#dial();
  }

  get logger(): Logger {
    return this.#options.logger ?? this.#context.logger;
  }

  /** The child has named this session's app; a second one is not taken. */
  attach(socket: Socket, link: ChildLink): boolean {
    if (this.#child || this.#ending) return false;
    this.#child = { socket, link };
    if (this.#isPublishing) link.startPublishing();
    return true;
  }

  /** Messages of one read of the child leave in one system call. */
  beginBatch(): void {
    this.#destination?.socket.cork();
  }

  endBatch(): void {
    this.#destination?.socket.uncork();
  }

  forward(message: RawMessage): void {
    const destination = this.#destination;
    if (!destination || !this.#isPublishing || this.#ending) return;
    if (!this.#shouldForward(message)) return;
    const bytes = destination.client.forward(message);
    destination.socket.write(bytes);
    this.#mediaBytes += bytes.length;
    this.#mediaTime.written(message.timestampMs, this.#mediaBytes);
    if (destination.socket.writableLength > this.#options.maxBacklogBytes) this.#child?.socket.pause();
  }

  childFinished(): void {
    this.#isChildFinished = true;
    void this.#end({ exitClass: 'source_gone', detail: 'the publishing process ended its stream' });
  }

  childClosed(error?: Error): void {
    if (this.#isChildFinished) return;
    const how = error ? `: ${error.message}` : '';
    void this.#end({ exitClass: 'crash', detail: `the publishing process left without ending its stream${how}` });
  }

  counters(): GateCounters {
    if (this.#frozen) return this.#frozen;
    const backlogBytes = this.#isPublishing ? (this.#destination?.socket.writableLength ?? 0) : 0;
    const bytesAccepted = this.#queue?.acceptedBytes ?? 0;
    return {
      bytesAccepted,
      acceptedMediaMs: this.#mediaTime.acceptedMs(bytesAccepted),
      backlogBytes,
      unacceptedBytes: this.#queue?.unacceptedBytes ?? 0,
      bytesAcknowledged: this.#destination?.client.acknowledgedBytes ?? 0,
      mediaStarted: this.#isMediaStarted,
    };
  }

  close(): Promise<void> {
    return this.#end({ exitClass: 'asked_stop', detail: 'closed on our side' });
  }

  async #dial(): Promise<void> {
    const options = this.#dialOptions();
    try {
      const addresses = await resolveAllowed(options);
      await this.#connect(addresses, options, undefined);
    } catch (error) {
      void this.#end(endOfError(error, 'connecting'));
    }
  }

  async #connect(addresses: readonly string[], options: DialOptions, authQuery: string | undefined): Promise<void> {
    const { socket, address } = await dialFirst(addresses, options);
    if (this.#ending) {
      socket.destroy();
      return;
    }
    const isCurrent = (): boolean => this.#destination?.socket === socket && !this.#ending;
    const fail = (end: RunEnd): void => {
      if (isCurrent()) void this.#end(end);
    };
    const reconnect = (query: string): void => {
      this.#destination = undefined;
      socket.destroy();
      this.#connect([address], options, query).catch(
        (error: unknown) => void this.#end(endOfError(error, 'connecting')),
      );
    };
    let unreadReplyBytes = 0;
    const reply = (bytes: Buffer): void => {
      if (!socket.writable) return;
      if (socket.writableLength === 0) unreadReplyBytes = 0;
      unreadReplyBytes += bytes.length;
      if (unreadReplyBytes <= MAX_UNREAD_REPLY_BYTES) socket.write(bytes);
      else fail({ exitClass: 'dest_reset', detail: 'the destination asks and does not read the answers' });
    };
    const client = new PublishClient(
      {
        target: this.#options.target,
        flashVersion: this.#options.flashVersion,
        authQuery,
        randomBytes: this.#context.randomBytes,
      },
      {
        send: reply,
        publishing: () => isCurrent() && this.#publishing(socket),
        status: (status) => isCurrent() && this.#status(status),
        refused: (command, status) => isCurrent() && this.#refused(command, status, reconnect),
        finished: (word) => fail({ exitClass: 'dest_reset', detail: `the destination ended the stream: ${word}` }),
      },
    );
    const stage = (): DestinationStage => {
      if (this.#isPublishing) return 'publishing';
      return client.isHandshakeDone ? 'commands' : 'handshake';
    };
    this.#destination = { socket, client };
    socket.on('error', (error) => fail(endOfError(error, stage())));
    socket.on('end', () => fail(endOfClose(stage(), 'end of stream')));
    socket.on('close', () => fail(endOfClose(stage(), 'closed')));
    socket.on('drain', () => this.#child?.socket.resume());
    socket.on('data', (bytes) => {
      if (!isCurrent()) return;
      try {
        client.push(bytes);
      } catch (error) {
        fail(endOfError(error, stage()));
      }
    });
    if (socket.destroyed) fail(endOfClose('handshake', 'closed'));
    else client.start();
  }

  #dialOptions(): DialOptions {
    const { target, localAddress, connectTimeoutMs, onEvent, caller = 'other' } = this.#options;
    const { resolve, connect, tlsOptions, allowAddress, clock } = this.#context;
    return {
      host: target.host,
      port: target.port,
      tls: target.tls,
      localAddress,
      timeoutMs: connectTimeoutMs,
      resolve,
      connect,
      tlsOptions,
      allowAddress: (address) => allowAddress(address, caller),
      clock,
      signal: this.#abort.signal,
      onDialling: (address) => onEvent({ type: 'dialling', address }),
    };
  }

  #publishing(socket: Socket): void {
    this.#isPublishing = true;
    this.#cancelTimeout();
    this.#queue = this.#context.sendQueues.watch(socket, () => Math.max(0, this.#mediaBytes - socket.writableLength));
    this.#options.onEvent({ type: 'publishing' });
    this.#child?.link.startPublishing();
  }

  #status({ level, code, description }: DestinationStatus): void {
    if (++this.#statusEvents > MAX_STATUS_EVENTS) return;
    const mask = this.#mask;
    this.#options.onEvent({ type: 'status', level: mask(level), code: mask(code), description: mask(description) });
  }

  #refused(command: string, { code, description }: DestinationStatus, reconnect: (query: string) => void): void {
    if (command === 'connect') {
      const { app, credentials } = this.#options.target;
      const nonce = this.#context.randomBytes(4).toString('hex');
      const step = nextAuthStep(description, app, credentials, this.#hasAnsweredChallenge, nonce);
      if (step?.type === 'retry' && ++this.#authSteps > MAX_AUTH_STEPS) {
        return void this.#end({ exitClass: 'dest_auth', detail: 'the destination demands authentication without end' });
      }
      if (step?.type === 'retry') {
        this.#hasAnsweredChallenge = step.query.includes('response=');
        return reconnect(step.query);
      }
      if (step) return void this.#end({ exitClass: 'dest_auth', detail: step.reason });
    }
    const words = description === '' ? code : `${code}: ${description}`;
    void this.#end({ exitClass: classOfRefusal(code, description), detail: this.#mask(words) });
  }

  #shouldForward(message: RawMessage): boolean {
    switch (message.typeId) {
      case MESSAGE_TYPE.video:
        this.#isVideoExpected = true;
        if (!this.#isMediaStarted) this.#isMediaStarted = isVideoKeyframe(message.payload);
        return true;
      case MESSAGE_TYPE.audio:
        if (!this.#isMediaStarted && !this.#isVideoExpected) this.#isMediaStarted = isAudioFrame(message.payload);
        return true;
      case MESSAGE_TYPE.dataAmf0:
      case MESSAGE_TYPE.dataAmf3: {
        const metadata = parseMetadata(message);
        if (metadata?.declaresVideo) this.#isVideoExpected = true;
        return metadata === undefined || this.#options.sendMetadata === true;
      }
      default:
        return true;
    }
  }

  #end(end: RunEnd): Promise<void> {
    this.#ending ??= this.#finish(end);
    return this.#ending;
  }

  async #finish(end: RunEnd): Promise<void> {
    this.#cancelTimeout();
    this.#abort.abort();
    const { clock } = this.#context;
    const isOurs = end.exitClass === 'asked_stop' || end.exitClass === 'source_gone' || end.exitClass === 'crash';
    const sockets: Promise<void>[] = [];
    const { socket, client } = this.#destination ?? {};
    if (socket && client) {
      const goodbye = isOurs ? client.goodbye() : undefined;
      if (goodbye && socket.writable) socket.write(goodbye);
      sockets.push(closeSocket(socket, isOurs ? CLOSE_GRACE_MS : 0, clock));
    }
    if (this.#child) {
      if (!isOurs) this.#child.link.refuse(end.detail);
      sockets.push(closeSocket(this.#child.socket, CLOSE_GRACE_MS, clock));
    }
    await Promise.all(sockets);
    this.#queue?.close();
    this.#frozen = { ...this.counters(), backlogBytes: 0, unacceptedBytes: 0 };
    this.#context.onGone(this);
    this.logger.info({ destination: this.#options.target.redacted, ...end }, 'RTMP push ended');
    this.#options.onEvent({ type: 'ended', end });
  }
}

/** Ends the socket, lets it flush and the peer close for `graceMs`, then destroys it; resolves when it is gone. */
function closeSocket(socket: Socket, graceMs: number, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) return resolve();
    if (graceMs === 0) {
      socket.once('close', () => resolve());
      socket.destroy();
      return;
    }
    const cancel = clock.after(graceMs, () => socket.destroy());
    socket.once('close', () => {
      cancel();
      resolve();
    });
    // What still comes is read and dropped, or the end of the peer's side would never be seen.
    socket.resume();
    socket.end();
  });
}
