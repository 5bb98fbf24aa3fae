import { randomBytes, randomUUID } from 'node:crypto';
import { alphanumericsOf } from '../../domain/alphanumerics.ts';
import { ProtocolError } from '../../domain/errors.ts';
import type { Logger } from '../../domain/logger.ts';
import { isTerminal, STREAM_INFO } from '../../domain/stream-status.ts';
import type { RtmpPublication } from '../../inputs/rtmp-publisher/rtmp-publication.ts';
import type { RtmpPlayback, RtmpViewer } from '../../outputs/rtmp-player/rtmp-playback.ts';
import { amfObject, amfString } from '../../protocol/amf0/values.ts';
import type { AmfValue } from '../../protocol/amf0/values.ts';
import { parseRtmpStreamName, type RtmpStreamName } from '../../protocol/rtmp/client-url.ts';
import { MEDIA_STREAM_ID, OUT_CHUNK_SIZE } from '../../protocol/rtmp/media.ts';
import { decodeMessage, USER_CONTROL } from '../../protocol/rtmp/messages.ts';
import type { CommandMessage, OutgoingMessage } from '../../protocol/rtmp/messages.ts';
import { MESSAGE_TYPE } from '../../protocol/rtmp/raw-message.ts';
import type { RawMessage } from '../../protocol/rtmp/raw-message.ts';
import type { ServerMessage } from '../../protocol/wcs/server-messages.ts';
import type { RtmpStreamRequest, RtmpStreams } from '../../services/rtmp-streams.ts';
import type { ClientSession, SessionChannel, Sessions } from '../../services/sessions.ts';
import type { Streams } from '../../services/streams.ts';
import { connectProperties, readConnect, type ConnectCommand } from './connect-command.ts';
import { ACKNOWLEDGEMENT_WINDOW_BYTES } from './socket-viewer.ts';
import { noticeOfEnd } from './stream-notices.ts';

export interface CommandServices {
  readonly sessions: Pick<Sessions, 'open' | 'close'>;
  readonly streams: Pick<Streams, 'stop' | 'mayPause'>;
  readonly rtmpStreams: Pick<RtmpStreams, 'publish' | 'play'>;
  /** The parameters of the stream part are the connection's (seed "In a player via RTMP"). */
  readonly useStreamParamsAsConnection: boolean;
}

/** The connection under the commands. */
export interface CommandPeer extends Pick<SessionChannel, 'client' | 'server'> {
  readonly logger: Logger;
  readonly viewer: RtmpViewer;
  send(message: OutgoingMessage): void;
  /** Lets out what was sent, then closes. Nothing is handled any more. */
  end(reason: string): void;
  /** What the connection is there for has changed. */
  onActivity(activity: Activity): void;
}

/** `idle` until the client publishes or plays, and again when that is over. */
export type Activity = 'idle' | 'publishing' | 'playing';

/** The stream that the client publishes or plays, from the request on. Its other half is known once it was let in. */
interface OpenStream {
  readonly mediaSessionId: string;
  readonly published: boolean;
  publication?: RtmpPublication;
  playback?: RtmpPlayback;
}

const APP_KEY = 'flashStreamingApp';
const MEDIA_PROVIDER = 'Flash';
/** librtmp acknowledges after a tenth of its bandwidth, and asks nothing of the window. */
const PEER_BANDWIDTH_WINDOWS = 10;
const DYNAMIC_LIMIT = 2;
const LOGIN_CHARS = 20;

/**
 * What one client says, command by command (reference/rtmp.md §2.4), without a socket. One stream is published or played at
 * a time: viewers share bytes that name one message stream. Commands that nobody knows do nothing; only `connect` is ever
 * answered with `_error`, because ffmpeg gives up on any other.
 */
export class ClientCommands {
  readonly #services: CommandServices;
  readonly #peer: CommandPeer;
  #connected: ConnectCommand | undefined;
  #session: ClientSession | undefined;
  /** Of the URL; with those of its stream part where they count as the connection's. */
  #params: ReadonlyMap<string, string> = new Map();
  #stream: OpenStream | undefined;
  /** The client is gone or sent away: whatever the backend still answers, nothing more begins. */
  #isOver = false;

  constructor(services: CommandServices, peer: CommandPeer) {
    this.#services = services;
    this.#peer = peer;
  }

