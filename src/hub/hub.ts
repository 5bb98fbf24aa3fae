import { AppError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import { LiveStream, type LiveStreamOptions } from './live-stream.ts';

export type StreamListener = (stream: LiveStream) => void;

/** The live streams by name. */
export class Hub {
  readonly #logger: Logger;
  readonly #streams = new Map<string, LiveStream>();
  readonly #upListeners = new Set<StreamListener>();
  readonly #downListeners = new Set<StreamListener>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Throws AppError `STREAM_NAME_IN_USE`. The publisher ends the stream through `remove`. */
  publish(name: string, options: Omit<LiveStreamOptions, 'name'>): LiveStream {
    if (this.#streams.has(name)) throw new AppError('STREAM_NAME_IN_USE', `stream name ${name} is already in use`);
    const stream = new LiveStream({ ...options, name });
    this.#streams.set(name, stream);
    this.#tell(this.#upListeners, stream);
    return stream;
  }

  /**
   * Another stream takes the place of one that is live, under its name and at once: readers of the old one end and find the new one, of
   * which listeners hear as of any that comes up. That the old one ended they do not hear, because the name was never free. Only its
   * owner may do so, who would have removed it otherwise.
   */
  replace(stream: LiveStream, reason: string, options: Omit<LiveStreamOptions, 'name'>): LiveStream {
    const { name } = stream;
    const successor = new LiveStream({ ...options, name });
    this.#streams.set(name, successor);
    stream.end(reason);
    this.#tell(this.#upListeners, successor);
    return successor;
  }

  find(name: string): LiveStream | undefined {
    return this.#streams.get(name);
  }

  list(): LiveStream[] {
    return [...this.#streams.values()];
  }

  /** Frees the name and ends the stream. Idempotent; a later stream of the same name is left alone. */
  remove(stream: LiveStream, reason: string): void {
    if (this.#streams.get(stream.name) !== stream) return;
    this.#streams.delete(stream.name);
    stream.end(reason);
    this.#tell(this.#downListeners, stream);
  }

  /** Called after a stream has its name, also when it has replaced another one. Returns how to stop listening. */
  onUp(listener: StreamListener): () => void {
    return subscribe(this.#upListeners, listener);
  }

  /** Called after the name is free again. Returns how to stop listening. */
  onDown(listener: StreamListener): () => void {
    return subscribe(this.#downListeners, listener);
  }

  /** The stream of this name, now or when it comes up. Rejects with the signal's reason. */
  whenUp(name: string, signal: AbortSignal): Promise<LiveStream> {
    return new Promise((resolve, reject) => {
      const reasonOf = (): Error =>
        signal.reason instanceof Error ? signal.reason : new Error('waiting for a stream was given up');
      if (signal.aborted) {
        reject(reasonOf());
        return;
      }
      const present = this.#streams.get(name);
      if (present) {
        resolve(present);
        return;
      }
      const stop = this.onUp((stream) => {
        if (stream.name !== name) return;
        stop();
        signal.removeEventListener('abort', onAbort);
        resolve(stream);
      });
      const onAbort = (): void => {
        stop();
        reject(reasonOf());
      };
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #tell(listeners: ReadonlySet<StreamListener>, stream: LiveStream): void {
    for (const listener of listeners) {
      try {
        listener(stream);
      } catch (error) {
        this.#logger.error({ err: error, mediaSessionId: stream.id }, 'a listener for streams failed');
      }
    }
  }
}

function subscribe(listeners: Set<StreamListener>, listener: StreamListener): () => void {
  const entry: StreamListener = (stream) => listener(stream);
  listeners.add(entry);
  return () => void listeners.delete(entry);
}
