-- What operations of long ago moved is folded into one row for each item: stock stays the sum of
-- its movements.
alter table movements drop constraint movements_kind_check;
alter table movements add constraint movements_kind_check check (
    kind in ('OPENING', 'INITIAL', 'RESERVE', 'COMMIT', 'RELEASE', 'DECREASE', 'RESTOCK', 'SET')
);

-- A row while somebody folds, in his transaction alone.
create table movement_folds (one integer primary key check (one = 1));

create or replace function refuse_change_of_movements() returns trigger language plpgsql as $$
begin
    if not exists (select 1 from movement_folds) then
        raise exception 'movements are never changed';
    end if;
    return null;
end
$$;

-- Serve pruning: what is oldest comes first.
create index movements_moved on movements (moved_at_ms) where kind <> 'OPENING';
create index reservations_released on reservations (reserved_at_ms) where state = 'RELEASED';
create index reservation_lines_given_back on reservation_lines (op_id) where restocked = qty;
