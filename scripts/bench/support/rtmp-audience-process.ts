/**
 * RTMP viewers in a process of their own, so that their work is not counted: each completes the dialogue of a player, then only
 * counts what comes and acknowledges it. Steered over the channel of `fork`, see `rtmp-audience.ts`.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { RtmpLink } from '../../../src/protocol/rtmp/link.ts';
import { decodeMessage } from '../../../src/protocol/rtmp/messages.ts';
import { MESSAGE_TYPE, type RawMessage } from '../../../src/protocol/rtmp/raw-message.ts';
import type { AudienceAnswer, AudienceOrder, PlayedStream } from './rtmp-audience.ts';

const READ_BUFFER_BYTES = 256 * 1024;
const ACKNOWLEDGE_BYTES = 250_000;
/** One buffer for all: what is read is counted, or taken apart at once. */
const readBuffer = Buffer.allocUnsafe(READ_BUFFER_BYTES);

class Viewer {
  readonly socket: Socket;
  receivedBytes = 0;
  readonly #stream: PlayedStream;
  readonly #link: RtmpLink;
  readonly #onPlaying: () => void;
  readonly #startMs = performance.now();
  #acknowledgedBytes = 0;
  #isPlaying = false;
  #isConnecting = false;
  #hasConnected = false;
  #onPicture: ((afterMs: number) => void) | undefined;

  constructor(stream: PlayedStream, onPlaying: () => void) {
    this.#stream = stream;
    this.#onPlaying = onPlaying;
    this.socket = connect({
      port: stream.port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (length, buffer) => {
          this.#read(Buffer.from(buffer.buffer, buffer.byteOffset, length));
          return true;
        },
      },
    });
    this.socket.on('error', () => {});
    this.#link = new RtmpLink({ role: 'client', randomBytes, send: (bytes) => void this.socket.write(bytes) });
    this.#link.start();
  }

  /** Milliseconds from the beginning to the first keyframe; such a viewer takes everything apart. */
  firstPicture(): Promise<number> {
    return new Promise((resolve) => (this.#onPicture = resolve));
  }

  #command(name: string, transactionId: number, ...args: Parameters<typeof toCommand>[2]): void {
    this.#link.send(toCommand(name, transactionId, args));
  }

  #read(bytes: Buffer): void {
    this.receivedBytes += bytes.length;
    if (this.#isPlaying && !this.#onPicture) {
      if (this.receivedBytes - this.#acknowledgedBytes < ACKNOWLEDGE_BYTES) return;
      this.#acknowledgedBytes = this.receivedBytes;
      this.#link.send({ kind: 'acknowledgement', receivedBytes: this.receivedBytes });
      return;
    }
    // The link may keep a part of it.
    this.#link.push(Buffer.from(bytes));
    if (this.#link.isHandshakeDone && !this.#isConnecting) {
      this.#isConnecting = true;
      const { port, app } = this.#stream;
      this.#command('connect', 1, { app, tcUrl: `rtmp://127.0.0.1:${port}/${app}` });
    }
    for (let message = this.#link.take(); message; message = this.#link.take()) this.#hear(message);
  }

  #hear(raw: RawMessage): void {
    if (raw.typeId === MESSAGE_TYPE.video && raw.payload[0]! >> 4 === 1 && raw.payload[1] === 1) {
      this.#onPicture?.(performance.now() - this.#startMs);
      return;
    }
    if (raw.typeId !== MESSAGE_TYPE.commandAmf0) return;
    const message = decodeMessage(raw);
    if (message.kind !== 'command') return;
    if (message.name === '_result' && !this.#hasConnected) {
      this.#hasConnected = true;
      this.#command('createStream', 2, null);
    } else if (message.name === '_result') {
      this.#link.send({ ...toCommand('play', 0, [null, this.#stream.name, -2000]), streamId: 1 });
    } else if (message.name === 'onStatus' && !this.#isPlaying) {
      this.#isPlaying = true;
      this.#onPlaying();
    }
  }
}

function toCommand(name: string, transactionId: number, args: ({ [key: string]: string } | null | string | number)[]) {
  return { kind: 'command', name, transactionId, args, streamId: 0 } as const;
}

let viewers: Viewer[] = [];

async function obey(order: AudienceOrder): Promise<AudienceAnswer> {
  if (order.do === 'leave') {
    for (const { socket } of viewers) socket.destroy();
    viewers = [];
  } else if (order.do === 'join') {
    for (let n = 0; n < order.viewers; n++) {
      await new Promise<void>((resolve) => void viewers.push(new Viewer(order, resolve)));
    }
  } else if (order.do === 'firstPicture') {
    const viewer = new Viewer(order, () => {});
    const firstPictureMs = await viewer.firstPicture();
    viewer.socket.destroy();
    return { firstPictureMs };
  }
  return { receivedBytes: viewers.map(({ receivedBytes }) => receivedBytes) };
}

process.on('message', (order: AudienceOrder) => {
  void obey(order).then((answer) => process.send!(answer));
});
process.on('disconnect', () => process.exit());
