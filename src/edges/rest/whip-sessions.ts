import { AddressCounter } from '../../domain/client-address.ts';
import { placeOf } from '../../services/place-of.ts';
import { OVERLOADED, type WhipRefusal } from './whip-refusals.ts';
import { type WhipOffer, WhipSession, type WhipServices } from './whip-session.ts';

export interface WhipSessionsOptions extends WhipServices {
  readonly maxSessions: number;
  /** Of one client address. */
  readonly maxSessionsPerAddress: number;
}

/** All that is published by WHIP and played by WHEP. */
export class WhipSessions {
  readonly #options: WhipSessionsOptions;
  /** By secret id. */
  readonly #sessions = new Map<string, WhipSession>();
  readonly #countByPlace = new AddressCounter();
  #isClosed = false;

  constructor(options: WhipSessionsOptions) {
    this.#options = options;
  }

  /** `created` is told at once, before there is an answer. */
  async open(
    offer: WhipOffer,
    created: (session: WhipSession) => void,
  ): Promise<{ readonly session: WhipSession; readonly answerSdp: string } | { readonly refusal: WhipRefusal }> {
    const { maxSessions, maxSessionsPerAddress } = this.#options;
    const place = placeOf(offer.ends.client.address);
    const isFull = this.#sessions.size >= maxSessions || this.#countByPlace.of(place) >= maxSessionsPerAddress;
    if (this.#isClosed || isFull) return { refusal: OVERLOADED };
    const session = new WhipSession(offer, this.#options);
    this.#sessions.set(session.secretId, session);
    this.#countByPlace.add(place);
    void session.closed.then(() => {
      this.#sessions.delete(session.secretId);
      this.#countByPlace.remove(place);
    });
    created(session);
    const outcome = await session.open();
    return 'refusal' in outcome ? outcome : { session, answerSdp: outcome.answerSdp };
  }

  find(published: boolean, name: string, secretId: string): WhipSession | undefined {
    const session = this.#sessions.get(secretId);
    return session?.offer.published === published && session.offer.name === name ? session : undefined;
  }

  /** Ends all sessions; from now on every offer is refused. */
  close(reason: string): void {
    this.#isClosed = true;
    for (const session of this.#sessions.values()) session.close(reason);
  }
}
