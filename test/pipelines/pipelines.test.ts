import { describe, expect, it } from 'vitest';
import { audioTranscodeArguments, type AudioTranscodePipeline } from '../../pipelines/audio-transcode.ts';
import { rtmpPushArguments } from '../../pipelines/rtmp-push.ts';
import { soundFileArguments } from '../../pipelines/sound-file.ts';
import { videoBitrateBps, videoTranscodeArguments } from '../../pipelines/video-transcode.ts';

/** The value that follows an option. */
const valueOf = (args: readonly string[], option: string): string | undefined => args[args.indexOf(option) + 1];

const PUSH = {
  url: 'rtmp://127.0.0.1:4000/',
  app: 'one-time app',
  playPath: '-i',
  flashVersion: 'FMLE/3.0 (compatible)',
  hasVideo: true,
  hasAudio: true,
};

describe('the push pipeline', () => {
  it('is this line, one element for each token', () => {
    expect(rtmpPushArguments(PUSH)).toEqual([
      ...'-hide_banner -nostats -nostdin -loglevel level+info -stats_period 0.5 -progress pipe:1'.split(' '),
      ...'-probesize 32 -analyzeduration 0 -fpsprobesize 0 -f matroska -i pipe:3'.split(' '),
      ...'-map 0:v -c:v copy -bsf:v extract_extradata -map 0:a -c:a copy -max_interleave_delta 200000'.split(' '),
      ...'-f flv -flvflags no_duration_filesize -tcp_nodelay 1 -send_buffer_size 65536'.split(' '),
      ...'-rw_timeout 10000000 -rtmp_flashver'.split(' '),
      'FMLE/3.0 (compatible)',
      '-rtmp_app',
      'one-time app',
      '-rtmp_playpath',
      '-i',
      '-rtmp_tcurl',
      'rtmp://127.0.0.1:4000/one-time app',
      'rtmp://127.0.0.1:4000/',
    ]);
  });

  it('names only the tracks that are there', () => {
    expect(rtmpPushArguments({ ...PUSH, hasVideo: false }).join(' ')).not.toMatch(/0:v|-bsf|interleave/);
    expect(rtmpPushArguments({ ...PUSH, hasAudio: false }).join(' ')).not.toMatch(/0:a|-c:a|interleave/);
  });
});

describe('the audio pipeline', () => {
  const args = (options: Partial<AudioTranscodePipeline>) =>
    audioTranscodeArguments({ from: 'opus', to: 'aac', leadSamples: 0, bitrateBps: 96_000, ...options });

  it('reads a container, or bare samples whose format it is told', () => {
    expect(args({}).join(' ')).toContain('-f ogg -i pipe:0');
    expect(args({ from: 'aac' }).join(' ')).toContain('-f matroska -i pipe:0');
    expect(args({ from: 'pcma' }).join(' ')).toContain('-f alaw -ar 8000 -ac 1 -i pipe:0');
    expect(args({ from: 'pcmu' }).join(' ')).toContain('-f mulaw -ar 8000 -ac 1 -i pipe:0');
  });

  it('writes AAC as FLV and Opus in frames of 20 ms as Ogg', () => {
    expect(args({}).join(' ')).toMatch(/ -c:a aac -b:a 96000 .* -f flv -flvflags \S+ pipe:1$/);
    expect(args({ from: 'aac', to: 'opus' }).join(' ')).toMatch(
      / -c:a libopus -application audio -frame_duration 20 .* -f ogg -page_duration 20000 pipe:1$/,
    );
  });

  it('puts the lead in samples in front of the input', () => {
    expect(valueOf(args({ leadSamples: 1023 }), '-af')).toMatch(/,adelay=delays=1023S:all=1$/);
    expect(valueOf(args({}), '-af')).not.toContain('adelay');
  });
});

describe('the video pipeline', () => {
  const args = (options: { fps?: number; keyFrameIntervalFrames?: number; resumeAtMs?: number }) =>
    videoTranscodeArguments({ widthPx: 1280, heightPx: 720, ...options });

  it('has a constant picture and a frame rate only when one is asked for', () => {
    expect(valueOf(args({}), '-vf')).toBe(
      'scale=1280:720:force_original_aspect_ratio=decrease:force_divisible_by=2,pad=1280:720:-1:-1,setsar=1',
    );
    expect(valueOf(args({ fps: 15 }), '-vf')).toMatch(/,fps=15$/);
  });

  it('has the keyframe interval in frames, or else every two seconds', () => {
    const counted = args({ keyFrameIntervalFrames: 50 });
    expect([valueOf(counted, '-g'), valueOf(counted, '-keyint_min')]).toEqual(['50', '50']);
    expect(counted).not.toContain('-force_key_frames');
    expect(valueOf(args({}), '-force_key_frames')).toBe('expr:gte(t,n_forced*2)');
  });

  it('leaves out what was encoded before, and counts the two seconds from there', () => {
    const resumed = args({ resumeAtMs: 1234.5678 });
    expect(valueOf(resumed, '-vf')).toMatch(/^trim=start=1\.235,scale=/);
    expect(valueOf(resumed, '-force_key_frames')).toBe('expr:gte(t,1.235+n_forced*2)');
  });

  it('gives a bitrate to a size and a rate within bounds', () => {
    expect(videoBitrateBps(1280, 720)).toBe(1_797_000);
    expect(videoBitrateBps(1280, 720, 15)).toBe(899_000);
    expect(videoBitrateBps(64, 64)).toBe(150_000);
    expect(videoBitrateBps(4096, 2160, 60)).toBe(8_000_000);
  });
});

describe('the sound file pipeline', () => {
  it('reads one local file, whatever its name', () => {
    const args = soundFileArguments({
      path: '/media/-y http:x.wav',
      bitrateBps: 96_000,
      sampleRateHz: 44_100,
      channels: 1,
      maxDurationSeconds: 900,
    });
    expect(valueOf(args, '-i')).toBe('file:/media/-y http:x.wav');
    expect(valueOf(args, '-protocol_whitelist')).toBe('file,pipe');
    expect(valueOf(args, '-t')).toBe('900');
    expect([valueOf(args, '-ar'), valueOf(args, '-ac')]).toEqual(['44100', '1']);
  });
});
