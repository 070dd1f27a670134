-- When the wake-up was set, by the clock of whoever set it. A wake-up that was set in the
-- future was set by a clock that went back since: it is due, or it would take as long as the
-- clock went back. Null: it was set by a program of before.
alter table saga add column wake_set_at_ms integer;

-- Serves claimable: unowned sagas whose wake-up was set in the future. Hardly ever one.
create index saga_set_ahead on saga (wake_set_at_ms)
    where owner is null and ended_at_ms is null and wake_at_ms is not null;
