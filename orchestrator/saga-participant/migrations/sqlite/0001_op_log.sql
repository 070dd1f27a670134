-- As in PostgreSQL, where every column is explained. Ids are blobs of 16 bytes.
create table op_log (
    seq integer primary key autoincrement,
    op_id blob not null unique check (length(op_id) = 16),
    saga_id text,
    kind text not null,
    request_hash blob not null,
    state text not null check (state in ('APPLIED', 'REJECTED', 'FENCED', 'INTENDED')),
    reverses blob unique check (reverses is null or state in ('APPLIED', 'INTENDED')),
    request blob,
    plan blob,
    result blob,
    reason text,
    message text,
    at_ms integer not null,
    check ((state = 'INTENDED') = (request is not null)),
    check (plan is null or state = 'INTENDED')
) strict;

create index op_log_saga on op_log (saga_id, seq) where saga_id is not null;

create index op_log_intended on op_log (seq) where state = 'INTENDED';
