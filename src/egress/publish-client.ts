import { AcknowledgementCounter } from '../protocol/rtmp/acknowledgement.ts';
import { amfObject, amfString } from '../protocol/amf0/values.ts';
import type { AmfValue } from '../protocol/amf0/values.ts';
import { ChunkReader } from '../protocol/rtmp/chunk-reader.ts';
import { ChunkWriter } from '../protocol/rtmp/chunk-writer.ts';
import { ClientHandshake } from '../protocol/rtmp/handshake.ts';
import { decodeMessage, encodeMessage, USER_CONTROL } from '../protocol/rtmp/messages.ts';
import type { CommandMessage, OutgoingMessage } from '../protocol/rtmp/messages.ts';
import { MESSAGE_TYPE } from '../protocol/rtmp/raw-message.ts';
import type { RawMessage } from '../protocol/rtmp/raw-message.ts';
import type { RtmpTarget } from './gate.ts';

export interface DestinationStatus {
  readonly level: string;
  readonly code: string;
  readonly description: string;
}

export interface PublishClientHandlers {
  send(bytes: Buffer): void;
  publishing(): void;
  status(status: DestinationStatus): void;
  /** `_error` to one of the commands that matter, or a status of level error. */
  refused(command: 'connect' | 'createStream' | 'publish', status: DestinationStatus): void;
  /** The destination ended the stream of its own accord, while its socket may stay open. */
  finished(word: string): void;
}

export interface PublishClientOptions {
  readonly target: RtmpTarget;
  readonly flashVersion: string;
  /** Arguments of a challenge authentication, to be added to the app and tcUrl. */
  readonly authQuery: string | undefined;
  readonly randomBytes: (size: number) => Buffer;
}

const OUT_CHUNK_SIZE = 65_536;
const TRANSACTION = { connect: 1, releaseStream: 2, fcPublish: 3, createStream: 4, publish: 5 } as const;
/** Codes by which a server says, at any level, that the stream is over. */
const FINISHED_CODES = new Set([
  'NetStream.Unpublish.Success',
  'NetConnection.Connect.Closed',
  'NetConnection.Connect.AppShutdown',
]);

/**
 * One RTMP connection that publishes one stream, seen from the encoder: bytes in by `push`, bytes out by `handlers.send`,
 * no socket. The order of commands is that of the product's own capture: connect, releaseStream, FCPublish and createStream,
 * publish.
 */
export class PublishClient {
  readonly #options: PublishClientOptions;
  readonly #handlers: PublishClientHandlers;
  readonly #handshake: ClientHandshake;
  readonly #reader = new ChunkReader();
  readonly #writer = new ChunkWriter();
  readonly #acknowledgements = new AcknowledgementCounter();
  #isHandshakeDone = false;
  #isPublishing = false;
  #streamId: number | undefined;
  #acknowledgedBytes = 0;

  constructor(options: PublishClientOptions, handlers: PublishClientHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#handshake = new ClientHandshake(options);
  }

  get isHandshakeDone(): boolean {
    return this.#isHandshakeDone;
  }

  /** The last Acknowledgement that came, modulo 2^32; it counts the handshake and the commands too. */
  get acknowledgedBytes(): number {
    return this.#acknowledgedBytes;
  }

  start(): void {
    this.#handlers.send(this.#handshake.hello);
  }

