-- The queue and the ledger are one store: an object is never in the one and not in the other. Both SQLite and PostgreSQL
-- read these files. Times are milliseconds since the Unix epoch.

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
