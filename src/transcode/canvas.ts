import type { RenditionNeed } from '../hub/unit-source.ts';

export interface PictureSize {
  readonly widthPx: number;
  readonly heightPx: number;
}

const MIN_SIDE_PX = 16;
const MAX_SIDE_PX = 4096;

/**
 * Size of every picture of a rendition: what is asked for; a side that is not follows the aspect ratio of the source. Even,
 * because 4:2:0 halves both sides.
 */
export function renditionCanvas(need: Pick<RenditionNeed, 'widthPx' | 'heightPx'>, source: PictureSize): PictureSize {
  const aspect = source.widthPx / source.heightPx;
  const heightPx = need.heightPx ?? (need.widthPx === undefined ? source.heightPx : need.widthPx / aspect);
  const widthPx = need.widthPx ?? heightPx * aspect;
  return { widthPx: evenSide(widthPx), heightPx: evenSide(heightPx) };
}

function evenSide(px: number): number {
  return Math.min(MAX_SIDE_PX, Math.max(MIN_SIDE_PX, Math.round(px / 2) * 2));
}
