-- As in PostgreSQL.
alter table payments
    add column decimals integer not null default 0 check (0 <= decimals);

alter table sightings add column currency text not null default 'a currency that is not known';
