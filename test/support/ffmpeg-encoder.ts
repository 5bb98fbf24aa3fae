import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** A picture that moves, and a lasting tone. */
export function movingPicture(size: string, fps = 25): string[] {
  return ['-re', '-f', 'lavfi', '-i', `testsrc2=s=${size}:r=${fps}`];
}
export const TONE = ['-re', '-f', 'lavfi', '-i', 'sine=1000:sample_rate=44100'] as const;

/** A white picture and a tone for 120 ms at the beginning of every second, in black silence. */
export function flashesAndBeeps(size: string, fps = 25): string[] {
  const isOn = 'lt(mod(t,1),0.12)';
  const picture = `color=black:s=${size}:r=${fps},drawbox=enable='${isOn}':color=white:t=fill`;
  const sound = `aevalsrc='0.5*sin(2*PI*1000*t)*${isOn}':s=44100`;
  return [picture, sound].flatMap((filter) => ['-re', '-f', 'lavfi', '-i', filter]);
}

/** x264 with a keyframe every two seconds of 25 pictures. */
export function x264(...more: readonly string[]): string[] {
  return ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '50', ...more];
}

export const AAC_MONO = ['-c:a', 'aac', '-ar', '44100', '-ac', '1'] as const;

/** An encoder of the kind that people use: ffmpeg, publishing over RTMP until it is closed. */
export class FfmpegEncoder {
  readonly #child;

  constructor(url: string, args: readonly string[]) {
    this.#child = spawn('/usr/bin/ffmpeg', ['-v', 'error', '-nostdin', ...args, '-f', 'flv', url], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.#child.on('error', () => {});
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
