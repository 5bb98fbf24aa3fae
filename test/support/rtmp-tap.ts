import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { parseFlvAudio } from '../../src/protocol/flv/audio-tag.ts';
import { FlvTagReader } from '../../src/protocol/flv/tag-reader.ts';
import { parseFlvVideo } from '../../src/protocol/flv/video-tag.ts';

const MAX_TAG_BYTES = 16 << 20;
const FILE_HEADER_BYTES = 13;
const TAG_OVERHEAD_BYTES = 15;

export interface TappedMessage {
  readonly kind: 'audio' | 'video';
  /** As the server sent it. */
  readonly timeMs: number;
  /** On the monotonic clock of this process. */
  readonly arrivedMs: number;
  readonly isKeyframe: boolean;
}

export interface RtmpTapOptions {
  readonly url: string;
  /** FLV of all that came whole. */
  readonly file: string;
  /** Default is Debian's rtmpdump. */
  readonly program?: string;
}

/** rtmpdump as a viewer: notes when each message came, without their headers, and keeps them as a file. */
export class RtmpTap {
  readonly messages: TappedMessage[] = [];
  bytes = 0;
  /** Resolves when the program has ended, by itself or not, and the file is whole. */
  readonly ended: Promise<void>;
  hasEnded = false;
  readonly #player: ChildProcess;
  readonly #file: WriteStream;
  #wholeBytes = FILE_HEADER_BYTES;
  readonly #reader = new FlvTagReader({ maxTagBytes: MAX_TAG_BYTES });

  constructor({ url, file, program = '/usr/bin/rtmpdump' }: RtmpTapOptions) {
    this.#file = createWriteStream(file);
    this.#player = spawn(program, ['-q', '-v', '-r', url, '-o', '-'], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#player.stdout!.on('data', (bytes: Buffer) => this.#take(bytes));
    this.ended = once(this.#player, 'close').then(async () => {
      this.hasEnded = true;
      this.#file.end();
      await once(this.#file, 'close');
      await truncate(file, this.#wholeBytes);
    });
  }

  get pictures(): readonly TappedMessage[] {
    return this.messages.filter(({ kind }) => kind === 'video');
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#player.kill('SIGKILL');
    await this.ended;
  }

  #take(bytes: Buffer): void {
    const arrivedMs = performance.now();
    this.bytes += bytes.length;
    this.#file.write(bytes);
    for (const { type, timestampMs, data } of this.#reader.push(bytes)) {
      this.#wholeBytes += TAG_OVERHEAD_BYTES + data.length;
      const isPicture = type === 'video' && parseFlvVideo(data);
      if (isPicture && isPicture.kind === 'avc-frame') {
        this.messages.push({ kind: 'video', timeMs: timestampMs, arrivedMs, isKeyframe: isPicture.isKeyframe });
      } else if (type === 'audio' && parseFlvAudio(data).kind === 'aac-frame') {
        this.messages.push({ kind: 'audio', timeMs: timestampMs, arrivedMs, isKeyframe: false });
      }
    }
  }
}
