import { amfObject, amfString } from '../protocol/amf0/values.ts';
import type { AmfValue } from '../protocol/amf0/values.ts';
import { RtmpLink } from '../protocol/rtmp/link.ts';
import { OUT_CHUNK_SIZE } from '../protocol/rtmp/media.ts';
import { decodeMessage, encodeMessage } from '../protocol/rtmp/messages.ts';
import type { CommandMessage } from '../protocol/rtmp/messages.ts';
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
  readonly #link: RtmpLink;
  #isPublishing = false;
  #streamId: number | undefined;

  constructor(options: PublishClientOptions, handlers: PublishClientHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    const { randomBytes } = options;
    this.#link = new RtmpLink({ role: 'client', randomBytes, send: (bytes) => handlers.send(bytes) });
  }

  get isHandshakeDone(): boolean {
    return this.#link.isHandshakeDone;
  }

  /** What the destination has acknowledged; it counts the handshake and the commands too. */
  get acknowledgedBytes(): number {
    return this.#link.peerAcknowledgedBytes;
  }

  start(): void {
    this.#link.start();
  }

  /** @throws {ProtocolError} from the handshake, the chunk layer or a message */
  push(bytes: Buffer): void {
    const wasHandshakeDone = this.#link.isHandshakeDone;
    this.#link.push(bytes);
    if (!wasHandshakeDone && this.#link.isHandshakeDone) this.#connect();
    for (let message = this.#link.take(); message; message = this.#link.take()) this.#receive(message);
  }

  /** A message of the encoder as chunks for this connection; only the stream id and the chunking change. */
  forward(message: RawMessage): Buffer {
    return this.#link.encode(message, this.#streamId);
  }

  /** What ends an open stream in good order; undefined where none is open. */
  goodbye(): Buffer | undefined {
    if (this.#streamId === undefined) return undefined;
    return Buffer.concat([
      this.#link.encode(encodeMessage(command('FCUnpublish', 6, [null, this.#options.target.playPath]))),
      this.#link.encode(encodeMessage(command('deleteStream', 7, [null, this.#streamId]))),
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
    this.#link.send(command('connect', TRANSACTION.connect, [properties]));
  }

  #receive(raw: RawMessage): void {
    if (raw.typeId === MESSAGE_TYPE.audio || raw.typeId === MESSAGE_TYPE.video) return;
    const message = decodeMessage(raw);
    if (message.kind === 'command') this.#answer(message);
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
      this.#link.send({ kind: 'setChunkSize', chunkSize: OUT_CHUNK_SIZE });
      this.#link.send(command('releaseStream', TRANSACTION.releaseStream, [null, playPath]));
      this.#link.send(command('FCPublish', TRANSACTION.fcPublish, [null, playPath]));
      this.#link.send(command('createStream', TRANSACTION.createStream, [null]));
    } else if (transactionId === TRANSACTION.createStream && this.#streamId === undefined) {
      this.#streamId = typeof args[1] === 'number' ? args[1] >>> 0 : 1;
      this.#link.send(command('publish', TRANSACTION.publish, [null, playPath, 'live'], this.#streamId));
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
    if (FINISHED_CODES.has(status.code)) return this.#handlers.finished(status.code);
    if (status.level === 'error')
      return this.#handlers.refused(this.#streamId === undefined ? 'connect' : 'publish', status);
    this.#handlers.status(status);
  }

  #started(): void {
    if (this.#isPublishing || this.#streamId === undefined) return;
    this.#isPublishing = true;
    this.#handlers.publishing();
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
