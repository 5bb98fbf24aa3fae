import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { amfObject, amfString } from '../../src/protocol/amf0/values.ts';
import type { AmfValue } from '../../src/protocol/amf0/values.ts';
import { RtmpLink } from '../../src/protocol/rtmp/link.ts';
import { decodeMessage, encodeMessage } from '../../src/protocol/rtmp/messages.ts';
import type { CommandMessage, OutgoingMessage, RtmpMessage } from '../../src/protocol/rtmp/messages.ts';
import { MESSAGE_TYPE, type RawMessage } from '../../src/protocol/rtmp/raw-message.ts';
import { waitUntil } from './wait-until.ts';

const WAIT_MS = 15_000;
const KEPT_MEDIA_BYTES = 16;

/** A client whose every command a test decides. It remembers all that the server said, and waits for what it will say. */
export class RtmpTestClient {
  readonly socket: Socket;
  /** Local address and port, as they stand in session ids. */
  readonly endpoint: string;
  /** Of audio and video only the first bytes are kept: a player may be there for long. */
  readonly messages: RtmpMessage[] = [];
  /** Resolves when the socket is gone, whoever ended it. */
  readonly closed: Promise<void>;
  isClosed = false;
  readonly #link: RtmpLink;
  #transactionId = 1;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.endpoint = `${socket.localAddress}:${socket.localPort}`;
    this.#link = new RtmpLink({ role: 'client', randomBytes, send: (bytes) => void socket.write(bytes) });
    this.closed = new Promise((resolve) =>
      socket.once('close', () => {
        this.isClosed = true;
        resolve();
      }),
    );
    socket.on('error', () => {});
    socket.on('data', (bytes) => this.#receive(bytes));
    this.#link.start();
  }

  /** Resolves when the handshake is done. */
  static async open(port: number): Promise<RtmpTestClient> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const client = new RtmpTestClient(socket);
    await client.#until(() => client.#link.isHandshakeDone || undefined, 'the handshake');
    return client;
  }

  /** Also says `connect`, and waits for the answer. */
  static async connected(port: number, app = 'live', ...more: readonly AmfValue[]): Promise<RtmpTestClient> {
    const client = await RtmpTestClient.open(port);
    const answer = await client.ask('connect', connectObject(port, app), ...more);
    if (answer.name !== '_result') throw new Error(`connect was answered with ${answer.name}`);
    return client;
  }

  /** A connected client that publishes this name. */
  static async publishing(port: number, name: string, app?: string): Promise<RtmpTestClient> {
    const client = await RtmpTestClient.connected(port, app);
    await client.ask('createStream', null);
    client.say('publish', [null, name, 'live'], 1);
    await client.status('NetStream.Publish.Start');
    return client;
  }

  /** A connected client that plays this name. */
  static async playing(port: number, name: string, app?: string): Promise<RtmpTestClient> {
    const client = await RtmpTestClient.connected(port, app);
    await client.ask('createStream', null);
    client.say('play', [null, name, -2000], 1);
    await client.status('NetStream.Play.Start');
    return client;
  }

  send(message: OutgoingMessage): void {
    this.#link.send(message);
  }

  /** A media message as an encoder sends it. */
  media(message: RawMessage): void {
    this.socket.write(this.#link.encode(message, 1));
  }

  /** Bytes as they go onto the wire. */
  encode(name: string, transactionId: number, args: readonly AmfValue[], streamId = 0): Buffer {
    return this.#link.encode(encodeMessage({ kind: 'command', name, transactionId, args, streamId }));
  }

  say(name: string, args: readonly AmfValue[], streamId = 0, transactionId = 0): void {
    this.socket.write(this.encode(name, transactionId, args, streamId));
  }

  /** Says it and waits for `_result` or `_error`. */
  async ask(name: string, ...args: readonly AmfValue[]): Promise<CommandMessage> {
    const transactionId = this.#transactionId++;
    this.say(name, args, 0, transactionId);
    return this.command(
      (said) => said.transactionId === transactionId && (said.name === '_result' || said.name === '_error'),
      `an answer to ${name}`,
    );
  }

  get commands(): CommandMessage[] {
    return this.messages.filter((message) => message.kind === 'command');
  }

  /** The codes of all statuses so far. */
  get statusCodes(): (string | undefined)[] {
    return this.commands.filter(({ name }) => name === 'onStatus').map(({ args }) => amfString(args[1], 'code'));
  }

  /** Video and sound so far, without their headers. */
  count(kind: 'audio' | 'video'): number {
    return this.messages.filter((message) => message.kind === kind && message.payload[1] === 1).length;
  }

  command(isIt: (command: CommandMessage) => boolean, whatFor: string): Promise<CommandMessage> {
    return this.#until(() => this.commands.find(isIt), whatFor);
  }

  /** The status with this code, also one that came before. */
  status(code: string): Promise<CommandMessage> {
    return this.command(({ name, args }) => name === 'onStatus' && amfString(args[1], 'code') === code, code);
  }

  /** The first message for which it holds, also one that came before. */
  message(isIt: (message: RtmpMessage) => boolean, whatFor: string): Promise<RtmpMessage> {
    return this.#until(() => this.messages.find(isIt), whatFor);
  }

  /** That it happened while the client was there. */
  async until(isIt: () => boolean, whatFor: string): Promise<void> {
    await this.#until(() => isIt() || undefined, whatFor);
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #until<T>(look: () => T | undefined, whatFor: string): Promise<T> {
    const said = () => JSON.stringify(this.commands.map(({ name, args }) => [name, ...args]));
    return waitUntil(look, WAIT_MS, () => `${whatFor}; closed: ${this.isClosed}; said so far: ${said()}`);
  }

  #receive(bytes: Buffer): void {
    this.#link.push(bytes);
    for (let raw = this.#link.take(); raw; raw = this.#link.take()) {
      const isMedia = raw.typeId === MESSAGE_TYPE.audio || raw.typeId === MESSAGE_TYPE.video;
      const payload = Buffer.from(isMedia ? raw.payload.subarray(0, KEPT_MEDIA_BYTES) : raw.payload);
      this.messages.push(decodeMessage({ ...raw, payload }));
    }
  }
}

export function connectObject(port: number, app: string): AmfValue {
  return amfObject({ app, type: 'nonprivate', flashVer: 'test 1.0', tcUrl: `rtmp://127.0.0.1:${port}/${app}` });
}
