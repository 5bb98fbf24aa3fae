import { describe, expect, it, onTestFinished } from 'vitest';
import { Metrics, type MetricsSources } from '../../src/observability/metrics.ts';
import { ManualClock } from '../support/manual-clock.ts';

const NO_FLOW = { packets: 0, payloadBytes: 0, nacks: 0, keyframeRequests: 0, lostPackets: 0 };
const FIGURES = {
  bitrateBps: undefined,
  bytesOut: undefined,
  backlogBytes: undefined,
  bufferedMs: undefined,
  bufferings: undefined,
  droppedUnits: undefined,
};

function metricsOf(sources: Partial<MetricsSources> = {}) {
  const clock = new ManualClock();
  const metrics = new Metrics({
    pushes: () => [],
    pushTotals: () => ({ bytesOut: 0, invariantViolations: 0 }),
    streams: () => ({ publishers: 0, players: 0, pending: 0 }),
    sessions: () => 0,
    media: () => Promise.resolve({ inbound: NO_FLOW, outbound: NO_FLOW }),
    rtmpPlayers: () => ({ viewers: 0, bytes: 0, droppedVideoMessages: 0, endedTooSlow: 0 }),
    children: () => Promise.resolve({ cpuSeconds: 0, byKind: new Map() }),
    isStoreWritable: () => true,
    monotonicUs: () => clock.monotonicUs(),
    ...sources,
  });
  onTestFinished(() => metrics.close());
  /** The value of a series, written as Prometheus writes it. */
  const value = async (series: string): Promise<number | undefined> => {
    const line = (await metrics.text()).split('\n').find((candidate) => candidate.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  };
  return { metrics, clock, value };
}

describe('metrics', () => {
  it('count RTMP players, what they were sent and what slow ones lost', async () => {
    const totals = { viewers: 3, bytes: 1_000, droppedVideoMessages: 20, endedTooSlow: 1 };
    const { value } = metricsOf({ rtmpPlayers: () => totals });
    expect(await value('transponder_rtmp_viewers')).toBe(3);
    expect(await value('transponder_rtmp_sent_bytes_total')).toBe(1_000);
    expect(await value('transponder_rtmp_dropped_video_messages_total')).toBe(20);
    expect(await value('transponder_rtmp_too_slow_total')).toBe(1);
    totals.viewers = 0;
    expect(await value('transponder_rtmp_viewers')).toBe(0);
  });

  it('count transponders by state and show the figures of each, until it is gone', async () => {
    const active = {
      ...FIGURES,
      id: 'a1',
      state: 'ACTIVE',
      bitrateBps: 900_000,
      bytesOut: 12,
      backlogBytes: 3,
      bufferedMs: 1500,
      bufferings: 2,
    };
    const pushes = [
      { ...active, droppedUnits: { video: 7, audio: 1 } },
      { ...FIGURES, id: 'b2', state: 'BACKOFF' },
      { ...FIGURES, id: 'c3', state: 'ACTIVE' },
    ];
    const { value } = metricsOf({ pushes: () => pushes });
    expect(await value('transponder_transponders{state="ACTIVE"}')).toBe(2);
    expect(await value('transponder_transponders{state="BACKOFF"}')).toBe(1);
    expect(await value('transponder_transponders{state="STARTING"}')).toBe(0);
    expect(await value('transponder_push_bitrate_bps{transponder_id="a1"}')).toBe(900_000);
    expect(await value('transponder_push_run_bytes{transponder_id="a1"}')).toBe(12);
    expect(await value('transponder_push_backlog_bytes{transponder_id="a1"}')).toBe(3);
    expect(await value('transponder_push_buffered_seconds{transponder_id="a1"}')).toBe(1.5);
    expect(await value('transponder_push_bufferings{transponder_id="a1"}')).toBe(2);
    expect(await value('transponder_push_dropped_units{transponder_id="a1",kind="video"}')).toBe(7);
    expect(await value('transponder_push_bitrate_bps{transponder_id="b2"}')).toBeUndefined();
    pushes.shift();
    expect(await value('transponder_transponders{state="ACTIVE"}')).toBe(1);
    expect(await value('transponder_push_bitrate_bps{transponder_id="a1"}')).toBeUndefined();
  });

  it('measure runs and the way to ACTIVE, and count restarts by the end of the run before', async () => {
    const { metrics, clock, value } = metricsOf();
    const move = { transponderId: 'a1' };
    metrics.onTransponderMoved({ ...move, from: 'NEW', to: 'STARTING' });
    clock.advance(700);
    metrics.onTransponderMoved({ ...move, from: 'STARTING', to: 'ACTIVE' });
    clock.advance(9300);
    metrics.onTransponderMoved({ ...move, from: 'ACTIVE', to: 'DEGRADED' });
    metrics.onTransponderMoved({ ...move, from: 'DEGRADED', to: 'ACTIVE' });
    metrics.onTransponderMoved({ ...move, from: 'ACTIVE', to: 'BACKOFF', exitClass: 'dest_reset' });
    expect(await value('transponder_run_duration_seconds_sum{exit_class="dest_reset"}')).toBe(10);
    expect(await value('transponder_time_to_active_seconds_sum')).toBe(0.7);
    expect(await value('transponder_time_to_active_seconds_count')).toBe(1);
    expect(await value('transponder_restarts_total{exit_class="dest_reset"}')).toBeUndefined();
    clock.advance(60_000);
    metrics.onTransponderMoved({ ...move, from: 'BACKOFF', to: 'STARTING' });
    expect(await value('transponder_restarts_total{exit_class="dest_reset"}')).toBe(1);
    clock.advance(200);
    // Starts again at once.
    metrics.onTransponderMoved({ ...move, from: 'STARTING', to: 'STARTING', exitClass: 'replan' });
    clock.advance(300);
    metrics.onTransponderMoved({ ...move, from: 'STARTING', to: 'ACTIVE' });
    metrics.onTransponderMoved({ ...move, from: 'ACTIVE', to: 'STOPPING' });
    metrics.onTransponderMoved({ ...move, from: 'STOPPING', to: 'TERMINATED', exitClass: 'asked_stop' });
    expect(await value('transponder_restarts_total{exit_class="replan"}')).toBe(1);
    expect(await value('transponder_run_duration_seconds_sum{exit_class="replan"}')).toBe(0.2);
    expect(await value('transponder_run_duration_seconds_count{exit_class="asked_stop"}')).toBe(1);
    expect(await value('transponder_time_to_active_seconds_count')).toBe(2);
    metrics.onTransponderMoved({ ...move, from: 'NEW', to: 'STARTING' });
    expect(await value('transponder_restarts_total{exit_class="asked_stop"}')).toBeUndefined();
  });

  it('never let a counter fall', async () => {
    let lostPackets = 5;
    let cpuSeconds = 2;
    const { value } = metricsOf({
      media: () => Promise.resolve({ inbound: { ...NO_FLOW, packets: 9, lostPackets }, outbound: NO_FLOW }),
      children: () => Promise.resolve({ cpuSeconds, byKind: new Map() }),
    });
    expect(await value('transponder_rtp_lost_packets_total{direction="inbound"}')).toBe(5);
    lostPackets = 3;
    expect(await value('transponder_rtp_lost_packets_total{direction="inbound"}')).toBe(5);
    expect(await value('transponder_rtp_packets_total{direction="inbound"}')).toBe(9);
    expect(await value('transponder_children_cpu_seconds_total')).toBe(2);
    cpuSeconds = 1.9;
    expect(await value('transponder_children_cpu_seconds_total')).toBe(2);
    cpuSeconds = 3;
    expect(await value('transponder_children_cpu_seconds_total')).toBe(3);
  });

  it('tell what children there are, whether the store takes writes, and how late the event loop is', async () => {
    let looks = 0;
    const usage = { processes: 2, residentBytes: 4096 };
    const { value } = metricsOf({
      children: () => {
        looks += 1;
        return Promise.resolve({ cpuSeconds: 0, byKind: new Map([['rtmp-push', usage]]) });
      },
      isStoreWritable: () => false,
    });
    expect(await value('transponder_child_processes{kind="rtmp-push"}')).toBe(2);
    expect(looks).toBe(1);
    expect(await value('transponder_child_resident_bytes{kind="rtmp-push"}')).toBe(4096);
    expect(looks).toBe(2);
    expect(await value('transponder_store_writable')).toBe(0);
    // The loop's timer must have begun before it can be late, and must have come before that is seen.
    await new Promise((resolve) => setTimeout(resolve, 60));
    const endMs = performance.now() + 150;
    while (performance.now() < endMs);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(await value('transponder_event_loop_delay_seconds{quantile="1"}')).toBeGreaterThan(0.05);
  });

  it('have units in their names and labels of a known few', async () => {
    const { metrics } = metricsOf({
      pushes: () => [
        {
          ...FIGURES,
          id: 'a1',
          state: 'ACTIVE',
          bitrateBps: 1,
          bytesOut: 1,
          backlogBytes: 1,
          droppedUnits: { video: 1, audio: 1 },
        },
      ],
      children: () =>
        Promise.resolve({ cpuSeconds: 0, byKind: new Map([['rtmp-push', { processes: 1, residentBytes: 1 }]]) }),
    });
    const moved = { transponderId: 'a1', from: 'ACTIVE', to: 'STARTING', exitClass: 'crash' } as const;
    metrics.onTransponderMoved(moved);
    const text = await metrics.text();
    const names = Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name, type]) => ({ name: name!, type }));
    expect(names.length).toBeGreaterThan(20);
    for (const { name, type } of names) expect(type === 'counter').toBe(name.endsWith('_total'));
    const labels = new Set(Array.from(text.matchAll(/[{,](\w+)="/g), ([, label]) => label));
    expect([...labels].toSorted()).toEqual([
      'direction',
      'exit_class',
      'kind',
      'le',
      'quantile',
      'state',
      'transponder_id',
    ]);
  });
});
