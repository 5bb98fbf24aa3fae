import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { CancelTimer, Clock } from '../domain/clock.ts';
import { parseSendQueues, tcpTableKey } from './tcp-table.ts';

/** The text of the kernel's tables of TCP connections, one after the other. */
export type ReadTcpTables = () => Promise<string>;

/** What the peer's kernel has taken of one socket, as of the last look. */
export interface WatchedQueue {
  /** Grows only. */
  readonly acceptedBytes: number;
  /** In the kernel for the peer: sent without an acknowledgement, or waiting for the peer's window. */
  readonly unacceptedBytes: number;
  close(): void;
}

const PERIOD_MS = 500;
/** Until a socket's first bytes have been taken: that is what a start waits for. */
const FIRST_BYTES_PERIOD_MS = 50;

/**
 * Tells how much of what was written to sockets has really arrived. A kernel takes up to 4 MB for a peer that reads nothing
 * (tcp_wmem), and node can neither limit nor show that, so all sockets are looked up in /proc/net/tcp together, twice a second.
 * Where there is no such table, what the kernel has taken counts as arrived.
 */
export class SendQueues {
  readonly #clock: Clock;
  readonly #readTables: ReadTcpTables;
  readonly #watched = new Set<Watched>();
  #cancelTimer: CancelTimer | undefined;
  #lastLookUs = -Infinity;
  #isLooking = false;

  constructor(clock: Clock, readTables: ReadTcpTables = readProcTables) {
    this.#clock = clock;
    this.#readTables = readTables;
  }

  /** `writtenBytes` is what the socket's kernel buffer has been given. The caller closes what it gets. */
  watch(socket: Socket, writtenBytes: () => number): WatchedQueue {
    const watched = new Watched(tcpTableKey(socket), writtenBytes, () => {
      this.#watched.delete(watched);
      if (this.#watched.size > 0) return;
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
    });
    this.#watched.add(watched);
    this.#cancelTimer ??= this.#clock.every(FIRST_BYTES_PERIOD_MS, () => void this.#tick());
    return watched;
  }

  async #tick(): Promise<void> {
    if (this.#isLooking || !this.#isDue()) return;
    this.#isLooking = true;
    this.#lastLookUs = this.#clock.monotonicUs();
    // What is written while the tables are read may or may not be in them; it counts at the next look.
    const before = Array.from(this.#watched, (watched) => ({ watched, written: watched.writtenBytes() }));
    try {
      const queues = parseSendQueues(await this.#readTables());
      for (const { watched, written } of before) watched.seen(written, queues);
    } finally {
      this.#isLooking = false;
    }
  }

  #isDue(): boolean {
    const sinceMs = (this.#clock.monotonicUs() - this.#lastLookUs) / 1000;
    if (sinceMs >= PERIOD_MS) return true;
    return [...this.#watched].some((watched) => watched.acceptedBytes === 0 && watched.writtenBytes() > 0);
  }
}

class Watched implements WatchedQueue {
  acceptedBytes = 0;
  unacceptedBytes = 0;
  readonly writtenBytes: () => number;
  readonly #key: string | undefined;
  readonly #onClose: () => void;

  constructor(key: string | undefined, writtenBytes: () => number, onClose: () => void) {
    this.#key = key;
    this.writtenBytes = writtenBytes;
    this.#onClose = onClose;
  }

  seen(writtenBytes: number, queues: ReadonlyMap<string, number>): void {
    this.unacceptedBytes = (this.#key !== undefined && queues.get(this.#key)) || 0;
    this.acceptedBytes = Math.max(this.acceptedBytes, writtenBytes - this.unacceptedBytes);
  }

  close(): void {
    this.#onClose();
  }
}

async function readProcTables(): Promise<string> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'latin1').catch(() => '')),
  );
  return tables.join('\n');
}
