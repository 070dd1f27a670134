-- What is sold. Prices are in minor units of the currency.
create table items (
    item_id text primary key check (char_length(item_id) between 1 and 64),
    owner_id text not null,
    name text not null,
    price_minor bigint not null check (price_minor >= 1),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    status text not null check (status in ('ON_SALE', 'SUSPENDED', 'DISCONTINUED'))
);

-- How much there is. This row is what orders, cancels and owners contend for: whoever
-- changes it, or depends on the item's status, locks it first, several in order of item_id.
create table stock (
    item_id text primary key references items (item_id),

    -- In the house.
    on_hand bigint not null check (on_hand >= 0),

    -- Promised to orders that are under way.
    reserved bigint not null default 0 check (reserved >= 0),

    -- Sold so far, less what came back.
    sold bigint not null default 0 check (sold >= 0),

    -- Grows with every change.
    version bigint not null default 1,

    check (reserved <= on_hand)
);

-- What an order holds. Named by the operation that reserved it.
create table reservations (
    op_id uuid primary key,
    order_no text not null check (order_no ~ '^[A-Za-z0-9_-]{6,64}$'),
    state text not null check (state in ('HELD', 'COMMITTED', 'RELEASED')),

    -- For people and reports. Milliseconds since the Unix epoch; null: no limit.
    expires_at_ms bigint,

    reserved_at_ms bigint not null
);

create index reservations_order on reservations (order_no);

create table reservation_lines (
    op_id uuid not null references reservations (op_id),
    item_id text not null references items (item_id),
    qty bigint not null check (qty >= 1),

    -- How much of it came back after the sale.
    restocked bigint not null default 0 check (restocked between 0 and qty),

    primary key (op_id, item_id)
);

-- Serves audit.
create index reservation_lines_item on reservation_lines (item_id);

-- Why stock is what it is: the sums over an item's movements are its row in stock. One for
-- each operation and item.
create table movements (
    op_id uuid not null,
    item_id text not null references items (item_id),
    kind text not null check (kind in ('INITIAL', 'RESERVE', 'COMMIT', 'RELEASE')),
    on_hand_delta bigint not null,
    reserved_delta bigint not null,
    sold_delta bigint not null,
    moved_at_ms bigint not null,
    primary key (op_id, item_id)
);

-- Serves audit.
create index movements_item on movements (item_id);

create function refuse_change_of_movements() returns trigger language plpgsql as $$
begin
    raise exception 'movements are never changed';
end
$$;

create trigger movements_append_only before update or delete on movements
    for each statement execute function refuse_change_of_movements();
