-- The other tables of the ledger, beside `objects.sql`.

-- Which object holds a request; its resends are those that were received within a window after it. By the request's id, and by
-- that of Spillway 0.1 with a `~` before it.
CREATE TABLE requests (
    object_id      TEXT PRIMARY KEY,
    object_key     TEXT NOT NULL,
    received_at_ms BIGINT NOT NULL
);

CREATE INDEX requests_by_time ON requests (received_at_ms);

-- A manifest: its objects, in the order of their keys. None is ever added.
CREATE TABLE batches (
    batch_id        TEXT PRIMARY KEY,     -- a ULID
    state           TEXT NOT NULL CHECK (state IN ('open', 'stored')),
    priority        BIGINT NOT NULL,
    lease_id        TEXT NOT NULL,        -- the fence: whoever holds another lease may not write
    leased_until_ms BIGINT NOT NULL,      -- where it was given back: when it is tried again
    given_back      BIGINT NOT NULL DEFAULT 0, -- 1: nobody works on it
    look_first      BIGINT NOT NULL,
    inserts         BIGINT NOT NULL DEFAULT 0, -- tries that may have reached ClickHouse
    failures        BIGINT NOT NULL DEFAULT 0,
    abandoned       BIGINT NOT NULL DEFAULT 0, -- leases that ran out: a consumer died, or stood still
    ended_at_ms     BIGINT,
    last_error      TEXT
);

CREATE INDEX batches_open ON batches (priority, leased_until_ms) WHERE state = 'open';
CREATE INDEX batches_ended ON batches (ended_at_ms) WHERE state = 'stored';

-- A minute of the bucket, until the last pass of the sweep over it is done.
CREATE TABLE sweep_minutes (
    minute_ms       BIGINT PRIMARY KEY,
    passes_done     BIGINT NOT NULL,
    due_at_ms       BIGINT NOT NULL,
    lease_id        TEXT NOT NULL,
    leased_until_ms BIGINT NOT NULL
);

CREATE INDEX sweep_minutes_due ON sweep_minutes (due_at_ms);

-- What listings of the bucket have shown of a minute: what the edge has accepted.
CREATE TABLE listed_minutes (
    minute_ms    BIGINT NOT NULL,
    tenant       TEXT NOT NULL,           -- empty where the object does not tell
    objects      BIGINT NOT NULL,
    spans        BIGINT NOT NULL,
    listed_at_ms BIGINT NOT NULL,
    PRIMARY KEY (minute_ms, tenant)
);

-- What became of the notifications that reached this origin, by the minute of their arrival.
CREATE TABLE intake_minutes (
    minute_ms     BIGINT NOT NULL,
    outcome       TEXT NOT NULL,
    notifications BIGINT NOT NULL,
    PRIMARY KEY (minute_ms, outcome)
);

-- The ways that notifications, and the canary's probes, have come to this origin, as far as their headers tell.
CREATE TABLE notification_routes (
    carried       TEXT NOT NULL,          -- notification or canary
    route         TEXT NOT NULL,
    headers       TEXT NOT NULL,          -- JSON: what the headers tell; no address
    first_at_ms   BIGINT NOT NULL,
    last_at_ms    BIGINT NOT NULL,
    notifications BIGINT NOT NULL,
    PRIMARY KEY (carried, route)
);

-- Work that one process does at a time.
CREATE TABLE chores (
    chore           TEXT PRIMARY KEY,
    lease_id        TEXT NOT NULL,
    leased_until_ms BIGINT NOT NULL
);

-- Single numbers: the schema's version, when the ledger was made, from when on it is whole, when it was last in use, how far
-- the sweep has come, when the route changed and the last canary came.
CREATE TABLE marks (
    mark  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
