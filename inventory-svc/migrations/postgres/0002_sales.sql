-- Stock that is sold at once, comes back, or is counted by its owner.
alter table movements drop constraint movements_kind_check;
alter table movements add constraint movements_kind_check check (
    kind in ('INITIAL', 'RESERVE', 'COMMIT', 'RELEASE', 'DECREASE', 'RESTOCK', 'SET')
);
