import type { CancelTimer, Clock } from '../domain/clock.ts';
import { STREAM_INFO } from '../domain/stream-status.ts';
import { failure } from './stream-end.ts';
import { hookBodyOf } from './stream-hook-body.ts';
import type { StreamRecord } from './stream-record.ts';
import type { Streams } from './streams.ts';

export interface StreamKeepAliveOptions {
  readonly streams: Streams;
  readonly clock: Clock;
  readonly intervalMs: number;
  /** Of the applications that want to be told. */
  readonly appKeys: readonly string[];
}

/**
 * Tells the backend of every publisher again and again (`StreamKeepAliveEvent`, reference/wcs-protocol.md §4), so that it can
 * end one; a publisher whose last event is not answered yet is left out. Closed by its owner.
 */
export class StreamKeepAlive {
  readonly #options: StreamKeepAliveOptions;
  readonly #waiting = new Set<StreamRecord>();
  readonly #cancel: CancelTimer;

  constructor(options: StreamKeepAliveOptions) {
    this.#options = options;
    this.#cancel = options.clock.every(options.intervalMs, () => this.#tellAll());
  }

  close(): void {
    this.#cancel();
  }

  #tellAll(): void {
    const { streams, appKeys } = this.#options;
    for (const stream of streams.all) {
      if (stream.status !== 'PUBLISHING' || !appKeys.includes(stream.session.appKey)) continue;
      if (!this.#waiting.has(stream)) void this.#tell(stream);
    }
  }

  async #tell(stream: StreamRecord): Promise<void> {
    this.#waiting.add(stream);
    const verdict = await stream.session.tell('StreamKeepAliveEvent', hookBodyOf(stream));
    this.#waiting.delete(stream);
    if (verdict === 'denied') this.#options.streams.end(stream, failure(STREAM_INFO.terminatedByKeepAlive));
  }
}
