import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { waitUntil } from './wait-until.ts';

const SCRIPT = fileURLToPath(new URL('../children/gstreamer-webrtc.py', import.meta.url));

/** What the client says; which fields there are depends on what it is about. */
export interface GstreamerLine {
  readonly answered?: number;
  readonly location?: string;
  readonly connected?: true;
  readonly pictures?: number;
  readonly width?: number;
  readonly height?: number;
  readonly sounds?: number;
  readonly deleted?: number;
  readonly error?: string;
}

/** A WHIP or WHEP client made of GStreamer's webrtcbin. To be stopped or killed. */
export class GstreamerClient {
  readonly #lines: GstreamerLine[] = [];
  readonly #child;

  constructor(action: 'publish' | 'play', url: string, token?: string) {
    // Debian's own, for which the bindings are packaged.
    const args = [SCRIPT, action, url, ...(token === undefined ? [] : [token])];
    this.#child = execa('/usr/bin/python3', args, { reject: false, stdin: 'pipe', buffer: { stdout: false } });
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#lines.push(JSON.parse(line) as GstreamerLine);
    });
  }

  /** The first line, of those said and those to come, that is what is waited for. */
  saying(isIt: (line: GstreamerLine) => boolean, timeoutMs = 20_000): Promise<GstreamerLine> {
    return waitUntil(
      () => this.#lines.find(isIt),
      timeoutMs,
      () => `what GStreamer said: ${JSON.stringify(this.#lines)}`,
    );
  }

  /** Ends the session with DELETE; resolves with its status when the client is gone. */
  async stop(): Promise<number | undefined> {
    this.#child.stdin.end();
    await this.#child;
    return this.#lines.find(({ deleted }) => deleted !== undefined)?.deleted;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#child;
  }
}
