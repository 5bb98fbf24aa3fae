import type { Writable } from 'node:stream';
import { RTMP_PUSH_INPUT_FD, rtmpPushArguments } from '../../../pipelines/rtmp-push.ts';
import type { Logger } from '../../domain/logger.ts';
import type { RunEnd } from '../../domain/transponder.ts';
import type { GateSession } from '../../egress/gate.ts';
import { startChild, type Child, type ChildEnd } from '../../supervisor/child-process.ts';
import { classifyFfmpegEnd } from '../../supervisor/ffmpeg-exit.ts';
import { FfmpegProgressParser } from '../../supervisor/ffmpeg-progress.ts';
import { readProcessUsage } from '../../supervisor/process-usage.ts';
import type { RtmpPushServices } from './push-services.ts';
import { UsageLimit } from './usage-limit.ts';

export interface PushChildOptions {
  readonly services: Pick<RtmpPushServices, 'ffmpegPath' | 'usageLimits' | 'clock'>;
  readonly session: GateSession;
  readonly flashVersion: string;
  readonly hasVideo: boolean;
  readonly nonce: string;
  readonly logger: Logger;
}

/** Where there is a process, and how it was started. */
interface Spawned {
  readonly pid: number;
  readonly startTicks: number;
  readonly argvRedacted: string;
  readonly input: Writable;
}

const STDERR_HEAD_LINES = 20;
const LAST_LINES = 20;

/** The ffmpeg of one run: publishes at the gate what it is fed. */
export class PushChild {
  readonly ended: Promise<ChildEnd>;
  /** Undefined when it could not be started; `ended` tells why. */
  readonly spawned: Spawned | undefined;
  readonly #child: Child;
  readonly #usageLimit: UsageLimit | undefined;
  readonly #progress = new FfmpegProgressParser();
  #fps: number | undefined;

  constructor({ services, session, flashVersion, hasVideo, nonce, logger }: PushChildOptions) {
    const { ffmpegPath, usageLimits, clock } = services;
    const args = rtmpPushArguments({
      url: session.childUrl,
      app: session.childApp,
      playPath: session.childPlayPath,
      flashVersion,
      hasVideo,
      hasAudio: true,
    });
    this.#usageLimit = usageLimits && new UsageLimit(usageLimits);
    this.#child = startChild({
      program: ffmpegPath,
      args,
      name: 'rtmp-push',
      nonce,
      inputFd: RTMP_PUSH_INPUT_FD,
      outputFds: [1],
      logger,
      clock,
    });
    const { pid, startTicks = 0, input, ended, outputs } = this.#child;
    this.ended = ended;
    outputs.get(1)?.on('data', (chunk: Buffer) => {
      for (const { fps } of this.#progress.push(chunk)) this.#fps = fps;
    });
    if (pid === undefined || !input) return;
    this.spawned = { pid, startTicks, argvRedacted: [ffmpegPath, ...args].join(' '), input };
  }

  get fps(): number | undefined {
    return this.#fps;
  }

  /** How the run must end for what its process uses, if it must. To be asked regularly. */
  overLimit(nowUs: number): RunEnd | undefined {
    const usage = this.#usageLimit && this.spawned && readProcessUsage(this.spawned.pid);
    return usage && this.#usageLimit?.observe(usage, nowUs);
  }

  stop(): Promise<ChildEnd> {
    return this.#child.stop();
  }

  /** What an end that nobody asked for means by itself. */
  classify(end: ChildEnd): RunEnd {
    return classifyFfmpegEnd(end, this.#child.stderrLines(), false);
  }

  get lastWords(): string {
    return this.#child.stderrLines().slice(-LAST_LINES).join('\n');
  }

  get stderr(): { readonly head: string; readonly tail: string } {
    const lines = this.#child.stderrLines();
    return {
      head: lines.slice(0, STDERR_HEAD_LINES).join('\n'),
      tail: lines.slice(STDERR_HEAD_LINES).join('\n'),
    };
  }
}
