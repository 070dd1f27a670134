-- Where a saga stands among those that wait for the same participant: 0 undo and inquiries, 1
-- behind a pivot, 2 the rest. Null: it waits for none.
alter table saga add column rank smallint check (rank between 0 and 2);

-- Serves held: those that wait for one participant, in the order in which they are taken up.
create index saga_held on saga (waiting_on, rank, started_at_ms, saga_id)
    where rank is not null and owner is null and ended_at_ms is null;
