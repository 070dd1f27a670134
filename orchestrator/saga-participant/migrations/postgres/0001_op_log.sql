-- The operations of this service: what was asked, and what it was answered. Written in
-- the same transaction as the change. Rows are never deleted while a saga may ask.
create table op_log (
    -- Made by the caller; the same for every try.
    op_id uuid primary key,

    -- The order of lists. No meaning for correctness.
    seq bigint generated always as identity unique,

    -- The saga that it belongs to. Null: none.
    saga_id text,

    -- Its name, such as Reserve. Empty for an operation that was fenced before it came.
    kind text not null,

    -- SHA-256 over kind and request. Empty for an operation that was fenced before it came.
    request_hash bytea not null,

    -- APPLIED: it took effect. REJECTED: refused, nothing was done. FENCED: it never
    -- happens. INTENDED: a provider is being asked.
    state text not null check (state in ('APPLIED', 'REJECTED', 'FENCED', 'INTENDED')),

    -- The operation that it undoes. Unique: an operation is undone at most once. A refused
    -- one undoes nothing.
    reverses uuid unique check (reverses is null or state in ('APPLIED', 'INTENDED')),

    -- While a provider is being asked: the request and the call that was planned, so that
    -- it can be repeated, byte for byte, by whoever comes next.
    request bytea,
    plan bytea,

    -- APPLIED: the reply. REJECTED: the google.rpc.Status.
    result bytea,

    -- REJECTED: the reason code and sentence. APPLIED: NOTHING_TO_UNDO, or null.
    reason text,
    message text,

    -- Milliseconds since the Unix epoch, for people.
    at_ms bigint not null,

    check ((state = 'INTENDED') = (request is not null)),
    check (plan is null or state = 'INTENDED')
);

-- Serves list_effects of one saga.
create index op_log_saga on op_log (saga_id, seq) where saga_id is not null;

-- Serves the list of operations that wait for a provider. Small.
create index op_log_intended on op_log (seq) where state = 'INTENDED';
