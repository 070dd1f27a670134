-- Movements of operations that are forgotten become one row per item, OPENING, under the
-- operation 0: the sums over an item's movements stay what they are.
alter table movements drop constraint movements_kind_check;
alter table movements add constraint movements_kind_check check (
    kind in ('INITIAL', 'OPENING', 'RESERVE', 'COMMIT', 'RELEASE', 'DECREASE', 'RESTOCK', 'SET')
);

-- Only the opening row changes, and only movements of operations go that are forgotten.
drop trigger movements_append_only on movements;
create or replace function refuse_change_of_movements() returns trigger language plpgsql as $$
begin
    raise exception 'movements are never changed';
end
$$;

create function movement_is_kept(of_op uuid, of_kind text) returns boolean
language sql stable as $$
    select of_kind = 'OPENING'
        or exists (select 1 from op_log where op_log.op_id = of_op)
        or (select before_ms from op_log_horizon) = 0
$$;

create trigger movements_not_updated before update on movements
    for each row when (
        (old.kind, new.kind, new.op_id, new.item_id)
            is distinct from ('OPENING', 'OPENING', old.op_id, old.item_id)
    )
    execute function refuse_change_of_movements();

create trigger movements_not_deleted before delete on movements
    for each row when (movement_is_kept(old.op_id, old.kind))
    execute function refuse_change_of_movements();

-- The operation that gave back the last of a sale. Null: some of it may still be given back, or
-- it was given back before this was kept.
alter table reservations add column returned_by uuid;

-- Serves forget.
create index reservations_returned on reservations (returned_by) where returned_by is not null;
