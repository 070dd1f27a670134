//! The audit finds what somebody changed behind the service's back.

use saga_participant::{
    Sql, Tx, on_both_databases,
    testkit::{Scratch, new_op_id},
};
use shop_proto::order::v1::OrderStatus;

use crate::shop::{Shop, paid};

on_both_databases!(i6_the_audit_finds_what_was_tampered_with, i6_the_audit_finds_a_broken_chain);

/// Damage, what the audit tells of it, and its repair.
const CASES: [(&str, &str, &str); 8] = [
    (
        "update orders set total_minor = 801 where order_no = 'order-2'",
        "the total is the sum of the lines: order order-2 has 801, not 800",
        "update orders set total_minor = 800 where order_no = 'order-2'",
    ),
    (
        "update orders set payment_id = null where order_no = 'order-1'",
        "an order that was paid names its payment: order order-1 has 0, not 1",
        "update orders set payment_id = 'payment-1' where order_no = 'order-1'",
    ),
    (
        "update order_lines set credits = 1 where order_no = 'order-2' and line_no = 1",
        "an order whose lines grant credits names their account: order order-2 has 0, not 1",
        "update order_lines set credits = 0",
    ),
    (
        "update order_lines set state = 'CANCELED', cancel_op_id = (
            select placed_by from orders where order_no = 'order-1'
        ) where order_no = 'order-1' and line_no = 1",
        "the lines that are cancelled are those of the history, or all of a CANCELED order: \
         order order-1 has 1, not 0",
        "update order_lines set state = 'ACTIVE', cancel_op_id = null where order_no = 'order-1'",
    ),
    (
        "update order_lines set state = 'ACTIVE', cancel_op_id = null
        where order_no = 'order-4' and line_no = 1",
        "the lines that are cancelled are those of the history, or all of a CANCELED order: \
         order order-4 has 1, not 2",
        "update order_lines set state = 'CANCELED', cancel_op_id = (
            select placed_by from orders where order_no = 'order-4'
        ) where order_no = 'order-4' and line_no = 1",
    ),
    (
        "update order_lines set state = 'CANCELING', cancel_op_id = (
            select placed_by from orders where order_no = 'order-2'
        ) where order_no = 'order-2' and line_no = 1",
        "a line is cancelled only while the whole order stands still: order order-2 has 1, not 0",
        "update order_lines set state = 'ACTIVE', cancel_op_id = null where order_no = 'order-2'",
    ),
    (
        "update deliveries set state = 'CANCELED' where order_no = 'order-5'",
        "a delivery is under way while the order is prepared for it, and only then (S1-9): \
         order order-5 has 0, not 1",
        "update deliveries set state = 'PREPARING' where order_no = 'order-5'",
    ),
    (
        "update deliveries set state = 'PREPARING' where order_no = 'order-6'",
        "a delivery is under way while the order is prepared for it, and only then (S1-9): \
         order order-6 has 1, not 0",
        "update deliveries set state = 'CANCELED' where order_no = 'order-6'",
    ),
];

