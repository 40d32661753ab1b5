-- The queue and the ledger are one store: an object is never in the one and not in the other.

CREATE TABLE objects (
    object_key     TEXT PRIMARY KEY,
    object_id      TEXT NOT NULL,
    notification   TEXT NOT NULL,     -- JSON, as it came
    tenant         TEXT NOT NULL,
    spans          INTEGER NOT NULL,
    payload_bytes  INTEGER NOT NULL,
    -- pending: waits; batched: in a manifest; stored: acknowledged; duplicate: a resend of another object; dead: set aside
    state          TEXT NOT NULL CHECK (state IN ('pending', 'batched', 'stored', 'duplicate', 'dead')),
    batch_id       TEXT REFERENCES batches (batch_id),
    enqueued_at_ms INTEGER NOT NULL,
    ended_at_ms    INTEGER,
    reason         TEXT               -- why it is dead
) STRICT;

CREATE INDEX objects_by_id ON objects (object_id);
CREATE INDEX objects_pending ON objects (enqueued_at_ms) WHERE state = 'pending';
CREATE INDEX objects_unfinished ON objects (state) WHERE state IN ('pending', 'batched', 'dead');
CREATE INDEX objects_of_batch ON objects (batch_id) WHERE batch_id IS NOT NULL;

-- A manifest: its objects, in the order of their keys, never change while it is open.
CREATE TABLE batches (
    batch_id       TEXT PRIMARY KEY,  -- a ULID
    state          TEXT NOT NULL CHECK (state IN ('open', 'stored')),
    lease_id       TEXT NOT NULL,     -- the fence: whoever holds another lease may not write
    leased_until_ms INTEGER NOT NULL,
    inserts        INTEGER NOT NULL DEFAULT 0,  -- tries that may have reached ClickHouse
    failures       INTEGER NOT NULL DEFAULT 0,
    last_error     TEXT
) STRICT;

CREATE INDEX batches_open ON batches (leased_until_ms) WHERE state = 'open';

-- How far the sweep has come.
CREATE TABLE sweep_watermark (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    unix_ms  INTEGER NOT NULL
) STRICT;
