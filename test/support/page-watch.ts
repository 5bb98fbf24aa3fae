import type { Page } from 'playwright-core';

/** On the page's clock in ms. */
export interface SeenPicture {
  readonly shownMs: number;
  /** When the last of its packets came. */
  readonly receivedMs: number;
  /** By its RTP timestamp, which begins anywhere. */
  readonly mediaMs: number;
  /** How many have been shown with it, those included of which a busy page was not told. */
  readonly count: number;
}

/** On the page's clock in ms, oldest first. */
export interface SeenAndHeard {
  readonly pictures: readonly SeenPicture[];
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

/**
 * The longest step between two pictures, in the stream or on its way, without what the page itself was late or has left out: a step
 * that it also made itself, and that pictures of which it was not told do not fill.
 */
export function longestStepMs(pictures: readonly SeenPicture[], frameMs: number): number {
  const steps = pictures.slice(1).map((to, index) => {
    const from = pictures[index]!;
    const cameMs = Math.max(to.mediaMs - from.mediaMs, to.receivedMs - from.receivedMs);
    return Math.min(to.shownMs - from.shownMs, cameMs - (to.count - from.count - 1) * frameMs);
  });
  return Math.max(...steps);
}

interface FrameMetadata {
  readonly rtpTimestamp: number;
  readonly receiveTime: number;
  readonly presentedFrames: number;
}

interface Video {
  readonly videoWidth: number;
  readonly srcObject: { getAudioTracks(): readonly unknown[] };
  requestVideoFrameCallback(callback: (nowMs: number, metadata: FrameMetadata) => void): void;
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
  watch: { pictures: SeenPicture[]; flashesMs: number[]; beepsMs: number[] };
}

/** Runs in the page. */
function beginWatch(): void {
  const page = globalThis as unknown as PageGlobals;
  const watch = { pictures: [] as SeenPicture[], flashesMs: [] as number[], beepsMs: [] as number[] };
  page.watch = watch;
  const video = page.document.querySelector('video')!;

  const canvas = page.document.createElement('canvas');
  canvas.width = 1;
  canvas.height = 1;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  let wasWhite = true;
  const look = (nowMs: number, { rtpTimestamp, receiveTime, presentedFrames }: FrameMetadata): void => {
    watch.pictures.push({
      shownMs: nowMs,
      receivedMs: receiveTime,
      mediaMs: rtpTimestamp / 90,
      count: presentedFrames,
    });
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
