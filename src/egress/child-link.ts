import { ProtocolError } from '../domain/errors.ts';
import { amfObject, amfString } from '../protocol/amf0/values.ts';
import type { AmfValue } from '../protocol/amf0/values.ts';
import { RtmpLink } from '../protocol/rtmp/link.ts';
import { MEDIA_STREAM_ID, OUT_CHUNK_SIZE } from '../protocol/rtmp/media.ts';
import { decodeMessage, USER_CONTROL } from '../protocol/rtmp/messages.ts';
import type { CommandMessage } from '../protocol/rtmp/messages.ts';
import { MESSAGE_TYPE } from '../protocol/rtmp/raw-message.ts';
import type { RawMessage } from '../protocol/rtmp/raw-message.ts';

export interface ChildHandlers {
  send(bytes: Buffer): void;
  /** False refuses the connection. */
  connect(app: string): boolean;
  /** False refuses the name. */
  publish(playPath: string): boolean;
  /** Audio, video, data and aggregates as they came; the payload is good until the call returns. */
  media(message: RawMessage): void;
  /** The child ended its stream in good order. */
  finished(): void;
}

const WINDOW_BYTES = 2_500_000;

/**
 * The gate's side of the connection with ffmpeg: a server that knows one publisher, without a socket. Everything is answered at
 * once except `publish`, which waits for `startPublishing`, so that ffmpeg starts when the destination has accepted.
 */
export class ChildLink {
  readonly #handlers: ChildHandlers;
  readonly #link: RtmpLink;
  #isConnected = false;
  #isPublishWanted = false;
  #mayPublish = false;

  constructor(randomBytes: (size: number) => Buffer, handlers: ChildHandlers) {
    this.#handlers = handlers;
    this.#link = new RtmpLink({ role: 'server', randomBytes, send: (bytes) => handlers.send(bytes) });
  }

  /** @throws {ProtocolError} from the protocol layers, and RTMP_REFUSED for a connection or name that is not admitted */
  push(bytes: Buffer): void {
    this.#link.push(bytes);
    for (let message = this.#link.take(); message; message = this.#link.take()) this.#receive(message);
  }

  /** The destination has accepted: ffmpeg may begin, now or as soon as it asks. */
  startPublishing(): void {
    this.#mayPublish = true;
    if (!this.#isPublishWanted) return;
    this.#isPublishWanted = false;
    this.#link.send({ kind: 'userControl', event: USER_CONTROL.streamBegin, value: MEDIA_STREAM_ID });
    this.#status('status', 'NetStream.Publish.Start', 'the destination has accepted the stream');
  }

  /** Tells ffmpeg why it is about to be cut off. */
  refuse(sentence: string): void {
    if (this.#isConnected) this.#status('error', 'NetStream.Publish.Failed', sentence);
  }

  #receive(raw: RawMessage): void {
    switch (raw.typeId) {
      case MESSAGE_TYPE.audio:
      case MESSAGE_TYPE.video:
      case MESSAGE_TYPE.dataAmf0:
      case MESSAGE_TYPE.dataAmf3:
      case MESSAGE_TYPE.aggregate:
        return this.#handlers.media(raw);
      default:
    }
    const message = decodeMessage(raw);
    if (message.kind === 'command') this.#command(message);
  }

  #command({ name, transactionId, args }: CommandMessage): void {
    if (name === 'connect') return this.#connect(transactionId, args[0]);
    if (!this.#isConnected) throw new ProtocolError('RTMP_REFUSED', 'the first command is not connect');
    switch (name) {
      case 'releaseStream':
      case 'FCPublish':
        return this.#result(transactionId, [null, undefined]);
      case 'createStream':
        return this.#result(transactionId, [null, MEDIA_STREAM_ID]);
      case 'publish':
        return this.#publish(args[1]);
      case 'deleteStream':
      case 'closeStream':
        return this.#handlers.finished();
      default:
    }
  }

  #connect(transactionId: number, properties: AmfValue): void {
    const app = amfString(properties, 'app');
    if (this.#isConnected || app === undefined || !this.#handlers.connect(app)) {
      throw new ProtocolError('RTMP_REFUSED', 'the connection is not admitted');
    }
    this.#isConnected = true;
    this.#link.send({ kind: 'windowAckSize', windowBytes: WINDOW_BYTES });
    this.#link.send({ kind: 'peerBandwidth', windowBytes: WINDOW_BYTES, limitType: 2 });
    this.#link.send({ kind: 'setChunkSize', chunkSize: OUT_CHUNK_SIZE });
    this.#result(transactionId, [
      amfObject({ fmsVer: 'FMS/3,0,1,123', capabilities: 31 }),
      amfObject({
        level: 'status',
        code: 'NetConnection.Connect.Success',
        description: 'connected',
        objectEncoding: 0,
      }),
    ]);
  }

  #publish(playPath: AmfValue): void {
    if (typeof playPath !== 'string' || !this.#handlers.publish(playPath)) {
      throw new ProtocolError('RTMP_REFUSED', 'the name is not admitted');
    }
    this.#isPublishWanted = true;
    if (this.#mayPublish) this.startPublishing();
  }

  #result(transactionId: number, args: readonly AmfValue[]): void {
    this.#link.send({ kind: 'command', name: '_result', transactionId, args, streamId: 0 });
  }

  #status(level: string, code: string, description: string): void {
    const args = [null, amfObject({ level, code, description })];
    this.#link.send({ kind: 'command', name: 'onStatus', transactionId: 0, args, streamId: MEDIA_STREAM_ID });
  }
}
