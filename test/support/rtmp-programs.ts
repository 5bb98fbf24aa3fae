import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { execa } from 'execa';

const run = promisify(execFile);
const PROGRAM_TIMEOUT_MS = 60_000;
const FPS = 25;

/** A program that publishes or plays; it ends by itself, or with the test. */
export interface RunningProgram {
  /** Its end, without having been asked for it: false where it was killed for taking too long. */
  readonly ended: Promise<{
    readonly isByItself: boolean;
    readonly exitCode: number | undefined;
    readonly output: string;
  }>;
  kill(): Promise<void>;
}

export function startProgram(
  [program, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>> = {},
): RunningProgram {
  const child = execa(program, args, {
    reject: false,
    all: true,
    stdin: 'ignore',
    timeout: PROGRAM_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    env,
  });
  return {
    ended: child.then(({ exitCode, isTerminated, timedOut, all }) => ({
      isByItself: !isTerminated && !timedOut,
      exitCode,
      output: all,
    })),
    async kill() {
      child.kill('SIGKILL');
      await child;
    },
  };
}

/** Test picture and tone in real time, as H.264 with a keyframe each second and AAC. */
export function ffmpegPublishing(url: string, seconds: number, height = 360): readonly [string, ...string[]] {
  const width = (height * 16) / 9;
  const picture = `-f lavfi -i testsrc2=size=${width}x${height}:rate=${FPS}`;
  const sound = '-re -f lavfi -i sine=frequency=440:sample_rate=48000';
  const codecs = `-c:v libx264 -preset ultrafast -tune zerolatency -g ${FPS} -pix_fmt yuv420p -c:a aac -ac 2`;
  const words = `-v error -nostdin -re ${picture} ${sound} -t ${seconds} ${codecs} -f flv`;
  return ['ffmpeg', ...words.split(' '), url];
}

export function ffmpegPlaying(url: string, file: string): readonly [string, ...string[]] {
  return ['ffmpeg', '-v', 'error', '-nostdin', '-i', url, '-c', 'copy', '-flush_packets', '1', '-y', file];
}

export interface DecodedFile {
  /** Names of the codecs, video first. */
  readonly codecs: readonly string[];
  readonly pictures: number;
  readonly soundSeconds: number;
  /** What the decoders complained of. */
  readonly errors: string;
}

/** Decodes all of it. */
export async function decodeFile(file: string): Promise<DecodedFile> {
  // In milliseconds, as they came: at the nominal rate two uneven pictures may fall together.
  const decode = ['-v', 'error', '-nostdin', '-i', file, '-enc_time_base:v', '1:1000', '-f', 'null', '-'];
  const { stderr } = await run('ffmpeg', decode, { timeout: PROGRAM_TIMEOUT_MS });
  const fields = 'stream=codec_name,codec_type,nb_read_packets,sample_rate';
  const probe = ['-v', 'error', '-count_packets', '-show_entries', fields, '-of', 'json', file];
  const { stdout } = await run('ffprobe', probe, { timeout: PROGRAM_TIMEOUT_MS });
  const { streams } = JSON.parse(stdout) as {
    streams: { codec_name: string; codec_type: string; nb_read_packets: string; sample_rate?: string }[];
  };
  const of = (type: string) => streams.find(({ codec_type }) => codec_type === type);
  const sound = of('audio');
  return {
    codecs: streams.toSorted((a, b) => b.codec_type.localeCompare(a.codec_type)).map(({ codec_name }) => codec_name),
    pictures: Number(of('video')?.nb_read_packets ?? 0),
    soundSeconds: sound ? (Number(sound.nb_read_packets) * 1024) / Number(sound.sample_rate) : 0,
    errors: stderr,
  };
}
