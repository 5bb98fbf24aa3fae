import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';
import type { AudioTrack, MediaUnit } from '../../src/domain/media.ts';
import { buildAacLcConfig } from '../../src/protocol/aac/audio-specific-config.ts';
import { silentAac } from '../../src/protocol/aac/silence.ts';
import { MatroskaWriter } from '../../src/protocol/matroska/writer.ts';
import { MESSAGE_TYPE, type RawMessage } from '../../src/protocol/rtmp/raw-message.ts';
import { createFfmpegTranscoders } from '../../src/transcode/ffmpeg-transcoders.ts';
import { PublicationRig } from '../inputs/rtmp-publisher/publication-rig.ts';
import { recordRtmpMessages } from '../support/flv-recording.ts';
import { beepTimes, flashTimes } from '../support/recording.ts';
import { beeps, feedLive, ffmpeg, host, pidWithNonce, probeFrames } from './ffmpeg-support.ts';

const MAX_SKEW_SECONDS = 0.025;
const START_US = 1_000_000;
const VIDEO_TRACK = 1;
const AUDIO_TRACK = 2;

const nonce = `rtmp-input-${process.pid}`;
const transcoders = createFfmpegTranscoders({ ...host, nonce });
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rtmp-input-'));
});

afterAll(async () => {
  await transcoders.close('the tests are over');
  await rm(directory, { recursive: true });
});

function open(): PublicationRig<typeof systemClock> {
  return new PublicationRig({ clock: systemClock, legacyAudio: transcoders });
}

function ofType(messages: readonly RawMessage[], typeId: number): RawMessage[] {
  return messages.filter((message) => message.typeId === typeId);
}

/** Pictures that are white for 100 ms at every whole second, from second 1 on, and black otherwise. */
function flashes(seconds: number, size = '640x360'): string[] {
  const white = `drawbox=color=white:t=fill:enable='gte(t,0.999)*lt(mod(t+0.001,1),0.1)'`;
  return ['-f', 'lavfi', '-i', `color=black:s=${size}:r=25:d=${seconds},${white}`];
}

/** A file of the units, with their times from the headroom of the timeline on. */
async function writeMatroska(name: string, units: readonly MediaUnit[], audio: AudioTrack): Promise<string> {
  const { sampleRateHz, channels } = audio;
  const audioSpecificConfig = buildAacLcConfig(sampleRateHz, channels);
  const tracks = [
    { kind: 'video', number: VIDEO_TRACK, codec: 'h264', width: 640, height: 360 },
    { kind: 'audio', number: AUDIO_TRACK, codec: 'aac', sampleRateHz, channels, audioSpecificConfig },
  ] as const;
  const writer = new MatroskaWriter({ tracks, baseUs: START_US });
  const blocks = units.flatMap((unit) => {
    const isVideo = unit.kind === 'video';
    const track = isVideo ? VIDEO_TRACK : AUDIO_TRACK;
    return [writer.blockHead(track, unit.ptsUs, isVideo && unit.isKeyframe, unit.data.length), unit.data];
  });
  const path = join(directory, `${name}.mkv`);
  await writeFile(path, Buffer.concat([writer.header, ...blocks]));
  return path;
}

const X264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '25'];
const B_FRAMES = [...X264, '-profile:v', 'high', '-bf', '3', '-b_strategy', '0'];

