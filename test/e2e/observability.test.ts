import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { H264_ONLY, startPushRig, type PushRig } from '../support/push-rig.ts';

interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A push that ran, lost its child and ran again, as an operator sees it. */
describe('an operator', () => {
  let rig: PushRig;
  let id: string;
  beforeAll(async () => {
    rig = await startPushRig();
    await rig.page.publish({ name: 'cam', stripCodecs: H264_ONLY });
    const body = { streamName: 'cam', rtmpUrl: rig.nginx.url('live'), restartPolicy: 'persistent' };
    id = (await rig.startup(body)).mediaSessionId;
    await rig.waitForState(id, 'ACTIVE');
    const [run] = rig.rows('SELECT pid FROM run WHERE transponder_id = ?', id);
    process.kill(Number(run!['pid']), 'SIGKILL');
    await vi.waitFor(() => {
      if (runs().length !== 2) throw new Error('no second run');
    }, 15_000);
    await rig.waitForState(id, 'ACTIVE');
  });
  afterAll(() => rig?.close());

  const runs = () => rig.rows('SELECT nonce, exit_class FROM run WHERE transponder_id = ? ORDER BY run_id', id);
  const lines = (): LogLine[] =>
    rig.app
      .log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine);

  /** Values of all series, by name and labels. */
  async function metrics(): Promise<ReadonlyMap<string, number>> {
    const answer = await fetch(`http://127.0.0.1:${rig.app.ports['http.port']}/metrics`);
    const series = (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(
      series.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
    );
  }

  it('finds in the metrics what the push, the stream, the children and the packets do', async () => {
    await vi.waitFor(
      async () => {
        const now = await metrics();
        expect(now.get('transponder_push_bytes_total')).toBeGreaterThan(10_000);
        expect(now.get(`transponder_push_bitrate_bps{transponder_id="${id}"}`)).toBeGreaterThan(10_000);
        expect(now.get(`transponder_push_run_bytes{transponder_id="${id}"}`)).toBeGreaterThan(4096);
        expect(now.get('transponder_rtp_packets_total{direction="inbound"}')).toBeGreaterThan(100);
        expect(now.get('transponder_rtp_payload_bytes_total{direction="inbound"}')).toBeGreaterThan(10_000);
      },
      { timeout: 15_000, interval: 100 },
    );
    const now = await metrics();
    expect(Object.fromEntries(now)).toMatchObject({
      'transponder_transponders{state="ACTIVE"}': 1,
      'transponder_restarts_total{exit_class="killed"}': 1,
      'transponder_run_duration_seconds_count{exit_class="killed"}': 1,
      transponder_time_to_active_seconds_count: 2,
      [`transponder_push_dropped_units{transponder_id="${id}",kind="video"}`]: 0,
      'transponder_child_processes{kind="rtmp-push"}': 1,
      'transponder_child_processes{kind="audio-transcode"}': 1,
      transponder_published_streams: 1,
      transponder_players: 0,
      transponder_sessions: 1,
      transponder_store_writable: 1,
      transponder_invariant_violations_total: 0,
      'transponder_rtp_packets_total{direction="outbound"}': 0,
    });
    expect(now.get('transponder_child_resident_bytes{kind="rtmp-push"}')).toBeGreaterThan(1 << 20);
    expect(now.get('transponder_children_cpu_seconds_total')).toBeGreaterThan(0);
    expect(now.get('transponder_rtp_keyframe_requests_total{direction="inbound"}')).toBeGreaterThan(0);
    for (const series of now.keys()) expect(series).not.toMatch(/cam|rtmp:|127\.0\.0\.1/);
  });

  it('reads every transition of the push in the log, one line each, with the fields of its event', () => {
    const events = rig.rows('SELECT from_state, to_state FROM event WHERE transponder_id = ? ORDER BY seq', id);
    const moves = lines().filter(({ transponderId, from, to }) => transponderId === id && from && to);
    expect(moves.map(({ from, to }) => ({ from_state: from, to_state: to }))).toEqual(events);
    // Chance may make the pause after the first run 0, once in five hundred times.
    const paused = moves.filter(({ to }) => to === 'BACKOFF');
    expect(paused.map(({ reason }) => reason)).toEqual(paused.map(() => 'killed'));
    const others = moves.filter((move) => !paused.includes(move));
    expect(others.map(({ to }) => to)).toEqual(['STARTING', 'ACTIVE', 'STARTING', 'ACTIVE']);
    expect(others.map(({ reason }) => reason)).toEqual([null, null, null, null]);
    expect(moves[2]).toMatchObject({ event: 'runEnded', from: 'ACTIVE', detail: expect.stringContaining('SIGKILL') });
  });

  it('follows a run and its processes by their ids', () => {
    const [first, second] = runs().map(({ nonce }) => String(nonce).slice(0, 8));
    const children = lines().filter(({ msg }) => msg === 'child started' || msg === 'child ended');
    const ofPush = children.filter(({ child }) => child === 'rtmp-push');
    expect(ofPush.map(({ msg, transponderId, runId }) => ({ msg, transponderId, runId }))).toEqual([
      { msg: 'child started', transponderId: id, runId: first },
      { msg: 'child ended', transponderId: id, runId: first },
      { msg: 'child started', transponderId: id, runId: second },
    ]);
    const ofTranscoder = children.filter(({ child }) => child === 'audio-transcode');
    expect(ofTranscoder.map(({ mediaSessionId }) => typeof mediaSessionId)).toEqual(['string']);
    const ended = lines().filter(({ msg }) => msg === 'RTMP push ended');
    expect(ended.map(({ transponderId, runId }) => ({ transponderId, runId }))).toEqual([
      { transponderId: id, runId: first },
    ]);
  });

  it('reads each change of a stream and a session in one line with its ids, from, to and reason', async () => {
    await rig.page.unpublish('cam');
    await rig.page.close();
    const movesOf = (sentence: string) => lines().filter(({ msg }) => msg === sentence);
    await vi.waitFor(() => expect(movesOf('a session moved')).toHaveLength(2), 15_000);
    const session = expect.stringMatching(/^\/127\.0\.0\.1:\d+\/127\.0\.0\.1:\d+$/) as string;
    expect(movesOf('a session moved')).toMatchObject([
      { sessionId: session, from: 'PENDING', to: 'ESTABLISHED' },
      { sessionId: session, from: 'ESTABLISHED', to: 'DISCONNECTED', reason: 'closed by the client' },
    ]);
    const ids = { mediaSessionId: expect.any(String) as string, sessionId: session, kind: 'publisher' };
    expect(movesOf('a stream moved')).toMatchObject([
      { ...ids, from: 'NEW', to: 'PENDING' },
      { ...ids, from: 'PENDING', to: 'PUBLISHING' },
      { ...ids, from: 'PUBLISHING', to: 'UNPUBLISHED', reason: 'Stopped by publisher stop' },
    ]);
    for (const line of lines()) {
      const isMove = line['from'] !== undefined && line['to'] !== undefined;
      const isAboutSomething = 'transponderId' in line || 'mediaSessionId' in line || 'sessionId' in line;
      expect({ line, isNamed: !isMove || isAboutSomething }).toEqual({ line, isNamed: true });
    }
  });
});
