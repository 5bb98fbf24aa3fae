import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium, type Browser, type Page } from 'playwright-core';

const SDK_FILE = new URL('../../node_modules/@flashphoner/websdk/flashphoner.js', import.meta.url);
const PAGE = `<!doctype html><meta charset="utf-8"><title>test</title><script src="/sdk.js"></script><body></body>`;

export interface TestBrowser {
  /** A page with the official SDK, initialised, on an origin that may use the camera. */
  openPage(): Promise<Page>;
  readonly browser: Browser;
  close(): Promise<void>;
}

export interface TestBrowserOptions {
  readonly args?: readonly string[];
  /** The program to start. Default is Debian's Chromium. */
  readonly executablePath?: string;
  /** The address of the page server, where the browser does not share this machine's loopback interface. */
  readonly pageHost?: string;
}

/** Headless Chromium with a fake camera (20 fps) and microphone (a beep each second), and a page server. */
export async function startBrowser(options: TestBrowserOptions = {}): Promise<TestBrowser> {
  const { executablePath = '/usr/bin/chromium', pageHost } = options;
  const server = await servePages(pageHost ?? '127.0.0.1');
  const url = `http://${pageHost ?? 'localhost'}:${(server.address() as AddressInfo).port}/`;
  const browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
      `--unsafely-treat-insecure-origin-as-secure=${url.slice(0, -1)}`,
      ...(options.args ?? []),
    ],
  });
  return {
    browser,
    async openPage() {
      const page = await browser.newPage();
      await page.goto(url);
      await page.evaluate(() => {
        (globalThis as unknown as { Flashphoner: { init(options: object): void } }).Flashphoner.init({});
      });
      return page;
    },
    async close() {
      await browser.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

async function servePages(host: string): Promise<Server> {
  const sdk = await readFile(SDK_FILE);
  const server = createServer((request, response) => {
    if (request.url === '/sdk.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(sdk);
    else response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
  });
  server.listen(0, host);
  await once(server, 'listening');
  return server;
}
