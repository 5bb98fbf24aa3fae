import type { AudioUnit, MediaUnit, VideoUnit } from '../../src/domain/media.ts';

interface VideoOptions {
  readonly isKeyframe?: boolean;
  readonly bytes?: number;
  readonly height?: number;
  readonly codec?: 'h264' | 'vp8';
}

/** A unit of video; times in milliseconds. */
export function videoUnit(ms: number, options: VideoOptions = {}): VideoUnit {
  const height = options.height ?? 360;
  return {
    kind: 'video',
    codec: options.codec ?? 'h264',
    ptsUs: ms * 1000,
    dtsUs: ms * 1000,
    isKeyframe: options.isKeyframe ?? false,
    width: (height * 16) / 9,
    height,
    data: Buffer.alloc(options.bytes ?? 10),
  };
}

export function keyUnit(ms: number, options: VideoOptions = {}): VideoUnit {
  return videoUnit(ms, { ...options, isKeyframe: true });
}

export function audioUnit(ms: number, bytes = 3, codec: AudioUnit['codec'] = 'opus'): AudioUnit {
  return { kind: 'audio', codec, ptsUs: ms * 1000, durationUs: 20_000, data: Buffer.alloc(bytes) };
}

/** `K0 v33 a20`: kind (keyframe, video, audio) and time in milliseconds. */
export function shape(units: readonly MediaUnit[]): string {
  return units
    .map((unit) => (unit.kind === 'audio' ? 'a' : unit.isKeyframe ? 'K' : 'v') + String(unit.ptsUs / 1000))
    .join(' ');
}
