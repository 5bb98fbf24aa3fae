import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { parseFlvAudio } from '../../src/protocol/flv/audio-tag.ts';
import { FlvTagReader } from '../../src/protocol/flv/tag-reader.ts';
import { parseFlvVideo } from '../../src/protocol/flv/video-tag.ts';

const MAX_TAG_BYTES = 8 << 20;

export interface TappedSound {
  /** On the timeline of the stream. */
  readonly timeMs: number;
  /** On the monotonic clock, at the player. */
  readonly arrivedMs: number;
  /** Raw AAC. */
  readonly frame: Buffer;
}

export interface TappedPicture {
  readonly timeMs: number;
  readonly arrivedMs: number;
  readonly isKeyframe: boolean;
}

/** A player of a live RTMP stream that notes when each frame came. */
export class LiveTap {
  readonly sounds: TappedSound[] = [];
  readonly pictures: TappedPicture[] = [];
  readonly #player: ChildProcess;
  readonly #emitter = new EventEmitter();
  #isOver = false;

  constructor(url: string) {
    const output = ['-c', 'copy', '-copyts', '-flush_packets', '1', '-f', 'flv', 'pipe:1'];
    this.#player = spawn('/usr/bin/ffmpeg', ['-v', 'error', '-nostdin', '-i', url, ...output], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const reader = new FlvTagReader({ maxTagBytes: MAX_TAG_BYTES });
    this.#player.stdout!.on('data', (chunk: Buffer) => {
      const arrivedMs = performance.now();
      for (const { type, timestampMs, data } of reader.push(chunk)) {
        if (type === 'audio') this.#takeAudio(timestampMs, arrivedMs, data);
        if (type === 'video') this.#takeVideo(timestampMs, arrivedMs, data);
      }
      this.#emitter.emit('change');
    });
    this.#player.once('close', () => {
      this.#isOver = true;
      this.#emitter.emit('change');
    });
  }

  async waitFor(isThere: () => boolean): Promise<void> {
    while (!isThere()) {
      if (this.#isOver) throw new Error('the stream has ended');
      await once(this.#emitter, 'change');
    }
  }

  async close(): Promise<void> {
    if (this.#isOver) return;
    const closed = once(this.#player, 'close');
    this.#player.kill('SIGKILL');
    await closed;
  }

  #takeAudio(timeMs: number, arrivedMs: number, data: Buffer): void {
    const audio = parseFlvAudio(data);
    if (audio.kind !== 'aac-frame' || audio.frame.length === 0) return;
    this.sounds.push({ timeMs, arrivedMs, frame: Buffer.from(audio.frame) });
  }

  #takeVideo(timeMs: number, arrivedMs: number, data: Buffer): void {
    const video = parseFlvVideo(data);
    if (video.kind === 'avc-frame') this.pictures.push({ timeMs, arrivedMs, isKeyframe: video.isKeyframe });
  }
}
