-- Cancels, refunds and deliveries.

-- Credits that a line grants to whoever buys it, and the account that gets them.
alter table orders add column credit_account text;

alter table order_lines
    add column credits bigint not null default 0 check (credits >= 0),

    -- The operation that began the cancel of the line.
    add column cancel_op_id uuid,
    add check ((state = 'ACTIVE') = (cancel_op_id is null));

create index order_lines_by_cancel on order_lines (cancel_op_id) where cancel_op_id is not null;

-- Whether it is a change of the whole order, or records the cancel of one line.
alter table transitions
    add column scope text not null default 'ORDER' check (scope in ('ORDER', 'LINE')),
    add unique (from_status, to_status, scope);

-- CANCEL_REJECTED and REFUND_REJECTED have no steps of their own: after them counts the
-- status before the request, and its steps are legal again.
insert into transitions (from_status, to_status, scope) values
    ('PAYMENT_SUCCESS', 'CANCEL_REQUESTED', 'ORDER'),
    ('PAYMENT_SUCCESS', 'REFUND_REQUESTED', 'ORDER'),
    ('PAYMENT_SUCCESS', 'DELIVERY_PREPARATION', 'ORDER'),
    ('PAYMENT_SUCCESS', 'PARTIALLY_CANCELED', 'LINE'),
    ('PAYMENT_SUCCESS', 'CANCELED', 'LINE'),
    ('PARTIALLY_CANCELED', 'CANCEL_REQUESTED', 'ORDER'),
    ('PARTIALLY_CANCELED', 'REFUND_REQUESTED', 'ORDER'),
    ('PARTIALLY_CANCELED', 'DELIVERY_PREPARATION', 'ORDER'),
    ('PARTIALLY_CANCELED', 'PARTIALLY_CANCELED', 'LINE'),
    ('PARTIALLY_CANCELED', 'CANCELED', 'LINE'),
    ('DELIVERY_PREPARATION', 'CANCEL_REQUESTED', 'ORDER'),
    ('DELIVERY_PREPARATION', 'DELIVERED', 'ORDER'),
    ('DELIVERY_PREPARATION', 'PARTIALLY_CANCELED', 'LINE'),
    ('DELIVERY_PREPARATION', 'CANCELED', 'LINE'),
    ('DELIVERED', 'REFUND_REQUESTED', 'ORDER'),
    ('CANCEL_REQUESTED', 'CANCELED', 'ORDER'),
    ('CANCEL_REQUESTED', 'CANCEL_REJECTED', 'ORDER'),
    ('REFUND_REQUESTED', 'REFUND_COMPLETED', 'ORDER'),
    ('REFUND_REQUESTED', 'REFUND_REJECTED', 'ORDER');

alter table order_status
    -- The line whose cancel the row records. Null: a change of the whole order.
    add column line_no bigint,
    add column scope text generated always as
        (case when line_no is null then 'ORDER' else 'LINE' end) stored,

    -- In a row that rejects a request: the status before the request.
    add column restores text,
    add check ((restores is not null) = (status in ('CANCEL_REJECTED', 'REFUND_REJECTED'))),

    -- The status that decides what may follow. `from_status` of the next row is this one.
    add column counts_as text generated always as (coalesce(restores, status)) stored;

alter table order_status
    drop constraint order_status_order_no_prev_id_from_status_fkey,
    drop constraint order_status_order_no_id_status_key,
    drop constraint order_status_from_status_status_fkey,
    add foreign key (from_status, status, scope)
        references transitions (from_status, to_status, scope);

-- The row before is of the same order, and counts as what this one says it does.
alter table order_status add unique (order_no, id, counts_as);
alter table order_status add foreign key (order_no, prev_id, from_status)
    references order_status (order_no, id, counts_as);

-- A rejection restores what the request, the row before, came from.
alter table order_status add unique (order_no, id, from_status);
alter table order_status add foreign key (order_no, prev_id, restores)
    references order_status (order_no, id, from_status);

-- A line is cancelled once.
alter table order_status add unique (order_no, line_no);
alter table order_status add foreign key (order_no, line_no)
    references order_lines (order_no, line_no);

create trigger order_status_not_truncated before truncate on order_status
    for each statement execute function refuse_change_of_history();

-- One row for each status DELIVERY_PREPARATION.
create table deliveries (
    prepared_by bigint primary key references order_status (id),
    order_no text not null references orders (order_no),
    state text not null default 'PREPARING' check (state in ('PREPARING', 'DELIVERED', 'CANCELED'))
);

create index deliveries_by_order on deliveries (order_no);

create unique index deliveries_one_under_way on deliveries (order_no) where state = 'PREPARING';

-- The newest row of each order. For audits.
create view order_heads as
    select order_no, id, from_status, status, counts_as from order_status as head
    where not exists (
        select 1 from order_status as later
        where later.order_no = head.order_no and later.prev_id = head.id
    );
