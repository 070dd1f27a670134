-- When the saga of the operation began, in milliseconds since the Unix epoch: a repeat comes
-- with the same start. Null: nobody has told it, or the row is of before.
alter table op_log add column started_at_ms bigint;

-- Up to when each log of sagas needs what is recorded here, as it has told. Only ever grows.
create table log_horizon (
    log_id uuid primary key,
    at_ms bigint not null check (0 < at_ms)
);

-- What began before may be missing in op_log. 0: nothing was deleted. Only ever grows.
create table op_log_horizon (
    only_row boolean primary key default true check (only_row),
    before_ms bigint not null default 0 check (0 <= before_ms)
);
insert into op_log_horizon default values;

-- Whoever deletes rows, the log knows that it has gaps, and up to when. A claim that was given
-- up, which is a row without an answer, leaves none.
create function op_log_has_gaps() returns trigger language plpgsql as $$
begin
    update op_log_horizon set before_ms = gap.before_ms
    from (
        select max(coalesce(started_at_ms, at_ms)) + 1 as before_ms from gone
        where not (state = 'APPLIED' and result is null)
    ) as gap
    where op_log_horizon.before_ms < gap.before_ms;
    return null;
end
$$;

create trigger op_log_has_gaps after delete on op_log
    referencing old table as gone
    for each statement execute function op_log_has_gaps();
