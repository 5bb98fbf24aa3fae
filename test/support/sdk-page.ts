import type { Page } from 'playwright-core';
import type { TestBrowser } from './browser.ts';

/** What a stream object of the official SDK told the page, in order. `atMs` counts from the page's beginning. */
export interface SdkEvent {
  readonly name: string;
  readonly atMs: number;
  /** `getInfo()` of the stream at that moment; '' where it has none. */
  readonly info: string;
  /** Of RESIZE: the size. Of STREAM_EVENT: its object. Of UPDATE: quality, client's and server's bit/s. */
  readonly detail?: unknown;
}

/** Options of the SDK's `createStream`, and what the page does to the offer on its way out and to the answer on its way in. */
export interface SdkStreamOptions {
  readonly name: string;
  readonly stripCodecs?: string;
  readonly transport?: 'UDP' | 'TCP';
  readonly constraints?: object;
  readonly offerEdit?: 'wrongFingerprint' | 'withoutBundle';
  readonly answerEdit?: 'withoutCandidates';
}

/** One entry of `RTCPeerConnection.getStats()`. */
export interface RtcStat {
  readonly type: string;
  readonly kind?: string;
  readonly [field: string]: unknown;
}

interface PageStream {
  id(): string;
  status(): string;
  getInfo(): string | undefined;
  videoResolution(): { width: number; height: number };
  on(event: string, listener: (...values: unknown[]) => void): PageStream;
  publish(): void;
  play(): void;
  stop(): void;
  available(): Promise<unknown>;
  sendData(payload: unknown): void;
  muteAudio(): void;
  unmuteAudio(): void;
  muteVideo(): void;
  unmuteVideo(): void;
}

interface PageSession {
  createStream(options: object): PageStream;
  on(event: string, listener: (session: PageSession) => void): PageSession;
  sendData(payload: unknown): Promise<unknown>;
}

interface VideoElement {
  requestVideoFrameCallback(callback: () => void): void;
}

interface PagePeer {
  getStats(): Promise<{ values(): Iterable<RtcStat> }>;
}

interface PageEntry {
  readonly stream: PageStream;
  readonly events: SdkEvent[];
  peer?: PagePeer;
  /** Resolves with the time of the first picture that the page shows of this stream. */
  firstPictureMs(): Promise<number>;
}

/** The globals of the page that the functions below run in. */
interface PageGlobals {
  Flashphoner: {
    createSession(options: { urlServer: string }): PageSession;
    constants: Record<string, Record<string, string> & string>;
  };
  document: {
    createElement(tag: string): { querySelector(tag: string): VideoElement | null };
    body: { append(element: object): void };
  };
  RTCPeerConnection: new (...args: unknown[]) => PagePeer;
  WebSocket: { prototype: { send(data: unknown): void } };
  performance: { now(): number };
  sdkTest: {
    session?: PageSession;
    readonly streams: Map<string, PageEntry>;
    starting: string;
    offerEdit: SdkStreamOptions['offerEdit'];
  };
}

type StreamAction =
  'publish' | 'play' | 'stop' | 'muteAudio' | 'unmuteAudio' | 'muteVideo' | 'unmuteVideo' | 'status' | 'id';

const DEFAULT_WAIT_MS = 15_000;

/** A page of the official SDK with one session. Streams are started one after another. The test closes `page`. */
export class SdkPage {
  readonly page: Page;
  #streams = 0;

  private constructor(page: Page) {
    this.page = page;
  }

  /** Opens a page and waits until its session is ESTABLISHED. */
  static async open(browser: TestBrowser, wsUrl: string): Promise<SdkPage> {
    const page = await browser.openPage();
    await page.evaluate(prepare);
    await page.evaluate(connect, wsUrl);
    return new SdkPage(page);
  }

  /** Makes a stream object that records its events; `start` it with `act`. */
  async createStream(options: SdkStreamOptions): Promise<SdkStream> {
    const key = `stream-${this.#streams++}`;
    await this.page.evaluate(createStream, { key, options });
    return new SdkStream(this.page, key);
  }

  /** Publishes and waits for PUBLISHING. */
  async publish(options: SdkStreamOptions): Promise<SdkStream> {
    const stream = await this.createStream(options);
    await stream.act('publish');
    await stream.waitFor('PUBLISHING');
    return stream;
  }

  /** Plays and waits for PLAYING. */
  async play(options: SdkStreamOptions): Promise<SdkStream> {
    const stream = await this.createStream(options);
    await stream.act('play');
    await stream.waitFor('PLAYING');
    return stream;
  }

