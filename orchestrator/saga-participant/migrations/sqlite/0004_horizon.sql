-- As in PostgreSQL.
alter table op_log add column started_at_ms integer;

create table log_horizon (
    log_id blob primary key check (length(log_id) = 16),
    at_ms integer not null check (0 < at_ms)
) strict;

create table op_log_horizon (
    only_row integer primary key default 1 check (only_row = 1),
    before_ms integer not null default 0 check (0 <= before_ms)
) strict;
insert into op_log_horizon default values;

create trigger op_log_has_gaps after delete on op_log
when not (old.state = 'APPLIED' and old.result is null)
begin
    update op_log_horizon set before_ms = coalesce(old.started_at_ms, old.at_ms) + 1
    where before_ms <= coalesce(old.started_at_ms, old.at_ms);
end;
