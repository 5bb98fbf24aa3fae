import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { join, resolve } from 'node:path';
import type { Config } from './config/keys.ts';
import { requireDirectory } from './config/require-directory.ts';
import { systemClock } from './domain/clock.ts';
import { AppError } from './domain/errors.ts';
import type { Closable } from './domain/life-cycle.ts';
import type { Logger } from './domain/logger.ts';
import { listen } from './edges/listen.ts';
import { buildRestApp } from './edges/rest/rest-app.ts';
import { WhipSessions } from './edges/rest/whip-sessions.ts';
import { createRtmpServer } from './edges/rtmp/server.ts';
import { createSignallingServer } from './edges/signalling/server.ts';
import { readCertificate, selfSignedCertificate } from './edges/tls/certificate.ts';
import { createAddressPolicy } from './egress/address-policy.ts';
import { createNameResolver } from './egress/name-resolver.ts';
import { createRtmpPushGate } from './egress/rtmp-push-gate.ts';
import { trustedAuthorities } from './egress/trusted-authorities.ts';
import { Hub } from './hub/hub.ts';
import { Renditions } from './hub/renditions.ts';
import { RtmpPublishers } from './inputs/rtmp-publisher/rtmp-publishers.ts';
import { WebrtcPublishers } from './inputs/webrtc-publisher.ts';
import { Metrics } from './observability/metrics.ts';
import type { OutBufferSettings } from './outputs/rtmp-push/out-buffer.ts';
import { LARGE_BOUNDS, USUAL_BOUNDS } from './outputs/rtmp-push/push-bounds.ts';
import { RtmpPlayers } from './outputs/rtmp-player/rtmp-players.ts';
import { createRtmpPushFactory } from './outputs/rtmp-push/rtmp-push.ts';
import type { UsageLimits } from './outputs/rtmp-push/usage-limit.ts';
import { Snapshots } from './outputs/snapshots.ts';
import { WebrtcRenditions } from './outputs/webrtc-rendition.ts';
import { BUILT_IN_APPLICATIONS, readApplications } from './services/hooks/applications.ts';
import { readNodeId } from './services/hooks/node-id.ts';
import { RestHooks } from './services/hooks/rest-hooks.ts';
import { RtmpStreams } from './services/rtmp-streams.ts';
import { Sessions } from './services/sessions.ts';
import { StreamKeepAlive } from './services/stream-keep-alive.ts';
import { StreamNames } from './services/stream-names.ts';
import { Streams } from './services/streams.ts';
import { WebrtcStreams } from './services/webrtc-streams.ts';
import type { PushStatus } from './services/transponder-request.ts';
import { TransponderService } from './services/transponders.ts';
import { openStore } from './store/open-store.ts';
import { lockDirectory } from './supervisor/directory-lock.ts';
import { runningChildren } from './supervisor/child-process.ts';
import { Admission } from './supervisor/admission.ts';
import { readChildrenUsage } from './supervisor/children-usage.ts';
import { checkFfmpeg, resolveFfmpeg } from './supervisor/ffmpeg-binary.ts';
import { sweepOrphans } from './supervisor/orphan-sweep.ts';
import { readProcessUsage } from './supervisor/process-usage.ts';
import { SpawnQueue } from './supervisor/spawn-limits.ts';
import { createFfmpegTranscoders } from './transcode/ffmpeg-transcoders.ts';
import { findSoundFile } from './transcode/media-file.ts';
import { createSoundFileEncoder } from './transcode/sound-file.ts';
import { LocalMediaWorker } from './webrtc/local-media-worker.ts';
import { createPeerHost } from './webrtc/peer-host.ts';
import packageJson from '../package.json' with { type: 'json' };

export interface App extends Closable {
  /** By configuration key; `media` is the UDP and TCP port of WebRTC. */
  readonly ports: Readonly<Record<string, number>>;
  /** How a push that has not ended is doing. */
  pushStatus(mediaSessionId: string): PushStatus | undefined;
}

