import { soundFileArguments } from '../../pipelines/sound-file.ts';
import { AppError } from '../domain/errors.ts';
import type { Closable } from '../domain/life-cycle.ts';
import type { AudioTrack } from '../domain/media.ts';
import { parseFlvAudio } from '../protocol/flv/audio-tag.ts';
import { FlvTagReader } from '../protocol/flv/tag-reader.ts';
import { startChild, type Child } from '../supervisor/child-process.ts';
import { classifyFfmpegEnd } from '../supervisor/ffmpeg-exit.ts';
import { findSoundFile, type MediaFile } from './media-file.ts';
import type { TranscoderHost } from './transcoder-host.ts';

export interface SoundFileEncoderOptions {
  readonly host: TranscoderHost;
  readonly mediaDirectory: string;
  readonly bitrateBps: number;
}

/** In which the frames of a sound are encoded: that of the stream whose sound they take the place of. */
type SoundFormat = Pick<AudioTrack, 'sampleRateHz' | 'channels'>;

/** `close` ends what is still being encoded, and nothing is encoded after it; whoever waits gets CHILD_FAILED. */
export interface SoundFileEncoder extends Closable {
  /**
   * AAC-LC frames (1024 samples) of a WAV file in the media directory; remembered for each format until the file changes.
   * Throws AppError SOUND_FILE_NOT_FOUND, and CHILD_FAILED when it cannot be decoded.
   */
  encodeSoundFile(name: string, format: SoundFormat): Promise<readonly Buffer[]>;
}

const MAX_DURATION_SECONDS = 900;
/** A quarter of an hour at 128 kbit/s is 14 MB. */
const MAX_CACHED_SOUNDS = 8;
const MAX_TAG_BYTES = 64 << 10;
const ENCODE_TIMEOUT_MS = 60_000;

export function createSoundFileEncoder(options: SoundFileEncoderOptions): SoundFileEncoder {
  const running = new Set<Child>();
  let isClosed = false;
  const cache = new Map<string, { readonly version: string; readonly frames: Promise<readonly Buffer[]> }>();

  const encodeOnce = (file: MediaFile, format: SoundFormat): Promise<readonly Buffer[]> => {
    const key = `${format.sampleRateHz}/${format.channels} ${file.path}`;
    const known = cache.get(key);
    cache.delete(key);
    const entry =
      known?.version === file.version
        ? known
        : { version: file.version, frames: encode(file, format, options, running) };
    cache.set(key, entry);
    if (cache.size > MAX_CACHED_SOUNDS) cache.delete(cache.keys().next().value!);
    entry.frames.catch(() => {
      if (cache.get(key) === entry) cache.delete(key);
    });
    return entry.frames;
  };

  return {
    encodeSoundFile: async (name, format) => {
      const file = await findSoundFile(options.mediaDirectory, name);
      if (isClosed) throw new AppError('CHILD_FAILED', 'the sound file was not encoded: the server is stopping');
      return encodeOnce(file, format);
    },
    async close() {
      isClosed = true;
      await Promise.all([...running].map((child) => child.kill()));
    },
  };
}

async function encode(
  file: MediaFile,
  { sampleRateHz, channels }: SoundFormat,
  { host, bitrateBps }: SoundFileEncoderOptions,
  running: Set<Child>,
): Promise<readonly Buffer[]> {
  const child = startChild({
    program: host.ffmpegPath,
    args: soundFileArguments({
      path: file.path,
      bitrateBps,
      sampleRateHz,
      channels,
      maxDurationSeconds: MAX_DURATION_SECONDS,
    }),
    name: 'sound-file',
    nonce: host.nonce,
    outputFds: [1],
    logger: host.logger,
    clock: host.clock,
  });
  running.add(child);
  const cancel = host.clock.after(ENCODE_TIMEOUT_MS, () => void child.kill());
  const frames = collectFrames(child);
  const end = await child.ended;
  cancel();
  running.delete(child);
  // The first frame is the encoder's priming; without it the first sample of the file is the first to be heard.
  if (end.exitCode === 0 && frames.length > 1) return frames.slice(1);
  const { detail } = classifyFfmpegEnd(end, child.stderrLines(), false);
  throw new AppError('CHILD_FAILED', `the sound file could not be encoded: ${detail}`);
}

function collectFrames(child: Child): Buffer[] {
  const reader = new FlvTagReader({ maxTagBytes: MAX_TAG_BYTES });
  const frames: Buffer[] = [];
  child.outputs.get(1)?.on('data', (chunk: Buffer) => {
    try {
      for (const tag of reader.push(chunk)) {
        const audio = tag.type === 'audio' ? parseFlvAudio(tag.data) : undefined;
        if (audio?.kind === 'aac-frame' && audio.frame.length > 0) frames.push(Buffer.from(audio.frame));
      }
    } catch {
      frames.length = 0;
      void child.kill();
    }
  });
  return frames;
}
