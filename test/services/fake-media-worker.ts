import { AppError } from '../../src/domain/errors.ts';
import type { MediaUnit } from '../../src/domain/media.ts';
import type {
  MediaEndReason,
  MediaEvent,
  MediaTotals,
  MediaWorker,
  PlayRequest,
  PublishAnswer,
  PublishRequest,
  UnitStreamRequest,
} from '../../src/webrtc/media-worker.ts';

/** The media plane as control sees it: answers at once, connects and ends when the test says so. */
export class FakeMediaWorker implements MediaWorker {
  readonly ports = { udpPort: 1, tcpPort: 2 };
  readonly published: PublishRequest[] = [];
  readonly played: PlayRequest[] = [];
  readonly closed: string[] = [];
  readonly open = new Set<string>();
  /** What was written to each open one. */
  readonly unitStreams = new Map<string, MediaUnit[]>();
  answer: PublishAnswer = { answerSdp: 'answer', video: { codec: 'h264' }, audio: { codec: 'opus' } };
  /** Rejects the next offer. */
  refusal: AppError | undefined;
  /** While set, answers wait for it. */
  gate: Promise<void> | undefined;
  #listener: (event: MediaEvent) => void = () => {};

  async publish(request: PublishRequest): Promise<PublishAnswer> {
    this.published.push(request);
    return this.#answer(request.sessionId);
  }

  async play(request: PlayRequest): Promise<PublishAnswer> {
    this.played.push(request);
    return this.#answer(request.sessionId);
  }

  close(sessionId: string): void {
    this.closed.push(sessionId);
    if (this.open.delete(sessionId)) this.#listener({ type: 'ended', sessionId, reason: 'closed' });
  }

  openUnitStream(request: UnitStreamRequest): void {
    this.unitStreams.set(request.streamId, []);
  }

  writeUnit(streamId: string, unit: MediaUnit): void {
    this.unitStreams.get(streamId)?.push(unit);
  }

  closeUnitStream(streamId: string): void {
    this.unitStreams.delete(streamId);
  }

  requestKeyframe(): void {}

  setFramesWanted(): void {}

  onEvent(listener: (event: MediaEvent) => void): void {
    this.#listener = listener;
  }

  async totals(): Promise<MediaTotals> {
    const none = { packets: 0, payloadBytes: 0, nacks: 0, keyframeRequests: 0, lostPackets: 0 };
    return { inbound: none, outbound: none };
  }

  async dispose(): Promise<void> {
    this.open.clear();
  }

  emit(event: MediaEvent): void {
    this.#listener(event);
  }

  connect(sessionId: string): void {
    this.#listener({ type: 'connected', sessionId });
  }

  end(sessionId: string, reason: MediaEndReason): void {
    this.open.delete(sessionId);
    this.#listener({ type: 'ended', sessionId, reason });
  }

  async #answer(sessionId: string): Promise<PublishAnswer> {
    await this.gate;
    if (this.refusal) throw this.refusal;
    this.open.add(sessionId);
    return this.answer;
  }
}
