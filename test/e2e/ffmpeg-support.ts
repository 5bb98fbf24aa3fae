import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import type { AudioTrack, AudioUnit, VideoUnit } from '../../src/domain/media.ts';
import { buildAacLcConfig } from '../../src/protocol/aac/audio-specific-config.ts';
import { parseFlvAudio } from '../../src/protocol/flv/audio-tag.ts';
import { FlvTagReader } from '../../src/protocol/flv/tag-reader.ts';
import { OggOpusWriter } from '../../src/protocol/ogg/opus-writer.ts';
import { OggPacketReader } from '../../src/protocol/ogg/packet-reader.ts';
import type { TranscoderHost } from '../../src/transcode/transcoder-host.ts';

const run = promisify(execFile);
const AUD = Buffer.from([0, 0, 0, 1, 9]);

export const host: TranscoderHost = { ffmpegPath: 'ffmpeg', nonce: 'test', clock: systemClock, logger: silentLogger };

/** Runs the real ffmpeg to its end; `input` goes to stdin, stdout comes back. */
export async function ffmpeg(args: readonly string[], input?: Buffer, program = 'ffmpeg'): Promise<Buffer> {
  const pending = run(program, ['-v', 'error', ...args], { encoding: 'buffer', maxBuffer: 256 << 20 });
  const { stdin } = pending.child;
  stdin?.on('error', () => {});
  stdin?.end(input);
  return (await pending).stdout;
}

/** A tone of 100 ms at every whole second, from second 1 on, in silence. */
export function beeps(seconds: number): string[] {
  const expression = 'if(gte(t,1)*lt(mod(t,1),0.1),0.5*sin(2*PI*1000*t),0)';
  return ['-f', 'lavfi', '-i', `aevalsrc='${expression}':s=48000:d=${seconds}`];
}

/** Opus packets of 20 ms. */
export async function opusUnits(seconds: number, basePtsUs: number): Promise<AudioUnit[]> {
  const codec = ['-ac', '2', '-c:a', 'libopus', '-b:a', '64k', '-frame_duration', '20', '-application', 'audio'];
  const ogg = await ffmpeg([...beeps(seconds), ...codec, '-f', 'ogg', 'pipe:1']);
  const packets = new OggPacketReader({ maxPacketBytes: 4096 }).push(ogg).slice(2);
  return packets.map(({ data }, index) => audioUnit('opus', basePtsUs + index * 20_000, data));
}

/** G.711 in units of 20 ms. */
export async function g711Units(codec: 'pcma' | 'pcmu', seconds: number, basePtsUs: number): Promise<AudioUnit[]> {
  const format = codec === 'pcma' ? 'alaw' : 'mulaw';
  const samples = await ffmpeg([...beeps(seconds), '-ar', '8000', '-ac', '1', '-f', format, 'pipe:1']);
  return Array.from({ length: Math.floor(samples.length / 160) }, (_, index) =>
    audioUnit(codec, basePtsUs + index * 20_000, samples.subarray(index * 160, index * 160 + 160)),
  );
}

/** AAC-LC frames of 1024 samples, without the encoder's priming: a decoder puts the first one out at `basePtsUs`. */
export async function aacUnits(seconds: number, basePtsUs: number, sampleRateHz = 48_000): Promise<AudioUnit[]> {
  const codec = ['-ac', '2', '-ar', String(sampleRateHz), '-c:a', 'aac', '-b:a', '128k'];
  const flv = await ffmpeg([...beeps(seconds), ...codec, '-f', 'flv', 'pipe:1']);
  const frames = new FlvTagReader({ maxTagBytes: 1 << 16 })
    .push(flv)
    .filter((tag) => tag.type === 'audio')
    .map((tag) => parseFlvAudio(tag.data))
    .flatMap((audio) => (audio.kind === 'aac-frame' && audio.frame.length > 0 ? [audio.frame] : []));
  const timeUs = (index: number): number => basePtsUs + Math.round((index * 1024e6) / sampleRateHz);
  return frames.slice(1).map((data, index) => ({
    kind: 'audio',
    codec: 'aac',
    ptsUs: timeUs(index),
    durationUs: timeUs(index + 1) - timeUs(index),
    data,
  }));
}

function audioUnit(codec: AudioUnit['codec'], ptsUs: number, data: Buffer): AudioUnit {
  return { kind: 'audio', codec, ptsUs, durationUs: 20_000, data };
}

/** Of AAC-LC. */
export type AacFormat = Pick<AudioTrack, 'sampleRateHz' | 'channels'>;

export const STEREO_48_KHZ: AacFormat = { sampleRateHz: 48_000, channels: 2 };

/** ADTS headers (ISO/IEC 13818-7 §6.2) make bare frames playable. */
export function adts(frames: readonly Buffer[], { sampleRateHz, channels } = STEREO_48_KHZ): Buffer {
  // An AudioSpecificConfig ends with the same index of the rate and number of the layout.
  const config = buildAacLcConfig(sampleRateHz, channels).readUInt16BE();
  const [rateIndex, layout] = [(config >> 7) & 15, (config >> 3) & 15];
  return Buffer.concat(
    frames.flatMap((frame) => {
      const size = frame.length + 7;
      const about = 0x4000 | (rateIndex << 10) | (layout << 6);
      const head = [
        0xff,
        0xf1,
        about >> 8,
        (about & 255) | (size >> 11),
        (size >> 3) & 255,
        ((size & 7) << 5) | 0x1f,
        0xfc,
      ];
      return [Buffer.from(head), frame];
    }),
  );
}

