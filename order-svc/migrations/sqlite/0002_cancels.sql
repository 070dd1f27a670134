-- As in PostgreSQL, where everything is explained.
alter table orders add column credit_account text;

alter table order_lines
    add column credits integer not null default 0 check (credits >= 0);
alter table order_lines
    add column cancel_op_id blob check ((state = 'ACTIVE') = (cancel_op_id is null));

create index order_lines_by_cancel on order_lines (cancel_op_id) where cancel_op_id is not null;

alter table transitions
    add column scope text not null default 'ORDER' check (scope in ('ORDER', 'LINE'));

create unique index transitions_of_scope on transitions (from_status, to_status, scope);

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

-- SQLite cannot change constraints: the table is made anew, and filled with what was there.
create table order_status_2 (
    id integer primary key autoincrement,
    order_no text not null references orders (order_no),
    prev_id integer,
    from_status text not null,
    status text not null,
    reason text not null,
    op_id blob not null,
    changed_at_ms integer not null,
    line_no integer,
    scope text generated always as
        (case when line_no is null then 'ORDER' else 'LINE' end) stored,
    restores text
        check ((restores is not null) = (status in ('CANCEL_REJECTED', 'REFUND_REJECTED'))),
    counts_as text generated always as (coalesce(restores, status)) stored,
    check ((prev_id is null) = (from_status = 'START')),
    foreign key (from_status, status, scope)
        references transitions (from_status, to_status, scope),
    unique (order_no, op_id),
    unique (order_no, id, counts_as),
    foreign key (order_no, prev_id, from_status)
        references order_status_2 (order_no, id, counts_as),
    unique (order_no, id, from_status),
    foreign key (order_no, prev_id, restores)
        references order_status_2 (order_no, id, from_status),
    unique (order_no, line_no),
    foreign key (order_no, line_no) references order_lines (order_no, line_no)
) strict;

insert into order_status_2
    (id, order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
select id, order_no, prev_id, from_status, status, reason, op_id, changed_at_ms
from order_status order by id;

drop table order_status;

-- References in the table itself follow its name.
alter table order_status_2 rename to order_status;

-- SQLite has no "nulls not distinct"; ids begin at 1.
create unique index order_status_one_successor on order_status (order_no, coalesce(prev_id, 0));

create trigger order_status_not_updated before update on order_status
begin
    select raise(abort, 'the history of an order is never changed');
end;

create trigger order_status_not_deleted before delete on order_status
begin
    select raise(abort, 'the history of an order is never changed');
end;

create table deliveries (
    prepared_by integer primary key references order_status (id),
    order_no text not null references orders (order_no),
    state text not null default 'PREPARING' check (state in ('PREPARING', 'DELIVERED', 'CANCELED'))
) strict;

create index deliveries_by_order on deliveries (order_no);

create unique index deliveries_one_under_way on deliveries (order_no) where state = 'PREPARING';

create view order_heads as
    select order_no, id, from_status, status, counts_as from order_status as head
    where not exists (
        select 1 from order_status as later
        where later.order_no = head.order_no and later.prev_id = head.id
    );