const SOUND_BITRATE_BPS = 128_000;
const MAX_TRANSPONDERS = 1000;
/** A push is not begun with less: ffmpeg and our queues need room, and what runs must not be killed for it. */
const MIN_FREE_MEMORY_BYTES = 256 * 1024 * 1024;
/** For a client to send its headers, and its whole request. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;

/**
 * The composition root: builds every component in order, closes them in reverse. Rejects with AppError BAD_CONFIGURATION
 * (one sentence for the operator) and leaves nothing behind when something cannot be built.
 */
export async function createApp(config: Config, logger: Logger): Promise<App> {
  const built: (() => Promise<void> | void)[] = [];
  const closeAll = async () => {
    for (const close of built.toReversed()) await close();
  };
  try {
    return await build(config, logger, built, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function build(
  config: Config,
  logger: Logger,
  built: (() => Promise<void> | void)[],
  closeAll: () => Promise<void>,
): Promise<App> {
  const clock = systemClock;
  const dataDirectory = resolve(config.data_dir);
  const mediaDirectory = resolve(config.media_dir);
  const thisBoot = await bootId();
  const addressPolicy = createAddressPolicy({
    privateAddresses: config.outbound_private_addresses,
    allow: config.outbound_allow,
    deny: config.outbound_deny,
  });
  await requireDirectory('data_dir', dataDirectory);
  await requireDirectory('media_dir', mediaDirectory);
  built.push(lockDirectory('data_dir', dataDirectory));
  const tls =
    config.ssl_cert_file === ''
      ? await selfSignedCertificate(dataDirectory)
      : await readCertificate(config.ssl_cert_file, config.ssl_key_file);
  const applications =
    config.applications_file === ''
      ? BUILT_IN_APPLICATIONS
      : await readApplications(resolve(config.applications_file), config.rest_hook_send_hash);
  const ffmpegPath = await resolveFfmpeg(config.ffmpeg_path || undefined, process.env);
  const ffmpegVersion = await checkFfmpeg(ffmpegPath);

  const store = openStore({
    path: join(dataDirectory, 'transponder.sqlite'),
    keyPath: join(dataDirectory, 'transponder.key'),
  });
  built.push(() => store.close());
  sweepOrphans(store.runs.allOpen(), thisBoot, logger);

  const worker = new LocalMediaWorker({
    host: await createPeerHost({
      bindAddress: config.ip_local || undefined,
      advertisedAddresses: config.ip,
      portFrom: config.media_port_from,
      portTo: config.media_port_to,
      clock,
      logger,
    }),
    clock,
    logger,
    randomBelow: (bound) => randomInt(bound),
  });
  built.push(() => worker.dispose());

  const hub = new Hub(logger);
  const host = { ffmpegPath, nonce: randomUUID(), clock, logger };
  const transcoders = createFfmpegTranscoders(host);
  built.push(() => transcoders.close('shutdown'));
  const renditions = new Renditions({ factory: transcoders, clock, logger });
  const soundFiles = createSoundFileEncoder({ host, mediaDirectory, bitrateBps: SOUND_BITRATE_BPS });
  built.push(() => soundFiles.close('shutdown'));
  const resolveHost = createNameResolver();
  const gate = await createRtmpPushGate({
    logger,
    clock,
    allowAddress: addressPolicy,
    resolve: resolveHost,
    tlsOptions: config.rtmps_ca_file === '' ? {} : { ca: await trustedAuthorities(config.rtmps_ca_file) },
  });
  built.push(() => gate.close());

  const admission = new Admission({
    clock,
    limits: { maxCpuPercent: config.admission_max_cpu_percent, minMemoryBytes: MIN_FREE_MEMORY_BYTES },
    childrenCpuSeconds: async () => (await readChildrenUsage(runningChildren())).cpuSeconds,
  });
  built.push(() => admission.close());

  const transponders = new TransponderService({
    config: {
      streamNamePrefix: config.rtmp_transponder_stream_name_prefix,
      fullUrl: config.rtmp_transponder_full_url,
      sendMetadata: config.rtmp_transponder_send_metadata,
      flashVersion: config.rtmp_flash_ver_subscriber,
      restartPolicy: config.rtmp_push_restart_policy,
      restore: config.rtmp_push_restore,
      restoreAttempts: config.rtmp_push_restore_attempts,
      restoreIntervalMs: config.rtmp_push_restore_interval_ms,
      restoreOnStart: { onStart: config.restore_on_start, windowMs: config.restore_window_ms },
      autoStartUrl: config.rtmp_push_auto_start ? config.rtmp_push_auto_start_url : undefined,
      maxTransponders: MAX_TRANSPONDERS,
    },
    store,
    clock,
    logger,
    runs: createRtmpPushFactory({
      hub,
      renditions,
      gate,
      loadSound: (name, track) => soundFiles.encodeSoundFile(name, track),
      ffmpegPath,
      localAddress: config.rtmp_publisher_ip || undefined,
      preserveAspectRatio: config.video_transcoder_preserve_aspect_ratio,
      stallTimeoutMs: config.rtmp_push_stall_timeout_ms,
      bounds: config['rtmp.server_buffer_enabled'] ? LARGE_BOUNDS : USUAL_BOUNDS,
      usageLimits: usageLimits(config),
      spawnQueue: new SpawnQueue(clock),
      outBuffer: config.rtmp_out_buffer_enabled ? outBufferSettings(config) : undefined,
      clock,
      logger,
    }),
    resolveHost,
    allowAddress: addressPolicy,
    admission,
    hasSoundFile: (name) =>
      findSoundFile(mediaDirectory, name).then(
        () => true,
        () => false,
      ),
    bootId: thisBoot,
    processUsage: readProcessUsage,
    random: Math.random,
    randomBytes,
  });
  built.push(() => transponders.close());

  const playerRenditions = new WebrtcRenditions({
    hub,
    renditions,
    worker,
    preserveAspectRatio: config.video_transcoder_preserve_aspect_ratio,
    clock,
    newId: randomUUID,
  });
  const publishers = new WebrtcPublishers({ hub, worker, clock, logger });
  const streams = new Streams({
    names: new StreamNames(),
    clock,
    logger,
    startTimeoutMs: config.stream_start_timeout_ms,
  });
  const webrtcStreams = new WebrtcStreams({
    streams,
    worker,
    publishers,
    renditions: playerRenditions,
    clock,
    logger,
    inboundRateIntervalS: config.inbound_video_rate_stat_send_interval,
    outboundRateIntervalS: config.outbound_video_rate_stat_send_interval,
  });
  const rtmpPlayers = new RtmpPlayers({
    hub,
    renditions,
    clock,
    logger,
    sendVideoFirst: config.rtmp_send_video_first,
    largeBuffers: config['rtmp.server_buffer_enabled'],
  });
  const rtmpStreams = new RtmpStreams({
    streams,
    publishers: new RtmpPublishers({
      hub,
      legacyAudio: transcoders,
      clock,
      logger,
      idleTimeoutMs: config.rtmp_publisher_idle_timeout_ms,
    }),
    players: rtmpPlayers,
    clock,
  });
  const hooks = new RestHooks({
    applications,
    nodeId: await readNodeId(dataDirectory, config.ip[0] ?? config.ip_local),
    isDisabled: config.disable_rest_requests,
    timeoutMs: config.rest_request_timeout * 1000,
    maxConnections: config.rest_max_connections,
    secretKey: config.rest_hook_send_hash ? config.rest_hook_secret_key : undefined,
    userAgent: `Transponder/${packageJson.version}`,
    clock,
    logger,
  });
  built.push(() => hooks.close());
  const sessions = new Sessions({
    clock,
    logger,
    backend: hooks,
    onGone: (session) => streams.sessionGone(session),
  });
  if (config.keep_alive_streaming_sessions_enabled) {
    const keepAlive = new StreamKeepAlive({
      streams,
      clock,
      intervalMs: config.streaming_sessions_keep_alive_interval,
      appKeys: config.streaming_sessions_keep_alive_app_keys,
    });
    built.push(() => keepAlive.close());
  }
  worker.onEvent((event) => {
    webrtcStreams.onMediaEvent(event);
    publishers.onMediaEvent(event);
    playerRenditions.onMediaEvent(event);
  });
  hub.onUp(({ name }) => transponders.sourceUp(name));
  hub.onDown(({ name }) => transponders.sourceDown(name));
  streams.onPublished(({ name: streamName, mediaSessionId, rtmpUrl, sessionId }) => {
    if (!rtmpUrl) return;
    const publication = { sessionId, isLive: () => streams.isPublished(streamName, mediaSessionId) };
    transponders.startup({ streamName, rtmpUrl }, 'publisher', publication).catch((error: unknown) => {
      logger.warn({ error, mediaSessionId }, 'the push that a publisher asked for could not be started');
      // Where there is such a push already, the stream goes where its publisher wants it.
      if (error instanceof AppError && error.code === 'TRANSPONDER_EXISTS') return;
      if (publication.isLive()) streams.rtmpWriterFailed(streamName);
    });
  });
  transponders.onFailed(({ streamName, caller }) => {
    if (caller === 'publisher') streams.rtmpWriterFailed(streamName);
  });

  const snapshots = new Snapshots({ ...host, hub, timeoutMs: config.snapshot_taking_interval_ms });
  built.push(() => snapshots.close());

  const metrics = new Metrics({
    pushes: () => transponders.views(),
    pushTotals: () => transponders.totals,
    streams: () => streams.counts,
    sessions: () => sessions.count,
    media: () => worker.totals(),
    rtmpPlayers: () => rtmpPlayers.totals,
    children: () => readChildrenUsage(runningChildren()),
    isStoreWritable: () => transponders.isStoreWritable,
    monotonicUs: () => clock.monotonicUs(),
  });
  built.push(() => metrics.close());
  transponders.onEvent((notice) => metrics.onTransponderMoved(notice));
  hooks.onDone((done) => metrics.onHookDone(done));

  const ports: Record<string, number> = { media: worker.ports.udpPort };
  let state: 'starting' | 'ready' | 'stopping' = 'starting';
  const whip = config.whip_enabled
    ? new WhipSessions({
        sessions,
        streams,
        webrtcStreams,
        logger,
        maxSessions: config.whip_max_sessions,
        maxSessionsPerAddress: config.whip_max_sessions_per_address,
      })
    : undefined;
  const rest = buildRestApp({
    services: {
      transponders,
      streams,
      sessions,
      snapshots,
      metrics,
      whip,
      readiness: () => {
        if (state !== 'ready') return { ready: false, state, ports };
        const isWritable = transponders.probeStore();
        return { ready: isWritable, state: isWritable ? 'ready' : 'degraded', ports };
      },
    },
    config: {
      credentials: config.disable_rest_auth
        ? undefined
        : { user: config.rest_username, password: config.rest_password },
      accessControl: {
        allowOrigin: config.rest_access_control_allow_origin,
        allowHeaders: config.rest_access_control_allow_headers,
        allowMethods: config.rest_access_control_allow_methods,
        headers: config.rest_access_control_headers || undefined,
      },
      whip: { iceServers: config.ice_servers, maxOffersPerMinute: config.whip_max_sessions_per_address },
    },
    logger,
    clock,
  });
  built.push(
    () => whip?.close('shutdown'),
    () => rest.close(),
  );
  await rest.ready();

  const open = async (
    key: 'ws.port' | 'wss.port' | 'http.port' | 'https.port',
    server: Server,
    hostKey: 'ip_local' | 'http.host',
    address: string,
  ) => {
    server.headersTimeout = HEADERS_TIMEOUT_MS;
    server.requestTimeout = REQUEST_TIMEOUT_MS;
    const listening = await listen(server, { key, port: config[key], hostKey, host: address || undefined, logger });
    built.push(() => listening.close());
    ports[key] = listening.port;
  };
  const onlyWebSocket: RequestListener = (_request, response) => {
    response.writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket' }).end('WebSocket only\n');
  };
  const ws = createHttpServer(onlyWebSocket);
  const wss = createHttpsServer(tls, onlyWebSocket);
  await open('ws.port', ws, 'ip_local', config.ip_local);
  await open('wss.port', wss, 'ip_local', config.ip_local);
  const signalling = createSignallingServer({
    servers: [ws, wss],
    sessions,
    streams,
    webrtcStreams,
    snapshots,
    clock,
    logger,
    version: packageJson.version,
    keepAlive: {
      algorithm: config['keep_alive.algorithm'],
      intervalMs: config['keep_alive.server_interval'],
      probes: config['keep_alive.probes'],
    },
    maxConnections: config.max_connections,
    maxConnectionsPerAddress: config.max_connections_per_address,
  });
  built.push(() => signalling.close('shutdown'));
  if (config.rtmp_server_enabled) {
    const rtmp = createRtmpServer({
      sessions,
      streams,
      rtmpStreams,
      useStreamParamsAsConnection: config.rtmp_use_stream_params_as_connection,
      maxConnections: config.rtmp_max_connections,
      maxConnectionsPerAddress: config.rtmp_max_connections_per_address,
      maxIdleConnectionsPerAddress: config.rtmp_max_idle_connections_per_address,
      clock,
      logger,
    });
    const key = 'rtmp.port';
    const listening = await listen(rtmp.listener, {
      key,
      port: config[key],
      hostKey: 'ip_local',
      host: config.ip_local || undefined,
      logger,
    });
    // Clients that do not close take their time together, not one kind after the other.
    built.push(
      () => listening.close(),
      async () => void (await Promise.all([rtmp.close('shutdown'), signalling.close('shutdown')])),
    );
    ports[key] = listening.port;
  }
  // Without credentials only this machine may steer the server, unless the operator says otherwise.
  const restHost = config['http.host'] || (config.disable_rest_auth ? '127.0.0.1' : config.ip_local);
  const restHostKey = config['http.host'] ? 'http.host' : 'ip_local';
  const toRest: RequestListener = (request, response) => rest.routing(request, response);
  await open('http.port', createHttpServer(toRest), restHostKey, restHost);
  await open('https.port', createHttpsServer(tls, toRest), restHostKey, restHost);

  state = 'ready';
  logger.info({ ports, ffmpegPath, ffmpegVersion }, 'ready');
  let closing: Promise<void> | undefined;
  return {
    ports,
    pushStatus: (mediaSessionId) => transponders.status(mediaSessionId),
    close: () => {
      state = 'stopping';
      // First, and not awaited: rows stay wanted, so they must not see their sources end with the server.
      void transponders.close();
      closing ??= closeAll();
      return closing;
    },
  };
}

function usageLimits(config: Config): UsageLimits | undefined {
  const { rtmp_push_cpu_limit_percent: cpuPercent, rtmp_push_memory_limit_bytes: memoryBytes } = config;
  return cpuPercent === 0 && memoryBytes === 0 ? undefined : { cpuPercent, memoryBytes };
}

function outBufferSettings(config: Config): OutBufferSettings {
  return {
    initialSizeMs: config.rtmp_out_buffer_initial_size,
    startSizeMs: config.rtmp_out_buffer_start_size,
    pollingTimeMs: config.rtmp_out_buffer_polling_time,
    maxBufferings: config.rtmp_out_buffer_max_bufferings_allowed,
  };
}

/** The kernel's id of this boot: with it a process id of an earlier boot is never taken for one of ours. */
async function bootId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    return randomUUID();
  }
}
