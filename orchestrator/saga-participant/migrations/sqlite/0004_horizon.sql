-- As in PostgreSQL.
alter table op_log add column log_id blob;
alter table op_log add column saga_started_at_ms integer;

create table op_horizon (
    log_id blob primary key check (length(log_id) = 16),
    horizon_at_ms integer not null check (0 < horizon_at_ms)
) strict;

create table op_pruned (
    one integer primary key check (one = 1),
    at_ms integer not null
) strict;

create trigger op_log_pruned after delete on op_log
when old.state <> 'APPLIED' or old.result is not null
begin
    insert into op_pruned (one, at_ms) values (1, old.at_ms)
    on conflict (one) do update set at_ms = excluded.at_ms where op_pruned.at_ms < excluded.at_ms;
end;
