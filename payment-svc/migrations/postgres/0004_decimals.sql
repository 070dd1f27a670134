-- With how many decimals the provider was told a payment's amount. Before there was this column
-- amounts went out as they are here, so that 600 of GBP was captured as 600 pounds: those
-- payments are read, and given back, in the same way.
alter table payments
    add column decimals integer not null default 0 check (0 <= decimals);

-- The currency of a sighting, so that amounts of two currencies are not added up. Of those of
-- before it is not known.
alter table sightings add column currency text not null default 'a currency that is not known';
