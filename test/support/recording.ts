import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MAX_OUTPUT_BYTES = 64 << 20;
/** Half of the way from black to white, in 8-bit luma. */
const WHITE_LUMA = 128;
const LOUD_DB = -30;
/** Length of a piece of sound whose level is measured: 5 ms. */
const LEVEL_SAMPLES = 240;

export interface ProbedStream {
  readonly codec_name: string;
  readonly codec_type: 'video' | 'audio';
  readonly width?: number;
  readonly height?: number;
  readonly sample_rate?: string;
  readonly channels?: number;
}

export interface ProbedPacket {
  readonly kind: 'video' | 'audio';
  readonly dtsSeconds: number;
  readonly isKeyframe: boolean;
  readonly bytes: number;
}

/** Tracks of a file or of a live RTMP stream, video first. */
export async function probeStreams(url: string): Promise<readonly ProbedStream[]> {
  const text = await ffprobe('-show_entries', 'stream=codec_name,codec_type,width,height,sample_rate,channels', url);
  const { streams } = JSON.parse(text) as { streams: ProbedStream[] };
  return streams.toSorted((left, right) => right.codec_type.localeCompare(left.codec_type));
}

/** What a destination gives a player, for so long, as it is. */
export async function record(url: string, seconds: number, path: string): Promise<void> {
  const output = ['-t', String(seconds), '-c', 'copy', '-flush_packets', '1', '-y', path];
  await run('ffmpeg', ['-v', 'error', '-nostdin', '-i', url, ...output], { timeout: (seconds + 30) * 1000 });
}

export async function packetsOf(path: string): Promise<readonly ProbedPacket[]> {
  const text = await ffprobe('-show_entries', 'packet=codec_type,dts_time,flags,size', path);
  const { packets } = JSON.parse(text) as {
    packets: { codec_type: 'video' | 'audio'; dts_time: string; flags: string; size: string }[];
  };
  return packets.map(({ codec_type, dts_time, flags, size }) => ({
    kind: codec_type,
    dtsSeconds: Number(dts_time),
    isKeyframe: flags.startsWith('K'),
    bytes: Number(size),
  }));
}

/** When each picture of a file is shown and decoded, in the order of decoding. */
export async function videoTimes(path: string): Promise<readonly { readonly ptsMs: number; readonly dtsMs: number }[]> {
  const { packets } = JSON.parse(
    await ffprobe('-select_streams', 'v:0', '-show_entries', 'packet=pts_time,dts_time', path),
  ) as { packets: { pts_time: string; dts_time: string }[] };
  return packets.map(({ pts_time, dts_time }) => ({
    ptsMs: Math.round(Number(pts_time) * 1000),
    dtsMs: Math.round(Number(dts_time) * 1000),
  }));
}

/** The size of every decoded picture, in order, without repetitions. */
export async function pictureSizes(path: string): Promise<readonly string[]> {
  const { frames } = JSON.parse(
    await ffprobe('-select_streams', 'v:0', '-show_entries', 'frame=width,height', path),
  ) as { frames: { width: number; height: number }[] };
  const sizes = frames.map(({ width, height }) => `${width}x${height}`);
  return sizes.filter((size, index) => size !== sizes[index - 1]);
}

/** Times at which the picture turns white, in seconds of the file's timeline. */
export function flashTimes(path: string): Promise<readonly number[]> {
  return risingEdges(path, ['-an', '-vf', printing('signalstats', 'metadata', 'YAVG')], WHITE_LUMA);
}

/** Times at which the sound sets in. */
export function beepTimes(path: string): Promise<readonly number[]> {
  const levels = printing(
    `asetnsamples=n=${LEVEL_SAMPLES},astats=metadata=1:reset=1`,
    'ametadata',
    'astats.Overall.RMS_level',
  );
  return risingEdges(path, ['-vn', '-af', levels], LOUD_DB);
}

function printing(measure: string, filter: string, key: string): string {
  return `${measure},${filter}=mode=print:key=lavfi.${key.startsWith('astats') ? key : `signalstats.${key}`}:file=-`;
}

async function risingEdges(path: string, filter: readonly string[], threshold: number): Promise<readonly number[]> {
  const args = ['-v', 'error', '-nostdin', '-copyts', '-i', path, ...filter, '-f', 'null', '-'];
  const { stdout } = await run('ffmpeg', args, { maxBuffer: MAX_OUTPUT_BYTES });
  const times: number[] = [];
  let timeSeconds = 0;
  let isAbove = true;
  for (const line of stdout.split('\n')) {
    const time = /pts_time:(\S+)/.exec(line);
    if (time) timeSeconds = Number(time[1]);
    const value = /^lavfi\.[^=]+=(\S+)/.exec(line);
    if (!value) continue;
    const level = value[1] === '-inf' ? -Infinity : Number(value[1]);
    if (level > threshold && !isAbove) times.push(timeSeconds);
    isAbove = level > threshold;
  }
  return times;
}

async function ffprobe(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-of', 'json', ...args], { maxBuffer: MAX_OUTPUT_BYTES });
  return stdout;
}
