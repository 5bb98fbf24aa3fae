import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Registry } from 'prom-client';
import { HookTimes, type HookDone } from './hook-times.ts';
import { TransponderTimes, type TransponderMove } from './transponder-times.ts';

/** What metrics are made of; read when somebody asks for them. Their owners' own types satisfy these. */
export interface MetricsSources {
  readonly pushes: () => readonly PushFigures[];
  readonly pushTotals: () => { readonly bytesOut: number; readonly invariantViolations: number };
  readonly streams: () => { readonly publishers: number; readonly players: number; readonly pending: number };
  readonly sessions: () => number;
  readonly media: () => Promise<{ readonly inbound: RtpFlow; readonly outbound: RtpFlow }>;
  readonly rtmpPlayers: () => {
    readonly viewers: number;
    readonly bytes: number;
    readonly droppedVideoMessages: number;
    readonly endedTooSlow: number;
  };
  readonly children: () => Promise<{
    readonly cpuSeconds: number;
    readonly byKind: ReadonlyMap<string, { readonly processes: number; readonly residentBytes: number }>;
  }>;
  readonly isStoreWritable: () => boolean;
  readonly monotonicUs: () => number;
}

interface PushFigures {
  readonly id: string;
  readonly state: string;
  readonly bitrateBps: number | undefined;
  readonly bytesOut: number | undefined;
  readonly backlogBytes: number | undefined;
  readonly bufferedMs: number | undefined;
  readonly bufferings: number | undefined;
  readonly droppedUnits: { readonly video: number; readonly audio: number } | undefined;
}

interface RtpFlow {
  readonly packets: number;
  readonly payloadBytes: number;
  readonly nacks: number;
  readonly keyframeRequests: number;
  readonly lostPackets: number;
}

const LIVE_STATES = ['NEW', 'WAITING_SOURCE', 'STARTING', 'ACTIVE', 'DEGRADED', 'STOPPING', 'BACKOFF', 'SUSPENDED'];
/** Each look wakes the process, an idle one too. */
const LOOP_RESOLUTION_MS = 50;
const NS_PER_SECOND = 1e9;