  /**
   * Media is taken at once. A promise is one to wait for before the next message is handled: the backend is being asked.
   *
   * @throws {ProtocolError} RTMP_CONNECT and the codes of the message and of the publication's input; rejects with the same
   */
  handle(raw: RawMessage): Promise<void> | undefined {
    switch (raw.typeId) {
      case MESSAGE_TYPE.audio:
      case MESSAGE_TYPE.video:
      case MESSAGE_TYPE.dataAmf0:
      case MESSAGE_TYPE.dataAmf3:
      case MESSAGE_TYPE.aggregate:
        this.#stream?.publication?.write(raw);
        return undefined;
      case MESSAGE_TYPE.commandAmf0:
      case MESSAGE_TYPE.commandAmf3: {
        const message = decodeMessage(raw);
        return message.kind === 'command' ? this.#command(message) : undefined;
      }
      default:
        return undefined;
    }
  }

  /** The socket is gone, and with it the session and its stream. */
  gone(reason: string): void {
    this.#isOver = true;
    if (this.#session) this.#services.sessions.close(this.#session, reason);
  }

  /** Ends the connection at the server's wish. Its stream's name is free at once, however long the client takes to go. */
  dismiss(reason: string): void {
    if (this.#connected) this.#status(0, 'status', 'NetConnection.Connect.Closed', 'The server closes the connection.');
    this.#end(reason);
    this.gone(reason);
  }

  announceWindow(windowBytes: number): void {
    this.#peer.send({ kind: 'windowAckSize', windowBytes });
    const bandwidthBytes = PEER_BANDWIDTH_WINDOWS * windowBytes;
    this.#peer.send({ kind: 'peerBandwidth', windowBytes: bandwidthBytes, limitType: DYNAMIC_LIMIT });
  }

  #command({ name, transactionId, args }: CommandMessage): Promise<void> | undefined {
    if (name === 'connect') return this.#connect(transactionId, args);
    if (!this.#connected) throw new ProtocolError('RTMP_CONNECT', 'the first command is not connect');
    switch (name) {
      case 'createStream':
        return this.#result(transactionId, [null, MEDIA_STREAM_ID]);
      case 'releaseStream':
      case 'FCPublish':
        return this.#announce(name, transactionId, args[1]);
      case 'publish':
        return typeof args[1] === 'string' ? this.#open(true, args[1]) : this.#stop();
      case 'play':
        // As in Flash: no name, but the end of what is played.
        if (args[1] === false) return this.#stop();
        return this.#open(false, typeof args[1] === 'string' ? args[1] : '');
      case 'play2':
        return this.#open(false, amfString(args[1], 'streamName') ?? '');
      case 'pause':
        return this.#pause(args[1] === true);
      case 'seek':
        return this.#playerStatus('NetStream.Seek.Notify', 'A live stream is always played from now on.');
      case 'receiveAudio':
      case 'receiveVideo':
        return this.#receive(name === 'receiveAudio' ? 'audio' : 'video', args[1] !== false);
      case 'deleteStream':
      case 'closeStream':
        return this.#stop();
      case 'getStreamLength':
        return this.#result(transactionId, [null, 0]);
      default:
        this.#peer.logger.debug({ commandName: name.slice(0, 64) }, 'a command is ignored');
        return undefined;
    }
  }

  #connect(transactionId: number, args: readonly AmfValue[]): Promise<void> | undefined {
    if (this.#connected) throw new ProtocolError('RTMP_CONNECT', 'a second connect');
    this.#connected = readConnect(args);
    if (this.#services.useStreamParamsAsConnection) return this.#accept(transactionId, this.#connected);
    return this.#connectSession(transactionId, this.#connected);
  }

  async #connectSession(transactionId: number, command: ConnectCommand): Promise<void> {
    const session = await this.#sessionWith(new Map());
    if (this.#isOver) return;
    if (session) return void this.#accept(transactionId, command);
    const description = 'The connection is not allowed.';
    const refusal = amfObject({ level: 'error', code: 'NetConnection.Connect.Rejected', description });
    this.#send('_error', transactionId, [null, refusal]);
    this.#end('refused');
  }

  #accept(transactionId: number, { isEnhanced }: ConnectCommand): undefined {
    this.announceWindow(ACKNOWLEDGEMENT_WINDOW_BYTES);
    this.#peer.send({ kind: 'setChunkSize', chunkSize: OUT_CHUNK_SIZE });
    const success = {
      level: 'status',
      code: 'NetConnection.Connect.Success',
      description: 'The connection is accepted.',
      objectEncoding: 0,
    };
    this.#send('_result', transactionId, [connectProperties(isEnhanced), amfObject(success)]);
    return undefined;
  }

  /** The session, opened now where it was not; undefined where the client is not let in, or gone by now. */
  async #sessionWith(streamParams: ReadonlyMap<string, string>): Promise<ClientSession | undefined> {
    if (this.#session || !this.#connected) return this.#session;
    const { client, server } = this.#peer;
    const { sessions } = this.#services;
    const { appKey, flashVersion, login, params } = this.#connected;
    this.#params = new Map([...params, ...streamParams]);
    const session = await sessions.open(
      {
        kind: 'rtmp',
        client,
        server,
        send: (message) => this.#tell(message),
        close: (reason) => this.dismiss(reason),
      },
      {
        appKey: appKey || APP_KEY,
        mediaProviders: [MEDIA_PROVIDER],
        keepAlive: false,
        clientVersion: flashVersion,
        clientOSVersion: '',
        clientBrowserVersion: '',
        login: login || randomLogin(),
        ...(this.#params.size > 0 && { custom: Object.fromEntries(this.#params) }),
      },
    );
    if (typeof session === 'string') return undefined;
    if (this.#isOver) sessions.close(session, 'closed while it was established');
    else this.#session = session;
    return this.#session;
  }

  /** Encoders name their stream before they publish it; hardware ones wait for the second answer. */
  #announce(name: string, transactionId: number, target: AmfValue): Promise<void> | undefined {
    const answer = (): undefined => {
      this.#result(transactionId, [null, undefined]);
      if (name !== 'FCPublish') return;
      const start = { code: 'NetStream.Publish.Start', description: 'The stream may be published.' };
      this.#send('onFCPublish', transactionId, [null, amfObject(start)]);
    };
    if (this.#session || typeof target !== 'string') return answer();
    return this.#admit(true, target).then((address) => (address ? answer() : undefined));
  }

  /** Where a stream is and whether the client may go on; undefined where it was told that it may not. Opens a session that waited. */
  async #admit(published: boolean, target: string): Promise<RtmpStreamName | undefined> {
    const address = this.#addressOf(target);
    if (!address) this.#sayBadName(published);
    else if (!(await this.#sessionWith(address.params)) && !this.#isOver) {
      this.#sayEnd(published, STREAM_INFO.restrictedAccess);
    }
    return this.#session && !this.#isOver ? address : undefined;
  }

  async #open(published: boolean, target: string): Promise<void> {
    if (this.#stream?.published === published) await this.#stop();
    if (this.#isOver) return undefined;
    if (this.#stream) {
      const code = published ? 'NetStream.Publish.Failed' : 'NetStream.Play.Failed';
      return this.#status(MEDIA_STREAM_ID, 'error', code, 'This connection has a stream; use another connection.');
    }
    const address = await this.#admit(published, target);
    const session = this.#session;
    if (!address || !session) return undefined;
    const { name } = address;
    const custom = this.#services.useStreamParamsAsConnection ? new Map<string, string>() : address.params;
    const mediaSessionId = published ? randomUUID() : `${name}${session.sessionId}`;
    const request = { mediaSessionId, name, ...(custom.size > 0 && { custom: Object.fromEntries(custom) }) };
    const stream: OpenStream = { mediaSessionId, published };
    this.#stream = stream;
    return published ? this.#publish(session, stream, request) : this.#play(session, stream, request);
  }

  async #publish(session: ClientSession, stream: OpenStream, request: RtmpStreamRequest): Promise<void> {
    const publication = await this.#services.rtmpStreams.publish(session, request);
    if (!publication || this.#stream !== stream) return;
    stream.publication = publication;
    this.#peer.onActivity('publishing');
    this.#begin();
    this.#status(MEDIA_STREAM_ID, 'status', 'NetStream.Publish.Start', 'The stream may be published.');
  }

  async #play(session: ClientSession, stream: OpenStream, request: RtmpStreamRequest): Promise<void> {
    const suppressSound = this.#params.get('suppress_sound')?.toLowerCase() === 'true';
    const { viewer } = this.#peer;
    const playback = await this.#services.rtmpStreams.play(session, { ...request, suppressSound }, viewer);
    if (!playback || this.#stream !== stream) return;
    stream.playback = playback;
    this.#peer.onActivity('playing');
    this.#begin();
    this.#status(MEDIA_STREAM_ID, 'status', 'NetStream.Play.Reset', 'What was played before is over.');
    this.#status(MEDIA_STREAM_ID, 'status', 'NetStream.Play.Start', 'The stream is played.');
    const values = ['|RtmpSampleAccess', true, true];
    this.#peer.send({ kind: 'data', values, timestampMs: 0, streamId: MEDIA_STREAM_ID });
    playback.start();
  }

  #begin(): void {
    this.#peer.send({ kind: 'userControl', event: USER_CONTROL.streamBegin, value: MEDIA_STREAM_ID });
  }

  /** The client's own wish. What it is told comes with the stream's terminal status. */
  #stop(): Promise<void> | undefined {
    if (!this.#session || !this.#stream) return undefined;
    const { mediaSessionId, published } = this.#stream;
    return this.#services.streams.stop(this.#session, mediaSessionId, published);
  }

  #pause(isPaused: boolean): Promise<void> | undefined {
    const { mediaSessionId, playback } = this.#stream ?? {};
    if (!this.#session || mediaSessionId === undefined || !playback) return undefined;
    if (isPaused) return this.#askToPause(this.#session, mediaSessionId);
    this.#playerStatus('NetStream.Unpause.Notify', 'The playback goes on.');
    return void playback.resume();
  }

  async #askToPause(session: ClientSession, mediaSessionId: string): Promise<void> {
    const isAllowed = await this.#services.streams.mayPause(session, mediaSessionId);
    const stream = this.#stream;
    if (stream?.mediaSessionId !== mediaSessionId) return;
    // A failure would make librtmp end its connection.
    if (!isAllowed) return this.#playerStatus('NetStream.Unpause.Notify', 'Pausing is not allowed.');
    stream.playback?.pause();
    this.#playerStatus('NetStream.Pause.Notify', 'The playback is paused.');
  }

  #receive(kind: 'audio' | 'video', isWanted: boolean): undefined {
    this.#stream?.playback?.mute({ [kind]: !isWanted });
  }

  #playerStatus(code: string, description: string): undefined {
    if (this.#stream?.playback) this.#status(MEDIA_STREAM_ID, 'status', code, description);
  }

  /** Undefined where there is no stream of that name, and never will be. */
  #addressOf(target: string): RtmpStreamName | undefined {
    try {
      const address = parseRtmpStreamName(target, this.#connected?.appName);
      return address.name === '' ? undefined : address;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#peer.logger.warn({ code: error.code }, 'a client names a stream that cannot be');
      return undefined;
    }
  }

  #tell(message: ServerMessage): void {
    if (message.name !== 'notifyStreamStatusEvent' || !isTerminal(message.stream.status)) return;
    if (message.stream.mediaSessionId !== this.#stream?.mediaSessionId) return;
    const { published } = this.#stream;
    this.#stream = undefined;
    this.#peer.onActivity('idle');
    this.#sayEnd(published, message.stream.info);
  }

  #sayBadName(published: boolean): void {
    if (!published) return this.#sayEnd(false, STREAM_INFO.streamNotFound);
    this.#status(MEDIA_STREAM_ID, 'error', 'NetStream.Publish.BadName', 'A stream cannot have this name.');
    this.#end('NetStream.Publish.BadName');
  }

  #sayEnd(published: boolean, info: string | undefined): void {
    const notice = noticeOfEnd(published, info);
    if (!notice) return;
    if (notice.streamEof) {
      this.#peer.send({ kind: 'userControl', event: USER_CONTROL.streamEof, value: MEDIA_STREAM_ID });
    }
    this.#status(MEDIA_STREAM_ID, notice.level, notice.code, notice.description);
    if (notice.endsConnection) this.#end(notice.code);
  }

  /** Transaction 0 asks for no answer. */
  #result(transactionId: number, args: readonly AmfValue[]): undefined {
    if (transactionId !== 0) this.#send('_result', transactionId, args);
  }

  #end(reason: string): void {
    this.#isOver = true;
    this.#peer.end(reason);
  }

  #status(streamId: number, level: string, code: string, description: string): undefined {
    const args = [null, amfObject({ level, code, description })];
    this.#peer.send({ kind: 'command', name: 'onStatus', transactionId: 0, args, streamId });
  }

  #send(name: string, transactionId: number, args: readonly AmfValue[]): void {
    this.#peer.send({ kind: 'command', name, transactionId, args, streamId: 0 });
  }
}

/** A client that gives no login is given one (seed "In a player via RTMP"). */
function randomLogin(): string {
  return alphanumericsOf(randomBytes(LOGIN_CHARS));
}
