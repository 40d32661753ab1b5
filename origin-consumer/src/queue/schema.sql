-- The queue and the ledger are one store: an object is never in the one and not in the other. Both SQLite and PostgreSQL
-- read this file. Times are milliseconds since the Unix epoch.

CREATE TABLE objects (
    object_key         TEXT PRIMARY KEY,
    object_id          TEXT NOT NULL,
    tenant             TEXT NOT NULL,
    spans              BIGINT NOT NULL,
    payload_bytes      BIGINT NOT NULL,
    received_at_ms     BIGINT NOT NULL,
    received_minute_ms BIGINT NOT NULL,
    notification       TEXT NOT NULL,     -- JSON: what is needed to fetch and check it
    -- pending: waits; batched: in a manifest; stored: acknowledged; audited: found in ClickHouse once more, later;
    -- expired: audited, and then deleted from the bucket; held: a resend that may hold spans which the objects of its request
    -- before it do not, and waits until those have ended; duplicate: a resend that holds nothing else; dead: set aside, and
    -- waits for somebody; discarded: dead, and somebody said so
    state              TEXT NOT NULL CHECK (state IN
        ('pending', 'batched', 'stored', 'audited', 'expired', 'held', 'duplicate', 'dead', 'discarded')),
    source             TEXT NOT NULL CHECK (source IN ('notified', 'swept', 'replayed')),
    notified_at_ms     BIGINT,            -- when its notification came, if it did
    priority           BIGINT NOT NULL,   -- 0: live; 1: replayed, or tried again by hand
    look_first         BIGINT NOT NULL,   -- 1: its rows may be in ClickHouse though no batch of this ledger tells
    failures           BIGINT NOT NULL DEFAULT 0, -- tries that failed by its own fault
    not_before_ms      BIGINT NOT NULL,
    enqueued_at_ms     BIGINT NOT NULL,
    ended_at_ms        BIGINT,
    batch_id           TEXT,
    shorts             BIGINT NOT NULL DEFAULT 0, -- times that the audit has found spans of it missing
    reason             TEXT,              -- why it is dead, or what the audit has found
    copied             BIGINT NOT NULL DEFAULT 0, -- 1: dead, and its copy lies under dlq/
    complete           BIGINT NOT NULL DEFAULT 0, -- 1: no span of its request was rejected, so that no resend adds any
    previous_id        TEXT,              -- the id that Spillway 0.1 would have given its request; none: it did
    resend_of          TEXT,              -- the first object of its request, where it is a resend
    resend_no          BIGINT,            -- its place among those resends that may add spans, from 1 on; none while it is held
    stored_rows        BIGINT,            -- its rows in ClickHouse, where they are not those from 0 on to its spans: how many,
    stored_hash        TEXT               -- and the sum of the hashes of their numbers, in hex
);

CREATE INDEX objects_pending ON objects (priority, tenant, enqueued_at_ms) WHERE state = 'pending';
CREATE INDEX objects_of_batch ON objects (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX objects_stored ON objects (ended_at_ms) WHERE state = 'stored';
CREATE INDEX objects_audited ON objects (received_at_ms) WHERE state = 'audited';
CREATE INDEX objects_set_aside ON objects (object_key) WHERE state IN ('dead', 'discarded');
CREATE INDEX objects_resent ON objects (resend_of) WHERE resend_of IS NOT NULL;
CREATE INDEX objects_held ON objects (object_key) WHERE state = 'held';
CREATE INDEX objects_by_minute ON objects (received_minute_ms, tenant);

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
