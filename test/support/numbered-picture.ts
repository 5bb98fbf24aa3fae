import type { Page } from 'playwright-core';

const BITS = 12;
const BIT_WIDTH = 40;
const BIT_HEIGHT = 40;

/** What ffmpeg makes a picture of 640x360 of, which says in its upper edge the number of each frame: black is 0, white is 1. */
export function numberedPicture(fps = 25): string[] {
  const bits = Array.from({ length: BITS }, (_, bit) => {
    const box = `x=${bit * BIT_WIDTH}:y=0:w=${BIT_WIDTH}:h=${BIT_HEIGHT}:color=white:t=fill`;
    return `drawbox=${box}:enable='mod(floor(n/${2 ** bit}),2)'`;
  });
  const edge = `drawbox=x=0:y=0:w=640:h=${BIT_HEIGHT}:color=black:t=fill`;
  const source = [`testsrc2=s=640x360:r=${fps}`, 'noise=alls=30:allf=t', edge, ...bits].join(',');
  return ['-re', '-f', 'lavfi', '-i', source];
}

/** Begins to read the numbers that the one video element of a page shows, once it is there. */
export async function watchNumbers(page: Page): Promise<void> {
  await page.waitForFunction(() => (globalThis as unknown as PageGlobals).document.querySelector('video') !== null);
  await page.evaluate(beginWatch, { bits: BITS, width: BIT_WIDTH, height: BIT_HEIGHT });
}

/** Numbers in the order in which they were shown. */
export function numbersShown(page: Page): Promise<readonly number[]> {
  return page.evaluate(() => (globalThis as unknown as PageGlobals).numbersShown);
}

interface Video {
  requestVideoFrameCallback(callback: () => void): void;
}

interface Canvas {
  width: number;
  height: number;
  getContext(
    kind: '2d',
    options: { willReadFrequently: boolean },
  ): {
    drawImage(source: Video, x: number, y: number): void;
    getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray };
  };
}

/** The globals of the page that the functions here run in. */
interface PageGlobals {
  document: { querySelector(tag: 'video'): Video | null; createElement(tag: 'canvas'): Canvas };
  numbersShown: number[];
}

/** Runs in the page. */
function beginWatch({ bits, width, height }: { bits: number; width: number; height: number }): void {
  const page = globalThis as unknown as PageGlobals;
  const numbers: number[] = [];
  page.numbersShown = numbers;
  const video = page.document.querySelector('video')!;
  const canvas = page.document.createElement('canvas');
  canvas.width = bits * width;
  canvas.height = height;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const look = (): void => {
    context.drawImage(video, 0, 0);
    const { data } = context.getImageData(0, height / 2, canvas.width, 1);
    let number = 0;
    for (let bit = 0; bit < bits; bit++) {
      if (data[4 * (bit * width + width / 2)]! > 128) number += 2 ** bit;
    }
    numbers.push(number);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}
