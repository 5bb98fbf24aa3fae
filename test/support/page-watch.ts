import type { Page } from 'playwright-core';

/** On the page's clock in ms, oldest first. */
export interface SeenAndHeard {
  /** When pictures were shown. */
  readonly shownMs: readonly number[];
  /** When the picture became white. */
  readonly flashesMs: readonly number[];
  /** When the sound set in. */
  readonly beepsMs: readonly number[];
}

/** Begins to watch and listen to the one video element of a page, once that has a picture. */
export async function watchPage(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const video = (globalThis as unknown as PageGlobals).document.querySelector('video');
    return video !== null && video.videoWidth > 0;
  });
  await page.evaluate(beginWatch);
}

export function seenAndHeard(page: Page): Promise<SeenAndHeard> {
  return page.evaluate(() => (globalThis as unknown as PageGlobals).watch);
}

interface Video {
  readonly videoWidth: number;
  readonly srcObject: { getAudioTracks(): readonly unknown[] };
  requestVideoFrameCallback(callback: (nowMs: number) => void): void;
}

interface Canvas {
  width: number;
  height: number;
  getContext(
    kind: '2d',
    options: { willReadFrequently: boolean },
  ): {
    drawImage(source: Video, x: number, y: number, width: number, height: number): void;
    getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray };
  };
}

interface Analyser {
  fftSize: number;
  getFloatTimeDomainData(samples: Float32Array): void;
}

/** The globals of the page that the functions here run in. */
interface PageGlobals {
  document: { querySelector(tag: 'video'): Video | null; createElement(tag: 'canvas'): Canvas };
  performance: { now(): number };
  AudioContext: new () => {
    createAnalyser(): Analyser;
    createMediaStreamSource(stream: object): { connect(to: Analyser): void };
  };
  watch: { shownMs: number[]; flashesMs: number[]; beepsMs: number[] };
}

/** Runs in the page. */
function beginWatch(): void {
  const page = globalThis as unknown as PageGlobals;
  const watch = { shownMs: [] as number[], flashesMs: [] as number[], beepsMs: [] as number[] };
  page.watch = watch;
  const video = page.document.querySelector('video')!;

  const canvas = page.document.createElement('canvas');
  canvas.width = 1;
  canvas.height = 1;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  let wasWhite = true;
  const look = (nowMs: number): void => {
    watch.shownMs.push(nowMs);
    context.drawImage(video, 0, 0, 1, 1);
    const isWhite = context.getImageData(0, 0, 1, 1).data[0]! > 128;
    if (isWhite && !wasWhite) watch.flashesMs.push(nowMs);
    wasWhite = isWhite;
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);

  if (video.srcObject.getAudioTracks().length === 0) return;
  const audio = new page.AudioContext();
  const analyser = audio.createAnalyser();
  analyser.fftSize = 256;
  audio.createMediaStreamSource(video.srcObject).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let wasLoud = true;
  setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const isLoud = samples.some((sample) => Math.abs(sample) > 0.1);
    if (isLoud && !wasLoud) watch.beepsMs.push(page.performance.now());
    wasLoud = isLoud;
  }, 4);
}
