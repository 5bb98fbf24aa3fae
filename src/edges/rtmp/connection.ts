import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { plainAddress } from '../../domain/client-address.ts';
import type { CancelTimer, Clock } from '../../domain/clock.ts';
import { ProtocolError } from '../../domain/errors.ts';
import type { Logger } from '../../domain/logger.ts';
import { RateLimit } from '../../domain/rate-limit.ts';
import { type ChunkReaderLimits, DEFAULT_CHUNK_READER_LIMITS } from '../../protocol/rtmp/chunk-reader.ts';
import { RtmpLink } from '../../protocol/rtmp/link.ts';
import { USER_CONTROL } from '../../protocol/rtmp/messages.ts';
import { MESSAGE_TYPE, type RawMessage } from '../../protocol/rtmp/raw-message.ts';
import { type Activity, ClientCommands, type CommandServices } from './client-commands.ts';
import { SetupDeadline } from './setup-deadline.ts';
import { SocketViewer } from './socket-viewer.ts';

export interface ConnectionOptions {
  readonly services: CommandServices;
  readonly clock: Clock;
  readonly logger: Logger;
  /** From the first byte to a stream that is published or played, and for each time between two streams. */
  readonly setupTimeoutMs: number;
  /** A player that says nothing gets a ping after so long, and is cut off when as long passes again. */
  readonly pingIntervalMs: number;
  readonly onActivity: (activity: Activity) => void;
}

/** For what was sent last to go out, and the client to close, where the server cannot wait any longer. */
const DISMISSAL_MS = 1000;
/**
 * A player that lags is not cut off from the end of its stream: it has as long as it takes what it was sent, but no longer than this.
 * Closing before that would answer its next acknowledgement by a reset, which throws away what is on its way.
 */
const END_STANDSTILL_MS = 3000;
const END_TIMEOUT_MS = 20_000;
const END_LOOK_MS = 500;
/** Who has not been let in may not fill the memory: an encoder's first frames fit, and many such clients do no harm. */
const IDLE_LIMITS = { maxMediaBytes: 1 << 20, maxUnfinishedBytes: 2 << 20 };
/** A player sends commands only. */
const PLAYING_LIMITS = { maxMediaBytes: 64 << 10, maxUnfinishedBytes: 64 << 10 };
const LIMITS = { idle: IDLE_LIMITS, publishing: DEFAULT_CHUNK_READER_LIMITS, playing: PLAYING_LIMITS };
const UINT32 = 0x100000000;

/** What a client may say while it waits: enough to see that it goes, which only who reads hears of. */
const MAX_READ_AHEAD_BYTES = 64 * 1024;
/** As for pages: each may cost a question to the backend and lines of the log. */
const COMMAND_RATE = { perSecond: 50, burst: 200 };
/**
 * Of any kind, also of those that only the protocol hears: empty ones take a byte each. An encoder that was held up may send what it
 * has kept at once.
 */
const MESSAGE_RATE = { perSecond: 2000, burst: 20_000 };

/**
 * One client's socket: bytes in through the link to the commands, one message at a time, and everything that limits how much
 * a client may ask and how long it may take. While the backend is asked about a client, its messages wait, and soon its socket.
 */
