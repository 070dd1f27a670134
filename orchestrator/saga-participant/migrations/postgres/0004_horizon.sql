-- Of which log's saga an operation is, and when that saga began, by that log's clock. Null: it
-- was not said, or the row is of before.
alter table op_log
    add column log_id uuid,
    add column saga_started_at_ms bigint;

-- How far each log of sagas may be forgotten: no saga of it that began before that is open, nor
-- in any backup of it that may still be restored.
create table op_horizon (
    log_id uuid primary key,
    -- Milliseconds since the Unix epoch, of the log's clock. Never falls.
    horizon_at_ms bigint not null check (0 < horizon_at_ms)
);

-- One row, once anything was pruned, by whomever.
create table op_pruned (
    one integer primary key check (one = 1),
    -- The newest operation that was, by this service's clock: what is older, and has no row
    -- in op_log, may have had one.
    at_ms bigint not null
);

create function note_pruned_operations() returns trigger language plpgsql as $$
begin
    insert into op_pruned (one, at_ms)
    -- A claim that is taken back was not decided, and may come again.
    select 1, max(at_ms) from gone where state <> 'APPLIED' or result is not null
    having max(at_ms) is not null
    on conflict (one) do update set at_ms = excluded.at_ms
    where op_pruned.at_ms < excluded.at_ms;
    return null;
end
$$;

create trigger op_log_pruned after delete on op_log referencing old table as gone
    for each statement execute function note_pruned_operations();
