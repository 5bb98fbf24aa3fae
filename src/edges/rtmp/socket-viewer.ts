import type { Socket } from 'node:net';
import type { RtmpViewer } from '../../outputs/rtmp-player/rtmp-playback.ts';

export interface SocketViewerOptions {
  readonly socket: Socket;
  /** What the client has acknowledged so far; 0 for a client that never does. */
  readonly acknowledgedBytes: () => number;
  /** The client lets answers wait, and asks on. */
  readonly onUnreadAnswers: () => void;
}

/**
 * What the server tells clients to acknowledge after. So much of what waits for a slow viewer cannot be told from what it has; every
 * acknowledgement is one more read.
 */
export const ACKNOWLEDGEMENT_WINDOW_BYTES = 125_000;
const MAX_UNREAD_ANSWER_BYTES = 256 * 1024;

/**
 * All that goes out to one client. The kernel hides up to 4 MB from `writableLength`, so the backlog is what was given and
 * not acknowledged; an acknowledgement may lag by its window. Clients that send none are judged by the socket alone
 * (reference/rtmp.md §6).
 */
export class SocketViewer implements RtmpViewer {
  readonly #options: SocketViewerOptions;
  #givenBytes = 0;
  #unreadAnswerBytes = 0;

  constructor(options: SocketViewerOptions) {
    this.#options = options;
  }

  get backlogBytes(): number {
    const heldBytes = this.#options.socket.writableLength;
    const acknowledgedBytes = this.#options.acknowledgedBytes();
    if (acknowledgedBytes === 0) return heldBytes;
    return Math.max(heldBytes, this.#givenBytes - acknowledgedBytes - ACKNOWLEDGEMENT_WINDOW_BYTES);
  }

  /** Moves with every byte that the kernel takes and with every acknowledgement; libuv may be told of room in its buffer late. */
  get takenBytes(): number {
    return this.#givenBytes - this.#options.socket.writableLength + this.#options.acknowledgedBytes();
  }

  write(bytes: Buffer): void {
    if (!this.#options.socket.writable) return;
    this.#givenBytes += bytes.length;
    this.#options.socket.write(bytes);
  }

  writeAll(buffers: readonly Buffer[]): void {
    const { socket } = this.#options;
    socket.cork();
    for (const bytes of buffers) this.write(bytes);
    socket.uncork();
  }

  /** Answers and notices, which nobody else bounds: who asks and does not read is reported. */
  answer(bytes: Buffer): void {
    const { socket, onUnreadAnswers } = this.#options;
    if (!socket.writable) return;
    this.#givenBytes += bytes.length;
    this.#unreadAnswerBytes += bytes.length;
    socket.write(bytes, () => void (this.#unreadAnswerBytes -= bytes.length));
    if (this.#unreadAnswerBytes > MAX_UNREAD_ANSWER_BYTES) onUnreadAnswers();
  }
}
