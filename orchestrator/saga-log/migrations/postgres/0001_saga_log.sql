-- The durable log of the saga engine.
-- Times are milliseconds since the Unix epoch by the clock of whoever wrote the row.
-- They are for people and for wake-ups; nothing is ordered by them.

-- The log. One row per append; a row may hold several events.
-- The primary key is the fence: of two writers of one version exactly one succeeds.
create table saga_event (
    saga_id uuid not null,
    version bigint not null check (version > 0),

    -- The node that wrote the row.
    writer uuid not null,

    -- Tells, after a commit whose outcome is unknown, whose row this is.
    append_id uuid not null,
    at_ms bigint not null,

    -- Encoded by the engine. The database never looks into them.
    events bytea not null,
    primary key (saga_id, version)
);

-- Rows are only ever added. Rows of sagas that ended may be deleted as a whole.
create function saga_event_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'saga_event is append-only';
end
$$;

create trigger saga_event_is_append_only before update on saga_event
    for each row execute function saga_event_is_append_only();

-- One row per saga, for people and for claims. Written in the transaction of an append,
-- when the saga starts, parks, gets stuck, goes on or ends; not at every step.
create table saga (
    saga_id uuid primary key,
    namespace text not null,
    business_key text not null,
    definition text not null,
    definition_version bigint not null check (definition_version > 0),

    -- SHA-256. Tells a repeated start from a reused key.
    request_hash bytea not null check (octet_length(request_hash) = 32),
    started_at_ms bigint not null,

    -- 1 running, 2 compensating, 3 completed, 4 compensated, 5 closed by an operator.
    status smallint not null check (status between 1 and 5),

    -- When somebody has to look at this saga.
    wake_at_ms bigint,

    -- What it waits for where no time will wake it.
    waiting_on text,

    -- The node that drives it. Null: whoever finds it due may take it.
    owner uuid,

    stuck_reason text,
    stuck_step text,
    stuck_message text,
    stuck_since_ms bigint,

    -- Why it turned back. Null: it did not.
    turned_back text,
    ended_at_ms bigint,

    -- A saga that has not ended has a wake-up or a named reason: no limbo.
    constraint saga_is_not_in_limbo
        check (ended_at_ms is not null or wake_at_ms is not null or waiting_on is not null),
    constraint saga_is_stuck_as_a_whole
        check (num_nonnulls(stuck_reason, stuck_step, stuck_message, stuck_since_ms) in (0, 4)),
    -- A start is idempotent per business key, for ever.
    unique (namespace, business_key)
)
-- A row is rewritten a few times in its life and then never again.
with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);

-- Serves claimable and next_wake_at_ms: unowned sagas by wake-up.
create index saga_due on saga (wake_at_ms) where owner is null and ended_at_ms is null;

-- Serves claimable and nodes: live sagas by owner.
create index saga_owner on saga (owner) where owner is not null and ended_at_ms is null;

-- Serves stuck_groups and the list of stuck sagas. Few rows, or somebody is called.
create index saga_stuck on saga (saga_id) where stuck_reason is not null;

-- Serves the list of one status, newest first.
create index saga_status on saga (status, saga_id);

-- One row per run of an orchestrator process. Others watch whether the beats grow, each
-- with its own clock; no time of another node is compared.
create table node (
    node_id uuid primary key,
    beats bigint not null default 0,
    registered_at_ms bigint not null,
    beat_at_ms bigint not null
)
-- Room to rewrite a row on its page: it changes at every beat.
with (fillfactor = 50);

-- A definition version never changes: running sagas are interpreted by it.
create table definition (
    name text not null,
    version bigint not null check (version > 0),

    -- SHA-256 of the canonical form.
    hash bytea not null check (octet_length(hash) = 32),
    yaml text not null,

    -- The encoded google.protobuf.FileDescriptorSet it was checked against.
    descriptors bytea not null,
    registered_at_ms bigint not null,
    primary key (name, version)
);
