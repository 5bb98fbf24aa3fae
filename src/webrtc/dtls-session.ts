import { DtlsServer } from 'werift';
import { ProtocolError } from '../domain/errors.ts';
import type { CancelTimer, Clock } from '../domain/clock.ts';
import { CERTIFICATE_SIGNATURE, type DtlsCertificate } from './dtls-certificate.ts';
import { HANDSHAKE_HEADER_BYTES, HandshakeAssembler, type HandshakeMessage } from './dtls-handshake-assembler.ts';
import { CONTENT_TYPE, encodeDtlsRecord, parseDtlsRecords, type DtlsRecord } from './dtls-records.ts';
import { isGenuineCertificateVerify, isGenuineFinished, matchesFingerprint } from './dtls-verify.ts';
import type { Fingerprint } from './peer.ts';
import type { SrtpKeys, SrtpProfile } from './srtp/srtp.ts';

export interface DtlsSessionOptions {
  readonly clock: Clock;
  readonly certificate: DtlsCertificate;
  /** Of the offer; the client's certificate must match one. */
  readonly fingerprints: readonly Fingerprint[];
  /** Most wanted first. */
  readonly srtpProfiles: readonly SrtpProfile[];
  readonly send: (datagram: Buffer) => void;
  /** Once, after every check has passed. */
  readonly onKeys: (keys: SrtpKeys) => void;
  /** Once; nothing follows. `remote_closed` is the peer's close_notify. */
  readonly onEnded: (reason: DtlsEndReason) => void;
}

export type DtlsEndReason = 'dtls_fingerprint' | 'dtls_error' | 'remote_closed';

/** Protection profiles in the numbers of RFC 5764 §4.1.2 and RFC 7714 §14.2, and the bytes of their salts. */
const PROFILES = {
  AEAD_AES_128_GCM: { id: 0x0007, saltBytes: 12 },
  AES_CM_128_HMAC_SHA1_80: { id: 0x0001, saltBytes: 14 },
} as const satisfies Record<SrtpProfile, object>;
const KEY_BYTES = 16;

const HANDSHAKE_TYPE = { clientHello: 1, certificate: 11, certificateVerify: 15, clientKeyExchange: 16, finished: 20 };
/** What a client sends, in this order and nothing else: two hellos around the cookie, then flight 5 with a certificate. */
const EXPECTED_TYPES = [
  HANDSHAKE_TYPE.clientHello,
  HANDSHAKE_TYPE.clientHello,
  HANDSHAKE_TYPE.certificate,
  HANDSHAKE_TYPE.clientKeyExchange,
  HANDSHAKE_TYPE.certificateVerify,
  HANDSHAKE_TYPE.finished,
] as const;

const VERSION_DTLS_1_2 = 0xfefd;
const CLOSE_NOTIFY = Buffer.from([1, 0]);
/** Above every record number that the handshake can have used in epoch 1, so that no nonce is used twice. */
const CLOSE_NOTIFY_SEQUENCE = 1000;
const SERVER_ROLE = 2;
const MAX_DATAGRAM_BYTES = 1200;
const FIRST_RETRANSMIT_MS = 500;
const LAST_RETRANSMIT_MS = 4000;
/** Repeated messages of the client bring our flight again, but not more often than this. */
const MIN_REPEAT_INTERVAL_US = 50_000;

/** Thrown into werift where it would begin to retransmit on timers that cannot be cancelled. */
const FLIGHT_HELD = new Error('flight is sent by its session');

/**
 * The server side of one DTLS 1.2 handshake (RFC 6347) and of the association after it. werift makes the messages and the
 * keys; it verifies nothing and trusts the order of arrival, so this class stands in front of it: records are checked,
 * fragments put in order, and werift sees one whole message at a time in the only order that a client may use. The
 * certificate, CertificateVerify and Finished are verified here. Retransmission runs on our clock (RFC 6347 §4.2.4).
 *
 * After the handshake only two things are obeyed, both authenticated: a repeated Finished brings our last flight again and
 * an alert ends the session. A ClientHello, so renegotiation, is ignored.
 */
