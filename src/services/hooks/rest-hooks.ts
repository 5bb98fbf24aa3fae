import type { Logger } from '../../domain/logger.ts';
import { RateLimit } from '../../domain/rate-limit.ts';
import type { Fields } from '../../protocol/wcs/fields.ts';
import type { AccessOperation, Backend, BackendAnswer, BackendEvent, BackendSession } from '../backend.ts';
import type { Application } from './applications.ts';
import { EventQueue } from './event-queue.ts';
import { HookClient, type HookClientOptions, type HookOutcome, type HookResult } from './hook-client.ts';
import { DEFAULT_POLICY, type HookPolicy, parseRestClientConfig } from './rest-client-config.ts';

export interface RestHooksOptions extends Omit<HookClientOptions, 'backend'> {
  readonly applications: readonly Application[];
  /** Of this server, for the bodies. */
  readonly nodeId: string;
  /** `disable_rest_requests`: nobody is asked. */
  readonly isDisabled: boolean;
  readonly logger: Logger;
}

/** One request, or one event that was never sent (`dropped`). */
export interface HookDone {
  readonly method: string;
  readonly outcome: HookOutcome | 'dropped';
  readonly seconds: number;
}

/** An application with the way to its backend; without one, everything is allowed. */
interface Served {
  readonly application: Application;
  readonly client: HookClient | undefined;
  /** What one broken backend may put into the log. */
  readonly failureLog: RateLimit;
}

/** What the backend wants for one session, and what it is still to be told. */
interface SessionState {
  policies: ReadonlyMap<string, HookPolicy>;
  readonly events: EventQueue;
  /** Questions that are not answered yet. */
  asking: number;
  /** Its client is gone: that was the last thing its backend hears of it. */
  isGone: boolean;
}

const MAX_WAITING_EVENTS = 100;
/** As many as a session may have streams; each holds a whole message of its client. */
const MAX_ASKING = 100;
/** A direct invocation waits so long for the events before it. */
const MAX_ORDER_WAIT_MS = 1000;
/** What is still to be told when the server stops has so long. */
const CLOSE_GRACE_MS = 2000;
const FAILURE_LOG_RATE = { perSecond: 1, burst: 10 };
/** Clients and edges know a stream, or a message, by these. */
const ALWAYS_SHOWN: ReadonlySet<string> = new Set(['mediaSessionId', 'operationId', 'status']);

/**
 * REST hooks: the backend of each application is asked and told over HTTP, with what it answered to `connect` as the rules
 * for that session (`restClientConfig`). Closed by its owner, after the edges.
 */
export class RestHooks implements Backend {
  readonly #options: RestHooksOptions;
  readonly #served: ReadonlyMap<string, Served>;
  readonly #sessions = new WeakMap<BackendSession, SessionState>();
  readonly #untold = new Set<Promise<unknown>>();
  readonly #listeners = new Set<(done: HookDone) => void>();
  readonly #unknownLog: RateLimit;
  #closing: Promise<void> | undefined;

  constructor(options: RestHooksOptions) {
    this.#options = options;
    const { applications, clock } = options;
    this.#served = new Map(applications.map((application) => [application.appKey, serve(application, options)]));
    this.#unknownLog = new RateLimit(clock, FAILURE_LOG_RATE);
  }

