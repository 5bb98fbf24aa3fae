import type { AudioMode, TransponderCaller } from '../domain/transponder.ts';
import type { RtmpTarget } from '../egress/gate.ts';
import type { SecretBox } from '../store/secret-box.ts';
import type { TransponderRow } from '../store/transponders.ts';
import type { RestartPolicy } from '../supervisor/transponder-policy.ts';
import type { PushParams } from '../outputs/push-run.ts';
import type { PushView, StartupRequest } from './transponder-request.ts';

/** What the row keeps of a request: everything but the URL. */
export type StoredRequest = Omit<StartupRequest, 'rtmpUrl'>;

interface Sound {
  readonly soundFile: string;
  readonly loop: boolean;
}

export interface NewRow {
  readonly id: string;
  readonly caller: TransponderCaller;
  readonly request: StartupRequest;
  readonly target: RtmpTarget;
  /** As shown to callers. */
  readonly remoteName: string;
  readonly params: PushParams;
  readonly policy: RestartPolicy;
  readonly nowMs: number;
}

/** The row of a push that begins. This is where the URL becomes a sealed value and a hash. */
export function newPushRow(
  { id, caller, request, target, remoteName, params, policy, nowMs }: NewRow,
  secrets: SecretBox,
): TransponderRow {
  const { rtmpUrl } = request;
  const { action, soundFile, loop } = request.options ?? {};
  const sound = action === 'sound_on' && soundFile !== undefined ? { soundFile, loop: loop ?? false } : undefined;
  return {
    id,
    kind: 'rtmp_push',
    caller,
    streamName: request.streamName,
    remoteName,
    destRedacted: target.redacted,
    destHash: secrets.hash(target.canonical),
    destSecret: secrets.seal(rtmpUrl, id),
    requestJson: JSON.stringify(storedOf(request)),
    paramsJson: JSON.stringify(params),
    policyJson: JSON.stringify(policy),
    desired: 'run',
    state: 'NEW',
    stateSinceMs: nowMs,
    reason: null,
    muted: action === 'mute',
    soundJson: sound ? JSON.stringify(sound) : null,
    attempt: 0,
    restartsTotal: 0,
    nextRetryAtMs: null,
    lastActiveAtMs: null,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    terminatedAtMs: null,
  };
}

/** Named one by one: whatever else a caller sent is not ours to keep. */
function storedOf(request: StartupRequest): StoredRequest {
  return {
    streamName: request.streamName,
    rtmpTransponderFullUrl: request.rtmpTransponderFullUrl,
    rtmpFlashVersion: request.rtmpFlashVersion,
    width: request.width,
    height: request.height,
    fps: request.fps,
    keyFrameInterval: request.keyFrameInterval,
    options: request.options,
    waitForStream: request.waitForStream,
    restartPolicy: request.restartPolicy,
  };
}

/** Muted means silent: an inserted sound is heard again after `unmute`. */
export function audioOf(row: TransponderRow): AudioMode {
  if (row.muted) return { mode: 'mute' };
  const sound = soundOf(row);
  return sound ? { mode: 'sound', ...sound } : { mode: 'source' };
}

/**
 * The same object until it would show something else, so that a list of a thousand costs next to nothing. The URL is unsealed
 * when it is first shown, and kept.
 */
export class ShownPush {
  readonly #openUrl: () => string;
  #row: TransponderRow | undefined;
  #view: PushView | undefined;

  constructor(openUrl: () => string) {
    this.#openUrl = openUrl;
  }

  of(row: TransponderRow): PushView {
    const shown = this.#row;
    const isSame = shown !== undefined && SHOWN_FIELDS.every((field) => shown[field] === row[field]);
    if (this.#view && isSame) return this.#view;
    this.#row = row;
    this.#view = viewOf(row, this.#view?.rtmpUrl ?? this.#openUrl());
    return this.#view;
  }
}

/** All of a row that `viewOf` may look at. */
const SHOWN_FIELDS = ['id', 'remoteName', 'requestJson', 'muted', 'soundJson'] as const;
type ShownRow = Pick<TransponderRow, (typeof SHOWN_FIELDS)[number]>;

/** The URL is shown to callers because WCS shows it; nowhere else (reference/wcs-protocol.md §3.1). */
function viewOf(row: ShownRow, rtmpUrl: string): PushView {
  const request = JSON.parse(row.requestJson) as StoredRequest;
  const sound = soundOf(row);
  return {
    mediaSessionId: row.id,
    streamName: row.remoteName,
    rtmpUrl,
    width: request.width ?? 0,
    height: request.height ?? 0,
    muted: row.muted,
    soundEnabled: sound !== undefined,
    options: request.options ?? {},
    rtmpTransponderFullUrl: request.rtmpTransponderFullUrl,
    rtmpFlashVersion: request.rtmpFlashVersion,
    keyFrameInterval: request.keyFrameInterval,
    fps: request.fps,
    soundFile: sound?.soundFile,
    loop: sound?.loop,
  };
}

/** The inserted sound, heard or not. */
export function soundOf(row: Pick<TransponderRow, 'soundJson'>): Sound | undefined {
  return row.soundJson === null ? undefined : (JSON.parse(row.soundJson) as Sound);
}
