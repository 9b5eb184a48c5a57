-- One file holds the log, the history store and the far timers. Each topic has a table of its own beside these
-- (records_<topic id>, see topic.sql). Version: PRAGMA user_version; whose file: PRAGMA application_id.

-- What was settled when the file was made: its namespace.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE topics (
    topic_id   INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    partitions INTEGER NOT NULL,
    is_history INTEGER NOT NULL DEFAULT 0 -- its events are the history store: never deleted by offset
);

-- begins_at: what was deleted ends here. reserved: no offset from here on was ever handed out; raised in blocks,
-- ahead of use, so that an offset never repeats after a crash, also that of a record which was never written.
CREATE TABLE partitions (
    topic_id  INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    begins_at INTEGER NOT NULL DEFAULT 0,
    reserved  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic_id, partition)
) WITHOUT ROWID;

CREATE TABLE positions (
    member_group TEXT    NOT NULL,
    topic        TEXT    NOT NULL,
    partition    INTEGER NOT NULL,
    next_offset  INTEGER NOT NULL,
    metadata     TEXT    NOT NULL,
    PRIMARY KEY (member_group, topic, partition)
) WITHOUT ROWID;

-- The index of the history store. `row` is the InstanceRow as Avro; the columns are what is asked for.
-- `position` orders writes: a lower one never replaces a higher one. Status PURGED: a tombstone.
CREATE TABLE instances (
    instance_id TEXT    NOT NULL UNIQUE,
    partition   INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    run         TEXT    NOT NULL,
    generation  INTEGER NOT NULL,
    status      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    row         BLOB    NOT NULL
);

-- Covers every filter of a listing, in the listing's order.
CREATE INDEX instances_listed ON instances (created_at DESC, instance_id, status, name) WHERE status <> 'PURGED';
CREATE INDEX instances_stalled ON instances (partition, instance_id) WHERE status = 'STALLED';
CREATE INDEX instances_purged ON instances (updated_at) WHERE status = 'PURGED';

CREATE TABLE stored_to (
    partition   INTEGER PRIMARY KEY,
    next_offset INTEGER NOT NULL -- history[partition] below it is in the store
);

CREATE TABLE timer_slices (
    shard    INTEGER NOT NULL,
    slice_no INTEGER NOT NULL,
    PRIMARY KEY (shard, slice_no)
) WITHOUT ROWID;

CREATE TABLE timers (
    shard       INTEGER NOT NULL,
    slice_no    INTEGER NOT NULL,
    instance_id TEXT    NOT NULL,
    identity    TEXT    NOT NULL,
    fire_at_us  INTEGER NOT NULL,
    value       BLOB    NOT NULL,
    PRIMARY KEY (shard, slice_no, instance_id, identity)
) WITHOUT ROWID;
