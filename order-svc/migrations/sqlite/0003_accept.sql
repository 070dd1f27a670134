-- As in PostgreSQL, where everything is explained.
create table order_claims (
    order_no text primary key,
    accept_op_id blob not null unique,
    provider text,
    provider_key text,
    claimed_at_ms integer not null
) strict;

alter table orders add column settling_provider text;
alter table orders add column settling_key text;

insert into transitions (from_status, to_status, scope) values
    ('PAYMENT_CONFIRM', 'PAYMENT_PENDING', 'ORDER'),
    ('PAYMENT_CONFIRM', 'PAYMENT_RETURNED', 'ORDER'),
    ('PAYMENT_NO_PAYMENT_INFO', 'PAYMENT_CONFIRM', 'ORDER');