export class DtlsSession {
  readonly #options: DtlsSessionOptions;
  readonly #server: DtlsServer;
  readonly #assembler = new HandshakeAssembler();
  /** werift puts its receiver into `onData`. */
  readonly #transport = {
    type: 'session',
    address: { address: '', family: '', port: 0 },
    closed: false,
    onData: (_record: Buffer, _from: readonly [string, number]): void => {},
    send: (datagram: Buffer): Promise<void> => this.#sendForServer(datagram),
    close: () => Promise.resolve(),
  };
  #state: 'handshaking' | 'connected' | 'ended' = 'handshaking';
  #messagesTaken = 0;
  #lastFlight: readonly Buffer[] = [];
  #lastFlightUs = -Infinity;
  #cancelRetransmit: CancelTimer = () => {};

  constructor(options: DtlsSessionOptions) {
    this.#options = options;
    this.#server = new DtlsServer({
      cert: options.certificate.certPem,
      key: options.certificate.keyPem,
      signatureHash: CERTIFICATE_SIGNATURE,
      srtpProfiles: options.srtpProfiles.map((profile) => PROFILES[profile].id),
      certificateRequest: true,
      extendedMasterSecret: true,
      transport: this.#transport,
    });
    const handle = this.#server.onHandleHandshakes;
    this.#server.onHandleHandshakes = (assembled) =>
      handle(assembled).catch((error: unknown) => {
        if (error !== FLIGHT_HELD) this.#end('dtls_error');
      });
    this.#server.onConnect.subscribe(() => this.#finishHandshake());
  }

  /** Takes a datagram whose first byte says DTLS. What is broken or out of place is dropped (RFC 6347 §4.1.2.7). */
  push(datagram: Buffer): void {
    try {
      for (const record of parseDtlsRecords(datagram)) {
        if (this.#state === 'ended') return;
        this.#takeRecord(record);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }

  /** Tells the peer, if there is an association to close, and releases everything. Idempotent; `onEnded` is not called. */
  close(): void {
    if (this.#state === 'connected') {
      const header = { type: CONTENT_TYPE.alert, version: VERSION_DTLS_1_2, epoch: 1 };
      const sequenceNumber = CLOSE_NOTIFY_SEQUENCE;
      const fragment = this.#server.cipher.cipher.encrypt(SERVER_ROLE, CLOSE_NOTIFY, { ...header, sequenceNumber });
      this.#options.send(encodeDtlsRecord({ ...header, contentType: header.type, sequenceNumber, fragment }));
    }
    this.#release();
  }

  #takeRecord(record: DtlsRecord): void {
    // Epoch 0 is in the clear: it is good for the handshake only, and its alerts could be anybody's.
    if (record.epoch > 1 || (record.epoch === 0 && this.#state !== 'handshaking')) return;
    if (record.contentType === CONTENT_TYPE.handshake) {
      const plain = record.epoch === 0 ? record.fragment : this.#decrypt(record);
      if (plain) this.#takeHandshake(plain, record.epoch);
    } else if (record.contentType === CONTENT_TYPE.alert && record.epoch === 1) {
      const plain = this.#decrypt(record);
      if (plain) this.#takeAlert(plain);
    }
  }

  #takeHandshake(fragments: Buffer, epoch: number): void {
    if (this.#state === 'connected') {
      if (fragments[0] === HANDSHAKE_TYPE.finished) this.#repeatFlight();
      return;
    }
    const { messages, isRepeat } = this.#assembler.push(fragments);
    if (isRepeat) this.#repeatFlight();
    for (const message of messages) {
      if (this.#state !== 'handshaking') return;
      this.#takeMessage(message, epoch);
    }
  }

  #takeMessage(message: HandshakeMessage, epoch: number): void {
    const isProtected = message.type === HANDSHAKE_TYPE.finished;
    if (message.type !== EXPECTED_TYPES[this.#messagesTaken] || isProtected !== (epoch === 1)) {
      this.#end('dtls_error');
      return;
    }
    this.#messagesTaken++;
    const refusal = this.#refusalBefore(message);
    if (refusal) {
      this.#end(refusal);
      return;
    }
    const header = { contentType: CONTENT_TYPE.handshake, version: VERSION_DTLS_1_2, epoch: 0, sequenceNumber: 0 };
    this.#transport.onData(encodeDtlsRecord({ ...header, fragment: message.bytes }), ['', 0]);
    this.#afterDelivery(message);
  }

  /** The proofs, checked against the transcript that does not yet contain them. */
  #refusalBefore(message: HandshakeMessage): DtlsEndReason | undefined {
    const body = message.bytes.subarray(HANDSHAKE_HEADER_BYTES);
    const certificateDer = this.#server.remoteCertificate;
    if (message.type === HANDSHAKE_TYPE.certificateVerify) {
      const isGenuine = certificateDer && isGenuineCertificateVerify(certificateDer, this.#transcript(), body);
      if (!isGenuine) return 'dtls_error';
    }
    if (message.type === HANDSHAKE_TYPE.finished) {
      const { masterSecret } = this.#server.cipher;
      if (!isGenuineFinished(masterSecret, this.#transcript(), body)) return 'dtls_error';
    }
    return undefined;
  }

  #afterDelivery(message: HandshakeMessage): void {
    if (message.type === HANDSHAKE_TYPE.certificate) {
      const certificateDer = this.#server.remoteCertificate;
      if (!certificateDer) this.#end('dtls_error');
      else if (!matchesFingerprint(certificateDer, this.#options.fingerprints)) this.#end('dtls_fingerprint');
    }
    if (message.type === HANDSHAKE_TYPE.clientHello && this.#server.dtls.flight === 4) {
      // Without the extended master secret the keys are not bound to this handshake (RFC 7627 §1); every browser has it.
      if (!this.#server.dtls.remoteExtendedMasterSecret || !this.#server.srtp.srtpProfile) {
        this.#end('dtls_error');
        return;
      }
      this.#sendFlight(this.#server.dtls.lastMessage);
      this.#retransmitIn(FIRST_RETRANSMIT_MS);
    }
  }

  #finishHandshake(): void {
    if (this.#state !== 'handshaking') return;
    this.#state = 'connected';
    this.#cancelRetransmit();
    this.#sendFlight(this.#server.dtls.lastMessage);
    this.#server.dtls.handshakeCache = {};
    this.#options.onKeys(this.#keys());
  }

  #keys(): SrtpKeys {
    const profileId = this.#server.srtp.srtpProfile;
    const profile = this.#options.srtpProfiles.find((candidate) => PROFILES[candidate].id === profileId)!;
    const keys = this.#server.extractSessionKeys(KEY_BYTES, PROFILES[profile].saltBytes);
    return {
      profile,
      inbound: { key: keys.remoteKey, salt: keys.remoteSalt },
      outbound: { key: keys.localKey, salt: keys.localSalt },
    };
  }

  #takeAlert(alert: Buffer): void {
    const [level, description] = alert;
    if (description === 0) this.#end('remote_closed');
    else if (level === 2) this.#end('dtls_error');
  }

  /** Undefined for what is not authentic or comes before there are keys. */
  #decrypt(record: DtlsRecord): Buffer | undefined {
    try {
      return this.#server.cipher.cipher.decrypt(SERVER_ROLE, record.fragment, {
        type: record.contentType,
        version: record.version,
        epoch: record.epoch,
        sequenceNumber: record.sequenceNumber,
      });
    } catch {
      return undefined;
    }
  }

  #transcript(): Buffer {
    return Buffer.concat(this.#server.dtls.sortedHandshakeCache.map((message) => message.serialize()));
  }

  #retransmitIn(delayMs: number): void {
    this.#cancelRetransmit = this.#options.clock.after(delayMs, () => {
      this.#sendFlight(this.#lastFlight);
      this.#retransmitIn(Math.min(delayMs * 2, LAST_RETRANSMIT_MS));
    });
  }

  #repeatFlight(): void {
    if (this.#options.clock.monotonicUs() - this.#lastFlightUs >= MIN_REPEAT_INTERVAL_US) {
      this.#sendFlight(this.#lastFlight);
    }
  }

  #sendFlight(records: readonly Buffer[]): void {
    this.#lastFlight = records;
    this.#lastFlightUs = this.#options.clock.monotonicUs();
    const flight = Buffer.concat(records);
    if (flight.length <= MAX_DATAGRAM_BYTES) this.#options.send(flight);
    else for (const record of records) this.#options.send(record);
  }

  #end(reason: DtlsEndReason): void {
    if (this.#state === 'ended') return;
    this.#release();
    this.#options.onEnded(reason);
  }

  #release(): void {
    this.#state = 'ended';
    this.#cancelRetransmit();
    this.#lastFlight = [];
  }

  /** What werift sends passes through here. Flight 4 it would repeat itself; flight 6 goes out when the handshake is over. */
  #sendForServer(datagram: Buffer): Promise<void> {
    const { flight } = this.#server.dtls;
    if (flight === 4) throw FLIGHT_HELD;
    if (flight === 2) this.#sendFlight([datagram]);
    return Promise.resolve();
  }
}
