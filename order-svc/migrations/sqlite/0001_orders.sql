-- As in PostgreSQL, where every table is explained.
create table orders (
    order_no text primary key
        check (length(order_no) between 6 and 64 and order_no not glob '*[^A-Za-z0-9_-]*'),
    customer_id text not null,
    currency text not null check (currency glob '[A-Z][A-Z][A-Z]'),
    total_minor integer not null check (total_minor >= 0),
    payment_id text,
    placed_by blob not null unique,
    placed_at_ms integer not null
) strict;

create table order_lines (
    order_no text not null references orders (order_no),
    line_no integer not null check (line_no >= 1),
    item_id text not null,
    qty integer not null check (qty >= 1),
    price_minor integer not null check (price_minor >= 0),
    discount_minor integer not null check (discount_minor >= 0),
    state text not null default 'ACTIVE' check (state in ('ACTIVE', 'CANCELING', 'CANCELED')),
    primary key (order_no, line_no)
) strict;

create table transitions (
    from_status text not null,
    to_status text not null,
    primary key (from_status, to_status)
) strict;

insert into transitions (from_status, to_status) values
    ('START', 'PAYMENT_PENDING'),
    ('START', 'PAYMENT_SUCCESS'),
    ('PAYMENT_PENDING', 'PAYMENT_CONFIRM'),
    ('PAYMENT_CONFIRM', 'PAYMENT_SUCCESS'),
    ('PAYMENT_CONFIRM', 'PAYMENT_OUT_OF_STOCK'),
    ('PAYMENT_CONFIRM', 'PAYMENT_NO_PAYMENT_INFO');

create table order_status (
    id integer primary key autoincrement,
    order_no text not null references orders (order_no),
    prev_id integer,
    from_status text not null,
    status text not null,
    reason text not null,
    op_id blob not null,
    changed_at_ms integer not null,
    check ((prev_id is null) = (from_status = 'START')),
    foreign key (from_status, status) references transitions (from_status, to_status),
    unique (order_no, op_id),
    unique (order_no, id, status),
    foreign key (order_no, prev_id, from_status) references order_status (order_no, id, status)
) strict;

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
