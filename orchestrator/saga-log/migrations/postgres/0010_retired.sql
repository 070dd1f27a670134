-- Versions of the same name that are started no more since this one is stored: this number and
-- all below it. 0: none, as for all rows of before, and for what a program of before stores.
alter table definition
    add column retires bigint not null default 0 check (0 <= retires and retires < version);
