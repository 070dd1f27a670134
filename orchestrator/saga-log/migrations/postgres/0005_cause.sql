-- What holds a saga up, whether or not it needs a person: participant, method and reason code,
-- a line each. Rows of before have none until their sagas move on.
alter table saga add column cause text;
alter table saga add column cause_message text;
alter table saga add column cause_since_ms bigint;

-- Serves cause_groups of what waits while nobody is needed.
create index saga_cause on saga (saga_id) where cause is not null and ended_at_ms is null;