export class RtmpConnection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #logger: Logger;
  readonly #limits: { -readonly [Limit in keyof ChunkReaderLimits]: number } = {
    ...DEFAULT_CHUNK_READER_LIMITS,
    ...IDLE_LIMITS,
  };
  readonly #link: RtmpLink;
  readonly #viewer: SocketViewer;
  readonly #commands: ClientCommands;
  readonly #setup: SetupDeadline;
  readonly #commandRate: RateLimit;
  readonly #messageRate: RateLimit;
  readonly #closed = Promise.withResolvers<void>();
  /** Why we closed it; undefined while, and where, the client did. */
  #closeReason: string | undefined;
  #isAsking = false;
  #readAheadBytes = 0;
  #activity: Activity = 'idle';
  #hasSpoken = false;
  #stopPinging: CancelTimer = () => {};
  #cancelEnd: CancelTimer = () => {};

  constructor(socket: Socket, options: ConnectionOptions) {
    const { clock, services, setupTimeoutMs } = options;
    const client = { address: plainAddress(socket.remoteAddress), port: socket.remotePort ?? 0 };
    const server = { address: plainAddress(socket.localAddress), port: socket.localPort ?? 0 };
    this.#socket = socket;
    this.#options = options;
    this.#logger = options.logger.child({ client: `${client.address}:${client.port}` });
    this.#link = new RtmpLink({
      role: 'server',
      randomBytes,
      limits: this.#limits,
      send: (bytes) => this.#viewer.answer(bytes),
    });
    this.#viewer = new SocketViewer({
      socket,
      acknowledgedBytes: () => this.#link.peerAcknowledgedBytes,
      acknowledgementBytes: () => this.#link.peerAcknowledgementBytes,
      announceWindow: (windowBytes) => this.#commands.announceWindow(windowBytes),
      onUnreadAnswers: () => this.#cut('RTMP_UNREAD_ANSWERS', 'a client asks on and reads no answers; it is cut off'),
    });
    this.#commands = new ClientCommands(services, {
      client,
      server,
      logger: this.#logger,
      viewer: this.#viewer,
      send: (message) => this.#link.send(message),
      end: (reason) => this.#end(reason),
      onActivity: (activity) => this.#activityChanged(activity),
    });
    this.#setup = new SetupDeadline(clock, setupTimeoutMs, () =>
      this.#cut('RTMP_SETUP_TIMEOUT', 'a client neither publishes nor plays; it is cut off'),
    );
    this.#setup.run();
    this.#commandRate = new RateLimit(clock, COMMAND_RATE);
    this.#messageRate = new RateLimit(clock, MESSAGE_RATE);
    socket.on('data', (bytes) => this.#receive(bytes));
    socket.on('error', (error) => this.#logger.debug({ error }, 'a client connection failed'));
    socket.on('close', () => this.#socketClosed());
  }

  /** Resolves when the socket is gone. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** At the server's wish, which is in a hurry. */
  close(reason: string): void {
    this.#commands.dismiss(reason);
    if (this.#socket.destroyed) return;
    this.#cancelEnd();
    this.#cancelEnd = this.#options.clock.after(DISMISSAL_MS, () => this.#socket.destroy());
  }

  #receive(bytes: Buffer): void {
    this.#hasSpoken = true;
    if (this.#socket.destroyed) return;
    try {
      const count = this.#link.push(bytes);
      if (!this.#messageRate.take(count)) {
        return this.#cut('RTMP_MESSAGE_RATE', 'a client sends too many messages; it is cut off');
      }
      // Of who was sent away only the acknowledgements count.
      if (this.#closeReason !== undefined) while (this.#link.take());
      else if (this.#isAsking) this.#readAhead(bytes.length);
      else this.#takeMessages();
    } catch (error) {
      this.#fail(error);
    }
  }

  #takeMessages(): void {
    while (!this.#isAsking && this.#closeReason === undefined) {
      const message = this.#link.take();
      if (!message) return;
      if (isCommand(message) && !this.#commandRate.take()) {
        return this.#cut('RTMP_COMMAND_RATE', 'a client sends too many commands; it is cut off');
      }
      const asked = this.#commands.handle(message);
      if (asked) this.#waitFor(asked);
    }
  }

  /** A client that says much meanwhile is held up by its own socket. */
  #readAhead(bytes: number): void {
    this.#readAheadBytes += bytes;
    if (this.#readAheadBytes > MAX_READ_AHEAD_BYTES) this.#socket.pause();
  }

  #waitFor(asked: Promise<void>): void {
    this.#isAsking = true;
    this.#readAheadBytes = 0;
    this.#setup.hold();
    asked
      .then(() => {
        this.#isAsking = false;
        this.#socket.resume();
        if (this.#closeReason !== undefined) return;
        if (this.#activity === 'idle') this.#setup.run();
        this.#takeMessages();
      })
      .catch((error: unknown) => this.#fail(error));
  }

  #activityChanged(activity: Activity): void {
    this.#activity = activity;
    this.#stopPinging();
    Object.assign(this.#limits, LIMITS[activity]);
    if (activity === 'idle') {
      if (!this.#isAsking && this.#closeReason === undefined) this.#setup.run();
    } else {
      this.#setup.reset();
      this.#hasSpoken = true;
      const { clock, pingIntervalMs } = this.#options;
      if (activity === 'playing') this.#stopPinging = clock.every(pingIntervalMs, () => this.#probe());
    }
    this.#options.onActivity(activity);
  }

  /** Players have nothing to say but acknowledgements and pongs, so only silence after a ping tells that one is gone. */
  #probe(): void {
    if (this.#isAsking) return;
    if (!this.#hasSpoken) return this.#cut('RTMP_SILENT', 'a player answers no ping; it is cut off');
    this.#hasSpoken = false;
    const timestampMs = Math.floor(this.#options.clock.monotonicUs() / 1000) % UINT32;
    this.#link.send({ kind: 'userControl', event: USER_CONTROL.pingRequest, value: timestampMs });
  }

  #fail(error: unknown): void {
    if (error instanceof ProtocolError) {
      return this.#cut(error.code, 'a client breaks the protocol; its connection is closed');
    }
    this.#logger.error({ error }, 'a message could not be handled');
    this.#closeReason ??= 'failed';
    this.#socket.destroy();
  }

  #cut(code: string, sentence: string): void {
    if (this.#closeReason === undefined) this.#logger.warn({ code }, sentence);
    this.#closeReason ??= code;
    this.#socket.destroy();
  }

  #end(reason: string): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = reason;
    this.#setup.hold();
    this.#socket.resume();
    this.#socket.end();
    this.#awaitEnd();
  }

  #awaitEnd(): void {
    const { clock } = this.#options;
    const beganUs = clock.monotonicUs();
    let movedUs = beganUs;
    let takenBytes = this.#viewer.takenBytes;
    this.#cancelEnd = clock.every(END_LOOK_MS, () => {
      const nowUs = clock.monotonicUs();
      if (this.#viewer.takenBytes !== takenBytes) movedUs = nowUs;
      takenBytes = this.#viewer.takenBytes;
      const isStill = nowUs - movedUs >= END_STANDSTILL_MS * 1000;
      if (isStill || nowUs - beganUs >= END_TIMEOUT_MS * 1000) this.#socket.destroy();
    });
  }

  #socketClosed(): void {
    this.#closeReason ??= 'closed by the client';
    this.#setup.hold();
    this.#stopPinging();
    this.#cancelEnd();
    this.#commands.gone(this.#closeReason);
    this.#closed.resolve();
  }
}

function isCommand({ typeId }: RawMessage): boolean {
  return typeId === MESSAGE_TYPE.commandAmf0 || typeId === MESSAGE_TYPE.commandAmf3;
}
