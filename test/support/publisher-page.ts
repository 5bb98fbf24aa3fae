import { fileURLToPath } from 'node:url';
import type { TestBrowser } from './browser.ts';

const SCRIPT = fileURLToPath(new URL('publisher-page.js', import.meta.url));

export interface PublishOptions {
  readonly name: string;
  /** Default true. */
  readonly video?: boolean;
  readonly audio?: boolean;
  /** As the SDK takes them: comma-separated parts of codec names to take out of the offer. */
  readonly stripCodecs?: string;
  readonly rtmpUrl?: string;
  /** The video track exists but has no picture until `showPicture`. */
  readonly isPictureHeld?: boolean;
}

export interface StatusSeen {
  readonly status: string;
  readonly info: string;
}

/** By how much a page was late itself, which its machine may make it. */
export interface PageLateness {
  /** The longest time without a picture of its canvas, beyond what is usual. */
  readonly paintMs: number;
  /** Of the latest flash after its beep, likewise. */
  readonly flashMs: number;
  /** Flashes that it did not come to show at all. */
  readonly missedFlashes: number;
}

/** A page whose picture flashes and whose sound beeps at the same instant once a second, published through the official SDK. */
export interface PublisherPage {
  publish(options: PublishOptions): Promise<void>;
  unpublish(name: string): Promise<void>;
  /** The size of the published picture from now on. */
  resize(width: number, height: number): Promise<void>;
  showPicture(name: string): Promise<void>;
  /** Since it was last asked. */
  takeLateness(): Promise<PageLateness>;
  /** Statuses of a published stream as the SDK gave them, oldest first. */
  statuses(name: string): Promise<readonly StatusSeen[]>;
  /** Infos of the warnings that the session got about a published stream, oldest first. */
  warnings(name: string): Promise<readonly string[]>;
  close(): Promise<void>;
}

export interface PublisherPageOptions {
  readonly width?: number;
  readonly height?: number;
  /** A lasting tone instead of the beeps, and no flashes. */
  readonly toneHz?: number;
}

export async function openPublisherPage(
  browser: TestBrowser,
  wsUrl: string,
  { width = 320, height = 240, toneHz }: PublisherPageOptions = {},
): Promise<PublisherPage> {
  const page = await browser.openPage();
  await page.addScriptTag({ path: SCRIPT });
  const call = <Result>(method: string, ...args: readonly unknown[]): Promise<Result> =>
    page.evaluate(
      ([name, given]) => {
        const api = (globalThis as unknown as Record<string, Record<string, (...all: unknown[]) => unknown>>)[
          'publisherPage'
        ]!;
        return api[name]!(...given) as Result;
      },
      [method, args] as const,
    ) as Promise<Result>;
  return {
    publish: (options) => call('publish', { wsUrl, width, height, toneHz, ...options }),
    unpublish: (name) => call('unpublish', name),
    resize: (newWidth, newHeight) => call('resize', newWidth, newHeight),
    showPicture: (name) => call('showPicture', name),
    takeLateness: () => call('takeLateness'),
    statuses: (name) => call('statuses', name),
    warnings: (name) => call('warnings', name),
    close: () => page.close(),
  };
}
