import type { Socket } from 'node:net';
import type { RtmpViewer } from '../../outputs/rtmp-player/rtmp-playback.ts';

export interface SocketViewerOptions {
  readonly socket: Socket;
  /** What the client has acknowledged so far; 0 for a client that never does. */
  readonly acknowledgedBytes: () => number;
  /** How much its last acknowledgement was for. */
  readonly acknowledgementBytes: () => number;
  /** Tells the client what to acknowledge after. */
  readonly announceWindow: (windowBytes: number) => void;
  /** The client lets answers wait, and asks on. */
  readonly onUnreadAnswers: () => void;
}

/**
 * What the server tells clients to acknowledge after, at first and where much is sent. So much of what waits for a slow viewer cannot
 * be told from what it has; every acknowledgement is one more read.
 */
export const ACKNOWLEDGEMENT_WINDOW_BYTES = 125_000;
/** So much of a stream, where less is sent: a wait of seconds would hide in the usual window. */
const WINDOW_SECONDS = 0.5;
const MIN_WINDOW_BYTES = 8_000;
/** Rates change all the time, and a client need not be told of every change. */
const WINDOW_TOLERANCE = 1 / 4;
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
  #windowBytes = ACKNOWLEDGEMENT_WINDOW_BYTES;

  constructor(options: SocketViewerOptions) {
    this.#options = options;
  }

  get backlogBytes(): number {
    const heldBytes = this.#options.socket.writableLength;
    return this.#options.acknowledgedBytes() === 0 ? heldBytes : Math.max(heldBytes, this.unacknowledgedBytes);
  }

  get unacknowledgedBytes(): number {
    const { acknowledgedBytes, acknowledgementBytes } = this.#options;
    // A client need not do as it was told.
    const windowBytes = Math.max(this.#windowBytes, acknowledgementBytes());
    return Math.max(0, this.#givenBytes - acknowledgedBytes() - windowBytes);
  }

  /** Moves with every byte that the kernel takes and with every acknowledgement; libuv may be told of room in its buffer late. */
  get takenBytes(): number {
    return this.#givenBytes - this.#options.socket.writableLength + this.#options.acknowledgedBytes();
  }

  expectRate(bytesPerSecond: number): void {
    if (bytesPerSecond === 0) return;
    const wantedBytes = Math.round(bytesPerSecond * WINDOW_SECONDS);
    const windowBytes = Math.min(ACKNOWLEDGEMENT_WINDOW_BYTES, Math.max(MIN_WINDOW_BYTES, wantedBytes));
    if (Math.abs(windowBytes - this.#windowBytes) <= this.#windowBytes * WINDOW_TOLERANCE) return;
    this.#windowBytes = windowBytes;
    this.#options.announceWindow(windowBytes);
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
