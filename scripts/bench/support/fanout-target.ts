import type { RtcClient } from './rtc-client.ts';
import type { TestStream } from './test-stream.ts';

export interface ConnectedViewer {
  readonly client: RtcClient;
  /** What the server sends under. */
  readonly ssrcs: readonly number[];
}

/** A server that fans one stream out. Whoever started it closes it; viewers' clients belong to the caller. */
export interface FanoutTarget {
  readonly name: string;
  readonly pid: number;
  readonly stream: TestStream;
  connectViewer(): Promise<ConnectedViewer>;
  /** UDP packets that the server itself has given up so far, where it tells. */
  sendsDropped(): Promise<number | undefined>;
  close(): Promise<void>;
}
