import { once } from 'node:events';
import { WebSocket } from 'ws';

export interface JanusMessage {
  readonly janus: string;
  readonly transaction?: string;
  readonly sender?: number;
  readonly data?: { readonly id: number };
  readonly jsep?: { readonly type: string; readonly sdp: string };
  readonly plugindata?: { readonly data: { readonly error?: string } };
  readonly error?: { readonly reason: string };
}

const KEEP_ALIVE_MS = 20_000;

/** A session of the WebSocket API of Janus 1.x, as far as one who watches streams needs it. */
export class JanusApi {
  readonly #socket: WebSocket;
  readonly #waiters = new Set<(message: JanusMessage) => void>();
  readonly #keepAlive: NodeJS.Timeout;
  #sessionId = 0;
  #transactions = 0;

  static async connect(url: string): Promise<JanusApi> {
    const socket = new WebSocket(url, 'janus-protocol');
    await once(socket, 'open');
    const api = new JanusApi(socket);
    api.#sessionId = await api.#create({ janus: 'create' });
    return api;
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as JanusMessage;
      for (const waiter of this.#waiters) waiter(message);
    });
    this.#keepAlive = setInterval(() => this.#send({ janus: 'keepalive' }), KEEP_ALIVE_MS);
  }

  attachStreaming(): Promise<number> {
    return this.#create({ janus: 'attach', plugin: 'janus.plugin.streaming' });
  }

  /** Sends a message to the plugin and resolves with the event that it leads to. */
  async message(handleId: number, body: object, jsep?: object): Promise<JanusMessage> {
    const event = this.#next((message) => message.janus === 'event' && message.sender === handleId);
    this.#send({ janus: 'message', handle_id: handleId, body, ...(jsep ? { jsep } : {}) });
    const message = await event;
    const error = message.plugindata?.data.error;
    if (error) throw new Error(`Janus: ${error}`);
    return message;
  }

  webrtcUp(handleId: number): Promise<JanusMessage> {
    return this.#next((message) => message.janus === 'webrtcup' && message.sender === handleId);
  }

  close(): void {
    clearInterval(this.#keepAlive);
    this.#socket.terminate();
  }

  async #create(request: object): Promise<number> {
    const transaction = this.#send(request);
    const message = await this.#next((answer) => answer.transaction === transaction);
    if (!message.data) throw new Error(`Janus: ${message.error?.reason ?? message.janus}`);
    return message.data.id;
  }

  #send(request: object): string {
    const transaction = `t${++this.#transactions}`;
    const session = this.#sessionId ? { session_id: this.#sessionId } : {};
    this.#socket.send(JSON.stringify({ ...request, ...session, transaction }));
    return transaction;
  }

  #next(matches: (message: JanusMessage) => boolean): Promise<JanusMessage> {
    return new Promise((resolve) => {
      const waiter = (message: JanusMessage): void => {
        if (!matches(message)) return;
        this.#waiters.delete(waiter);
        resolve(message);
      };
      this.#waiters.add(waiter);
    });
  }
}