  /** @throws {ProtocolError} from the handshake, the chunk layer or a message */
  push(bytes: Buffer): void {
    const acknowledge = this.#acknowledgements.received(bytes.length);
    let chunks = bytes;
    if (!this.#isHandshakeDone) {
      const step = this.#handshake.push(bytes);
      if (step.reply) this.#handlers.send(step.reply);
      if (!step.isDone) return;
      this.#isHandshakeDone = true;
      this.#connect();
      chunks = step.rest;
    }
    if (acknowledge !== undefined) this.#send({ kind: 'acknowledgement', receivedBytes: acknowledge });
    for (const message of this.#reader.push(chunks)) this.#receive(message);
  }

  /** A message of the encoder as chunks for this connection; only the stream id and the chunking change. */
  forward(message: RawMessage): Buffer {
    return this.#writer.encode(message, this.#streamId);
  }

  /** What ends an open stream in good order; undefined where none is open. */
  goodbye(): Buffer | undefined {
    if (this.#streamId === undefined) return undefined;
    return Buffer.concat([
      this.#encode(command('FCUnpublish', 6, [null, this.#options.target.playPath])),
      this.#encode(command('deleteStream', 7, [null, this.#streamId])),
    ]);
  }

  #connect(): void {
    const { target, flashVersion, authQuery } = this.#options;
    const withAuth = (text: string): string =>
      authQuery === undefined ? text : `${text}${text.includes('?') ? '&' : '?'}${authQuery}`;
    const properties = amfObject({
      app: withAuth(target.app),
      type: 'nonprivate',
      flashVer: flashVersion,
      tcUrl: withAuth(target.tcUrl),
      fpad: false,
    });
    this.#send(command('connect', TRANSACTION.connect, [properties]));
  }

  #receive(raw: RawMessage): void {
    if (raw.typeId === MESSAGE_TYPE.audio || raw.typeId === MESSAGE_TYPE.video) return;
    const message = decodeMessage(raw);
    switch (message.kind) {
      case 'acknowledgement':
        this.#acknowledgedBytes = message.receivedBytes;
        return;
      case 'windowAckSize':
        return this.#acknowledgements.setWindow(message.windowBytes);
      case 'peerBandwidth':
        return this.#send({ kind: 'windowAckSize', windowBytes: message.windowBytes });
      case 'userControl':
        if (message.event !== USER_CONTROL.pingRequest) return;
        return this.#send({ kind: 'userControl', event: USER_CONTROL.pingResponse, value: message.value });
      case 'command':
        return this.#answer(message);
      default:
    }
  }

  #answer({ name, transactionId, args }: CommandMessage): void {
    switch (name) {
      case '_result':
        return this.#accepted(transactionId, args);
      case '_error':
        return this.#refused(transactionId, statusOf(args[1] ?? args[0]));
      case 'onStatus':
        return this.#status(statusOf(args[1] ?? args[0]));
      case 'close':
        return this.#handlers.finished('close');
      default:
    }
  }

  #accepted(transactionId: number, args: readonly AmfValue[]): void {
    const { playPath } = this.#options.target;
    if (transactionId === TRANSACTION.connect) {
      this.#handlers.send(this.#writer.setChunkSize(OUT_CHUNK_SIZE));
      this.#send(command('releaseStream', TRANSACTION.releaseStream, [null, playPath]));
      this.#send(command('FCPublish', TRANSACTION.fcPublish, [null, playPath]));
      this.#send(command('createStream', TRANSACTION.createStream, [null]));
    } else if (transactionId === TRANSACTION.createStream && this.#streamId === undefined) {
      this.#streamId = typeof args[1] === 'number' ? args[1] >>> 0 : 1;
      this.#send(command('publish', TRANSACTION.publish, [null, playPath, 'live'], this.#streamId));
    } else if (transactionId === TRANSACTION.publish) {
      this.#started();
    }
  }

  /** An `_error` to releaseStream or FCPublish means nothing: there was nothing to release. */
  #refused(transactionId: number, status: DestinationStatus): void {
    if (transactionId === TRANSACTION.connect) this.#handlers.refused('connect', status);
    else if (transactionId === TRANSACTION.createStream) this.#handlers.refused('createStream', status);
    else if (transactionId === TRANSACTION.publish) this.#handlers.refused('publish', status);
    else this.#handlers.status(status);
  }

  #status(status: DestinationStatus): void {
    if (status.code === 'NetStream.Publish.Start') return this.#started();
    if (status.level === 'error')
      return this.#handlers.refused(this.#streamId === undefined ? 'connect' : 'publish', status);
    if (FINISHED_CODES.has(status.code)) return this.#handlers.finished(status.code);
    this.#handlers.status(status);
  }

  #started(): void {
    if (this.#isPublishing || this.#streamId === undefined) return;
    this.#isPublishing = true;
    this.#handlers.publishing();
  }

  #send(message: OutgoingMessage): void {
    this.#handlers.send(this.#encode(message));
  }

  #encode(message: OutgoingMessage): Buffer {
    return this.#writer.encode(encodeMessage(message));
  }
}

function command(name: string, transactionId: number, args: readonly AmfValue[], streamId = 0): CommandMessage {
  return { kind: 'command', name, transactionId, args, streamId };
}

function statusOf(value: AmfValue): DestinationStatus {
  return {
    level: amfString(value, 'level') ?? 'error',
    code: amfString(value, 'code') ?? 'unknown',
    description: amfString(value, 'description') ?? '',
  };
}
