-- What customers pay less (S1-3). A coupon never changes; whether it is used is in coupon_uses.
create table coupons (
    coupon_id text primary key,
    customer_id text not null,

    -- Taken off a line of this item. Null: off the whole order.
    item_id text,
    kind text not null check (kind in ('AMOUNT', 'PERCENT')),

    -- Minor units of the currency, or percent.
    value bigint not null check (0 < value and (kind = 'AMOUNT' or value <= 100)),
    currency text check ((kind = 'AMOUNT') = (currency is not null)),
    valid_from_ms bigint not null,

    -- Not valid any more from here on.
    valid_to_ms bigint not null check (valid_from_ms < valid_to_ms)
);

-- What each coupon took off which order. An order that does not come about leaves no row.
create table coupon_uses (
    -- The UseCoupons operation.
    use_op_id uuid not null,
    coupon_id text not null references coupons (coupon_id),

    -- There is no such order before InsertOrder.
    order_no text not null,

    -- The line that it was taken off. Null: it was taken off the whole order.
    line_no bigint check (1 <= line_no),
    taken_minor bigint not null check (0 < taken_minor),

    -- RETURNED: a cancel gave it back, and it may be used again.
    state text not null check (state in ('USED', 'RETURNED')),
    primary key (use_op_id, coupon_id)
);

-- A coupon is used by one order at a time (I14), whoever asks at once.
create unique index coupon_uses_used on coupon_uses (coupon_id) where state = 'USED';
create index coupon_uses_order on coupon_uses (order_no);