describe('video of a real encoder', () => {
  it.each([
    ['baseline', '640x360', ['-profile:v', 'baseline', '-tune', 'zerolatency'], 50, 10_000],
    ['high profile with B-frames', '1280x720', ['-profile:v', 'high', '-bf', '3', '-b_strategy', '0'], 50, 10_000],
    ['4K with keyframes of megabytes', '3840x2160', ['-qp', '4', '-tune', 'zerolatency'], 6, 2_000_000],
  ])('%s arrives whole, each picture at its time', async (_, size, profile, pictures, keyframeBytes) => {
    const noise = `testsrc2=s=${size}:r=25,noise=alls=20:allf=t`;
    const source = ['-f', 'lavfi', '-i', noise, '-frames:v', String(pictures)];
    const messages = await recordRtmpMessages([...source, ...X264, ...profile]);
    const rig = open();
    try {
      rig.writeAll(messages);
      expect(rig.events).toEqual(['live h264 -']);
      expect(rig.formats).toEqual([size]);
      expect(rig.videos).toHaveLength(pictures);
      const shown = rig.videos.map(({ ptsUs }) => ptsUs).toSorted((left, right) => left - right);
      expect(shown.map((us) => us - shown[0]!)).toEqual(shown.map((__, index) => index * 40_000));
      for (const { ptsUs, dtsUs } of rig.videos) expect(ptsUs).toBeGreaterThanOrEqual(dtsUs);
      const [width, height] = size.split('x').map(Number);
      const decoded = await probeFrames(rig.videos);
      expect(decoded).toHaveLength(pictures);
      expect(decoded.every((frame) => frame.width === width && frame.height === height)).toBe(true);
      expect(decoded.some((frame) => frame.pict_type === 'B')).toBe(profile.includes('-bf'));
      expect(rig.videos[0]!.data.length).toBeGreaterThan(keyframeBytes);
    } finally {
      rig.publication.close('over');
    }
  });
});

describe('sound of a real encoder', () => {
  it.each([
    [44_100, 2],
    [48_000, 1],
    [22_050, 2],
  ])('AAC of %i Hz with %i channels arrives whole and without holes', async (sampleRateHz, channels) => {
    const codec = ['-c:a', 'aac', '-ar', String(sampleRateHz), '-ac', String(channels)];
    const messages = await recordRtmpMessages([...beeps(3), ...codec]);
    const frames = ofType(messages, MESSAGE_TYPE.audio).slice(1);
    const rig = open();
    try {
      rig.writeAll(messages);
      expect(rig.streams[0]!.tracks).toEqual({ audio: { codec: 'aac', sampleRateHz, channels }, video: undefined });
      const given = rig.sounds.slice(0, frames.length);
      expect(Buffer.concat(given.map(({ data }) => data))).toEqual(
        Buffer.concat(frames.map(({ payload }) => payload.subarray(2))),
      );
      const timeUs = (index: number): number => START_US + Math.round((index * 1024e6) / sampleRateHz);
      expect(given.map(({ ptsUs }) => ptsUs)).toEqual(given.map((_, index) => timeUs(index)));
    } finally {
      rig.publication.close('over');
    }
  });

  it.each([1, 2, 6])('AAC with %i channels has silence that decoders take for what it is', async (channels) => {
    const track: AudioTrack = { codec: 'aac', sampleRateHz: 48_000, channels };
    const times = Array.from({ length: 50 }, (_, index) => START_US + Math.round((index * 1024e6) / 48_000));
    const units = times.map((ptsUs): MediaUnit => {
      return { kind: 'audio', codec: 'aac', ptsUs, durationUs: 21_333, data: silentAac(channels) };
    });
    const path = await writeMatroska(`silence-${channels}`, units, track);
    const samples = await ffmpeg(['-xerror', '-i', path, '-map', '0:a', '-f', 's16le', 'pipe:1']);
    expect(samples.length).toBeGreaterThanOrEqual(49 * 1024 * channels * 2);
    expect(samples.every((byte) => byte === 0)).toBe(true);
  });

  it.each([
    ['pcm_alaw', 'pcma'],
    ['pcm_mulaw', 'pcmu'],
  ])('%s arrives as %s, sample by sample', async (encoder, codec) => {
    const messages = await recordRtmpMessages([...beeps(3), '-c:a', encoder, '-ar', '8000', '-ac', '1']);
    const sent = Buffer.concat(ofType(messages, MESSAGE_TYPE.audio).map(({ payload }) => payload.subarray(1)));
    const rig = open();
    try {
      rig.writeAll(messages);
      expect(rig.events).toEqual([`live - ${codec}`]);
      expect(Buffer.concat(rig.sounds.map(({ data }) => data)).subarray(0, sent.length)).toEqual(sent);
    } finally {
      rig.publication.close('over');
    }
  });
});

