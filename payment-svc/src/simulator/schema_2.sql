-- Payments by virtual account: the shop confirms, and the buyer deposits the money later.
create table deposit (
    payment_key text primary key references session (payment_key),

    -- Until when the buyer may deposit. Null: the shop has not confirmed yet.
    due_at_ms integer
);
