-- As in PostgreSQL. A check cannot be changed here, so the table is made anew.
create table movements_4 (
    op_id blob not null,
    item_id text not null references items (item_id),
    kind text not null check (kind in (
        'INITIAL', 'OPENING', 'RESERVE', 'COMMIT', 'RELEASE', 'DECREASE', 'RESTOCK', 'SET'
    )),
    on_hand_delta integer not null,
    reserved_delta integer not null,
    sold_delta integer not null,
    moved_at_ms integer not null,
    primary key (op_id, item_id)
) strict;

insert into movements_4
    (op_id, item_id, kind, on_hand_delta, reserved_delta, sold_delta, moved_at_ms)
select op_id, item_id, kind, on_hand_delta, reserved_delta, sold_delta, moved_at_ms
from movements;

drop table movements;
alter table movements_4 rename to movements;

create index movements_item on movements (item_id);

create trigger movements_not_updated before update on movements
when old.kind <> 'OPENING' or new.kind <> 'OPENING' or new.op_id <> old.op_id
    or new.item_id <> old.item_id
begin
    select raise(abort, 'movements are never changed');
end;

create trigger movements_not_deleted before delete on movements
when old.kind = 'OPENING' or exists (select 1 from op_log where op_log.op_id = old.op_id)
    or (select before_ms from op_log_horizon) = 0
begin
    select raise(abort, 'movements are never changed');
end;

alter table reservations add column returned_by blob;

create index reservations_returned on reservations (returned_by) where returned_by is not null;
