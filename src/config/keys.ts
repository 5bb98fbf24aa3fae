import {
  address,
  addresses,
  boolean,
  iceServers,
  integer,
  networks,
  oneOf,
  port,
  text,
  texts,
  type KeyType,
} from './key-types.ts';

/** One configuration key. `doc` is printed above it in the sample file. */
export interface KeySpec<T> {
  readonly type: KeyType<T>;
  readonly fallback: T;
  readonly doc: string;
}

function key<T>(type: KeyType<T>, fallback: NoInfer<T>, doc: string): KeySpec<T> {
  return { type, fallback, doc };
}

const attempts = integer(0, 1_000_000);

/**
 * Every key that does something, by section of the sample file. Keys that WCS has keep their WCS name, default and meaning
 * (WCS documentation, collected in reference/wcs-protocol.md §5); the rest is ours.
 */
export const SECTIONS = {
  'Ports and addresses': {
    'ws.port': key(port, 8080, 'WebSocket signalling (ws://).'),
    'wss.port': key(port, 8443, 'WebSocket signalling over TLS (wss://).'),
    'http.port': key(port, 8081, 'REST API.'),
    'https.port': key(port, 8444, 'REST API over TLS.'),
    'rtmp.port': key(port, 1935, 'RTMP server.'),
    media_port_from: key(
      port,
      31_001,
      'First port for WebRTC media (UDP, and TCP for clients that ask for it). 0 = any free port.',
    ),
    media_port_to: key(port, 32_000, 'Last port for WebRTC media. One port is used for each media worker.'),
    ip: key(
      addresses,
      [],
      'Addresses told to WebRTC clients (public ones, comma-separated). Empty = the addresses of this machine.',
    ),
    ip_local: key(address, '', 'Address to bind for signalling, RTMP and media. Empty = all interfaces.'),
    'http.host': key(
      address,
      '',
      'Address to bind for REST. Empty = 127.0.0.1 while disable_rest_auth=true, all interfaces once credentials are required.',
    ),
  },
  Files: {
    data_dir: key(
      text,
      'data',
      'Database, key file and the self-made TLS certificate. Relative to the working directory.',
    ),
    media_dir: key(text, 'media', 'WAV files that /push/sound_on may play. No path may leave it.'),
    records_dir: key(text, 'records', 'Recordings.'),
    ffmpeg_path: key(
      text,
      '',
      'The ffmpeg program. Empty = FFMPEG_BIN of the environment, then the first one on PATH.',
    ),
  },
  TLS: {
    ssl_cert_file: key(
      text,
      '',
      'Certificate chain in PEM for HTTPS and WSS. Empty = a self-signed one made once into data_dir.',
    ),
    ssl_key_file: key(text, '', 'Private key in PEM that belongs to ssl_cert_file.'),
  },
  Log: {
    log_level: key(oneOf('debug', 'info', 'warn', 'error'), 'info', 'One JSON object a line on standard error.'),
  },
  REST: {
    disable_rest_auth: key(
      boolean,
      true,
      'false = REST asks for HTTP Basic credentials (rest_username, rest_password).',
    ),
    rest_username: key(text, '', 'User of HTTP Basic.'),
    rest_password: key(text, '', 'Password of HTTP Basic. Better set from the environment.'),
    rest_access_control_allow_origin: key(text, '*', 'CORS: Access-Control-Allow-Origin.'),
    rest_access_control_allow_headers: key(
      text,
      'content-type,x-requested-with',
      'CORS: Access-Control-Allow-Headers.',
    ),
    rest_access_control_allow_methods: key(text, 'POST', 'CORS: Access-Control-Allow-Methods.'),
    rest_access_control_headers: key(
      text,
      '',
      'CORS: a full list of headers instead of the three above, as `Name: value;Name: value`.',
    ),
  },
  Signalling: {
    'keep_alive.algorithm': key(
      oneOf('HIGH_LEVEL', 'INTERNAL', 'NONE'),
      'HIGH_LEVEL',
      'HIGH_LEVEL = JSON pings (every client knows them), INTERNAL = WebSocket pings, NONE = no keep-alive.',
    ),
    'keep_alive.server_interval': key(integer(100, 3_600_000, 'ms'), 5000, 'Milliseconds between two pings.'),
    'keep_alive.probes': key(integer(1, 1000), 10, 'A session is closed after this many pings without an answer.'),
    inbound_video_rate_stat_send_interval: key(
      integer(0, 60, 's'),
      0,
      'Seconds between two inboundVideoRate messages to a publisher; 0 = none. Clients compare rates correctly only at 1.',
    ),
    outbound_video_rate_stat_send_interval: key(
      integer(0, 60, 's'),
      0,
      'The same for outboundVideoRate messages to players.',
    ),
    snapshot_taking_interval_ms: key(integer(100, 60_000, 'ms'), 3000, 'How long a snapshot may take before it fails.'),
    max_connections: key(integer(1, 1_000_000), 10_000, 'WebSocket connections at once; more are refused.'),
    max_connections_per_address: key(
      integer(1, 1_000_000),
      1000,
      'The same for one client address (IPv6: one /64). Behind a reverse proxy all clients have its address: raise it there.',
    ),
    stream_start_timeout_ms: key(
      integer(1000, 120_000, 'ms'),
      15_000,
      'A publish or play that has not begun after this time ends as FAILED, so that no page waits for ever.',
    ),
    keep_alive_streaming_sessions_enabled: key(
      boolean,
      false,
      'Tells the backend of every published stream again and again (StreamKeepAliveEvent), so that it can end one with 403.',
    ),
    streaming_sessions_keep_alive_interval: key(
      integer(1000, 3_600_000, 'ms'),
      10_000,
      'Milliseconds between two StreamKeepAliveEvents of a stream.',
    ),
    streaming_sessions_keep_alive_app_keys: key(
      texts,
      ['defaultApp'],
      'Applications (appKey) whose published streams are told about.',
    ),
  },
  'REST hooks': {
    applications_file: key(
      text,
      '',
      'Applications (appKey) and their backends, in JSON: see conf/applications.json. Empty = the built-in ones, which allow everything.',
    ),
    disable_rest_requests: key(boolean, false, 'true = no backend is asked or told; every client may do everything.'),
    rest_request_timeout: key(
      integer(0, 3600, 's'),
      15,
      'Seconds that a backend has for an answer; after them the request has failed. 0 = no limit.',
    ),
    rest_max_connections: key(
      integer(1, 10_000),
      200,
      'Connections to the backend of one application; more requests wait for one to be free.',
    ),
    rest_hook_send_hash: key(
      boolean,
      false,
      'true = requests are signed: `Authorization: WCS` and the HMAC-MD5 of the body in hex, by rest_hook_secret_key.',
    ),
    rest_hook_secret_key: key(text, '', 'The secret of rest_hook_send_hash. Better set from the environment.'),
  },
  'RTMP server': {
    rtmp_server_enabled: key(boolean, true, 'false = nobody listens on rtmp.port: no RTMP players and no encoders.'),
    rtmp_use_stream_params_as_connection: key(
      boolean,
      false,
      'true = the parameters of the stream part of an RTMP URL (live/test?auth=key) are those of the connection (live?auth=key/test).',
    ),
    rtmp_send_video_first: key(
      boolean,
      false,
      'true = RTMP players get no sound before the first picture; a stream without pictures cannot be played then.',
    ),
    rtmp_publisher_idle_timeout_ms: key(
      integer(1000, 3_600_000, 'ms'),
      15_000,
      'An RTMP encoder that sends no media for so long is ended, in milliseconds; its name is free then.',
    ),
    rtmp_max_connections: key(integer(1, 1_000_000), 10_000, 'RTMP connections at once; more are refused.'),
    rtmp_max_connections_per_address: key(
      integer(1, 1_000_000),
      1000,
      'The same for one client address (IPv6: one /64). Behind a proxy all clients have its address: raise it there.',
    ),
    rtmp_max_idle_connections_per_address: key(
      integer(1, 1_000_000),
      50,
      'RTMP connections of one client address (IPv6: one /64) that neither publish nor play; more are refused. Each has 10 s to begin.',
    ),
  },
  'WHIP and WHEP': {
    whip_enabled: key(
      boolean,
      true,
      'Publishing with POST /whip/NAME and playing with POST /whep/NAME on http.port and https.port, without Basic credentials.',
    ),
    whip_max_sessions: key(
      integer(1, 1_000_000),
      10_000,
      'Streams that are published and played this way; more are refused.',
    ),
    whip_max_sessions_per_address: key(
      integer(1, 1_000_000),
      1000,
      'The same for one client address, which may begin as many in a minute. Behind a reverse proxy raise it.',
    ),
    ice_servers: key(
      iceServers,
      [],
      'STUN and TURN servers that these clients are told of: stun:HOST, or turn:HOST?transport=udp USER PASSWORD; comma-separated. Rarely needed: this server has public addresses of its own (ip).',
    ),
  },
  'RTMP push': {
    rtmp_transponder_stream_name_prefix: key(
      text,
      'rtmp_',
      'Put before the stream name that is published on the RTMP server.',
    ),
    rtmp_transponder_full_url: key(boolean, false, 'true = the last path element of rtmpUrl is the name to publish.'),
    rtmp_transponder_send_metadata: key(
      boolean,
      false,
      'true = onMetaData is sent (players then know size and codecs at once).',
    ),
    rtmp_publisher_ip: key(address, '', 'Local address of outgoing RTMP connections. Empty = the system chooses.'),
    rtmps_ca_file: key(
      text,
      '',
      'Certificates in PEM of authorities that rtmps:// destinations may be signed by, besides the well-known ones. They are always verified.',
    ),
    rtmp_flash_ver_subscriber: key(text, '', 'flashVer of the RTMP connect command. Empty = our own.'),
    rtmp_push_auto_start: key(
      boolean,
      false,
      'true = every published stream is pushed to rtmp_push_auto_start_url. For tests, not for production.',
    ),
    rtmp_push_auto_start_url: key(text, '', 'Where rtmp_push_auto_start pushes to.'),
    rtmp_push_restore: key(boolean, false, 'true = a push that was cut off is started again.'),
    rtmp_push_restore_attempts: key(attempts, 3, 'How often, before the push fails for good.'),
    rtmp_push_restore_interval_ms: key(integer(0, 86_400_000, 'ms'), 5000, 'Milliseconds between two attempts.'),
    rtmp_push_restart_policy: key(
      oneOf('wcs', 'persistent'),
      'wcs',
      'For pushes that ask for none: wcs = as rtmp_push_restore says; persistent = for ever, with pauses that grow to 30 s, and a push that REST asked for outlives its stream.',
    ),
    restore_on_start: key(
      oneOf('never', 'if_source_returns', 'always'),
      'if_source_returns',
      'Pushes of before a crash or restart: they fail; they go on when their stream is published again; the same, however long the server was away.',
    ),
    restore_window_ms: key(
      integer(0, 2_592_000_000, 'ms'),
      600_000,
      'if_source_returns: where the server was away for longer they come back suspended. A push that ends with its stream waits this long for it.',
    ),
    rtmp_push_stall_timeout_ms: key(
      integer(1000, 600_000, 'ms'),
      8000,
      'A destination that takes nothing for so long is given up as stalled; what follows is the push’s restart policy.',
    ),
    rtmp_out_buffer_enabled: key(
      boolean,
      false,
      'true = outgoing media is held back a little and goes out at an even pace, so that it plays smoothly; it comes later by as much.',
    ),
    rtmp_out_buffer_initial_size: key(
      integer(0, 60_000, 'ms'),
      2000,
      'Media gathered before the first goes out, in milliseconds.',
    ),
    rtmp_out_buffer_start_size: key(
      integer(0, 60_000, 'ms'),
      300,
      'Media gathered each time after the buffer has run empty, in milliseconds.',
    ),
    rtmp_out_buffer_polling_time: key(
      integer(10, 1000, 'ms'),
      50,
      'Milliseconds between two looks at what is due to go out.',
    ),
    rtmp_out_buffer_max_bufferings_allowed: key(
      integer(-1, 1_000_000),
      -1,
      'How often a push may gather media, the first time included; then it goes on without the buffer. -1 = without limit.',
    ),
    'rtmp.server_buffer_enabled': key(
      boolean,
      false,
      'true = much more may wait in memory for each destination (up to 72 MB), for FullHD and larger pictures whose frames are big.',
    ),
    rtmp_push_cpu_limit_percent: key(
      integer(0, 10_000, '%'),
      0,
      'A push whose own process, which copies, uses more of one core than this for 10 s is ended and started again. Encoders, which pushes share, are not limited. 0 = no limit.',
    ),
    rtmp_push_memory_limit_bytes: key(
      integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
      0,
      'The same for the memory of its own process. Encoders are not limited. 0 = no limit.',
    ),
    admission_max_cpu_percent: key(
      integer(0, 100, '%'),
      85,
      '/push/startup answers 503 while this server and its processes use more of all cores: in the mean of ten seconds, and with what has just been begun. 0 = no limit.',
    ),
    video_transcoder_preserve_aspect_ratio: key(
      boolean,
      true,
      'true = a requested height keeps the picture’s proportions and a requested width is ignored; false = width and height are used as given.',
    ),
    outbound_private_addresses: key(
      oneOf('rest', 'all', 'none'),
      'rest',
      'Who may push to loopback and private addresses: REST callers, everyone (rtmpUrl of a publishing page too), nobody.',
    ),
    outbound_allow: key(networks, [], 'Networks (CIDR) that may always be dialled, over outbound_private_addresses.'),
    outbound_deny: key(networks, [], 'Networks (CIDR) that are never dialled, over everything else.'),
  },
} as const;

