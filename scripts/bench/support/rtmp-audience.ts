import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface PlayedStream {
  readonly port: number;
  readonly app: string;
  readonly name: string;
}

export type AudienceOrder =
  | ({ readonly do: 'join'; readonly viewers: number } & PlayedStream)
  | ({ readonly do: 'firstPicture' } & PlayedStream)
  | { readonly do: 'count' }
  | { readonly do: 'leave' };

export interface AudienceAnswer {
  /** Of each viewer since it began. */
  readonly receivedBytes?: readonly number[];
  readonly firstPictureMs?: number;
}

export interface RtmpAudience {
  /** Resolves when all play. */
  join(stream: PlayedStream, viewers: number): Promise<void>;
  count(): Promise<readonly number[]>;
  /** From connecting to the first keyframe. */
  firstPictureMs(stream: PlayedStream): Promise<number>;
  leave(): Promise<void>;
  close(): void;
}

const PROGRAM = fileURLToPath(new URL('rtmp-audience-process.ts', import.meta.url));

/** Viewers that only count bytes, in another process. One order at a time. */
export function startRtmpAudience(): RtmpAudience {
  const child = fork(PROGRAM);
  const ask = async (order: AudienceOrder): Promise<AudienceAnswer> => {
    child.send(order);
    const [answer] = (await once(child, 'message')) as [AudienceAnswer];
    return answer;
  };
  return {
    join: async (stream, viewers) => void (await ask({ do: 'join', viewers, ...stream })),
    count: async () => (await ask({ do: 'count' })).receivedBytes!,
    firstPictureMs: async (stream) => (await ask({ do: 'firstPicture', ...stream })).firstPictureMs!,
    leave: async () => void (await ask({ do: 'leave' })),
    close: () => child.disconnect(),
  };
}
