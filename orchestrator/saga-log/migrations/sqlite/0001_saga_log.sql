-- The durable log of the saga engine.
-- Times are milliseconds since the Unix epoch by the clock of whoever wrote the row.
-- They are for people and for wake-ups; nothing is ordered by them.
-- UUIDs are blobs of 16 bytes, which compare like the UUIDs.

-- The log. One row per append; a row may hold several events.
-- The primary key is the fence: of two writers of one version exactly one succeeds.
-- Without a row id the key is the table itself, and an append writes one tree, not two.
create table saga_event (
    saga_id blob not null,
    version integer not null check (version > 0),

    -- The node that wrote the row.
    writer blob not null,

    -- Tells, after a commit whose outcome is unknown, whose row this is.
    append_id blob not null,
    at_ms integer not null,

    -- Encoded by the engine. The database never looks into them.
    events blob not null,
    primary key (saga_id, version)
) strict, without rowid;

-- Rows are only ever added. Rows of sagas that ended may be deleted as a whole.
create trigger saga_event_is_append_only before update on saga_event
begin
    select raise(abort, 'saga_event is append-only');
end;

-- One row per saga, for people and for claims. Written in the transaction of an append,
-- when the saga starts, parks, gets stuck, goes on or ends; not at every step.
create table saga (
    saga_id blob not null primary key,
    namespace text not null,
    business_key text not null,
    definition text not null,
    definition_version integer not null check (definition_version > 0),

    -- SHA-256. Tells a repeated start from a reused key.
    request_hash blob not null check (length(request_hash) = 32),
    started_at_ms integer not null,

    -- 1 running, 2 compensating, 3 completed, 4 compensated, 5 closed by an operator.
    status integer not null check (status between 1 and 5),

    -- When somebody has to look at this saga.
    wake_at_ms integer,

    -- What it waits for where no time will wake it.
    waiting_on text,

    -- The node that drives it. Null: whoever finds it due may take it.
    owner blob,

    stuck_reason text,
    stuck_step text,
    stuck_message text,
    stuck_since_ms integer,

    -- Why it turned back. Null: it did not.
    turned_back text,
    ended_at_ms integer,

    -- A saga that has not ended has a wake-up or a named reason: no limbo.
    constraint saga_is_not_in_limbo
        check (ended_at_ms is not null or wake_at_ms is not null or waiting_on is not null),
    constraint saga_is_stuck_as_a_whole check (
        (stuck_reason is null) = (stuck_step is null)
        and (stuck_reason is null) = (stuck_message is null)
        and (stuck_reason is null) = (stuck_since_ms is null)
    ),
    -- A start is idempotent per business key, for ever.
    unique (namespace, business_key)
) strict, without rowid;

-- Serves claimable and next_wake_at_ms: unowned sagas by wake-up.
create index saga_due on saga (wake_at_ms) where owner is null and ended_at_ms is null;

-- Serves claimable and nodes: live sagas by owner.
create index saga_owner on saga (owner) where owner is not null and ended_at_ms is null;

-- Serves stuck_groups and the list of stuck sagas. Few rows, or somebody is called.
create index saga_stuck on saga (saga_id) where stuck_reason is not null;

-- Serves the list of one status, newest first.
create index saga_status on saga (status, saga_id);

-- One row per run of an orchestrator process.
create table node (
    node_id blob not null primary key,
    beats integer not null default 0,
    registered_at_ms integer not null,
    beat_at_ms integer not null
) strict, without rowid;

-- A definition version never changes: running sagas are interpreted by it.
create table definition (
    name text not null,
    version integer not null check (version > 0),

    -- SHA-256 of the canonical form.
    hash blob not null check (length(hash) = 32),
    yaml text not null,

    -- The encoded google.protobuf.FileDescriptorSet it was checked against.
    descriptors blob not null,
    registered_at_ms integer not null,
    primary key (name, version)
) strict, without rowid;
