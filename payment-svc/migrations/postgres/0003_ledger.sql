-- How far a provider's ledger has been read. There is no row until something was read.
create table ledger_marks (
    provider text primary key,
    -- When the last movement of money that was read happened, by the provider's clock.
    at_ms bigint not null,
    -- The provider's key of it: what comes behind it is read next.
    transaction_key text not null
);
