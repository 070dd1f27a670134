-- What sagas are found by, besides what is in their index rows. Written with the first row of
-- a saga and never changed. Sagas that were started before have none here.
create table saga_label (
    name text not null,
    value text not null,
    saga_id blob not null check (length(saga_id) = 16),

    -- Serves the list of what has one label, newest first.
    primary key (name, value, saga_id)
) strict, without rowid;