/** All channels in one, at the frames' own rate. A decoder puts frame n out as samples n · 1024 and on. */
export async function decodeAac(frames: readonly Buffer[], format = STEREO_48_KHZ): Promise<Float32Array> {
  const output = ['-f', 'f32le', '-ac', '1', '-ar', String(format.sampleRateHz), 'pipe:1'];
  const pcm = await ffmpeg(['-f', 'aac', '-i', 'pipe:0', ...output], adts(frames, format));
  return new Float32Array(pcm.buffer, pcm.byteOffset, pcm.length >> 2);
}

/** Left channel at 48 kHz of Opus frames of 20 ms. A decoder puts frame n out as samples n · 960 and on. */
export async function decodeOpus(frames: readonly Buffer[]): Promise<Float32Array> {
  const writer = new OggOpusWriter();
  const ogg = Buffer.concat([writer.header(), ...frames.map((frame) => writer.packet(frame, 960))]);
  const pcm = await ffmpeg(['-f', 'ogg', '-i', 'pipe:0', '-f', 'f32le', '-ac', '1', '-ar', '48000', 'pipe:1'], ogg);
  return new Float32Array(pcm.buffer, pcm.byteOffset, pcm.length >> 2);
}

/** First sample at or after `from` that is louder than the rest of the encoder's ringing. */
export function onset(samples: Float32Array, from: number): number {
  return samples.findIndex((sample, index) => index >= from && Math.abs(sample) > 0.1);
}

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly fps?: number;
  readonly gop?: number;
}

/** Access units of a moving test picture, each split off at its access unit delimiter. */
export async function h264Units(picture: Picture, basePtsUs: number): Promise<VideoUnit[]> {
  const { width, height, frames, fps = 30, gop = 30 } = picture;
  const source = ['-f', 'lavfi', '-i', `testsrc=size=${width}x${height}:rate=${fps}`, '-frames:v', String(frames)];
  const codec = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-profile:v', 'baseline'];
  const shape = ['-pix_fmt', 'yuv420p', '-g', String(gop), '-sc_threshold', '0', '-x264-params', 'aud=1'];
  const stream = await ffmpeg([...source, ...codec, ...shape, '-f', 'h264', 'pipe:1']);
  const starts: number[] = [];
  for (let at = stream.indexOf(AUD); at >= 0; at = stream.indexOf(AUD, at + 5)) starts.push(at);
  return starts.map((start, index) =>
    videoUnit('h264', picture, basePtsUs, index, stream.subarray(start, starts[index + 1] ?? stream.length)),
  );
}

export async function vp8Units(picture: Picture, basePtsUs: number): Promise<VideoUnit[]> {
  const { width, height, frames, fps = 30, gop = 30 } = picture;
  const source = ['-f', 'lavfi', '-i', `testsrc=size=${width}x${height}:rate=${fps}`, '-frames:v', String(frames)];
  const codec = ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-g', String(gop), '-auto-alt-ref', '0'];
  const ivf = await ffmpeg([...source, ...codec, '-f', 'ivf', 'pipe:1']);
  const units: VideoUnit[] = [];
  for (let at = 32; at + 12 <= ivf.length;) {
    const size = ivf.readUInt32LE(at);
    units.push(videoUnit('vp8', picture, basePtsUs, units.length, ivf.subarray(at + 12, at + 12 + size)));
    at += 12 + size;
  }
  return units;
}

function videoUnit(
  codec: VideoUnit['codec'],
  { width, height, fps = 30, gop = 30 }: Picture,
  basePtsUs: number,
  index: number,
  data: Buffer,
): VideoUnit {
  const ptsUs = basePtsUs + Math.round((index * 1_000_000) / fps);
  return { kind: 'video', codec, ptsUs, dtsUs: ptsUs, isKeyframe: index % gop === 0, width, height, data };
}

interface ProbedFrame {
  readonly width: number;
  readonly height: number;
  readonly pict_type: string;
}

/** What a decoder makes of an elementary stream. */
export async function probeFrames(units: readonly VideoUnit[]): Promise<ProbedFrame[]> {
  const stream = Buffer.concat(units.map((unit) => unit.data));
  const fields = ['-show_entries', 'frame=width,height,pict_type', '-of', 'json'];
  const text = await ffmpeg(['-f', 'h264', ...fields, 'pipe:0'], stream, 'ffprobe');
  return (JSON.parse(text.toString()) as { frames: ProbedFrame[] }).frames;
}

/** Calls `feed` with the items at the pace of a live source. */
export async function feedLive<Item>(
  items: readonly Item[],
  periodMs: number,
  feed: (item: Item) => void,
): Promise<void> {
  const startMs = performance.now();
  for (const [index, item] of items.entries()) {
    const waitMs = startMs + index * periodMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    feed(item);
  }
}

/** The running child that was started under `nonce`. */
export function pidWithNonce(nonce: string): number {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (readFileSync(`/proc/${entry}/environ`, 'latin1').includes(`=${nonce}\0`)) return Number(entry);
    } catch {
      // Gone meanwhile, or not ours to read.
    }
  }
  throw new Error(`no process runs with nonce ${nonce}`);
}
