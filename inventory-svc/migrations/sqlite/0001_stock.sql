-- As in PostgreSQL, where every table is explained.
create table items (
    item_id text primary key check (length(item_id) between 1 and 64),
    owner_id text not null,
    name text not null,
    price_minor integer not null check (price_minor >= 1),
    currency text not null check (currency glob '[A-Z][A-Z][A-Z]'),
    status text not null check (status in ('ON_SALE', 'SUSPENDED', 'DISCONTINUED'))
) strict;

create table stock (
    item_id text primary key references items (item_id),
    on_hand integer not null check (on_hand >= 0),
    reserved integer not null default 0 check (reserved >= 0),
    sold integer not null default 0 check (sold >= 0),
    version integer not null default 1,
    check (reserved <= on_hand)
) strict;

create table reservations (
    op_id blob primary key,
    order_no text not null
        check (length(order_no) between 6 and 64 and order_no not glob '*[^A-Za-z0-9_-]*'),
    state text not null check (state in ('HELD', 'COMMITTED', 'RELEASED')),
    expires_at_ms integer,
    reserved_at_ms integer not null
) strict;

create index reservations_order on reservations (order_no);

create table reservation_lines (
    op_id blob not null references reservations (op_id),
    item_id text not null references items (item_id),
    qty integer not null check (qty >= 1),
    restocked integer not null default 0 check (restocked between 0 and qty),
    primary key (op_id, item_id)
) strict;

create index reservation_lines_item on reservation_lines (item_id);

create table movements (
    op_id blob not null,
    item_id text not null references items (item_id),
    kind text not null check (kind in ('INITIAL', 'RESERVE', 'COMMIT', 'RELEASE')),
    on_hand_delta integer not null,
    reserved_delta integer not null,
    sold_delta integer not null,
    moved_at_ms integer not null,
    primary key (op_id, item_id)
) strict;

create index movements_item on movements (item_id);

create trigger movements_not_updated before update on movements
begin
    select raise(abort, 'movements are never changed');
end;

create trigger movements_not_deleted before delete on movements
begin
    select raise(abort, 'movements are never changed');
end;
