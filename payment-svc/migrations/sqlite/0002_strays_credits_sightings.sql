-- Cancels of payments that settle no order of ours: a client named one, and its order does
-- not exist or did not come about. The row is committed before the provider is called.
create table stray_cancels (
    op_id blob primary key,
    provider text not null,
    provider_key text not null,
    reason text not null,
    -- NOTHING: there was nothing to give back, and that was success.
    state text not null check (state in ('OPEN', 'DONE', 'NOTHING', 'REFUSED')),
    -- What was given back of the payment, in all.
    cancelled_minor integer check (0 <= cancelled_minor),
    code text,
    intended_at_ms integer not null,

    check ((state = 'DONE') = (cancelled_minor is not null))
) strict;
create unique index stray_cancels_open on stray_cancels (provider, provider_key)
    where state = 'OPEN';
create index stray_cancels_key on stray_cancels (provider, provider_key);

-- What customers have of things that are bought with money and kept with us.
create table credit_accounts (
    account text primary key,
    balance integer not null check (0 <= balance)
) strict;

-- What payments did to the accounts. The key is the promise: a payment grants once and
-- is revoked once (I9). A revocation without a grant forbids the grant.
create table credit_ledger (
    payment_id blob not null references payments (payment_id),
    kind text not null check (kind in ('GRANT', 'REVOKE')),
    account text references credit_accounts (account),
    credits integer not null check (0 <= credits),
    op_id blob not null,
    at_ms integer not null,

    primary key (payment_id, kind),
    check ((account is null) = (credits = 0))
) strict;
create index credit_ledger_account on credit_ledger (account);

-- Captured payments as their provider showed them when a webhook made us look. No hint is
-- recorded, only what a look-up showed; so there are at most as many as payments.
create table sightings (
    provider text not null,
    provider_key text not null,
    order_no text not null,
    amount_minor integer not null,
    balance_minor integer not null,
    seen_at_ms integer not null,

    primary key (provider, provider_key)
) strict;
create index sightings_order on sightings (order_no);
