import type { VideoCodec } from '../domain/media.ts';
import type { VideoNeed } from './transcoder.ts';

export interface VideoWish {
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly fps?: number | undefined;
  readonly keyFrameInterval?: number | undefined;
  readonly preserveAspectRatio: boolean;
  readonly sourceCodec: VideoCodec;
}

export type VideoPlan = { readonly mode: 'copy' } | { readonly mode: 'transcode'; readonly need: VideoNeed };

/**
 * Whether a stream must be transcoded while it is republished, and to what (WCS documentation, "Stream transcoding while
 * republishing"): height, fps or keyFrameInterval ask for it; width counts only together with height and only where the
 * aspect ratio is not preserved; 0 is as good as absent. VP8 is always transcoded, RTMP carries only H.264.
 */
export function planVideo(wish: VideoWish): VideoPlan {
  const need = normaliseVideoNeed({
    heightPx: wish.height,
    widthPx: wish.preserveAspectRatio ? undefined : wish.width,
    fps: wish.fps,
    keyFrameIntervalFrames: wish.keyFrameInterval,
  });
  return wish.sourceCodec === 'h264' && isAsPublished(need) ? { mode: 'copy' } : { mode: 'transcode', need };
}

/** The same need in one form: what is not positive means nothing, and so does a width without a height. */
export function normaliseVideoNeed(need: VideoNeed): VideoNeed {
  const heightPx = positive(need.heightPx);
  return {
    heightPx,
    widthPx: heightPx === undefined ? undefined : positive(need.widthPx),
    fps: positive(need.fps),
    keyFrameIntervalFrames: positive(need.keyFrameIntervalFrames),
  };
}

/** Of a normalised need. */
export function isAsPublished(need: VideoNeed): boolean {
  return need.heightPx === undefined && need.fps === undefined && need.keyFrameIntervalFrames === undefined;
}

function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}
