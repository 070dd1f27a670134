-- As in PostgreSQL.
create table log_mark (
    log_id blob primary key check (length(log_id) = 16),
    epoch integer not null check (0 < epoch),
    at_ms integer not null check (0 < at_ms)
) strict;