async fn i6_the_audit_finds_what_was_tampered_with(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    for order_no in ["order-1", "order-3", "order-4", "order-5", "order-6"] {
        shop.insert(paid(order_no)).await.unwrap();
    }
    shop.pending("order-2").await;
    shop.drop_line("order-3", 1).await;
    for order_no in ["order-5", "order-6"] {
        shop.transition(order_no, OrderStatus::DeliveryPreparation, 0).await.unwrap();
    }
    for order_no in ["order-4", "order-6"] {
        shop.transition(order_no, OrderStatus::CancelRequested, 0).await.unwrap();
        shop.transition(order_no, OrderStatus::Canceled, 0).await.unwrap();
    }
    shop.cancel_line(new_op_id(), "order-5", 2).await.unwrap();
    shop.assert_sound().await;
    for (damage, told, repair) in CASES {
        shop.tamper(damage).await.unwrap();
        assert_eq!(shop.audit().await.violations, [told]);
        shop.tamper(repair).await.unwrap();
        shop.assert_sound().await;
    }
    let swapped = "update order_lines set state = case line_no when 1 then 'ACTIVE'
            else 'CANCELED' end,
        cancel_op_id = case line_no when 1 then null else (
            select placed_by from orders where order_no = 'order-3'
        ) end
        where order_no = 'order-3'";
    shop.tamper(swapped).await.unwrap();
    let told = "a line whose cancel the history tells is cancelled: order order-3 has 1, not 0";
    assert_eq!(shop.audit().await.violations, [told]);

    let all_lines = "update order_lines set state = 'CANCELED', cancel_op_id = (
            select placed_by from orders where order_no = 'order-3'
        ) where order_no = 'order-3'";
    shop.tamper(all_lines).await.unwrap();
    assert_eq!(
        shop.audit().await.violations,
        [
            "the lines that are cancelled are those of the history, or all of a CANCELED order: \
             order order-3 has 2, not 1",
            "an order is CANCELED with its last line: order order-3 has 0, not 1",
        ]
    );
}

async fn i6_the_audit_finds_a_broken_chain(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let without_status = Sql {
        postgres: "insert into orders
            (order_no, customer_id, currency, total_minor, placed_by, placed_at_ms)
            values ('order-3', 'customer-1', 'GBP', 0, gen_random_uuid(), 0)",
        sqlite: "insert into orders
            (order_no, customer_id, currency, total_minor, placed_by, placed_at_ms)
            values ('order-3', 'customer-1', 'GBP', 0, randomblob(16), 0)",
    };
    shop.tamper(without_status).await.unwrap();
    let told = "I6: an order has one first status: order order-3 has 0, not 1".to_owned();
    assert_eq!(shop.audit().await.violations, std::slice::from_ref(&told));

    // The constraints are taken away, as if another schema had been deployed.
    shop.insert(paid("order-1")).await.unwrap();
    shop.transition("order-1", OrderStatus::CancelRequested, 0).await.unwrap();
    shop.transition("order-1", OrderStatus::CancelRejected, 0).await.unwrap();
    let script = move |mut tx: Tx| async move {
        tx.script(BREAK_THE_CHAIN).await?;
        tx.commit().await
    };
    shop.database.write(script).await.unwrap();
    assert_eq!(
        shop.audit().await.violations,
        [
            told,
            "I6: a status has at most one successor: order order-1 has 2, not 1".to_owned(),
            "I6: a status follows one of the same order, by a legal step: order order-1 has 4, \
             not 0"
                .to_owned(),
        ]
    );
}

/// A second successor of the first row, and one that restores what never was.
const BREAK_THE_CHAIN: Sql = Sql {
    postgres: "
        alter table order_status drop constraint order_status_order_no_prev_id_key;
        alter table order_status drop constraint order_status_order_no_prev_id_restores_fkey;
        insert into order_status (order_no, prev_id, from_status, status, restores, reason,
            op_id, changed_at_ms)
        values ('order-1', 2, 'CANCEL_REQUESTED', 'CANCEL_REJECTED', 'DELIVERED', '',
            gen_random_uuid(), 0)",
    // Copied without its constraints.
    sqlite: "
        create table copy as select * from order_status;
        drop view order_heads;
        drop table deliveries;
        drop table order_status;
        alter table copy rename to order_status;
        insert into order_status (id, order_no, prev_id, from_status, status, restores, reason,
            op_id, changed_at_ms, scope, counts_as)
        values (4, 'order-1', 2, 'CANCEL_REQUESTED', 'CANCEL_REJECTED', 'DELIVERED',
            '', x'04', 0, 'ORDER', 'DELIVERED');
        create table deliveries (prepared_by, order_no, state);
        create view order_heads as
            select order_no, id, from_status, status, counts_as from order_status as head
            where not exists (
                select 1 from order_status as later
                where later.order_no = head.order_no and later.prev_id = head.id
            )",
};
