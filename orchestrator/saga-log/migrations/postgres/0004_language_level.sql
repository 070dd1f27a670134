-- The language that a definition was checked in, and is read in for ever. Rows of before are
-- in the first one, and so is what a program of before stores.
alter table definition
    add column language_level bigint not null default 1 check (language_level > 0);
