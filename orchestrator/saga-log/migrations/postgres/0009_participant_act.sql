-- What people have decided about participants: a row for each act, which is never changed. The
-- newest of a participant says what holds now.
create table participant_act (
    participant text not null,

    -- From 1, without gaps. Of two acts that look at the same one before, the key lets one through.
    version bigint not null check (version > 0),

    -- What makes the act one, for those who send it twice.
    request_id text not null,
    is_paused boolean not null,

    -- Calls at the same time, of all nodes together. Null: as in the nodes' configuration.
    in_flight_max bigint check (in_flight_max > 0),
    actor text not null,
    reason text not null,
    at_ms bigint not null,
    primary key (participant, version),
    unique (participant, request_id)
);
