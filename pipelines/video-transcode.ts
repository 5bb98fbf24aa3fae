export interface VideoTranscodePipeline {
  /** Size of every output picture, even numbers; the input is fitted in with black bars, whatever its size becomes. */
  readonly widthPx: number;
  readonly heightPx: number;
  /** Absent: as the input comes. */
  readonly fps?: number | undefined;
  /** Frames between keyframes; absent: a keyframe every two seconds of media. */
  readonly keyFrameIntervalFrames?: number | undefined;
  /** Output begins with a keyframe at this time of the input; what comes before it is only decoded. Absent: with the input. */
  readonly resumeAtMs?: number | undefined;
}

/** About 1.8 Mb/s for 720p at 30 frames a second, in proportion to pixels per second. */
const BITS_PER_PIXEL = 0.065;
const ASSUMED_FPS = 30;
const MIN_BITRATE_BPS = 150_000;
const MAX_BITRATE_BPS = 8_000_000;
/**
 * Constant quality under the bitrate's cap. With a target bitrate instead, what x264 knows of a still scene makes it spend
 * nothing on the cut that follows, and a white picture after a black one comes out grey.
 */
const QUALITY = '23';
/** Up to this size one thread is enough and costs the least (reference/ffmpeg.md §2). */
const SINGLE_THREAD_MAX_PIXELS = 1280 * 720;

/** Highest bitrate that a picture size and rate get. */
export function videoBitrateBps(widthPx: number, heightPx: number, fps = ASSUMED_FPS): number {
  const bitrate = Math.round((widthPx * heightPx * fps * BITS_PER_PIXEL) / 1000) * 1000;
  return Math.min(MAX_BITRATE_BPS, Math.max(MIN_BITRATE_BPS, bitrate));
}

/** Matroska (H.264 or VP8) on stdin → constrained baseline H.264 as FLV on stdout (reference/ffmpeg.md §9 C). */
export function videoTranscodeArguments(pipeline: VideoTranscodePipeline): readonly string[] {
  const { widthPx, heightPx, fps, keyFrameIntervalFrames, resumeAtMs } = pipeline;
  const resumeSeconds = resumeAtMs === undefined ? undefined : (resumeAtMs / 1000).toFixed(3);
  const bitrate = String(videoBitrateBps(widthPx, heightPx, fps));
  const size = `${widthPx}:${heightPx}`;
  const filter = [
    ...(resumeSeconds === undefined ? [] : [`trim=start=${resumeSeconds}`]),
    `scale=${size}:force_original_aspect_ratio=decrease:force_divisible_by=2`,
    `pad=${size}:-1:-1`,
    'setsar=1',
    ...(fps === undefined ? [] : [`fps=${fps}`]),
  ].join(',');
  const gop = keyFrameIntervalFrames === undefined ? undefined : String(keyFrameIntervalFrames);
  const everyTwoSeconds = `expr:gte(t,${resumeSeconds === undefined ? '' : `${resumeSeconds}+`}n_forced*2)`;
  return [
    ['-hide_banner', '-nostats', '-nostdin', '-loglevel', 'level+warning'],
    ['-probesize', '32', '-analyzeduration', '0', '-fpsprobesize', '0', '-threads', '1'],
    ['-f', 'matroska', '-i', 'pipe:0', '-map', '0:v', '-filter_threads', '1', '-vf', filter],
    ['-c:v', 'libx264', '-preset', 'veryfast', '-tune', 'zerolatency', '-profile:v', 'baseline'],
    ['-pix_fmt', 'yuv420p', '-bf', '0', '-threads', widthPx * heightPx > SINGLE_THREAD_MAX_PIXELS ? '2' : '1'],
    gop === undefined ? ['-g', '600', '-force_key_frames', everyTwoSeconds] : ['-g', gop, '-keyint_min', gop],
    ['-sc_threshold', '0', '-crf', QUALITY, '-maxrate', bitrate, '-bufsize', bitrate],
    ['-flush_packets', '1', '-f', 'flv', '-flvflags', 'no_duration_filesize+no_metadata', 'pipe:1'],
  ].flat();
}
