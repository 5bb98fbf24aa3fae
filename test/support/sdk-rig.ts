import { afterAll, afterEach, beforeAll } from 'vitest';
import { startBrowser, type TestBrowser } from './browser.ts';
import { SdkPage } from './sdk-page.ts';
import { startTestApp, type TestApp } from './test-app.ts';

export interface SdkRig {
  /** There from the first test on. */
  readonly app: TestApp;
  /** A page of its own for one party; it goes with the test. */
  openPage(): Promise<SdkPage>;
  /** A stream name that no other test of the file has. */
  freshName(): string;
}

/** The application and a browser for all tests of one file. Called once at its top; everything is closed with the file. */
export function sdkRig(settings: Readonly<Record<string, string>> = {}): SdkRig {
  let app: TestApp;
  let browser: TestBrowser;
  let names = 0;
  const pages: SdkPage[] = [];

  beforeAll(async () => {
    app = await startTestApp(settings);
    browser = await startBrowser();
  });

  afterEach(async () => {
    for (const { page } of pages.splice(0)) await page.close();
  });

  afterAll(async () => {
    await browser?.close();
    await app?.close('the tests are over');
  });

  return {
    get app() {
      return app;
    },
    async openPage() {
      const page = await SdkPage.open(browser, app.wsUrl);
      pages.push(page);
      return page;
    },
    freshName: () => `stream-${names++}`,
  };
}
