-- As in PostgreSQL, where everything is explained.
alter table items
    add column credits integer not null default 0 check (credits between 0 and 1000000);

alter table reservation_lines
    add column price_minor integer check (price_minor >= 1);
