-- Which log this is. Made once, with the schema; a copy or a backup has the same id.
create table log_identity (
    only_row integer primary key default 1 check (only_row = 1),
    log_id blob not null default (randomblob(16)),

    -- Up to when the log is durable, by the clocks of the nodes. What participants hear of the
    -- log is never later; one that has heard more shows that the log went back in time.
    mark_at_ms integer not null default 0
);
insert into log_identity default values;

-- The epochs of the log. A new one begins whenever it is found that the log went back.
create table log_epoch (
    epoch integer primary key check (epoch > 0),
    began_at_ms integer not null,
    actor text not null,
    reason text not null,

    -- The mark of the log when it began, and how far that was behind what nodes or
    -- participants had heard of the epoch before.
    mark_at_ms integer not null,
    behind_ms integer not null
);
insert into log_epoch values (1, 0, 'amends', 'the log was made', 0, 0);