describe('flashes and beeps of a real encoder', () => {
  const sounds = [
    ['AAC of 48 kHz', ['-c:a', 'aac', '-ar', '48000', '-ac', '2']],
    ['AAC of 22.05 kHz, mono', ['-c:a', 'aac', '-ar', '22050', '-ac', '1']],
    ['MP3', ['-c:a', 'libmp3lame', '-ar', '44100', '-ac', '2']],
    ['Speex', ['-c:a', 'libspeex', '-ar', '16000', '-ac', '1']],
    ['Speex with two frames to a packet', ['-c:a', 'libspeex', '-frames_per_packet', '2', '-ar', '16000', '-ac', '1']],
  ] as const;
  const recordings = new Map<string, readonly RawMessage[]>();

  // Beforehand: beside encoders that take all of the machine, a transcoder may begin too late for the first beep.
  beforeAll(async () => {
    await Promise.all(
      sounds.map(async ([name, codec]) => {
        recordings.set(name, await recordRtmpMessages([...flashes(5), ...beeps(5), ...B_FRAMES, ...codec]));
      }),
    );
  });

  // At once, because each takes as long as it plays.
  it.concurrent.for(sounds)('stay together with B-frames and %s', async ([name]) => {
    const messages = recordings.get(name)!;
    const lastUs = START_US + 4_500_000;
    const rig = open();
    try {
      await feedLive(messages, 5_000 / messages.length, (message) => rig.publication.write(message));
      expect(rig.events).toEqual(['live h264 aac']);
      await vi.waitFor(() => expect(rig.sounds.at(-1)?.ptsUs).toBeGreaterThan(lastUs), { timeout: 20_000 });
      const path = await writeMatroska(name.replaceAll(' ', '-'), rig.units, rig.streams[0]!.tracks.audio!);
      const seen = await flashTimes(path);
      const heard = await beepTimes(path);
      expect(seen).toHaveLength(4);
      expect(heard).toHaveLength(4);
      const skews = seen.map((seconds, index) => heard[index]! - seconds);
      for (const skew of skews) expect(Math.abs(skew)).toBeLessThan(MAX_SKEW_SECONDS);
    } finally {
      rig.publication.close('over');
    }
  });

  it('stay together when the ffmpeg of MP3 is killed, and silence bridges the time', async () => {
    const codec = ['-c:a', 'libmp3lame', '-ar', '44100', '-ac', '2'];
    const messages = await recordRtmpMessages([...flashes(7), ...beeps(7), ...B_FRAMES, ...codec]);
    const killed = messages.find(({ timestampMs }) => timestampMs >= 2_500);
    const rig = open();
    try {
      await feedLive(messages, 7_000 / messages.length, (message) => {
        if (message === killed) process.kill(pidWithNonce(nonce), 'SIGKILL');
        rig.publication.write(message);
      });
      await vi.waitFor(() => expect(rig.sounds.at(-1)?.ptsUs).toBeGreaterThan(START_US + 6_500_000), {
        timeout: 20_000,
      });
      expect(rig.streams).toHaveLength(1);
      for (const [index, { ptsUs, durationUs }] of rig.sounds.entries()) {
        expect(rig.sounds[index + 1]?.ptsUs ?? ptsUs + durationUs).toBe(ptsUs + durationUs);
      }
      const path = await writeMatroska('killed', rig.units, rig.streams[0]!.tracks.audio!);
      const seen = await flashTimes(path);
      const heard = await beepTimes(path);
      for (const second of [2, 5, 6]) {
        const flash = seen.find((seconds) => Math.abs(seconds - second) < 0.3)!;
        expect(heard.some((seconds) => Math.abs(seconds - flash) < MAX_SKEW_SECONDS)).toBe(true);
      }
    } finally {
      rig.publication.close('over');
    }
  });
});
