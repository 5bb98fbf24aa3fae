import type { Logger } from '../../domain/logger.ts';
import { STREAM_INFO } from '../../domain/stream-status.ts';
import type { ClientMessage, StreamAddress } from '../../protocol/wcs/client-messages.ts';
import type { ClientSession } from '../../services/sessions.ts';
import type { Streams } from '../../services/streams.ts';
import type { WebrtcStreams } from '../../services/webrtc-streams.ts';

/** Makes a picture of a live stream. */
export interface Snapshots {
  /** A PNG of the stream as it is now. Rejects when there is no such stream or no picture in time. */
  take(name: string): Promise<Buffer>;
}

export interface DispatchServices {
  readonly streams: Streams;
  readonly webrtcStreams: WebrtcStreams;
  readonly snapshots: Snapshots;
  readonly logger: Logger;
  /** False when the client has filled its share of the log for now. */
  readonly mayReport: () => boolean;
}

/** Hands a message of an established session to the service it is for. Names that nobody knows, SIP ones included, do nothing. */
export async function dispatch(
  session: ClientSession,
  message: ClientMessage,
  services: DispatchServices,
): Promise<void> {
  const { streams, webrtcStreams, logger, mayReport } = services;
  switch (message.name) {
    case 'publishStream':
      return webrtcStreams.publish(session, message.request);
    case 'playStream':
      return webrtcStreams.play(session, message.request);
    case 'unPublishStream':
      return streams.stop(session, message.stream.mediaSessionId, true);
    case 'stopStream':
      return streams.stop(session, message.stream.mediaSessionId, false);
    case 'availableStream':
      return streams.available(session, message.stream);
    case 'sendStreamEvent':
      return streams.sendEvent(session, message.event);
    case 'snapshot':
      return takeSnapshot(session, message.stream, services);
    case 'sendData':
      return acceptData(session, message.operationId, message.payload);
    case 'sessionDebug':
    case 'submitBugReport':
    case 'pushLogs':
      if (mayReport()) await report(session, message, logger);
      return undefined;
    case 'connection':
      return logger.warn({}, 'a second connection message is ignored');
    case 'unknown':
      return logger.debug({ unknownName: message.message }, 'an unknown message is ignored');
    case 'ping':
    case 'pong':
  }
}

/** The answer goes to the id in the request, which may belong to nothing else. */
async function takeSnapshot(
  session: ClientSession,
  address: StreamAddress,
  { snapshots, logger }: DispatchServices,
): Promise<void> {
  const { mediaSessionId, name } = address;
  const fail = (info: string): void =>
    session.send({ name: 'notifyStreamEvent', event: { mediaSessionId, type: 'snapshotFailed', payload: { info } } });
  if (!(await session.ask('snapshot', address)).allowed) return fail(STREAM_INFO.restrictedAccess);
  try {
    const picture = await snapshots.take(name);
    const payload = { snapshot: picture.toString('base64') };
    session.send({ name: 'notifyStreamEvent', event: { mediaSessionId, type: 'snapshotCompleted', payload } });
  } catch (error) {
    logger.warn({ error, mediaSessionId }, 'a snapshot failed');
    fail('Snapshot failed');
  }
}

/** The backend is the receiver: the hook that is asked gets the payload. */
async function acceptData(session: ClientSession, operationId: string, payload: unknown): Promise<void> {
  const { allowed } = await session.ask('sendData', { operationId, payload });
  const result = allowed
    ? { operationId, status: 'ACCEPTED' as const }
    : { operationId, status: 'FAILED' as const, info: STREAM_INFO.restrictedAccess };
  session.send({ name: 'DataStatusEvent', ...session.forClient('DataStatusEvent', result) });
  void session.tell('DataStatusEvent', result);
}

/** What clients report goes to the log, if the backend wants it. */
async function report(
  session: ClientSession,
  { name, text, report: body }: Extract<ClientMessage, { report: unknown }>,
  logger: Logger,
): Promise<void> {
  if ((await session.ask(name, body)).allowed) return logger.info({ from: name, text }, 'a client reports');
  session.send({ name: 'fail', apiMethod: name, info: STREAM_INFO.restrictedAccess });
}
