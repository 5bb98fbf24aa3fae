import type { CancelTimer, Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { MediaUnit } from '../domain/media.ts';
import type { Logger } from '../domain/logger.ts';
import { negotiatePlay, negotiatePublish } from '../protocol/sdp/negotiate.ts';
import { parseOffer } from '../protocol/sdp/parse-offer.ts';
import type { PublishPlan } from '../protocol/sdp/plan.ts';
import { writePlayAnswer, writePublishAnswer } from '../protocol/sdp/write-answer.ts';
import type {
  FlowTotals,
  MediaEvent,
  MediaTotals,
  MediaWorker,
  PlayAnswer,
  PlayRequest,
  PublishAnswer,
  PublishRequest,
  UnitStreamRequest,
} from './media-worker.ts';
import type { PeerHost } from './peer.ts';
import { addFlow, NO_FLOW } from './session/flow-totals.ts';
import { ForwardTurn } from './session/forward-turn.ts';
import { PlayerSession } from './session/player-session.ts';
import { PublisherSession } from './session/publisher-session.ts';
import { UnitStream } from './session/unit-stream.ts';
import { createSrtpFanout } from './srtp/create-fanout.ts';
import type { SrtpFanout } from './srtp/fanout.ts';

export interface LocalMediaWorkerOptions {
  readonly host: PeerHost;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A random whole number from 0 to below `bound`, from a cryptographic source. */
  readonly randomBelow: (bound: number) => number;
}

const POLL_MS = 10;
const SECOND_MS = 1000;

/** The media worker that runs on the calling thread. It owns `host` and closes it. */
export class LocalMediaWorker implements MediaWorker {
  readonly #options: LocalMediaWorkerOptions;
  readonly #fanout: SrtpFanout = createSrtpFanout();
  readonly #turn = new ForwardTurn(this.#fanout);
  readonly #publishers = new Map<string, PublisherSession>();
  readonly #players = new Map<string, PlayerSession>();
  readonly #unitStreams = new Map<string, UnitStream>();
  /** Of sessions that have ended. */
  #past: MediaTotals = { inbound: NO_FLOW, outbound: NO_FLOW };
  #listener: (event: MediaEvent) => void = () => {};
  #stopTicks: CancelTimer[] = [];
  #lastSecondUs: number;
  #disposed: Promise<void> | undefined;

  constructor(options: LocalMediaWorkerOptions) {
    this.#options = options;
    this.#lastSecondUs = options.clock.monotonicUs();
  }

  get ports() {
    return this.#options.host.ports;
  }

  onEvent(listener: (event: MediaEvent) => void): void {
    this.#listener = listener;
  }

  async publish(request: PublishRequest): Promise<PublishAnswer> {
    this.#refuseKnown(request.sessionId);
    const { clock } = this.#options;
    const plan = negotiatePublish(parseOffer(request.offerSdp), {
      mediaSessionId: request.sessionId,
      createdMs: clock.nowMs(),
      maxBitrateKbps: request.maxBitrateKbps,
    });
    const publisher = this.#createPublisher(request, plan);
    this.#publishers.set(request.sessionId, publisher);
    this.#updateTicks();
    return {
      answerSdp: writePublishAnswer(plan, publisher.locals),
      video: plan.video && { codec: plan.video.codec },
      audio: plan.audio && { codec: plan.audio.codec },
    };
  }

  async play(request: PlayRequest): Promise<PlayAnswer> {
    this.#refuseKnown(request.sessionId);
    const source = this.#publishers.get(request.streamId) ?? this.#unitStreams.get(request.streamId);
    if (!source) throw new AppError('STREAM_NOT_FOUND', `no stream with id "${request.streamId}"`);
    const { clock, host, randomBelow } = this.#options;
    const plan = negotiatePlay(parseOffer(request.offerSdp), source.playSource, {
      mediaSessionId: request.sessionId,
      createdMs: clock.nowMs(),
    });
    const { sessionId } = request;
    const player = new PlayerSession({
      id: sessionId,
      plan,
      source,
      host,
      fanout: this.#fanout,
      transport: request.transport,
      clock,
      randomBelow,
      events: {
        onConnected: () => this.#emit({ type: 'connected', sessionId }),
        onMediaStarted: () => this.#emit({ type: 'mediaStarted', sessionId }),
        onNotEnoughBandwidth: (bitrateBps, availableBps) =>
          this.#emit({ type: 'notEnoughBandwidth', sessionId, bitrateBps, availableBps }),
        onEnded: (reason) => {
          this.#past = { ...this.#past, outbound: addFlow(this.#past.outbound, player.totals) };
          this.#players.delete(sessionId);
          this.#emit({ type: 'ended', sessionId, reason });
        },
      },
    });
    this.#players.set(sessionId, player);
    return {
      answerSdp: writePlayAnswer(plan, player.locals, player.ssrcs),
      video: plan.video && { codec: plan.video.codec },
      audio: plan.audio && { codec: plan.audio.codec },
    };
  }

  close(sessionId: string): void {
    this.#publishers.get(sessionId)?.close('closed');
    this.#players.get(sessionId)?.close('closed');
  }

  openUnitStream(request: UnitStreamRequest): void {
    const { streamId } = request;
    this.#refuseKnown(streamId);
    const { clock, randomBelow } = this.#options;
    const stream = new UnitStream({
      request,
      turn: this.#turn,
      clock,
      randomBelow,
      events: {
        onKeyframeNeeded: () => this.#emit({ type: 'keyframeNeeded', streamId }),
        onSize: (width, height) => this.#emit({ type: 'videoFormat', streamId, width, height }),
      },
    });
    this.#unitStreams.set(streamId, stream);
    this.#updateTicks();
  }

  writeUnit(streamId: string, unit: MediaUnit): void {
    this.#unitStreams.get(streamId)?.write(unit);
  }

  closeUnitStream(streamId: string): void {
    const stream = this.#unitStreams.get(streamId);
    this.#unitStreams.delete(streamId);
    stream?.close();
    this.#updateTicks();
  }

  requestKeyframe(streamId: string): void {
    this.#publishers.get(streamId)?.requestKeyframe();
    this.#unitStreams.get(streamId)?.requestKeyframe();
  }

  setFramesWanted(streamId: string, wanted: boolean): void {
    this.#publishers.get(streamId)?.setFramesWanted(wanted);
  }

  async totals(): Promise<MediaTotals> {
    const sum = (past: FlowTotals, sessions: Iterable<{ readonly totals: FlowTotals }>) =>
      Array.from(sessions, ({ totals }) => totals).reduce(addFlow, past);
    const { inbound, outbound } = this.#past;
    return { inbound: sum(inbound, this.#publishers.values()), outbound: sum(outbound, this.#players.values()) };
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    for (const player of this.#players.values()) player.close('closed');
    for (const publisher of this.#publishers.values()) publisher.close('closed');
    for (const streamId of this.#unitStreams.keys()) this.closeUnitStream(streamId);
    this.#turn.flush();
    await this.#options.host.close();
  }

  #createPublisher({ sessionId, transport, maxBitrateKbps }: PublishRequest, plan: PublishPlan): PublisherSession {
    const { clock, host, logger, randomBelow } = this.#options;
    const streamId = sessionId;
    const publisher: PublisherSession = new PublisherSession({
      id: sessionId,
      plan,
      host,
      turn: this.#turn,
      transport,
      maxBitrateKbps,
      clock,
      logger,
      randomBelow,
      events: {
        onConnected: () => this.#emit({ type: 'connected', sessionId }),
        onMediaStarted: () => this.#emit({ type: 'mediaStarted', sessionId }),
        onSize: (width, height) => this.#emit({ type: 'videoFormat', streamId, width, height }),
        onFrame: (frame) => this.#emit({ type: 'frame', streamId, frame }),
        onFramesLost: () => this.#emit({ type: 'framesLost', streamId }),
        onSenderReport: (kind, ntpUs, rtpTime) => this.#emit({ type: 'senderReport', streamId, kind, ntpUs, rtpTime }),
        onEnded: (reason) => {
          this.#past = { ...this.#past, inbound: addFlow(this.#past.inbound, publisher.totals) };
          this.#publishers.delete(sessionId);
          this.#updateTicks();
          this.#emit({ type: 'ended', sessionId, reason });
        },
      },
    });
    return publisher;
  }

  #refuseKnown(sessionId: string): void {
    const known: readonly ReadonlyMap<string, object>[] = [this.#publishers, this.#players, this.#unitStreams];
    if (known.some((sessions) => sessions.has(sessionId))) {
      throw new AppError('MEDIA_SESSION_IN_USE', `media session "${sessionId}" exists already`);
    }
  }

  /** An idle worker has no timer. */
  #updateTicks(): void {
    const { clock } = this.#options;
    if (this.#publishers.size === 0 && this.#unitStreams.size === 0) {
      for (const stop of this.#stopTicks) stop();
      this.#stopTicks = [];
    } else if (this.#stopTicks.length === 0) {
      this.#lastSecondUs = clock.monotonicUs();
      this.#stopTicks = [clock.every(POLL_MS, () => this.#poll()), clock.every(SECOND_MS, () => this.#second())];
    }
  }

  #poll(): void {
    const nowUs = this.#options.clock.monotonicUs();
    for (const [sessionId, publisher] of this.#publishers) this.#guard(sessionId, () => publisher.poll(nowUs));
  }

  #second(): void {
    const nowUs = this.#options.clock.monotonicUs();
    const intervalUs = Math.max(1, nowUs - this.#lastSecondUs);
    this.#lastSecondUs = nowUs;
    for (const [sessionId, publisher] of this.#publishers) {
      const rate = this.#guard(sessionId, () => publisher.secondTick(nowUs, intervalUs));
      if (rate) this.#emit({ type: 'rate', sessionId, direction: 'inbound', rate });
    }
    for (const [streamId, stream] of this.#unitStreams) this.#guard(streamId, () => stream.secondTick(nowUs));
    for (const [sessionId, player] of this.#players) {
      const rate = this.#guard(sessionId, () => player.secondTick(nowUs, intervalUs));
      if (rate) this.#emit({ type: 'rate', sessionId, direction: 'outbound', rate });
    }
  }

  /** An error that one session sets off in a timer must not reach the others, nor end the process. */
  #guard<T>(sessionId: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#options.logger.error({ error, mediaSessionId: sessionId }, 'a media session set off an error');
      return undefined;
    }
  }

  /** Control has its own errors; the media path goes on. */
  #emit(event: MediaEvent): void {
    try {
      this.#listener(event);
    } catch (error) {
      const mediaSessionId = 'sessionId' in event ? event.sessionId : event.streamId;
      this.#options.logger.error({ error, mediaSessionId, event: event.type }, 'a listener of media events failed');
    }
  }
}
