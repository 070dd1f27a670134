-- How far each log of sagas has told that it is: the highest epoch that was heard with the
-- log's id, and in it the highest time up to which the log was durable.
create table log_mark (
    log_id uuid primary key,
    epoch bigint not null check (0 < epoch),
    -- Milliseconds since the Unix epoch, of the log's clock.
    at_ms bigint not null check (0 < at_ms)
);
