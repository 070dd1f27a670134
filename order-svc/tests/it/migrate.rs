//! A database of the first version, with orders in it, goes on as one of this version.

use order_svc::SCHEMA;
use saga_participant::{
    Schema, Sql, on_both_databases,
    schema::migrate,
    testkit::{Scratch, new_op_id},
};
use shop_proto::order::v1::{LineState, OrderStatus};

use crate::shop::{RawStatus, Shop};

on_both_databases!(orders_of_the_first_version_go_on);

const ORDERS: Sql = Sql {
    postgres: "insert into orders
            (order_no, customer_id, currency, total_minor, payment_id, placed_by, placed_at_ms)
        values ('order-1', 'customer-1', 'GBP', 300, 'payment-1', gen_random_uuid(), 7),
            ('order-2', 'customer-1', 'GBP', 5, null, gen_random_uuid(), 8)",
    sqlite: "insert into orders
            (order_no, customer_id, currency, total_minor, payment_id, placed_by, placed_at_ms)
        values ('order-1', 'customer-1', 'GBP', 300, 'payment-1', randomblob(16), 7),
            ('order-2', 'customer-1', 'GBP', 5, null, randomblob(16), 8)",
};

const LINES: &str = "
    insert into order_lines (order_no, line_no, item_id, qty, price_minor, discount_minor)
    values ('order-1', 1, 'A', 2, 100, 0), ('order-1', 2, 'B', 1, 150, 50),
        ('order-2', 1, 'A', 1, 5, 0)";

const FIRST: &str = "
    insert into order_status (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
    select order_no, null, 'START',
        case when payment_id is null then 'PAYMENT_PENDING' else 'PAYMENT_SUCCESS' end,
        '', placed_by, placed_at_ms
    from orders order by order_no";

const SECOND: Sql = Sql {
    postgres: "insert into order_status
            (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
        values ('order-2', 2, 'PAYMENT_PENDING', 'PAYMENT_CONFIRM', '', gen_random_uuid(), 9)",
    sqlite: "insert into order_status
            (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
        values ('order-2', 2, 'PAYMENT_PENDING', 'PAYMENT_CONFIRM', '', randomblob(16), 9)",
};

async fn orders_of_the_first_version_go_on(scratch: Scratch) {
    let first = Schema { migrations: &SCHEMA.migrations[..1], ..SCHEMA };
    let database = scratch.open(&first).await;
    let shop = Shop::serve(scratch, database).await;
    for rows in [ORDERS, LINES.into(), FIRST.into(), SECOND] {
        shop.tamper(rows).await.unwrap();
    }
    assert_eq!(migrate(&shop.database, &SCHEMA).await.unwrap(), SCHEMA.migrations.len() - 1);
    assert_eq!(migrate(&shop.database, &SCHEMA).await.unwrap(), 0);

    shop.assert_sound().await;
    let history = shop.history("order-2").await.unwrap();
    let chain: Vec<_> = history.iter().map(|it| (it.prev_id, it.id, it.status())).collect();
    assert_eq!(chain, [(0, 2, OrderStatus::PaymentPending), (2, 3, OrderStatus::PaymentConfirm)]);
    let order = shop.order("order-1").await.unwrap();
    assert_eq!((order.status(), order.balance_minor), (OrderStatus::PaymentSuccess, 300));
    assert_eq!(order.line_states().collect::<Vec<_>>(), [LineState::Active; 2]);

    // Old orders take new steps, with new ids behind the old ones.
    assert_eq!(shop.drop_line("order-1", 2).await, OrderStatus::PartiallyCanceled);
    shop.transition("order-2", OrderStatus::PaymentSuccess, 3).await.unwrap();
    let request = shop.transition("order-2", OrderStatus::CancelRequested, 0).await.unwrap();
    assert!(3 < request.status_id);
    shop.tamper("delete from order_status").await.unwrap_err();
    shop.tamper("update order_status set reason = ''").await.unwrap_err();
    shop.append(RawStatus::of("order-2", "DELIVERED")).await.unwrap_err();
    shop.cancel_line(new_op_id(), "order-1", 1).await.unwrap();
    shop.assert_sound().await;
}
