import { Type } from 'typebox';
import { TRANSPONDER_STATES, type TransponderKind, type TransponderState } from '../../domain/transponder.ts';

/** Times are milliseconds since 1970. What is not listed here does not leave the server. */

const KINDS: readonly TransponderKind[] = ['rtmp_push', 'rtmp_pull', 'wcs_push', 'wcs_pull'];

const State = Type.Unsafe<TransponderState>({ type: 'string', enum: TRANSPONDER_STATES });
const Kind = Type.Unsafe<TransponderKind>({ type: 'string', enum: KINDS });
const NumberOrNull = Type.Unsafe<number | null>({ type: ['integer', 'null'] });
const TextOrNull = Type.Unsafe<string | null>({ type: ['string', 'null'] });

export const TransponderParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 128 }) });

export const ListQuery = Type.Object({
  state: Type.Optional(State),
  kind: Type.Optional(Kind),
  streamName: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
  // What takes a few milliseconds: media wait for no list.
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 100 })),
  offset: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
});

/** `attempts` and `intervalMs` of kind `wcs`, the others of kind `persistent`. */
const RestartPolicy = Type.Object({
  kind: Type.String(),
  attempts: Type.Optional(Type.Integer()),
  intervalMs: Type.Optional(Type.Integer()),
  baseMs: Type.Optional(Type.Integer()),
  capMs: Type.Optional(Type.Integer()),
  stableAfterMs: Type.Optional(Type.Integer()),
});

const Params = Type.Object({
  width: Type.Integer(),
  height: Type.Integer(),
  fps: Type.Number(),
  keyFrameInterval: Type.Integer(),
  rtmpFlashVersion: Type.String(),
  sendMetadata: Type.Boolean(),
});

const Live = Type.Object({
  bitrateBps: Type.Optional(Type.Number()),
  fps: Type.Optional(Type.Number()),
  backlogBytes: Type.Optional(Type.Integer()),
  bufferedMs: Type.Optional(Type.Integer()),
  bufferings: Type.Optional(Type.Integer()),
  bytesAccepted: Type.Optional(Type.Integer()),
  bytesAcknowledged: Type.Optional(Type.Integer()),
  uptimeMs: Type.Optional(Type.Integer()),
  cpuMs: Type.Optional(Type.Integer()),
  rssBytes: Type.Optional(Type.Integer()),
  maxRssBytes: Type.Optional(Type.Integer()),
  droppedVideoUnits: Type.Optional(Type.Integer()),
  droppedAudioUnits: Type.Optional(Type.Integer()),
});

const transponder = {
  id: Type.String(),
  kind: Kind,
  caller: Type.String(),
  streamName: Type.String(),
  remoteName: Type.String(),
  destination: Type.String({ description: 'redacted' }),
  desired: Type.String(),
  state: State,
  stateSinceMs: Type.Integer(),
  reason: TextOrNull,
  restartPolicy: RestartPolicy,
  params: Params,
  muted: Type.Boolean(),
  soundFile: TextOrNull,
  attempt: Type.Integer(),
  restartsTotal: Type.Integer(),
  nextRetryAtMs: NumberOrNull,
  lastActiveAtMs: NumberOrNull,
  createdAtMs: Type.Integer(),
  terminatedAtMs: NumberOrNull,
  live: Type.Optional(Live),
};

const Run = Type.Object({
  attempt: Type.Integer(),
  pid: NumberOrNull,
  spawnedAtMs: Type.Integer(),
  readyAtMs: NumberOrNull,
  endedAtMs: NumberOrNull,
  exitClass: TextOrNull,
  exitDetail: TextOrNull,
  exitCode: NumberOrNull,
  exitSignal: TextOrNull,
  bytesOut: Type.Integer(),
  bytesAcknowledged: Type.Integer(),
  framesOut: Type.Integer(),
  cpuMs: NumberOrNull,
  maxRssBytes: NumberOrNull,
  stderrTail: Type.Union([Type.String(), Type.Null()], { description: 'the last lines, also of a run that goes on' }),
});

const Event = Type.Object({
  seq: Type.Integer(),
  atMs: Type.Integer(),
  type: Type.String(),
  fromState: State,
  toState: State,
  detail: TextOrNull,
  exitClass: TextOrNull,
});

const Transponder = Type.Object(transponder);

export const TransponderAnswer = { 200: Transponder };
export const TransponderListAnswer = {
  200: Type.Object({ total: Type.Integer(), transponders: Type.Array(Transponder) }),
};
export const TransponderDetailAnswer = {
  200: Type.Object({ ...transponder, runs: Type.Array(Run), events: Type.Array(Event) }),
};

/** For the description only: the answer is a stream and is written by hand. */
export const EventStreamAnswer = {
  200: {
    description: 'One event for each transition; its id is the number to send as Last-Event-ID to go on behind it.',
    content: { 'text/event-stream': { schema: Type.Object({ transponderId: Type.String(), ...Event.properties }) } },
  },
};

export const EventHeaders = Type.Object({ 'last-event-id': Type.Optional(Type.Integer({ minimum: 0 })) });
