-- Numbers that are taken for orders which are about to be placed. Gone once the order is
-- there, or does not come about.
create table order_claims (
    order_no text primary key check (order_no ~ '^[A-Za-z0-9_-]{6,64}$'),

    -- The operation that took it.
    accept_op_id uuid not null unique,

    -- The payment that the customer named. Null: none yet.
    provider text,
    provider_key text,

    claimed_at_ms bigint not null
);

-- The payment that a customer named last: it is being checked, or settled the order.
alter table orders
    add column settling_provider text,
    add column settling_key text;

-- What is wrong with a payment says nothing about the order that was named with it.
insert into transitions (from_status, to_status, scope) values
    ('PAYMENT_CONFIRM', 'PAYMENT_PENDING', 'ORDER'),
    ('PAYMENT_CONFIRM', 'PAYMENT_RETURNED', 'ORDER'),
    ('PAYMENT_NO_PAYMENT_INFO', 'PAYMENT_CONFIRM', 'ORDER');
