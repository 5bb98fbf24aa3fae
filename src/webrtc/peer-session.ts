import { randomBytes } from 'node:crypto';
import type { CancelTimer, Clock } from '../domain/clock.ts';
import type { Logger } from '../domain/logger.ts';
import type { DtlsCertificate } from './dtls-certificate.ts';
import { DtlsSession } from './dtls-session.ts';
import type { IceCredentials } from './ice-binding.ts';
import type { NetworkPath, PathOwner } from './network-path.ts';
import type { Candidate, LocalTransport, Peer, PeerEndReason, PeerOptions } from './peer.ts';
import type { SrtpKeys } from './srtp/srtp.ts';

/** Six and eighteen bytes are 8 and 24 ice-chars: 48 and 144 bits where RFC 8445 §5.3 asks for 24 and 128. */
const UFRAG_BYTES = 6;
const PASSWORD_BYTES = 18;
/** Addresses that one session may be heard from; the oldest that is not nominated makes room. */
const MAX_PATHS = 8;

/** What the host gives to each of its sessions. */
export interface SessionSurroundings {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly certificate: DtlsCertificate;
  readonly candidates: readonly Candidate[];
  readonly connectTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** The session has ended and is to be forgotten. */
  readonly forget: (session: PeerSession) => void;
}

/**
 * One remote browser. It is `connecting` until a path is nominated and DTLS has verified the browser, then `connected`
 * until either side closes or nothing is heard for the keep-alive time.
 */
export class PeerSession implements Peer, PathOwner, IceCredentials {
  readonly id: string;
  readonly local: LocalTransport;
  readonly localPassword: string;
  readonly remoteUfrag: string;
  readonly #options: PeerOptions;
  readonly #surroundings: SessionSurroundings;
  readonly #paths: NetworkPath[] = [];
  #state: 'connecting' | 'connected' | 'ended' = 'connecting';
  #nominated: NetworkPath | undefined;
  /** Made at the first datagram: what never gets through ICE costs no certificate parsing. */
  #dtls: DtlsSession | undefined;
  #keys: SrtpKeys | undefined;
  #lastHeardUs = 0;
  #cancelTimer: CancelTimer;

  constructor(options: PeerOptions, surroundings: SessionSurroundings) {
    this.id = options.id;
    this.#options = options;
    this.#surroundings = surroundings;
    this.localPassword = randomBytes(PASSWORD_BYTES).toString('base64');
    this.remoteUfrag = options.remote.iceUfrag;
    this.local = {
      iceUfrag: randomBytes(UFRAG_BYTES).toString('base64'),
      icePwd: this.localPassword,
      fingerprint: surroundings.certificate.fingerprint,
      setup: 'passive',
      candidates: surroundings.candidates,
    };
    this.#cancelTimer = surroundings.clock.after(surroundings.connectTimeoutMs, () =>
      this.#end(this.#nominated ? 'dtls_error' : 'ice_timeout'),
    );
  }

  /** An authenticated binding request came over `path`. A nomination moves the session there (RFC 8445 §7.3.1.5). */
  onBinding(path: NetworkPath, nominates: boolean): void {
    if (this.#state === 'ended') return;
    this.#heard();
    if (path.owner !== this) this.#adopt(path);
    if (!nominates || this.#nominated === path) return;
    this.#nominated = path;
    this.#connectIfReady();
  }

  onDtls(datagram: Buffer): void {
    if (this.#state === 'ended') return;
    this.#dtls ??= new DtlsSession({
      clock: this.#surroundings.clock,
      certificate: this.#surroundings.certificate,
      fingerprints: this.#options.remote.fingerprints,
      srtpProfiles: this.#options.srtpProfiles,
      send: (reply) => (this.#nominated ?? this.#paths.at(-1))?.send(reply),
      onKeys: (keys) => {
        this.#keys = keys;
        this.#connectIfReady();
      },
      onEnded: (reason) => this.#end(reason),
    });
    this.#dtls.push(datagram);
  }

  onMedia(packet: Buffer): void {
    if (this.#state !== 'connected') return;
    this.#heard();
    this.#options.onPacket(packet);
  }

  onPathLost(path: NetworkPath): void {
    const index = this.#paths.indexOf(path);
    if (index >= 0) this.#paths.splice(index, 1);
    if (this.#nominated === path) this.#nominated = undefined;
  }

  send(packet: Buffer): void {
    if (this.#state === 'connected') this.#nominated?.send(packet);
  }

  close(): void {
    this.#end('closed');
  }

  #heard(): void {
    this.#lastHeardUs = this.#surroundings.clock.monotonicUs();
  }

  #adopt(path: NetworkPath): void {
    if (path.owner) path.owner.onPathLost(path);
    else path.admit();
    path.owner = this;
    this.#paths.push(path);
    if (this.#paths.length > MAX_PATHS) {
      const oldest = this.#paths.findIndex((candidate) => candidate !== this.#nominated);
      this.#paths.splice(oldest, 1)[0]?.release();
    }
  }

  #connectIfReady(): void {
    if (this.#state !== 'connecting' || !this.#nominated || !this.#keys) return;
    this.#state = 'connected';
    this.#cancelTimer();
    this.#watchSilence(this.#surroundings.keepAliveTimeoutMs);
    this.#surroundings.logger.debug({ mediaSessionId: this.id, protocol: this.#nominated.protocol }, 'peer connected');
    this.#options.onConnected(this.#keys);
  }

  /** One timer per session that is set again by what is left, instead of one that every packet moves. */
  #watchSilence(delayMs: number): void {
    this.#cancelTimer = this.#surroundings.clock.after(delayMs, () => {
      const silentMs = (this.#surroundings.clock.monotonicUs() - this.#lastHeardUs) / 1000;
      const leftMs = this.#surroundings.keepAliveTimeoutMs - silentMs;
      if (leftMs <= 0) this.#end('ice_keep_alive');
      else this.#watchSilence(Math.ceil(leftMs));
    });
  }

  #end(reason: PeerEndReason): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#cancelTimer();
    this.#dtls?.close();
    this.#nominated = undefined;
    for (const path of this.#paths.splice(0)) path.release();
    this.#surroundings.forget(this);
    this.#surroundings.logger.debug({ mediaSessionId: this.id, reason }, 'peer ended');
    this.#options.onEnded(reason);
  }
}