/** Keys of WCS that are read, checked by nobody and have no effect here, so that an existing file keeps working. */
export const KEYS_WITHOUT_EFFECT: readonly string[] = [
  'compact_media_port_usage',
  'disable_drop_aac_frame',
  'keep_alive.peer_interval',
  'on_record_hook_script',
  'record_flash_published_streams',
  'record_formats',
  'record_h264_to_ts',
  'record_mixer_streams',
  'record_rtsp_streams',
  'record_streams',
  'rtmfp_server_enabled',
  'rtp_bundle',
  'rtp_receive_buffer_size',
  'rtp_send_buffer_size',
  'snapshot_taking_attempts',
  'stream_record_policy',
  'stream_record_policy_template',
  'streaming_video_decoder_fast_start',
  'use_fdk_aac',
  'wcs_agent_ssl',
  'webrtc_cc_max_bitrate',
  'webrtc_cc_min_bitrate',
];

type Merge<U> = (U extends unknown ? (section: U) => void : never) extends (section: infer All) => void ? All : never;
type Keys = Merge<(typeof SECTIONS)[keyof typeof SECTIONS]>;
type Value<S> = S extends KeySpec<infer T> ? T : never;

/** The whole configuration by key. Components get the slice they need, not this. */
export type Config = { readonly [K in keyof Keys]: Value<Keys[K]> };

export const KEYS: Readonly<Record<string, KeySpec<unknown>>> = Object.assign({}, ...Object.values(SECTIONS));