  /** Called after every request. The returned function ends the subscription. */
  onDone(listener: (done: HookDone) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async ask(session: BackendSession, operation: AccessOperation, body: object): Promise<BackendAnswer> {
    const served = this.#served.get(session.appKey);
    if (!served) {
      const { appKey, sessionId } = session;
      if (this.#unknownLog.take()) this.#options.logger.warn({ appKey, sessionId }, 'no application has this key');
      return { allowed: false };
    }
    const state = this.#stateOf(session);
    if (state.isGone) return { allowed: false };
    const policy = policyOf(state, operation);
    if (!isCalled(served, operation, policy)) return { allowed: true };
    const result = await this.#question(served, session, state, operation, policy, body);
    if (operation === 'connect') return this.#connected(session, state, result);
    if (result.outcome !== 'ok') return { allowed: policy.restOnError === 'LOG' && result.outcome !== 'gone' };
    if (policy.restPolicy !== 'OVERWRITE') return { allowed: true };
    return { allowed: true, overwrite: only(result.answer ?? {}, policy.restOverwrite) };
  }

  tell(session: BackendSession, event: BackendEvent, body: object): Promise<'ok' | 'denied'> {
    const served = this.#served.get(session.appKey);
    const state = this.#stateOf(session);
    const policy = policyOf(state, event);
    if (!served || state.isGone || !isCalled(served, event, policy)) return Promise.resolve('ok');
    const { promise, resolve } = Promise.withResolvers<'ok' | 'denied'>();
    const failed = policy.restOnError === 'FAIL' ? 'denied' : 'ok';
    this.#untold.add(promise);
    void promise.then(() => this.#untold.delete(promise));
    state.events.push({
      send: async () => {
        const { outcome } = await this.#post(served, session, event, policy, body);
        resolve(outcome === 'ok' ? 'ok' : failed);
      },
      drop: () => {
        this.#report(served, session, { method: event, outcome: 'dropped', seconds: 0 });
        resolve(failed);
      },
    });
    return promise;
  }

  /** Only pages see events as they are; others are told in the words of their protocols. */
  forClient<Body extends object>(session: BackendSession, event: BackendEvent | 'OnDataEvent', body: Body): Body {
    const { clientExclude } = policyOf(this.#sessions.get(session), event);
    if (clientExclude.size === 0 || session.kind !== 'websocket') return body;
    // Fields that may be missing are the seam's contract.
    return without(body, clientExclude, ALWAYS_SHOWN) as Body;
  }

  /** What was told before still goes out. */
  sessionGone(session: BackendSession): void {
    this.#stateOf(session).isGone = true;
  }

  /** Gives what is still to be told a little time. Resolves when no request is on its way. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#within(CLOSE_GRACE_MS, Promise.all(this.#untold));
    for (const { client } of this.#served.values()) client?.close();
    await Promise.all(this.#untold);
  }

  #stateOf(session: BackendSession): SessionState {
    const known = this.#sessions.get(session);
    if (known) return known;
    const state: SessionState = {
      policies: new Map(),
      events: new EventQueue(MAX_WAITING_EVENTS),
      asking: 0,
      isGone: false,
    };
    this.#sessions.set(session, state);
    return state;
  }

  /** `connect` is refused whatever the backend's trouble is: nobody is let in by mistake. */
  #connected(session: BackendSession, state: SessionState, { outcome, answer }: HookResult): BackendAnswer {
    if (outcome === 'refused') return { allowed: false };
    if (outcome !== 'ok') return { allowed: false, isOutage: true };
    const { policies, ignored } = parseRestClientConfig(answer?.['restClientConfig']);
    state.policies = policies;
    if (ignored.length > 0 && this.#served.get(session.appKey)?.failureLog.take()) {
      const { appKey, sessionId } = session;
      this.#options.logger.warn(
        { appKey, sessionId, ignored },
        'parts of restClientConfig are not known; they do nothing',
      );
    }
    return { allowed: true };
  }

  async #question(
    served: Served,
    session: BackendSession,
    state: SessionState,
    operation: AccessOperation,
    policy: HookPolicy,
    body: object,
  ): Promise<HookResult> {
    if (state.asking >= MAX_ASKING) {
      this.#report(served, session, { method: operation, outcome: 'overloaded', seconds: 0 });
      return { outcome: 'overloaded' };
    }
    state.asking += 1;
    try {
      await this.#toldBefore(state);
      if (state.isGone) return { outcome: 'gone' };
      return await this.#post(served, session, operation, policy, body);
    } finally {
      state.asking -= 1;
    }
  }

  /** With a healthy backend a direct invocation comes after the events that were told before it. */
  async #toldBefore({ events }: SessionState): Promise<void> {
    if (events.drained) await this.#within(MAX_ORDER_WAIT_MS, events.drained);
  }

  async #within(limitMs: number, work: Promise<unknown>): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(limitMs, resolve);
    await Promise.race([work, late]);
    cancel();
  }

  async #post(
    served: Served,
    session: BackendSession,
    method: string,
    policy: HookPolicy,
    body: object,
  ): Promise<HookResult> {
    const { clock, nodeId } = this.#options;
    const { appKey, sessionId } = session;
    const head = { nodeId, appKey, sessionId };
    // The head goes first, and nothing that a client says replaces it.
    const whole = without({ ...head, ...body, ...head }, policy.restExclude);
    const sinceUs = clock.monotonicUs();
    const result = (await served.client?.post(method, JSON.stringify(whole))) ?? { outcome: 'ok' };
    const seconds = (clock.monotonicUs() - sinceUs) / 1e6;
    this.#report(served, session, { method, outcome: result.outcome, seconds }, result);
    return result;
  }

  /** The log does not get URLs, bodies and answers: they may hold secrets. */
  #report(served: Served, { sessionId }: BackendSession, done: HookDone, result?: HookResult): void {
    for (const listener of this.#listeners) listener(done);
    if (done.outcome === 'ok' || !served.failureLog.take()) return;
    const { method, outcome } = done;
    const { httpStatus, errorCode } = result ?? {};
    const fields = { application: served.application.name, method, sessionId, outcome, httpStatus, errorCode };
    this.#options.logger.warn(fields, 'a REST hook did not succeed');
  }
}

function serve(application: Application, options: RestHooksOptions): Served {
  const { backend } = application;
  const client = backend && !options.isDisabled ? new HookClient({ ...options, backend }) : undefined;
  return { application, client, failureLog: new RateLimit(options.clock, FAILURE_LOG_RATE) };
}

function isCalled({ application, client }: Served, method: string, { restPolicy }: HookPolicy): boolean {
  return client !== undefined && restPolicy !== 'DISABLE' && application.backend?.methods?.has(method) !== false;
}

function policyOf(state: SessionState | undefined, method: string): HookPolicy {
  return state?.policies.get(method) ?? DEFAULT_POLICY;
}

function without(body: object, excluded: ReadonlySet<string>, kept: ReadonlySet<string> = new Set()): object {
  if (excluded.size === 0) return body;
  return Object.fromEntries(Object.entries(body).filter(([field]) => kept.has(field) || !excluded.has(field)));
}

function only(answer: Fields, wanted: ReadonlySet<string>): Fields {
  return Object.fromEntries(Object.entries(answer).filter(([field]) => wanted.has(field)));
}
