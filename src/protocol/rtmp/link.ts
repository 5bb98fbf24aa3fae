import { ProtocolError } from '../../domain/errors.ts';
import { AcknowledgementCounter } from './acknowledgement.ts';
import { ChunkReader } from './chunk-reader.ts';
import type { ChunkReaderLimits } from './chunk-reader.ts';
import { ChunkWriter } from './chunk-writer.ts';
import { ClientHandshake, ServerHandshake } from './handshake.ts';
import { decodeMessage, encodeMessage, USER_CONTROL } from './messages.ts';
import type { OutgoingMessage } from './messages.ts';
import { MESSAGE_TYPE } from './raw-message.ts';
import type { RawMessage } from './raw-message.ts';

export interface RtmpLinkOptions {
  /** A server answers the handshake, a client begins it by `start`. */
  readonly role: 'server' | 'client';
  /** Cryptographic quality is not needed. */
  readonly randomBytes: (size: number) => Buffer;
  /** Towards the peer. Answers of the protocol itself (handshake, acknowledgements, pongs) come here too. */
  readonly send: (bytes: Buffer) => void;
  readonly limits?: ChunkReaderLimits | undefined;
}

/** Bytes of messages that wait, so many are reached only by a caller that goes on pushing without taking. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024;
/** What a waiting message costs beside its payload. */
const MESSAGE_OVERHEAD_BYTES = 128;

/**
 * One end of an RTMP connection, without a socket: handshake, chunks, and what the protocol answers by itself, which is
 * acknowledgements, pongs and Window Acknowledgement Size for Set Peer Bandwidth. The rest comes from `take`, one message at a
 * time, so that the caller can stop between two messages of one read: it pauses the socket and takes the next when it is ready.
 *
 * After an error the link is spent: close the connection.
 */
export class RtmpLink {
  readonly #send: (bytes: Buffer) => void;
  readonly #handshake: ServerHandshake | ClientHandshake;
  readonly #reader: ChunkReader;
  readonly #writer = new ChunkWriter();
  readonly #acknowledgements = new AcknowledgementCounter();
  #isHandshakeDone = false;
  #waiting: RawMessage[] = [];
  #nextIndex = 0;
  #waitingBytes = 0;
  #peerAcknowledgedBytes = 0;
  #peerAcknowledgementBytes = 0;
  #peerWindowBytes: number | undefined;

  constructor({ role, randomBytes, send, limits }: RtmpLinkOptions) {
    this.#send = send;
    this.#handshake = role === 'server' ? new ServerHandshake({ randomBytes }) : new ClientHandshake({ randomBytes });
    this.#reader = new ChunkReader(limits);
  }

  get isHandshakeDone(): boolean {
    return this.#isHandshakeDone;
  }

  /**
   * All that the peer has acknowledged, handshake and commands included, also past 2^32. 0 while it has not acknowledged
   * anything, as some never do; what it claims is not held against what was sent.
   */
  get peerAcknowledgedBytes(): number {
    return this.#peerAcknowledgedBytes;
  }

  /** How much its last acknowledgement was for; 0 until there is one. */
  get peerAcknowledgementBytes(): number {
    return this.#peerAcknowledgementBytes;
  }

  /** The window that the peer has announced by Window Acknowledgement Size; undefined until then. */
  get peerWindowBytes(): number | undefined {
    return this.#peerWindowBytes;
  }

  /** A client begins. */
  start(): void {
    if (this.#handshake instanceof ClientHandshake) this.#send(this.#handshake.hello);
  }

  /**
   * Bytes as they came. Messages that become whole wait for `take`. Returns how many messages came, whatever their kind.
   *
   * @throws {ProtocolError} of the handshake, the chunk layer and control messages, and RTMP_WAITING_MESSAGES
   */
  push(bytes: Buffer): number {
    if (this.#waitingBytes > MAX_WAITING_BYTES) {
      throw new ProtocolError('RTMP_WAITING_MESSAGES', 'too many messages came while none was taken');
    }
    const acknowledge = this.#acknowledgements.received(bytes.length);
    let chunks = bytes;
    if (!this.#isHandshakeDone) {
      const step = this.#handshake.push(bytes);
      if (step.reply) this.#send(step.reply);
      if (!step.isDone) return 0;
      this.#isHandshakeDone = true;
      chunks = step.rest;
    }
    if (acknowledge !== undefined) this.send({ kind: 'acknowledgement', receivedBytes: acknowledge });
    let count = 0;
    for (const message of this.#reader.push(chunks)) {
      this.#receive(message);
      count += 1;
    }
    return count;
  }

  /**
   * The next audio, video, data, aggregate, command or user control message (pings excepted), or undefined when none is
   * whole. Its payload may share memory with the bytes pushed: copy before keeping.
   */
  take(): RawMessage | undefined {
    const message = this.#waiting[this.#nextIndex];
    if (!message) return undefined;
    this.#nextIndex++;
    this.#waitingBytes -= message.payload.length + MESSAGE_OVERHEAD_BYTES;
    if (this.#nextIndex === this.#waiting.length) {
      this.#waiting = [];
      this.#nextIndex = 0;
    }
    return message;
  }

  /** A Set Chunk Size holds for everything sent or encoded after it. */
  send(message: OutgoingMessage): void {
    if (message.kind === 'setChunkSize') this.#send(this.#writer.setChunkSize(message.chunkSize));
    else this.#send(this.encode(encodeMessage(message)));
  }

  /** A message as chunks of this connection, for a caller that writes them itself. `streamId` overrides the message's own. */
  encode(message: RawMessage, streamId?: number): Buffer {
    return this.#writer.encode(message, streamId);
  }

  #receive(raw: RawMessage): void {
    switch (raw.typeId) {
      case MESSAGE_TYPE.audio:
      case MESSAGE_TYPE.video:
      case MESSAGE_TYPE.aggregate:
      case MESSAGE_TYPE.dataAmf0:
      case MESSAGE_TYPE.dataAmf3:
      case MESSAGE_TYPE.commandAmf0:
      case MESSAGE_TYPE.commandAmf3:
        return this.#keep(raw);
      default:
        return this.#control(raw);
    }
  }

  /** Set Chunk Size and Abort are the reader's, shared objects and unassigned types nobody's. */
  #control(raw: RawMessage): void {
    const message = decodeMessage(raw);
    switch (message.kind) {
      case 'acknowledgement':
        return this.#acknowledged(message.receivedBytes);
      case 'windowAckSize':
        this.#peerWindowBytes = message.windowBytes;
        return this.#acknowledgements.setWindow(message.windowBytes);
      case 'peerBandwidth':
        return this.send({ kind: 'windowAckSize', windowBytes: message.windowBytes });
      case 'userControl':
        if (message.event !== USER_CONTROL.pingRequest) return this.#keep(raw);
        return this.send({ kind: 'userControl', event: USER_CONTROL.pingResponse, value: message.value });
      default:
    }
  }

  /** The sequence number is the total modulo 2^32 (RTMP 1.0 §5.4.3); one from before the last is passed over. */
  #acknowledged(sequenceNumber: number): void {
    const newBytes = (sequenceNumber - this.#peerAcknowledgedBytes) >>> 0;
    if (newBytes >= 0x80000000) return;
    this.#peerAcknowledgementBytes = newBytes;
    this.#peerAcknowledgedBytes += newBytes;
  }

  #keep(message: RawMessage): void {
    this.#waiting.push(message);
    this.#waitingBytes += message.payload.length + MESSAGE_OVERHEAD_BYTES;
  }
}
