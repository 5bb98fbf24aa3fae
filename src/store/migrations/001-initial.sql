CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

CREATE TABLE transponder (
  id TEXT PRIMARY KEY, -- the mediaSessionId; stable across restarts
  kind TEXT NOT NULL CHECK (kind IN ('rtmp_push', 'rtmp_pull', 'wcs_push', 'wcs_pull')),
  stream_name TEXT NOT NULL, -- as published here
  remote_name TEXT NOT NULL, -- as shown to callers; never a name taken from the URL
  dest_redacted TEXT NOT NULL, -- the only form for logs, lists and labels
  dest_hash TEXT NOT NULL, -- keyed hash: equality without the secret
  dest_secret BLOB NOT NULL, -- the URL, sealed; the key is outside the database
  request_json TEXT NOT NULL CHECK (json_valid(request_json)), -- what the caller asked, without the URL
  params_json TEXT NOT NULL CHECK (json_valid(params_json)),
  policy_json TEXT NOT NULL CHECK (json_valid(policy_json)),
  desired TEXT NOT NULL CHECK (desired IN ('run', 'stop')),
  state TEXT NOT NULL CHECK (state IN ('NEW', 'WAITING_SOURCE', 'STARTING', 'ACTIVE', 'DEGRADED', 'STOPPING', 'BACKOFF', 'SUSPENDED', 'FAILED', 'TERMINATED')),
  state_since INTEGER NOT NULL,
  reason TEXT,
  muted INTEGER NOT NULL CHECK (muted IN (0, 1)),
  sound_json TEXT CHECK (sound_json IS NULL OR json_valid(sound_json)),
  attempt INTEGER NOT NULL,
  restarts_total INTEGER NOT NULL,
  next_retry_at INTEGER,
  last_active_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  terminated_at INTEGER
) STRICT;

-- 409 Conflict, atomically: one live transponder for one stream and one destination.
CREATE UNIQUE INDEX transponder_live ON transponder (kind, stream_name, dest_hash)
  WHERE desired = 'run' AND state NOT IN ('FAILED', 'TERMINATED');
CREATE INDEX transponder_ended ON transponder (terminated_at) WHERE terminated_at IS NOT NULL;

CREATE TABLE run ( -- one row per child process
  run_id INTEGER PRIMARY KEY,
  transponder_id TEXT NOT NULL REFERENCES transponder (id) ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  nonce TEXT NOT NULL UNIQUE,
  pid INTEGER,
  pid_start_ticks INTEGER,
  argv_redacted TEXT,
  spawned_at INTEGER NOT NULL,
  ready_at INTEGER,
  ended_at INTEGER,
  exit_code INTEGER,
  exit_signal TEXT,
  exit_class TEXT,
  exit_detail TEXT,
  bytes_out INTEGER NOT NULL DEFAULT 0,
  frames_out INTEGER NOT NULL DEFAULT 0,
  stderr_head TEXT,
  stderr_tail TEXT
) STRICT;
CREATE INDEX run_by_transponder ON run (transponder_id, run_id DESC);
-- Two live children for one transponder are impossible.
CREATE UNIQUE INDEX run_open ON run (transponder_id) WHERE ended_at IS NULL;

CREATE TABLE event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  transponder_id TEXT NOT NULL REFERENCES transponder (id) ON DELETE CASCADE,
  type TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  detail TEXT
) STRICT;
CREATE INDEX event_by_transponder ON event (transponder_id, seq DESC);
CREATE INDEX event_by_time ON event (at);
