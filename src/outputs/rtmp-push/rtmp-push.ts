import type { LiveStream } from '../../hub/live-stream.ts';
import type { PushRunFactory } from '../push-run.ts';
import type { RtmpPushServices } from './push-services.ts';
import { RtmpPushRun } from './rtmp-push-run.ts';

/** Starts the runs of RTMP pushes over the hub, the egress gate and ffmpeg. */
export function createRtmpPushFactory(services: RtmpPushServices): PushRunFactory {
  const silentVideo = new WeakSet<LiveStream>();
  return { start: (options) => new RtmpPushRun(services, silentVideo, options) };
}
