-- What a unit grants to whoever buys it, and what it cost when it was promised.
alter table items
    add column credits bigint not null default 0 check (credits between 0 and 1000000);

-- Null: promised before prices were kept here.
alter table reservation_lines
    add column price_minor bigint check (price_minor >= 1);
