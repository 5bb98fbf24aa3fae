import { Type } from 'typebox';
import type { RestartPolicyRequest } from '../../services/restart-policy.ts';

/** Numbers and booleans may come as strings; the validator coerces them (reference/wcs-protocol.md §3). */

/** It goes to a command line and to destinations. */
const NO_CONTROL_CHARACTERS = String.raw`^[^\u0000-\u001f\u007f]*$`;
/** As long as pages may make it. */
const StreamName = Type.String({ minLength: 1, maxLength: 1024 });
const RtmpUrl = Type.String({ minLength: 1, maxLength: 2048 });
const MediaSessionId = Type.String({ minLength: 1, maxLength: 128 });
/** That of an RTMP player is the name that it asked for, with both ends of its connection. */
const StreamId = Type.String({ minLength: 1, maxLength: 512 });
const Status = Type.String({ maxLength: 32 });
const Pixels = Type.Integer({ minimum: 0, maximum: 8192 });
const SoundFile = Type.String({ minLength: 1, maxLength: 255 });

/** Echoed as given, so unknown members are let through. */
const PushOptions = Type.Object(
  {
    action: Type.Optional(Type.Union([Type.Literal('mute'), Type.Literal('sound_on')])),
    soundFile: Type.Optional(SoundFile),
    loop: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: true, maxProperties: 16 },
);

/** Flat, and not a union, so that the validator's sentence names the member that is wrong. */
const RestartPolicy = Type.Unsafe<RestartPolicyRequest>({
  description:
    'Ours. "wcs" (as rtmp_push_restore says), "persistent" (for ever, with growing pauses), or an object with the figures: ' +
    '{kind: "wcs", attempts, intervalMs} or {kind: "persistent", baseMs?, capMs?, stableAfterMs?}.',
  type: ['string', 'object'],
  pattern: '^(wcs|persistent)$',
  required: ['kind'],
  properties: {
    kind: { type: 'string', enum: ['wcs', 'persistent'] },
    attempts: { type: 'integer', minimum: 0, maximum: 1_000_000 },
    intervalMs: { type: 'integer', minimum: 0, maximum: 86_400_000 },
    baseMs: { type: 'integer', minimum: 100, maximum: 3_600_000 },
    capMs: { type: 'integer', minimum: 100, maximum: 86_400_000 },
    stableAfterMs: { type: 'integer', minimum: 0, maximum: 86_400_000 },
  },
  additionalProperties: false,
});

export const StartupBody = Type.Object({
  streamName: StreamName,
  rtmpUrl: RtmpUrl,
  rtmpTransponderFullUrl: Type.Optional(Type.Boolean()),
  rtmpFlashVersion: Type.Optional(Type.String({ maxLength: 128, pattern: NO_CONTROL_CHARACTERS })),
  width: Type.Optional(Pixels),
  height: Type.Optional(Pixels),
  fps: Type.Optional(Type.Number({ minimum: 0, maximum: 240 })),
  keyFrameInterval: Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000 })),
  options: Type.Optional(PushOptions),
  waitForStream: Type.Optional(Type.Boolean()),
  restartPolicy: Type.Optional(RestartPolicy),
});

export const PushFindBody = Type.Object({
  streamName: Type.Optional(StreamName),
  rtmpUrl: Type.Optional(RtmpUrl),
});

export const MediaSessionBody = Type.Object({ mediaSessionId: MediaSessionId });

export const SoundOnBody = Type.Object({
  mediaSessionId: MediaSessionId,
  soundFile: SoundFile,
  loop: Type.Optional(Type.Boolean()),
});

export const StreamFindBody = Type.Object({
  mediaSessionId: Type.Optional(StreamId),
  name: Type.Optional(StreamName),
  published: Type.Optional(Type.Boolean()),
  status: Type.Optional(Status),
  display: Type.Optional(Type.Array(Type.String({ maxLength: 32 }), { maxItems: 16 })),
});

/** At least one filter: an empty body must not end every stream of the server. */
export const StreamTerminateBody = Type.Object(
  {
    mediaSessionId: Type.Optional(StreamId),
    mediaSessionIds: Type.Optional(Type.Array(StreamId, { minItems: 1, maxItems: 1000 })),
    name: Type.Optional(StreamName),
    published: Type.Optional(Type.Boolean()),
    status: Type.Optional(Status),
  },
  { minProperties: 1 },
);

export const SessionFindBody = Type.Object({
  appKey: Type.Optional(Type.String({ maxLength: 256 })),
  sessionId: Type.Optional(Type.String({ maxLength: 512 })),
  clientVersion: Type.Optional(Type.String({ maxLength: 64 })),
});

const SessionId = Type.String({ minLength: 1, maxLength: 512 });

export const SessionBody = Type.Object({ sessionId: SessionId });

/** `nodeId` of WCS is let through: there is one node. */
export const DataBody = Type.Object({
  operationId: Type.String({ maxLength: 128, default: '' }),
  payload: Type.Unknown(),
  sessionId: Type.Optional(SessionId),
  sessionIds: Type.Optional(Type.Array(SessionId, { maxItems: 1000 })),
});

export const StreamDataBody = Type.Object({ streamName: StreamName, payload: Type.Unknown() });

/** The transponder object of WCS. */
const Push = Type.Object({
  mediaSessionId: Type.String(),
  streamName: Type.String(),
  rtmpUrl: Type.String(),
  width: Type.Integer(),
  height: Type.Integer(),
  muted: Type.Boolean(),
  soundEnabled: Type.Boolean(),
  options: PushOptions,
  rtmpTransponderFullUrl: Type.Optional(Type.Boolean()),
  rtmpFlashVersion: Type.Optional(Type.String()),
  keyFrameInterval: Type.Optional(Type.Integer()),
  fps: Type.Optional(Type.Number()),
  soundFile: Type.Optional(Type.String()),
  loop: Type.Optional(Type.Boolean()),
});

export const PushAnswer = { 200: Push };
export const PushListAnswer = { 200: Type.Array(Push) };

export const SnapshotBody = Type.Object({ streamName: StreamName });
