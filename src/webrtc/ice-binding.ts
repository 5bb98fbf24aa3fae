import { ProtocolError } from '../domain/errors.ts';
import { encodeXorAddress } from '../protocol/stun/stun-address.ts';
import {
  findAttribute,
  hasNoBadFingerprint,
  hasValidIntegrity,
  parseStun,
  STUN_ATTRIBUTE,
  STUN_TYPE,
  type StunMessage,
} from '../protocol/stun/stun-message.ts';
import { encodeErrorCode, StunWriter } from '../protocol/stun/stun-writer.ts';

/** Attributes below this must be understood by whoever answers (RFC 8489 §14). */
const FIRST_OPTIONAL_ATTRIBUTE = 0x8000;
const KNOWN_ATTRIBUTES: ReadonlySet<number> = new Set(Object.values(STUN_ATTRIBUTE));

/** What a session must have to be found and to check who asks. */
export interface IceCredentials {
  readonly localPassword: string;
  /** The remote fragment of USERNAME (RFC 8445 §7.2.2). */
  readonly remoteUfrag: string;
}

export type BindingCheck<T extends IceCredentials> =
  /** Not for us to answer and no offence: an indication or a response. */
  | { readonly verdict: 'ignored' }
  | { readonly verdict: 'rejected' }
  | { readonly verdict: 'refused'; readonly session: T; readonly response: Buffer }
  | { readonly verdict: 'accepted'; readonly session: T; readonly response: Buffer; readonly nominates: boolean };

/**
 * Checks and answers one STUN datagram as an ICE-lite agent (RFC 8445 §7.3, RFC 8489 §9.1.3). Unlike the RFC we do not
 * answer what is not authenticated: nobody honest needs that answer. Role attributes are not looked at, because an
 * ICE-lite agent is always controlled. A genuine request with an unknown attribute that must be understood is `refused`
 * with error 420.
 */
export function checkBinding<T extends IceCredentials>(
  packet: Buffer,
  from: { readonly address: string; readonly port: number },
  findSession: (localUfrag: string) => T | undefined,
): BindingCheck<T> {
  const message = parseOrUndefined(packet);
  if (!message) return { verdict: 'rejected' };
  if (message.type !== STUN_TYPE.request) return { verdict: 'ignored' };
  const username = findAttribute(message, STUN_ATTRIBUTE.username)?.value.toString('latin1') ?? '';
  const colon = username.indexOf(':');
  const session = findSession(username.slice(0, Math.max(colon, 0)));
  if (!session || username.slice(colon + 1) !== session.remoteUfrag) return { verdict: 'rejected' };
  if (!hasNoBadFingerprint(message) || !hasValidIntegrity(message, session.localPassword)) {
    return { verdict: 'rejected' };
  }
  const unknown = message.attributes
    .map(({ type }) => type)
    .filter((type) => type < FIRST_OPTIONAL_ATTRIBUTE && !KNOWN_ATTRIBUTES.has(type));
  if (unknown.length > 0) {
    return { verdict: 'refused', session, response: unknownAttributes(message, unknown, session.localPassword) };
  }
  const response = new StunWriter(STUN_TYPE.success, message.transactionId)
    .add(STUN_ATTRIBUTE.xorMappedAddress, encodeXorAddress(from.address, from.port, message.transactionId))
    .finish(session.localPassword);
  const nominates = findAttribute(message, STUN_ATTRIBUTE.useCandidate) !== undefined;
  return { verdict: 'accepted', session, response, nominates };
}

function unknownAttributes(message: StunMessage, types: readonly number[], password: string): Buffer {
  const list = Buffer.alloc(2 * types.length);
  types.forEach((type, index) => list.writeUInt16BE(type, 2 * index));
  return new StunWriter(STUN_TYPE.error, message.transactionId)
    .add(STUN_ATTRIBUTE.errorCode, encodeErrorCode(420, 'Unknown Attribute'))
    .add(STUN_ATTRIBUTE.unknownAttributes, list)
    .finish(password);
}

function parseOrUndefined(packet: Buffer): StunMessage | undefined {
  try {
    return parseStun(packet);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
