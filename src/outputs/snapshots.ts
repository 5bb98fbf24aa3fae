import { snapshotArguments } from '../../pipelines/snapshot.ts';
import type { Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import type { VideoUnit } from '../domain/media.ts';
import type { Hub } from '../hub/hub.ts';
import type { LiveStream } from '../hub/live-stream.ts';
import { MatroskaWriter } from '../protocol/matroska/writer.ts';
import { startChild, type Child } from '../supervisor/child-process.ts';

export interface SnapshotsOptions {
  readonly hub: Hub;
  readonly ffmpegPath: string;
  /** Marks our children in their environment. */
  readonly nonce: string;
  /** `snapshot_taking_interval_ms`: how long one picture may take. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const MAX_AT_ONCE = 4;
const MAX_PICTURE_BYTES = 32 * 1024 * 1024;
const VIDEO_TRACK = 1;

/** Pictures of live streams: the next keyframe, decoded by an ffmpeg that lives as long as that takes. */
export class Snapshots {
  readonly #options: SnapshotsOptions;
  /** By stream: who asks while a picture is being taken gets the same one. */
  readonly #pending = new Map<LiveStream, Promise<Buffer>>();
  readonly #children = new Set<Child>();

  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  /** A PNG. Rejects with AppError STREAM_NOT_FOUND, OVERLOADED, or CHILD_FAILED when there is no picture in time. */
  async take(name: string): Promise<Buffer> {
    const stream = this.#options.hub.find(name);
    if (!stream) throw new AppError('STREAM_NOT_FOUND', 'no such stream');
    const pending = this.#pending.get(stream);
    if (pending) return pending;
    if (this.#pending.size >= MAX_AT_ONCE) throw new AppError('OVERLOADED', `${MAX_AT_ONCE} snapshots are being taken`);
    const picture = this.#takeOf(stream).finally(() => this.#pending.delete(stream));
    this.#pending.set(stream, picture);
    return picture;
  }

  /** Ends the pictures that are being decoded; resolves when their processes are gone. */
  async close(): Promise<void> {
    await Promise.all([...this.#children].map((child) => child.kill()));
  }

  async #takeOf(stream: LiveStream): Promise<Buffer> {
    return this.#decode(await this.#nextKeyframe(stream));
  }

  #nextKeyframe(stream: LiveStream): Promise<VideoUnit> {
    const { clock, timeoutMs } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<VideoUnit>();
    const fail = (why: string) => reject(new AppError('CHILD_FAILED', `no snapshot: ${why}`));
    const cancel = clock.after(timeoutMs, () => fail(`no keyframe in ${timeoutMs} ms`));
    const reader = stream.addReader({
      label: 'snapshot',
      fromCachedGop: false,
      video: 'decode',
      audio: false,
      maxQueueBytes: MAX_PICTURE_BYTES,
      onUnit: (unit) => {
        if (unit.kind === 'video' && unit.isKeyframe) resolve(unit);
        return true;
      },
      onEnd: () => fail('the stream has ended'),
    });
    return promise.finally(() => {
      cancel();
      reader.close();
    });
  }

  async #decode({ codec, width, height, data }: VideoUnit): Promise<Buffer> {
    const { ffmpegPath, nonce, clock, logger, timeoutMs } = this.#options;
    const child = startChild({
      program: ffmpegPath,
      args: snapshotArguments(),
      name: 'snapshot',
      nonce,
      inputFd: 0,
      outputFds: [1],
      clock,
      logger,
    });
    this.#children.add(child);
    const chunks: Buffer[] = [];
    let bytes = 0;
    child.outputs.get(1)?.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_PICTURE_BYTES) chunks.push(chunk);
      else void child.kill();
    });
    const writer = new MatroskaWriter({
      tracks: [{ kind: 'video', number: VIDEO_TRACK, codec, width, height }],
      baseUs: 0,
    });
    child.input?.end(Buffer.concat([writer.header, writer.blockHead(VIDEO_TRACK, 0, true, data.length), data]));
    const cancel = clock.after(timeoutMs, () => void child.kill());
    const { exitCode } = await child.ended;
    cancel();
    this.#children.delete(child);
    if (exitCode === 0 && bytes > 0) return Buffer.concat(chunks);
    throw new AppError('CHILD_FAILED', `no snapshot: ffmpeg gave none (${child.stderrLines().at(-1) ?? 'no message'})`);
  }
}
