import type { AudioMode, ExitClass } from '../../src/domain/transponder.ts';
import type { PushRun, PushRunFactory, PushRunOptions } from '../../src/outputs/push-run.ts';

/** A run that does what the test says. `stop` resolves, after `ended`, when the test calls `die`, or at once if `diesWhenAsked`. */
class FakeRun implements PushRun {
  readonly options: PushRunOptions;
  readonly lastWords = 'what it says';
  readonly audio: AudioMode[] = [];
  stops = 0;
  isGone = false;
  readonly #gone = Promise.withResolvers<void>();
  readonly #diesWhenAsked: boolean;

  constructor(options: PushRunOptions, diesWhenAsked: boolean) {
    this.options = options;
    this.#diesWhenAsked = diesWhenAsked;
  }

  setAudio(mode: AudioMode): void {
    this.audio.push(mode);
  }

  stop(): Promise<void> {
    this.stops++;
    if (this.#diesWhenAsked) this.end('asked_stop');
    return this.#gone.promise;
  }

  becomeActive(): void {
    this.options.onEvent({ type: 'spawned', pid: 1, startTicks: 2, argvRedacted: 'ffmpeg' });
    this.options.onEvent({ type: 'publishing' });
    this.options.onEvent({ type: 'active' });
  }

  soundEnded(soundFile: string): void {
    this.options.onEvent({ type: 'soundEnded', soundFile });
  }

  /** The child and its sockets are gone, for whatever reason. */
  end(exitClass: ExitClass, detail = 'detail'): void {
    if (this.isGone) return;
    this.isGone = true;
    this.options.onEvent({ type: 'ended', end: { exitClass, detail }, stderrHead: 'head', stderrTail: 'tail' });
    this.#gone.resolve();
  }

  /** The child is gone but nobody said so. */
  vanish(): void {
    this.isGone = true;
    this.#gone.resolve();
  }
}

export class FakePushRuns implements PushRunFactory {
  readonly started: FakeRun[] = [];
  diesWhenAsked = true;
  failsToStart = false;

  start(options: PushRunOptions): PushRun {
    if (this.failsToStart) throw new Error('no more processes');
    const run = new FakeRun(options, this.diesWhenAsked);
    this.started.push(run);
    return run;
  }

  get last(): FakeRun {
    return this.started.at(-1)!;
  }

  get alive(): FakeRun[] {
    return this.started.filter(({ isGone }) => !isGone);
  }
}
