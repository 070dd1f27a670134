-- What the shop asked its payment providers to do, and what it knows of the outcome.
-- Times are milliseconds since the Unix epoch. Amounts are minor units of the currency.

create table payments (
    payment_id blob primary key,
    order_no text not null
        check (length(order_no) between 6 and 64 and order_no not glob '*[^A-Za-z0-9_-]*'),
    provider text not null,
    -- The provider's key of the buyer's payment. An announced payment has none yet.
    provider_key text,
    amount_minor integer not null check (0 < amount_minor),
    -- What was given back; and how much of that somebody did without us.
    cancelled_minor integer not null default 0
        check (0 <= cancelled_minor and cancelled_minor <= amount_minor),
    cancelled_elsewhere_minor integer not null default 0
        check (0 <= cancelled_elsewhere_minor and cancelled_elsewhere_minor <= cancelled_minor),
    currency text not null check (currency glob '[A-Z][A-Z][A-Z]'),
    status text not null check (status in (
        'PREPARED', 'CONFIRMING', 'COMPLETED', 'FAILED', 'PARTIALLY_CANCELLED', 'CANCELLED')),
    -- When the payment was announced before the buyer paid. Null: it was not.
    announced_at_ms integer,
    approved_at_ms integer,
    created_at_ms integer not null,

    check ((status = 'PREPARED') = (provider_key is null)),
    check ((status in ('COMPLETED', 'PARTIALLY_CANCELLED', 'CANCELLED'))
        = (approved_at_ms is not null)),
    check ((status = 'CANCELLED') = (cancelled_minor = amount_minor)),
    check ((status = 'PARTIALLY_CANCELLED')
        = (0 < cancelled_minor and cancelled_minor < amount_minor))
) strict;

-- A payment at the provider settles one order (D7). One that took no money may be tried
-- again, for example with the right amount.
create unique index payments_provider_key on payments (provider, provider_key)
    where status <> 'FAILED';

-- An order has one live payment.
create unique index payments_live on payments (order_no)
    where status in ('PREPARED', 'CONFIRMING', 'COMPLETED', 'PARTIALLY_CANCELLED');

create index payments_order on payments (order_no, created_at_ms);

-- Every confirm that was asked for. The row is committed before the provider is called.
create table attempts (
    op_id blob primary key,
    payment_id blob not null references payments (payment_id),
    state text not null check (state in ('OPEN', 'CAPTURED', 'REFUSED')),
    -- Why it was refused, for people.
    why text,
    intended_at_ms integer not null
) strict;

-- A payment is captured once, and asked for by one operation at a time.
create unique index attempts_payment on attempts (payment_id) where state <> 'REFUSED';

-- Every cancel that was asked for. The row is committed before the provider is called.
create table cancels (
    op_id blob primary key,
    payment_id blob not null references payments (payment_id),
    amount_minor integer not null check (0 < amount_minor),
    -- What this cancel really gave back, once it is done.
    cancelled_minor integer check (0 <= cancelled_minor),
    reason text not null,
    state text not null check (state in ('OPEN', 'DONE', 'REFUSED')),
    code text,
    intended_at_ms integer not null,

    check ((state = 'DONE') = (cancelled_minor is not null))
) strict;

-- The second cancel of a payment waits until the outcome of the first is known: the
-- balance tells which of them happened only if there is one.
create unique index cancels_open on cancels (payment_id) where state = 'OPEN';
create index cancels_payment on cancels (payment_id);
