import type { Page } from 'playwright-core';
import type { TestBrowser } from './browser.ts';

interface Peer {
  readonly localDescription: { readonly sdp: string };
  onconnectionstatechange: () => void;
  readonly connectionState: string;
  getReceivers(): readonly { readonly transport: { readonly state: string } }[];
  addTrack(track: unknown, stream: unknown): void;
  addTransceiver(kind: string, options: object): void;
  createOffer(): Promise<object>;
  setLocalDescription(offer: object): Promise<void>;
  setRemoteDescription(answer: object): Promise<void>;
  getStats(): Promise<{ values(): Iterable<Readonly<Record<string, unknown>>> }>;
}

interface PageGlobals {
  RTCPeerConnection: new () => Peer;
  navigator: { mediaDevices: { getUserMedia(constraints: object): Promise<{ getTracks(): unknown[] }> } };
  whip: { peer: Peer; session: string };
}

/** A page that publishes by WHIP or plays by WHEP with nothing but `fetch` and its peer connection. */
export class WhipPage {
  readonly #page: Page;

  private constructor(page: Page) {
    this.#page = page;
  }

  /** Rejects unless the answer is 201 and the peer connection comes up. `Location` and the answer must be readable across origins. */
  static async open(browser: TestBrowser, url: string, token?: string): Promise<WhipPage> {
    const page = await browser.openPage();
    try {
      await page.evaluate(connect, { url, token, isPublisher: new URL(url).pathname.startsWith('/whip/') });
    } catch (error) {
      await page.close();
      throw error;
    }
    return new WhipPage(page);
  }

  /** Waits until the page has encoded (publisher) or decoded (player) so many pictures, and received or sent sound. */
  async untilMedia(pictures: number): Promise<void> {
    await this.#page.waitForFunction(
      async (wanted) => {
        const { peer } = (globalThis as unknown as PageGlobals).whip;
        const stats = [...(await peer.getStats()).values()];
        const frames = stats.some((stat) => Number(stat['framesDecoded'] ?? stat['framesEncoded']) >= wanted);
        const sound = stats.some(
          (stat) => stat['kind'] === 'audio' && Number(stat['packetsReceived'] ?? stat['packetsSent']) > 50,
        );
        return frames && sound;
      },
      pictures,
      { timeout: 20_000, polling: 50 },
    );
  }

  /** Ends the session as WHIP says; the status of the answer. */
  delete(): Promise<number> {
    return this.#page.evaluate(async () => {
      const { session } = (globalThis as unknown as PageGlobals).whip;
      return (await fetch(session, { method: 'DELETE' })).status;
    });
  }

  /** Waits until the server has closed DTLS. */
  async untilClosed(): Promise<void> {
    await this.#page.waitForFunction(
      () => {
        const [receiver] = (globalThis as unknown as PageGlobals).whip.peer.getReceivers();
        return receiver?.transport.state === 'closed';
      },
      undefined,
      { timeout: 20_000, polling: 50 },
    );
  }

  close(): Promise<void> {
    return this.#page.close();
  }
}

/** Runs in the page. The offer goes at once, without any candidate. */
async function connect(given: { url: string; token: string | undefined; isPublisher: boolean }): Promise<void> {
  const page = globalThis as unknown as PageGlobals;
  const peer = new page.RTCPeerConnection();
  if (given.isPublisher) {
    const stream = await page.navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240 } });
    for (const track of stream.getTracks()) peer.addTrack(track, stream);
  } else {
    for (const kind of ['audio', 'video']) peer.addTransceiver(kind, { direction: 'recvonly' });
  }
  await peer.setLocalDescription(await peer.createOffer());
  const headers = {
    'content-type': 'application/sdp',
    ...(given.token !== undefined && { authorization: `Bearer ${given.token}` }),
  };
  const response = await fetch(given.url, { method: 'POST', headers, body: peer.localDescription.sdp });
  if (response.status !== 201) throw new Error(`status ${response.status}`);
  const connected = new Promise<void>((resolve) => {
    peer.onconnectionstatechange = () => peer.connectionState === 'connected' && resolve();
  });
  page.whip = { peer, session: new URL(response.headers.get('location')!, given.url).href };
  await peer.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  await connected;
}