  /** Settles as the SDK's `session.sendData` does. */
  async sendSessionData(payload: unknown): Promise<'accepted' | 'refused'> {
    return this.page.evaluate(
      (data) =>
        (globalThis as unknown as PageGlobals).sdkTest.session!.sendData(data).then(
          () => 'accepted' as const,
          () => 'refused' as const,
        ),
      payload,
    );
  }
}

/** One stream object in a page. */
export class SdkStream {
  readonly page: Page;
  readonly #key: string;

  constructor(page: Page, key: string) {
    this.page = page;
    this.#key = key;
  }

  /** Calls methods of the SDK's stream one after the other, with nothing of the page between them; what the last one returns. */
  act(...actions: readonly StreamAction[]): Promise<string | undefined> {
    return this.page.evaluate(
      ({ key, names }) => {
        const { sdkTest } = globalThis as unknown as PageGlobals;
        const { stream } = sdkTest.streams.get(key)!;
        if (names.includes('publish') || names.includes('play')) sdkTest.starting = key;
        return names.map((name) => stream[name]() as string | undefined).at(-1);
      },
      { key: this.#key, names: actions },
    );
  }

  /** Whether the server says that the stream's name can be played, with the reason where it cannot. */
  available(): Promise<{ isAvailable: boolean; info: string | undefined }> {
    return this.page.evaluate((key) => {
      const { stream } = (globalThis as unknown as PageGlobals).sdkTest.streams.get(key)!;
      return stream.available().then(
        () => ({ isAvailable: true, info: stream.getInfo() }),
        () => ({ isAvailable: false, info: stream.getInfo() }),
      );
    }, this.#key);
  }

  /** A publisher's data for its players. */
  sendData(payload: unknown): Promise<void> {
    return this.page.evaluate(
      ({ key, data }) => (globalThis as unknown as PageGlobals).sdkTest.streams.get(key)!.stream.sendData(data),
      { key: this.#key, data: payload },
    );
  }

  events(): Promise<SdkEvent[]> {
    return this.page.evaluate(
      (key) => (globalThis as unknown as PageGlobals).sdkTest.streams.get(key)!.events,
      this.#key,
    );
  }

  /** Waits for the `count`-th event of that name; rejects with all that came instead. */
  async waitFor(name: string, { count = 1, timeoutMs = DEFAULT_WAIT_MS } = {}): Promise<SdkEvent> {
    try {
      await this.page.waitForFunction(
        (wanted) => {
          const { events } = (globalThis as unknown as PageGlobals).sdkTest.streams.get(wanted.key)!;
          return events.filter((event) => event.name === wanted.name).length >= wanted.count;
        },
        { key: this.#key, name, count },
        { timeout: timeoutMs, polling: 20 },
      );
    } catch (error) {
      throw new Error(`no ${count} x ${name} within ${timeoutMs} ms, but ${JSON.stringify(await this.events())}`, {
        cause: error,
      });
    }
    const matching = (await this.events()).filter((event) => event.name === name);
    return matching[count - 1]!;
  }

  /** The statuses alone, in order. */
  async statuses(): Promise<string[]> {
    return (await this.events()).map(({ name }) => name).filter((name) => STATUSES.has(name));
  }

  /** What the peer connection under the stream reports. */
  stats(): Promise<RtcStat[]> {
    return this.page.evaluate(async (key) => {
      const { peer } = (globalThis as unknown as PageGlobals).sdkTest.streams.get(key)!;
      return peer ? [...(await peer.getStats()).values()] : [];
    }, this.#key);
  }

  /** One entry of the statistics; `{ type }` alone while there is none. */
  async stat(type: string, kind?: 'video' | 'audio'): Promise<RtcStat> {
    const stats = await this.stats();
    return stats.find((stat) => stat.type === type && (kind === undefined || stat.kind === kind)) ?? { type };
  }

  /** When the page showed the player's first picture, on the clock of `SdkEvent.atMs`. To be asked for before it does. */
  firstPictureMs(): Promise<number> {
    return this.page.evaluate(
      (key) => (globalThis as unknown as PageGlobals).sdkTest.streams.get(key)!.firstPictureMs(),
      this.#key,
    );
  }

  /** Polls the statistics until `read` gives something. */
  async until<T>(read: (stats: RtcStat[]) => T | undefined, what: string, timeoutMs = DEFAULT_WAIT_MS): Promise<T> {
    const deadlineMs = Date.now() + timeoutMs;
    for (;;) {
      const stats = await this.stats();
      const value = read(stats);
      if (value !== undefined) return value;
      if (Date.now() > deadlineMs) throw new Error(`${what}: not within ${timeoutMs} ms: ${JSON.stringify(stats)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Waits until that many pictures are decoded (player) or encoded (publisher). */
  async untilFrames(count: number, timeoutMs = DEFAULT_WAIT_MS): Promise<void> {
    await this.until(
      (stats) =>
        stats.some((stat) => Number(stat['framesDecoded'] ?? stat['framesEncoded'] ?? 0) >= count) ? true : undefined,
      `${count} frames`,
      timeoutMs,
    );
  }
}

const STATUSES = new Set(['PENDING', 'PUBLISHING', 'PLAYING', 'UNPUBLISHED', 'STOPPED', 'FAILED']);

/** Runs in the page: notes the peer connection of each stream and edits offers when told to. */
function prepare(): void {
  const page = globalThis as unknown as PageGlobals;
  page.sdkTest = { streams: new Map(), starting: '', offerEdit: undefined };
  const Original = page.RTCPeerConnection;
  page.RTCPeerConnection = class extends Original {
    constructor(...args: unknown[]) {
      super(...args);
      page.sdkTest.streams.get(page.sdkTest.starting)!.peer = this;
    }
  };
  const { send } = page.WebSocket.prototype;
  page.WebSocket.prototype.send = function (data: unknown) {
    const { offerEdit } = page.sdkTest;
    if (offerEdit === undefined || typeof data !== 'string' || !/"(publish|play)Stream"/.test(data)) {
      return send.call(this, data);
    }
    const message = JSON.parse(data) as { data: { sdp: string }[] };
    const request = message.data[0]!;
    request.sdp =
      offerEdit === 'withoutBundle'
        ? request.sdp.replace(/a=group:BUNDLE.*\r\n/, '')
        : request.sdp.replace(/(a=fingerprint:sha-256 )(..)/g, (_line, head: string, byte: string) =>
            head.concat(byte === '00' ? '01' : '00'),
          );
    send.call(this, JSON.stringify(message));
  };
}

/** Runs in the page. */
function connect(urlServer: string): Promise<void> {
  const { Flashphoner, sdkTest } = globalThis as unknown as PageGlobals;
  const status = Flashphoner.constants['SESSION_STATUS']!;
  return new Promise((resolve, reject) => {
    Flashphoner.createSession({ urlServer })
      .on(status['ESTABLISHED']!, (session) => {
        sdkTest.session = session;
        resolve();
      })
      .on(status['FAILED']!, () => reject(new Error('the session failed')));
  });
}

/** Runs in the page. */
function createStream({ key, options }: { key: string; options: SdkStreamOptions }): void {
  const { Flashphoner, sdkTest, document, performance } = globalThis as unknown as PageGlobals;
  const { offerEdit, answerEdit, ...sdkOptions } = options;
  const display = document.createElement('div');
  document.body.append(display);
  const stream = sdkTest.session!.createStream({
    display,
    ...sdkOptions,
    ...(answerEdit && {
      sdpHook: ({ sdpString }: { sdpString: string }) => sdpString.replace(/a=candidate.*\r\n/g, ''),
    }),
  });
  const events: SdkEvent[] = [];
  const note = (name: string, detail?: unknown): void => {
    events.push({ name, atMs: performance.now(), info: stream.getInfo() ?? '', detail });
  };
  const { STREAM_STATUS, STREAM_EVENT, CONNECTION_QUALITY } = Flashphoner.constants;
  for (const status of Object.values(STREAM_STATUS!)) {
    stream.on(status, () => note(status, status === 'RESIZE' ? { ...stream.videoResolution() } : undefined));
  }
  stream.on(STREAM_EVENT!, (event) => note('STREAM_EVENT', event));
  stream.on(CONNECTION_QUALITY!['UPDATE']!, (quality, clientBps, serverBps) =>
    note('UPDATE', { quality, clientBps, serverBps }),
  );
  sdkTest.offerEdit = offerEdit;
  const firstPictureMs = (): Promise<number> =>
    new Promise((resolve) => {
      const search = setInterval(() => {
        const video = display.querySelector('video');
        if (!video) return;
        clearInterval(search);
        video.requestVideoFrameCallback(() => resolve(performance.now()));
      }, 2);
    });
  sdkTest.streams.set(key, { stream, events, firstPictureMs });
}
