-- What the simulator knows. Times are milliseconds since the Unix epoch on the
-- simulator's own, movable clock. Amounts are minor units.

-- A payment as the buyer sees it, from the order page to the refund.
create table session (
    payment_key text primary key,
    order_no text not null,
    amount_minor integer not null check (0 < amount_minor),
    currency text not null,

    -- OPEN becomes CAPTURED or ABORTED, once. What the wire shows also depends on
    -- the clock (expiry) and on the book (cancels).
    state text not null check (state in ('OPEN', 'CAPTURED', 'ABORTED')),
    requested_at_ms integer not null,
    authenticated_at_ms integer,
    approved_at_ms integer,
    failure_code text,

    check ((state = 'CAPTURED') = (approved_at_ms is not null)),
    check ((state = 'ABORTED') = (failure_code is not null))
);

-- Serves the look-up by order.
create index session_order on session (order_no);

-- The ledger: every movement of money. Rows are never changed.
create table book (
    seq integer primary key autoincrement,
    payment_key text not null references session (payment_key),
    order_no text not null,
    kind text not null check (kind in ('CAPTURE', 'CANCEL')),
    amount_minor integer not null check (0 < amount_minor),
    reason text not null,
    at_ms integer not null
);

-- A payment is captured once. Two payments of one order may both be.
create unique index book_capture on book (payment_key) where kind = 'CAPTURE';
create index book_payment on book (payment_key);
create index book_order on book (order_no);

-- First responses, for replay. The identity is a hash; it holds no API key.
create table idempotency (
    identity text primary key,
    status integer not null,
    body blob not null,
    at_ms integer not null
);

-- Faults that are to happen, and those that did. The payment key '*' stands for
-- any payment.
create table fault (
    seq integer primary key autoincrement,
    payment_key text not null,
    operation text not null,
    kind text not null,
    fault text not null,
    fired_at_ms integer
);
create index fault_waiting on fault (payment_key, operation, seq) where fired_at_ms is null;

create table setting (
    name text primary key,
    value integer not null
);
