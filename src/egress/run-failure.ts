import { ProtocolError } from '../domain/errors.ts';
import type { ExitClass, RunEnd } from '../domain/transponder.ts';

/** How far the connection to the destination got. A close means something else at each. */
export type DestinationStage = 'resolving' | 'connecting' | 'tls' | 'handshake' | 'commands' | 'publishing';

/** Carries the end of a run through code that awaits. */
export class RunFailure extends Error {
  override readonly name = 'RunFailure';
  readonly end: RunEnd;

  constructor(exitClass: ExitClass, detail: string) {
    super(detail);
    this.end = { exitClass, detail };
  }
}

const CLASS_BY_CODE: Readonly<Record<string, ExitClass>> = {
  ECONNREFUSED: 'dest_refused',
  EHOSTUNREACH: 'dest_unreachable',
  ENETUNREACH: 'dest_unreachable',
  EHOSTDOWN: 'dest_unreachable',
  ENETDOWN: 'dest_unreachable',
  EADDRNOTAVAIL: 'dest_unreachable',
  EINVAL: 'dest_unreachable',
  EACCES: 'dest_unreachable',
  ENOTFOUND: 'dest_dns',
  EAI_AGAIN: 'dest_dns',
  EAI_FAIL: 'dest_dns',
  ENODATA: 'dest_dns',
  ETIMEDOUT: 'dest_timeout',
  ECONNRESET: 'dest_reset',
  ECONNABORTED: 'dest_reset',
  EPIPE: 'dest_reset',
};

/** The end of a run that an error of the destination's socket, resolver or bytes means at that stage. */
export function endOfError(error: unknown, stage: DestinationStage): RunEnd {
  if (error instanceof RunFailure) return error.end;
  if (error instanceof ProtocolError) {
    const exitClass = stage === 'publishing' ? 'dest_reset' : 'dest_rejected';
    return { exitClass, detail: `the destination broke the RTMP protocol: ${error.code}, ${error.message}` };
  }
  const code = errorCode(error);
  if (stage === 'resolving') return { exitClass: 'dest_dns', detail: `the host cannot be resolved: ${code}` };
  const byCode = CLASS_BY_CODE[code];
  if (byCode === 'dest_reset') return endOfClose(stage, code);
  if (byCode) return { exitClass: byCode, detail: `${STAGE_WORDS[stage]}: ${code}` };
  if (stage === 'tls') return { exitClass: 'tls_error', detail: `TLS with the destination failed: ${code}` };
  return endOfClose(stage, code);
}

/** The destination closed (`how` is FIN or an error code). Once it talks RTMP but before it lets us publish, that may be its no. */
export function endOfClose(stage: DestinationStage, how: string): RunEnd {
  const exitClass = stage === 'commands' ? 'dest_closed' : 'dest_reset';
  return { exitClass, detail: `the destination closed the connection ${STAGE_WORDS[stage]}: ${how}` };
}

/** The class of a refusal in RTMP words: an `_error` or a status of level error. */
export function classOfRefusal(code: string, description: string): ExitClass {
  if (/BadName/i.test(code) || /already (being )?publish/i.test(description)) return 'dest_busy';
  if (/\.Rejected$/i.test(code) || /authmod=|unauthori[sz]ed|authenticat/i.test(description)) return 'dest_auth';
  return 'dest_rejected';
}

const STAGE_WORDS: Readonly<Record<DestinationStage, string>> = {
  resolving: 'while it was being resolved',
  connecting: 'while connecting',
  tls: 'during the TLS handshake',
  handshake: 'during the RTMP handshake',
  commands: 'before it accepted the stream',
  publishing: 'while publishing',
};

function errorCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return error instanceof Error ? error.name : 'unknown error';
}
