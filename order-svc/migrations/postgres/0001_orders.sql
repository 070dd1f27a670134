-- What was ordered. Amounts are in minor units of the currency.
create table orders (
    order_no text primary key check (order_no ~ '^[A-Za-z0-9_-]{6,64}$'),
    customer_id text not null,
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    total_minor bigint not null check (total_minor >= 0),

    -- The payment that settled it. Null: none yet.
    payment_id text,

    -- The operation that inserted it.
    placed_by uuid not null unique,

    placed_at_ms bigint not null
);

create table order_lines (
    order_no text not null references orders (order_no),
    line_no bigint not null check (line_no >= 1),
    item_id text not null,
    qty bigint not null check (qty >= 1),
    price_minor bigint not null check (price_minor >= 0),
    discount_minor bigint not null check (discount_minor >= 0),
    state text not null default 'ACTIVE' check (state in ('ACTIVE', 'CANCELING', 'CANCELED')),
    primary key (order_no, line_no)
);

-- Which status may follow which. START stands for "no status yet".
create table transitions (
    from_status text not null,
    to_status text not null,
    primary key (from_status, to_status)
);

insert into transitions (from_status, to_status) values
    ('START', 'PAYMENT_PENDING'),
    ('START', 'PAYMENT_SUCCESS'),
    ('PAYMENT_PENDING', 'PAYMENT_CONFIRM'),
    ('PAYMENT_CONFIRM', 'PAYMENT_SUCCESS'),
    ('PAYMENT_CONFIRM', 'PAYMENT_OUT_OF_STOCK'),
    ('PAYMENT_CONFIRM', 'PAYMENT_NO_PAYMENT_INFO');

-- Every change of status is a row; the newest is the status. The database itself keeps
-- the history a chain: one first row, one successor of each row, legal steps only.
create table order_status (
    id bigint generated always as identity primary key,
    order_no text not null references orders (order_no),

    -- The row that it follows. Null: the first.
    prev_id bigint,

    -- The status of that row.
    from_status text not null,
    status text not null,

    reason text not null,
    op_id uuid not null,

    -- For people. Milliseconds since the Unix epoch. Nothing is decided by it (S2-8).
    changed_at_ms bigint not null,

    check ((prev_id is null) = (from_status = 'START')),
    foreign key (from_status, status) references transitions (from_status, to_status),

    -- Of simultaneous changes exactly one wins. A plain unique would let two first rows in.
    unique nulls not distinct (order_no, prev_id),
    unique (order_no, op_id),

    -- The row before is of the same order, and has the status that this one says it had.
    unique (order_no, id, status),
    foreign key (order_no, prev_id, from_status) references order_status (order_no, id, status)
);

create function refuse_change_of_history() returns trigger language plpgsql as $$
begin
    raise exception 'the history of an order is never changed';
end
$$;

create trigger order_status_append_only before update or delete on order_status
    for each statement execute function refuse_change_of_history();
