import { Burst, type ForwardTurn } from './forward-turn.ts';
import type { SourcePlayer, TimedSenderReport } from './media-source.ts';

/** The players of one source and what it has for them in this turn. */
export class Audience {
  readonly #turn: ForwardTurn;
  readonly #burst = new Burst();
  readonly #players = new Set<SourcePlayer>();

  constructor(turn: ForwardTurn) {
    this.#turn = turn;
  }

  attach(player: SourcePlayer): void {
    this.#players.add(player);
  }

  /** What waits for the end of this turn goes out first: the new player has it from the packet store. */
  join(player: SourcePlayer): void {
    this.#turn.flush();
    this.#burst.receivers.add(player);
  }

  detach(player: SourcePlayer): void {
    this.#burst.receivers.delete(player);
    this.#players.delete(player);
  }

  /** `packet` is valid only during the call, `index` is the one that viewers see. */
  forward(
    kind: 'video' | 'audio',
    packet: Buffer,
    payloadStart: number,
    payloadEnd: number,
    index: number,
    startsKeyframe: boolean,
  ): void {
    this.#turn.add(this.#burst, kind, packet, payloadStart, payloadEnd, index, startsKeyframe);
  }

  relaySenderReport(kind: 'video' | 'audio', report: TimedSenderReport['report']): void {
    for (const player of this.#players) player.relaySenderReport(kind, report);
  }

  end(): void {
    for (const player of this.#players) player.close('source_ended');
  }
}
