/** Publishing to the loopback gate: what the child is told of the destination (reference/ffmpeg.md §3). */
export interface RtmpPushPipeline {
  /** `rtmp://127.0.0.1:<port>/`, with one-time names; never the real destination. */
  readonly url: string;
  readonly app: string;
  readonly playPath: string;
  readonly flashVersion: string;
  /** At least one is true. Tracks in the Matroska input must be the same. */
  readonly hasVideo: boolean;
  readonly hasAudio: boolean;
}

/** The input pipe of the child. */
export const RTMP_PUSH_INPUT_FD = 3;

/** Matroska (H.264 Annex-B, AAC) on fd 3 → RTMP, both copied; progress on stdout. */
export function rtmpPushArguments(pipeline: RtmpPushPipeline): readonly string[] {
  const video = ['-map', '0:v', '-c:v', 'copy', '-bsf:v', 'extract_extradata'];
  const audio = ['-map', '0:a', '-c:a', 'copy'];
  return [
    ['-hide_banner', '-nostats', '-nostdin', '-loglevel', 'level+info'],
    ['-stats_period', '0.5', '-progress', 'pipe:1'],
    ['-probesize', '32', '-analyzeduration', '0', '-fpsprobesize', '0'],
    ['-f', 'matroska', '-i', `pipe:${RTMP_PUSH_INPUT_FD}`],
    pipeline.hasVideo ? video : [],
    pipeline.hasAudio ? audio : [],
    pipeline.hasVideo && pipeline.hasAudio ? ['-max_interleave_delta', '200000'] : [],
    ['-f', 'flv', '-flvflags', 'no_duration_filesize'],
    ['-tcp_nodelay', '1', '-send_buffer_size', '65536', '-rw_timeout', '10000000'],
    ['-rtmp_flashver', pipeline.flashVersion],
    ['-rtmp_app', pipeline.app, '-rtmp_playpath', pipeline.playPath],
    ['-rtmp_tcurl', `${pipeline.url}${pipeline.app}`, pipeline.url],
  ].flat();
}