/**
 * The metrics of one server in the text format of Prometheus. Labels are words of this program, and the id of a push that
 * has not ended (at most as many as there may be pushes). Names of streams and destinations are in none: clients choose
 * them, without bound, and may put a stream key there. Closed by its owner.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #sources: MetricsSources;
  readonly #times: TransponderTimes;
  readonly #hooks: HookTimes;
  readonly #loopDelay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });

  constructor(sources: MetricsSources) {
    this.#sources = sources;
    this.#times = new TransponderTimes(this.#registry, sources.monotonicUs);
    this.#hooks = new HookTimes(this.#registry);
    this.#loopDelay.enable();
    this.#definePushes();
    this.#defineClients();
    this.#defineMedia();
    this.#defineRtmpPlayers();
    this.#defineProcess();
  }

  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;

  /** Takes every transition of every transponder. */
  onTransponderMoved(move: TransponderMove): void {
    this.#times.onMoved(move);
  }

  /** Takes every request to a backend. */
  onHookDone(done: HookDone): void {
    this.#hooks.onDone(done);
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  close(): void {
    this.#loopDelay.disable();
    this.#registry.clear();
  }

  #definePushes(): void {
    const { pushes, pushTotals } = this.#sources;
    this.#gauge('transponder_transponders', 'Transponders that have not ended.', ['state'], (gauge) => {
      for (const state of LIVE_STATES) gauge.set({ state }, 0);
      for (const { state } of pushes()) gauge.inc({ state });
    });
    const ofEach = (name: string, help: string, figure: (push: PushFigures) => number | undefined) =>
      this.#gauge(name, help, ['transponder_id'], (gauge) => {
        for (const push of pushes()) {
          const value = figure(push);
          if (value !== undefined) gauge.set({ transponder_id: push.id }, value);
        }
      });
    ofEach('transponder_push_bitrate_bps', 'What the destination takes, bits per second.', (push) => push.bitrateBps);
    ofEach('transponder_push_run_bytes', 'What the destination took in the present run.', (push) => push.bytesOut);
    ofEach('transponder_push_backlog_bytes', 'Waiting for the destination.', (push) => push.backlogBytes);
    ofEach('transponder_push_buffered_seconds', 'Media in the outgoing buffer.', ({ bufferedMs }) =>
      bufferedMs === undefined ? undefined : bufferedMs / 1000,
    );
    ofEach('transponder_push_bufferings', 'How often the outgoing buffer has filled.', (push) => push.bufferings);
    const dropped = 'Units given up in the present run because the push was slow.';
    this.#gauge('transponder_push_dropped_units', dropped, ['transponder_id', 'kind'], (gauge) => {
      for (const { id, droppedUnits } of pushes()) {
        if (!droppedUnits) continue;
        gauge.set({ transponder_id: id, kind: 'video' }, droppedUnits.video);
        gauge.set({ transponder_id: id, kind: 'audio' }, droppedUnits.audio);
      }
    });
    this.#counter('transponder_push_bytes_total', 'Bytes that destinations took.', () => pushTotals().bytesOut);
    this.#counter(
      'transponder_invariant_violations_total',
      'Transponders found waiting for nothing, or owning what their state does not allow.',
      () => pushTotals().invariantViolations,
    );
  }

  #defineClients(): void {
    const { streams, sessions } = this.#sources;
    this.#gauge('transponder_published_streams', 'Streams that are published.', [], (gauge) =>
      gauge.set(streams().publishers),
    );
    this.#gauge('transponder_players', 'Players of streams.', [], (gauge) => gauge.set(streams().players));
    this.#gauge('transponder_pending_streams', 'Publishers and players that have not begun.', [], (gauge) =>
      gauge.set(streams().pending),
    );
    this.#gauge('transponder_sessions', 'Signalling sessions of clients.', [], (gauge) => gauge.set(sessions()));
  }

  #defineMedia(): void {
    const byDirection = (name: string, help: string, figure: (flow: RtpFlow) => number): void => {
      const highest = { inbound: 0, outbound: 0 };
      const counter: Counter<'direction'> = new Counter({
        name,
        help,
        labelNames: ['direction'],
        registers: [this.#registry],
        collect: async () => {
          const flows = await this.#sources.media();
          counter.reset();
          for (const direction of ['inbound', 'outbound'] as const) {
            // A packet that was taken for lost may still come: a counter must not fall.
            highest[direction] = Math.max(highest[direction], figure(flows[direction]));
            counter.inc({ direction }, highest[direction]);
          }
        },
      });
    };
    byDirection('transponder_rtp_packets_total', 'RTP packets of media.', ({ packets }) => packets);
    byDirection('transponder_rtp_payload_bytes_total', 'Their payload.', ({ payloadBytes }) => payloadBytes);
    byDirection('transponder_rtp_nacked_packets_total', 'Packets that were asked for again.', ({ nacks }) => nacks);
    byDirection(
      'transponder_rtp_keyframe_requests_total',
      'PLI and FIR, to publishers (inbound) and from players (outbound).',
      ({ keyframeRequests }) => keyframeRequests,
    );
    byDirection('transponder_rtp_lost_packets_total', 'Packets lost for good.', ({ lostPackets }) => lostPackets);
  }

  #defineRtmpPlayers(): void {
    const { rtmpPlayers } = this.#sources;
    this.#gauge('transponder_rtmp_viewers', 'RTMP players that play.', [], (gauge) => gauge.set(rtmpPlayers().viewers));
    this.#counter('transponder_rtmp_sent_bytes_total', 'Media given to RTMP players.', () => rtmpPlayers().bytes);
    this.#counter(
      'transponder_rtmp_dropped_video_messages_total',
      'Pictures that slow RTMP players did not get.',
      () => rtmpPlayers().droppedVideoMessages,
    );
    this.#counter(
      'transponder_rtmp_too_slow_total',
      'RTMP players that were ended because they could not keep up.',
      () => rtmpPlayers().endedTooSlow,
    );
  }

  #defineProcess(): void {
    const { isStoreWritable } = this.#sources;
    let reading: ReturnType<MetricsSources['children']> | undefined;
    // One look at all processes for all that is asked for at the same time.
    const children = () =>
      (reading ??= this.#sources.children().finally(() => {
        reading = undefined;
      }));
    this.#gauge('transponder_child_processes', 'Running children.', ['kind'], async (gauge) => {
      for (const [kind, { processes }] of (await children()).byKind) gauge.set({ kind }, processes);
    });
    this.#gauge('transponder_child_resident_bytes', 'Memory of running children.', ['kind'], async (gauge) => {
      for (const [kind, { residentBytes }] of (await children()).byKind) gauge.set({ kind }, residentBytes);
    });
    this.#counter(
      'transponder_children_cpu_seconds_total',
      'CPU time of all children, ended ones included.',
      async () => (await children()).cpuSeconds,
    );
    this.#counter('process_cpu_seconds_total', 'CPU time of the server itself.', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    this.#gauge('process_resident_memory_bytes', 'Memory of the server itself.', [], (gauge) =>
      gauge.set(process.memoryUsage.rss()),
    );
    this.#gauge('transponder_store_writable', '0 while the database takes no writes.', [], (gauge) =>
      gauge.set(isStoreWritable() ? 1 : 0),
    );
    const help = 'By how much the event loop was late, since it was last asked for.';
    this.#gauge('transponder_event_loop_delay_seconds', help, ['quantile'], (gauge) => {
      const lateSeconds = (ns: number) => Math.max(0, ns / NS_PER_SECOND - LOOP_RESOLUTION_MS / 1000);
      for (const quantile of [50, 99, 100]) {
        gauge.set({ quantile: String(quantile / 100) }, lateSeconds(this.#loopDelay.percentile(quantile)));
      }
      this.#loopDelay.reset();
    });
  }

  /** Set anew each time, so that nothing is told of what is gone. */
  #gauge<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    read: (gauge: Gauge<Label>) => void | Promise<void>,
  ): void {
    const gauge: Gauge<Label> = new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect: () => {
        gauge.reset();
        return read(gauge);
      },
    });
  }

  /** The value is counted elsewhere; a reading that is behind the last one is not told. */
  #counter(name: string, help: string, read: () => number | Promise<number>): void {
    let highest = 0;
    const counter: Counter = new Counter({
      name,
      help,
      registers: [this.#registry],
      collect: async () => {
        highest = Math.max(highest, await read());
        counter.reset();
        counter.inc(highest);
      },
    });
  }
}
