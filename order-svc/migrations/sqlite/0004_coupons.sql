-- As in PostgreSQL, where everything is explained.
create table coupons (
    coupon_id text primary key,
    customer_id text not null,
    item_id text,
    kind text not null check (kind in ('AMOUNT', 'PERCENT')),
    value integer not null check (0 < value and (kind = 'AMOUNT' or value <= 100)),
    currency text check ((kind = 'AMOUNT') = (currency is not null)),
    valid_from_ms integer not null,
    valid_to_ms integer not null check (valid_from_ms < valid_to_ms)
) strict;

create table coupon_uses (
    use_op_id blob not null,
    coupon_id text not null references coupons (coupon_id),
    order_no text not null,
    line_no integer check (1 <= line_no),
    taken_minor integer not null check (0 < taken_minor),
    state text not null check (state in ('USED', 'RETURNED')),
    primary key (use_op_id, coupon_id)
) strict;

create unique index coupon_uses_used on coupon_uses (coupon_id) where state = 'USED';
create index coupon_uses_order on coupon_uses (order_no);
